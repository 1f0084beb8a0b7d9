"""The order hook as one writes it by hand with FastAPI. `cargo xtask bench hand` compares with it.

    python fastapi_door.py SECRET sync      answers with three fields of the order; two workers
    python fastapi_door.py SECRET durable   answers 202 when the order is on the disk, in ./orders.db; one worker

Prints its URL before it listens.
"""

import hashlib
import hmac
import json
import socket
import sqlite3
import sys
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SECRET, MODE = sys.argv[1].encode(), sys.argv[2]
app = FastAPI(openapi_url=None)


def store(path):
    # Without transactions of the library: each statement is a commit of its own, which waits for the disk.
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL)")
    return database


# In the worker, not in the process that starts it.
database = store("orders.db") if MODE == "durable" and __name__ != "__main__" else None


@app.post("/hook/door")
async def door(request: Request):
    body = await request.body()
    right = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), request.headers.get("x-signature", "").encode()):
        return JSONResponse({"error": "wrong signature"}, 401)
    try:
        order = json.loads(body)
        fields = {"id": order["id"], "amount": order["amount"], "customer": order["customer"]["name"]}
    except (ValueError, KeyError, TypeError):
        return JSONResponse({"error": "no order"}, 400)
    if database is None:
        return JSONResponse(fields)
    # A commit takes less than a thread to hand it to.
    database.execute("INSERT INTO orders (at, body) VALUES (?, ?)", (time.time(), body))
    return JSONResponse({"status": "queued"}, 202)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    port = free_port()
    print(f"http://127.0.0.1:{port}/hook/door", flush=True)
    uvicorn.run(
        "fastapi_door:app",
        app_dir=str(Path(__file__).parent),
        port=port,
        workers=2 if MODE == "sync" else 1,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
