"""Receivers verify what the program delivers, with their own libraries for Python: each delivery as it is, which must be
taken, and with one byte altered, which must not. Reads {port, ops, secrets} and prints a line of JSON per library."""

import hashlib
import hmac
import http.client
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import standardwebhooks
import svix

TOLD = json.load(sys.stdin)
DATA = [
    '{"id":"evt_1","amount":10.10,"big":123456789012345678901234567890}',
    '{ "text": "Zo\\u00eb \u2014 \u65e5\u672c\u8a9e \U0001f600", "list": [1, 2.50, null, true] }',
    json.dumps({"long": "x" * 100_000}),
]


def plain(secret, header):
    def verify(body, headers):
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, headers[header]):
            raise ValueError("no")

    return verify


LIBRARIES = []
for n, secret in enumerate(TOLD["secrets"], 1):
    for name, library in (("standardwebhooks", standardwebhooks), ("svix", svix)):
        LIBRARIES.append((f"{name} {version(name)}, secret {n}", library.Webhook(secret).verify))
    LIBRARIES.append((f"hmac, secret {n}", plain(secret, "x-signature" if n == 1 else f"x-signature-{n}")))
ROWS = [
    {"flow": "delivery", "library": library, "requests": 0, "accepted": 0, "refused": 0, "wrong": []}
    for library, _ in LIBRARIES
]


def throws(verify, body, headers):
    try:
        verify(body, headers)
        return False
    except Exception:
        return True


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        altered = bytearray(body)
        altered[len(altered) // 2] ^= 1
        for row, (_, verify) in zip(ROWS, LIBRARIES):
            row["requests"] += 1
            row["accepted"] += 0 if throws(verify, body, headers) else 1
            row["refused"] += 1 if throws(verify, bytes(altered), headers) else 0
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", TOLD["port"]), Receiver)
server.timeout = 60


def publish():
    for data in DATA:
        connection = http.client.HTTPConnection(TOLD["ops"], timeout=60)
        body = '{"event":"python.delivered","data":' + data + "}"
        connection.request("POST", "/api/events", body.encode())
        answer = connection.getresponse()
        assert answer.status == 202, answer.read()
        connection.close()


threading.Thread(target=publish, daemon=True).start()
while ROWS[0]["requests"] < len(DATA):
    server.handle_request()
for row in ROWS:
    print(json.dumps(row))
