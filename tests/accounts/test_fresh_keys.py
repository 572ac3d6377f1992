"""A key that was made a moment ago works on its first use, also where the database is across the network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.http.support import Running, running

from fairlead.accounts import keys as key_ring
from fairlead.accounts.keys import KeyRing, create_key
from fairlead.api.admission import UNKNOWN_BODY_BYTES, Admission
from fairlead.api.auth import authenticate
from fairlead.api.dispatch import Dispatch
from fairlead.doors.table import DoorFinder
from fairlead.http.request import Request, Response
from fairlead.store import Store, open_store

STRANGER = "sk-fl-" + "x" * 51


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def shared(tmp_path: Path, postgres: Any) -> Iterator[Store]:
    opened = open_store(tmp_path, postgres.new_database())
    yield opened
    opened.close()


@contextmanager
def echoing(ring: KeyRing) -> Iterator[Running]:
    """A server whose keys nobody watches: what it finds, it has looked up."""

    def echo(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        authenticate(request, ring)
        response.send(200, b"", request.body)
        return None

    dispatch = Dispatch({"/v1/echo": {"POST": echo}}, {}, echo)
    admit = Admission(["/v1/echo"], ring, DoorFinder())
    with running(dispatch, on_error=dispatch.answer_error, admit=admit) as server:
        yield server


def ask(server: Running, key: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{headers}"
    return server.ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def test_a_fresh_key_works_on_its_first_use_with_its_body(store: Store) -> None:
    ring = KeyRing(store)
    with echoing(ring) as server:
        for number in range(3):
            time.sleep(2 * key_ring.SHARED_ASK_SECONDS)
            body = b"hello %d" % number
            answer = ask(server, create_key(store, "fresh"), body)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.endswith(body)


def test_strangers_cause_one_question_per_interval_and_none_for_a_key_that_was_refused(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "SHARED_ASK_SECONDS", 3600.0)
    ring = KeyRing(shared)
    asked: list[float] = []
    version = shared.version
    monkeypatch.setattr(shared, "version", lambda: (asked.append(0.0), version())[1])
    with echoing(ring) as server:
        assert ask(server, STRANGER, b"x").startswith(b"HTTP/1.1 401 ")
        for number in range(20):
            key = f"sk-fl-{number:08}" + "y" * 43
            assert ask(server, key, b"x").startswith(b"HTTP/1.1 401 ")
        assert len(asked) == 1
        monkeypatch.setattr(key_ring, "SHARED_ASK_SECONDS", 0.0)
        ring._ask_at = 0.0
        for _ in range(5):
            assert ask(server, STRANGER, b"x").startswith(b"HTTP/1.1 401 ")
            assert ask(server, "sk-fl-short", b"x").startswith(b"HTTP/1.1 401 ")
        assert len(asked) == 1


def test_a_long_body_of_a_stranger_is_not_read_while_the_key_is_looked_up(shared: Store) -> None:
    ring = KeyRing(shared)
    with echoing(ring) as server:
        head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {STRANGER}\r\n"
        answer = server.ask(head.encode() + b"Content-Length: %d\r\n\r\n" % (UNKNOWN_BODY_BYTES + 1))
        assert answer.startswith(b"HTTP/1.1 401 ")
        answer = server.ask(head.encode() + b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_request_does_not_wait_longer_than_it_may_for_a_slow_database(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "LONGEST_LOOKUP_SECONDS", 0.1)
    ring = KeyRing(shared)
    monkeypatch.setattr(shared, "version", lambda: time.sleep(1.5) or 0)

    async def wait() -> bool:
        pending = ring.look_up(STRANGER.encode())
        assert pending is not None
        await asyncio.sleep(0)
        assert not pending.done(), "the loop went on meanwhile"
        await pending
        return ring.find(STRANGER.encode()) is None

    assert asyncio.run(wait())
