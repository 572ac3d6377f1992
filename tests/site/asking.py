"""Asks the pages without a server: what an ASGI server would hand them, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette

from fairlead.catalogue.snapshot import Snapshot
from fairlead.site.app import site
from fairlead.site.budget import PageBudget
from fairlead.site.sources import Sources

# Pages may take all of the time of a test.
UNBOUNDED = 1e9


def pages_of(snapshot: Snapshot, **more: Any) -> Starlette:
    """The pages of a catalogue, without a bound on the time they take."""
    now = more.pop("at", None) or datetime.now(UTC)
    sources = Sources(lambda: snapshot, more.pop("obstacle", lambda _: None), lambda: now, **more.pop("given", {}))
    return site(sources, budget=more.pop("budget", PageBudget(share=UNBOUNDED, burst=UNBOUNDED)), **more)


class Answer:
    """`headers`: by name; of two that have the same one, the last."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def text(self) -> str:
        return self.body.decode()


async def ask(app: Starlette, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    """What the app answers to a target as it stands in a request line, percent-encoding and all."""
    path, _, query = target.partition("?")
    lines = {"host": "llm.example", "accept": "text/html", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "http_version": "1.1",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
        "server": ("llm.example", 80),
        "client": ("192.0.2.1", 1),
        "state": {},
    }
    answer = Answer()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer
