"""A key that is not in memory works on its first use, also one that was made a moment ago, or with a database across
the network."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.http.support import Running, running

from fairlead.accounts import key_ring
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import create_key
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
    """A server whose keys nobody watches: what it finds, it has looked up. It has read which keys there are."""
    ring.follow()

    def echo(request: Request, response: Response) -> Coroutine[Any, Any, None] | None:
        authenticate(request, ring)
        response.send(200, b"", request.body)
        return None

    dispatch = Dispatch({"/v1/echo": {"POST": echo}}, {}, echo)
    admit = Admission(["/v1/echo"], ring, DoorFinder(), lambda _request: False)
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


def test_the_database_is_asked_once_for_a_key_that_it_does_not_have(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(shared)
    asked: list[float] = []
    read = shared.read
    with echoing(ring) as server:
        monkeypatch.setattr(shared, "read", lambda: (asked.append(0.0), read())[1])
        for _ in range(5):
            # A key of any spelling may be of another system.
            for number, key in enumerate((STRANGER, "sk-short", "x" * 200), 1):
                assert ask(server, key, b"x").startswith(b"HTTP/1.1 401 ")
                assert len(asked) >= number
        assert len(asked) == 3
        assert ask(server, "x" * 300, b"x").startswith(b"HTTP/1.1 401 ")
        assert len(asked) == 3


def test_a_long_body_of_a_stranger_is_not_read_while_the_key_is_looked_up(shared: Store) -> None:
    ring = KeyRing(shared)
    with echoing(ring) as server:
        head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {STRANGER}\r\n"
        answer = server.ask(head.encode() + b"Content-Length: %d\r\n\r\n" % (UNKNOWN_BODY_BYTES + 1))
        assert answer.startswith(b"HTTP/1.1 401 ")
        answer = server.ask(head.encode() + b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("headers", ["", "Expect: 100-continue\r\n"])
def test_a_long_body_is_read_with_a_key_that_is_not_in_memory(store: Store, headers: str) -> None:
    ring = KeyRing(store)
    key = create_key(store, "old")
    with echoing(ring) as server:
        with ring._publishing:
            ring._cached.clear()
            ring.callers = {}  # as if it had made room for others
        body = b"x" * (4 * UNKNOWN_BODY_BYTES)
        answer = ask(server, key, body, headers)
        assert b"HTTP/1.1 200 " in answer
        assert answer.endswith(body)


def test_a_key_that_cannot_be_read_is_not_called_unknown_and_works_once_it_can(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(store)
    key = create_key(store, "k")
    body = b"hello"
    head = f"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    with echoing(ring) as server:
        ring._cached.clear()
        ring.callers = {}
        read = store.read

        def broken() -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(store, "read", broken)
        with server.connect() as connection:
            for _ in range(3):  # on one connection, whose head is remembered
                connection.sendall(head.encode() + body)
                answer = connection.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"keys_unavailable" in answer
            monkeypatch.setattr(store, "read", read)
            connection.sendall(head.encode() + body)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_request_does_not_wait_longer_than_it_may_for_a_slow_database(
    shared: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "LONGEST_LOOKUP_SECONDS", 0.1)
    ring = KeyRing(shared)
    ring.follow()
    read = shared.read
    monkeypatch.setattr(shared, "read", lambda: (time.sleep(1.5), read())[1])

    async def wait() -> bool:
        pending = ring.look_up(STRANGER.encode()).pending
        assert pending is not None
        await asyncio.sleep(0)
        assert not pending.done(), "the loop went on meanwhile"
        await pending
        return ring.find(STRANGER.encode()) is None

    assert asyncio.run(wait())
