"""What a call has used is freed when it is over, whatever came of it: nothing waits for Python's search for garbage."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import AT_ONCE, IN_ORDER, Served, eventually, model, provider, serving

# Python's own collector never comes; SIGUSR1 says what only it could free, and what of ours is still held.
PROGRAM = """
import gc, json, os, signal
from collections import Counter

def counted(objects):
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in objects)

def show(*_):
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = json.dumps([counted(gc.garbage), counted(gc.get_objects())])
    os.write(1, f"\\nGARBAGE {found}\\n".encode())  # may come in the middle of a print
    gc.garbage.clear()
    gc.collect()  # else it would be found again, with what comes later

signal.signal(signal.SIGUSR1, show)
gc.disable()
from fairlead.cli import main
main()
"""
CALLS = 30
SLOW = Reply(text="one two three four five six seven", chunk_delay_seconds=0.02)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@contextlib.contextmanager
def watched(tmp: Path, config: str) -> Iterator[Served]:
    program = tmp / "program.py"
    program.write_text(PROGRAM)
    with serving(tmp, config, program=(str(program),)) as running:
        left(running)  # by the start
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE + provider(upstream.url, name="own") + provider(upstream.url, name="hosted", dialect="openai")
    config += model("own", name="own") + model("hosted", name="hosted")
    with watched(tmp_path_factory.mktemp("garbage"), config) as running:
        yield running


def left(served: Served) -> dict[str, int]:
    """How many objects there are of each type, of which there is one or more for each call."""
    before = len(served.lines)

    def said() -> list[str]:
        return [line for line in served.lines[before:] if line.startswith("GARBAGE")]

    served.process.send_signal(signal.SIGUSR1)
    eventually(said)
    garbage, held = json.loads(said()[0].removeprefix("GARBAGE"))
    # A connection is kept for the next call; records and decisions are on their way to the database.
    held.pop("fairlead.http.client.Connection", None)
    ours = {kind: count for kind, count in held.items() if kind.startswith(("fairlead.http.", "fairlead.gateway."))}
    return {kind: count for found in (garbage, ours) for kind, count in found.items() if count >= CALLS}


def request(served: Served, body: bytes, head: str = "POST /v1/chat/completions", key: str | None = None) -> bytes:
    lines = f"{head} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key or served.key}\r\n"
    return f"{lines}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chat(name: str, *, stream: bool) -> bytes:
    return json.dumps({"model": name, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}).encode()


def ask(served: Served, data: bytes, until: bytes | None = None) -> bytes:
    """Sends, and reads up to `until` or the end; then disconnects."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as caller:
        caller.sendall(data)
        seen = b""
        while (until is None or until not in seen) and (block := caller.recv(65536)):
            seen += block
        return seen


def quiet(served: Served) -> bool:
    """Whether nothing is in flight but the request that asks."""
    metrics = ask(served, request(served, b"", "GET /metrics"))
    return re.search(rb"^fairlead_requests_in_flight\{.*\} 1\.0$", metrics, re.MULTILINE) is not None


@pytest.mark.parametrize(
    ("reply", "until", "status"),
    [
        (None, None, 200),
        (SLOW, b"data: ", 200),
        (Reply(status=500), None, 502),
        (Reply(status=400), None, 400),
        (Reply(text="a b c d e f", fault=Fault.RESET, after_chunks=2), None, 200),
        (Reply(fault=Fault.CLOSE_AT_ONCE), None, 200),  # a kept connection: sent again
        (Reply(fault=Fault.HTML), None, 502),
    ],
    ids=["served", "disconnected", "failed", "refused", "cut", "closed", "no API"],
)
@pytest.mark.parametrize("name", ["own", "hosted"])
def test_a_stream_leaves_no_garbage_whatever_comes_of_it(
    served: Served, upstream: ScriptedUpstream, name: str, reply: Reply | None, until: bytes | None, status: int
) -> None:
    for _ in range(CALLS):
        for _ in range(2):  # so that its breaker stays closed
            assert b"[DONE]" in ask(served, request(served, chat(name, stream=True)))
        if reply is not None:
            upstream.enqueue(reply)
        answer = ask(served, request(served, chat(name, stream=True)), until)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    eventually(lambda: quiet(served))
    assert left(served) == {}


@pytest.mark.parametrize(
    ("head", "body", "key", "status"),
    [
        ("POST /v1/chat/completions", chat("own", stream=False), None, 200),
        ("POST /v1/chat/completions", chat("nobody", stream=False), None, 404),
        ("POST /v1/chat/completions", chat("own", stream=False), "sk-fl-nobody", 401),
        ("POST /v1/chat/completions", b"{", None, 400),
        ("PUT /v1/chat/completions", b"", None, 405),
        ("GET /v1/models", b"", None, 200),
        ("GET /readyz", b"", None, 200),
        ("GET /models", b"", None, 200),
        ("no HTTP", b"", None, 400),
    ],
    ids=["served", "no model", "no key", "no JSON", "no method", "models", "ready", "a page", "no HTTP"],
)
def test_a_request_leaves_no_garbage_whatever_comes_of_it(
    served: Served, head: str, body: bytes, key: str | None, status: int
) -> None:
    for _ in range(CALLS):
        assert ask(served, request(served, body, head, key)).startswith(b"HTTP/1.1 %d " % status)
    assert left(served) == {}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(text="a b c d e f", fault=Fault.RESET, after_chunks=2),
        Reply(text="a b c", delay_seconds=50),
    ],
    ids=["next", "continued", "hedged"],
)
def test_a_stream_that_another_deployment_serves_leaves_no_garbage(tmp_path: Path, reply: Reply) -> None:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        config = IN_ORDER + "hedge = true\n" + provider(a.url, name="a") + provider(b.url, name="b")
        with watched(tmp_path, config + model("a", "b")) as served:
            call = request(served, chat("mistral-small-3.2", stream=True))
            for _ in range(20):  # so that it is known how long a first word takes
                ask(served, call)
            for _ in range(CALLS):
                for _ in range(3):  # so that the breaker of `a` stays closed
                    assert b"[DONE]" in ask(served, call)
                a.enqueue(reply)
                assert b"[DONE]" in ask(served, call)
            assert len(b.requests) >= CALLS
            eventually(lambda: quiet(served))
            assert left(served) == {}
