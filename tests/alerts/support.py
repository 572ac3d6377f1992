"""Receivers of alerts: a real HTTP server and a real SMTP server, on this machine."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from sqlalchemy import select

from fairlead.ledger.record import UsageRecord, encode
from fairlead.prices import PriceSheet, Schedule, rates_from
from fairlead.store import Store
from fairlead.store.tables import alert_outbox
from fairlead.wire.usage import usage_from_openai

SECRET = "whsec-of-a-test"
CENT = 10**10  # picodollars
SHEET = PriceSheet("p/m", Schedule(rates_from({"input": "0", "output": "0", "request": "0.01"})))


class Delivery(NamedTuple):
    path: str
    signature: str
    event: str
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`status`: what it answers; `hold`: it answers when this is set."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[Delivery] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(
                    Delivery(self.path, self.headers["Fairlead-Signature"], self.headers["Fairlead-Event"], body)
                )
                receiver.hold.wait(60)
                self.send_response(receiver.status)
                if 300 <= receiver.status < 400:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def kinds(self) -> list[str]:
        return [one.told["type"] for one in self.got]

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    try:
        yield running
    finally:
        running.close()


class MailServer:
    """Takes mail after STARTTLS and AUTH PLAIN. `mails`: (user name, password, text); `refuses`: a status for each."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.mails: list[tuple[str, str, str]] = []
        self.refuses = ""
        mails = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                try:
                    self.talk()
                finally:
                    for one in (self.rfile, self.wfile, self.request):
                        one.close()

            def talk(self) -> None:
                user = password = ""
                secured = False
                self.say("220 test")
                while line := self.rfile.readline():
                    word = line.split()[0].upper().decode() if line.split() else ""
                    if word == "EHLO":
                        offer = "250 AUTH PLAIN" if secured else "250 STARTTLS"
                        self.wfile.write(b"250-test\r\n" + offer.encode() + b"\r\n")
                    elif word == "STARTTLS":
                        self.say("220 go on")
                        self.request = tls.wrap_socket(self.request, server_side=True)
                        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
                        secured = True
                    elif word == "AUTH":
                        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                        self.say("235 ok" if password != "wrong" else "535 no")
                    elif word == "DATA":
                        self.say("354 go on")
                        text = b""
                        while (part := self.rfile.readline()) != b".\r\n":
                            text += part
                        if mails.refuses:
                            self.say(mails.refuses)
                        else:
                            mails.mails.append((user, password, text.decode()))
                            self.say("250 taken")
                    elif word == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Session)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def record(number: int, *scopes: str, cents: int = 1) -> bytes:
    usage = usage_from_openai(b'{"prompt_tokens":1,"completion_tokens":1}')
    assert usage is not None
    return encode(
        UsageRecord(
            f"gen_{number}", 1, 2, "acc_1", "key_1", "m", "served", False, "reported", "p/m", SHEET.id,
            usage.tokens, usage.prompt, usage.completion, True, cents * CENT, None, hold=cents * CENT, scopes=scopes,
        )
    )  # fmt: skip


def told(store: Store) -> list[tuple[str, Any]]:
    """What is in the outbox, in order: types and data."""
    with store.read() as connection:
        rows = connection.execute(select(alert_outbox).order_by(alert_outbox.c.id)).all()
    return [(row.kind, json.loads(row.body)["data"]) for row in rows]
