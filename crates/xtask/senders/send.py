"""Senders' own libraries for Python sign requests and send them: each as it is, which must be accepted, and with one
byte of it altered, which must be refused. Reads {address, base_url, secrets} and prints a line of JSON per library."""

import http.client
import json
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import version
from urllib.parse import urlencode

import standardwebhooks
import stripe
import svix
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

TOLD = json.load(sys.stdin)
NOW = int(time.time())
JSON_TYPE = {"Content-Type": "application/json"}
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
SHARED_KEY = "key=SK1,algorithm=HMAC_SHA256"
BODIES = [
    '{"id": "evt_1", "amount": 10.10, "big": 123456789012345678901234567890}',
    '{ "text" : "Zo\\u00eb \u2014 \u65e5\u672c\u8a9e \U0001f600", "list": [1, 2.50, null, true] }\n',
    json.dumps({"long": "x" * 100_000}),
]
FORMS = [
    {"CallSid": "CA1", "From": "+15551234567", "Body": "Zo\u00eb & co = 100 %"},
    {"Body": "", "NumMedia": "0", "Odd.Key": "a+b"},
    {"To": ["+2", "+1", "+2"], "Body": ["x"]},
]


class Repeated(dict):
    """What a web framework makes of a form with repeated fields."""

    def getlist(self, name):
        return self[name] if isinstance(self[name], list) else [self[name]]


def of_slack(secret):
    for body in BODIES:
        signature = SignatureVerifier(secret).generate_signature(timestamp=str(NOW), body=body)
        headers = {"X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": signature}
        yield "/hook/slack", {**JSON_TYPE, **headers}, body


def of_stripe(secret):
    for body in BODIES:
        signature = stripe.WebhookSignature.generate_signature_header(body, secret)
        yield "/hook/stripe", {**JSON_TYPE, "Stripe-Signature": signature}, body


def standard(webhook, flow, prefix):
    for nth, body in enumerate(BODIES):
        at = datetime.fromtimestamp(NOW, timezone.utc)
        signature = webhook.sign(f"msg_py_{nth}", at, body)
        names = ["id", "timestamp", "signature"]
        headers = dict(zip((f"{prefix}-{name}" for name in names), [f"msg_py_{nth}", str(NOW), signature]))
        yield f"/hook/{flow}", {**JSON_TYPE, **headers}, body


def of_twilio(secret, flow, algorithm, more):
    for form in FORMS:
        path = f"/hook/{flow}?a=1&b=%20"
        signature = RequestValidator(secret).compute_signature(TOLD["base_url"] + path, Repeated(form), algorithm)
        headers = {**FORM_TYPE, **more, "X-Twilio-Signature": signature}
        yield path, headers, urlencode(form, doseq=True)


LIBRARIES = [
    ("slack", "slack-sdk", of_slack),
    ("stripe", "stripe", of_stripe),
    ("svix", "svix", lambda secret: standard(svix.Webhook(secret), "svix", "svix")),
    (
        "standard-webhooks",
        "standardwebhooks",
        lambda secret: standard(standardwebhooks.Webhook(secret), "standard-webhooks", "webhook"),
    ),
    ("twilio-form", "twilio", lambda secret: of_twilio(secret, "twilio-form", None, {})),
    (
        "twilio-form-sha256",
        "twilio",
        lambda secret: of_twilio(
            secret,
            "twilio-form-sha256",
            "HMAC_SHA256",
            {"X-Twilio-Webhooks-Signature-Settings": SHARED_KEY},
        ),
    ),
]


def send(path, headers, body):
    connection = http.client.HTTPConnection(TOLD["address"], timeout=60)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


for flow, library, requests in LIBRARIES:
    row = {"flow": flow, "library": f"{library} {version(library)}", "requests": 0, "accepted": 0, "refused": 0, "wrong": []}
    for path, headers, text in requests(TOLD["secrets"][flow]):
        row["requests"] += 1
        body = text.encode()
        status, answer = send(path, headers, body)
        if status == 200 and json.loads(answer)["by"] == flow:
            row["accepted"] += 1
        else:
            row["wrong"].append(f"request {row['requests']}: {status} {answer}")
        altered = bytearray(body)
        altered[len(altered) // 2] ^= 1
        status, _ = send(path, headers, bytes(altered))
        if status == 401:
            row["refused"] += 1
        else:
            row["wrong"].append(f"request {row['requests']}, altered: {status}")
    print(json.dumps(row))
