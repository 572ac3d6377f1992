"""A head that was seen before is not parsed again; a request is never read otherwise for it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.connection import Connection
from fairlead.http.request import LONGEST_EARLY, KnownHead, Request, Response
from fairlead.http.server import Server

from .support import limits_with, on_error, refuse
from .test_fuzz import Transport

HEAD = b"POST /v1/x?a=1 HTTP/1.1\r\nhost: h\r\nContent-Length: 3\r\nauthorization: Bearer k\r\n\r\n"


def known(head: bytes = HEAD, body: bytes = b"abc") -> KnownHead | None:
    lines = head.split(b"\r\n")[1:-2]
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    return KnownHead.learn(head, Request("POST", b"/v1/x?a=1", headers, body, "1.1"))


def test_the_same_head_with_another_length_is_the_same_request_with_another_body() -> None:
    seen = known()
    assert seen is not None
    assert seen.body_at(HEAD + b"abc") == len(HEAD)
    longer = HEAD.replace(b": 3", b": 12") + b"hello, world"
    at = seen.body_at(longer)
    again = seen.again(longer, at, None, False)
    assert again.block[again.at :] == b"hello, world"
    assert (again.method, again.path, again.query) == ("POST", "/v1/x", "a=1")
    assert again.header(b"content-length") == b"12"
    assert again.header(b"authorization") == b"Bearer k"
    assert again.body == again.body == b"hello, world"
    assert again.header(b"content-length") == b"12"


def test_what_is_not_exactly_one_whole_message_is_left_to_the_parser() -> None:
    seen = known()
    assert seen is not None
    for data in (
        HEAD + b"ab",
        HEAD + b"abcd",
        HEAD[:-1],
        HEAD.replace(b": 3", b": +3") + b"abc",
        HEAD.replace(b": 3", b":  3") + b"abc",
        HEAD.replace(b": 3", b": 3 ") + b"abc",
        HEAD.replace(b": 3", b": ") + b"",
        HEAD.replace(b": 3", b": 00000000003") + b"abc",
        HEAD.replace(b": 3", b": \xb2") + b"ab",
        HEAD.replace(b"Bearer k", b"Bearer K") + b"abc",
        HEAD.replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n") + b"abc",
        b"",
    ):
        assert seen.body_at(data) == -1, data


def test_heads_that_decide_more_than_a_length_are_not_learned() -> None:
    for line in (b"transfer-encoding: chunked", b"expect: 100-continue", b"upgrade: h2c", b"connection: close"):
        assert known(HEAD.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")) is None
    assert known(HEAD.replace(b"Content-Length: 3\r\n", b"")) is None
    assert known(HEAD.replace(b"host: h", b"content-length: 3")) is None
    assert known(HEAD.replace(b"Content-Length: 3", b"Content-Length:3")) is None


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_one_changed_byte_of_the_head_is_never_overlooked(data: st.DataObject) -> None:
    seen = known()
    assert seen is not None
    at = data.draw(st.integers(0, len(HEAD) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = HEAD[:at] + bytes([byte]) + HEAD[at + 1 :]
    digits = HEAD.index(b": 3") + 2
    if changed != HEAD and at != digits:
        assert seen.body_at(changed + b"abc") == -1


def test_a_head_that_most_libraries_send_is_learned() -> None:
    assert known(HEAD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")) is not None
    for value in (b"Keep-Alive, close", b"upgrade", b"te"):
        assert known(HEAD.replace(b"\r\n\r\n", b"\r\nconnection: " + value + b"\r\n\r\n")) is None


def test_the_beginning_of_a_message_is_known_from_its_whole_head_on() -> None:
    seen = known()
    assert seen is not None
    assert seen.body_at(HEAD, missing=True) == len(HEAD)
    assert seen.body_at(HEAD + b"ab", missing=True) == len(HEAD)
    for data in (
        HEAD[:-1],
        HEAD + b"abc",
        HEAD + b"abcd",
        HEAD.replace(b": 3", b": 0"),
        HEAD.replace(b": 3", b": %d" % LONGEST_EARLY),
        HEAD.replace(b"Bearer k", b"Bearer K"),
    ):
        assert seen.body_at(data, missing=True) == -1, data


def message(number: int, length: int) -> bytes:
    body = bytes(0x61 + (number + at) % 26 for at in range(length))
    head = b"POST /v1/x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n"
    return head % length + body


class Caller:
    """Sends on one connection, piece by piece."""

    def __init__(self, **limits: Any) -> None:
        self.bodies: list[bytes] = []
        self.again = 0
        self.loop = asyncio.new_event_loop()
        self.server = Server(self._handle, limits=limits_with(**limits), refuse=refuse, on_error=on_error)
        self.transport = Transport()
        self.connection = Connection(self.server, self.loop)
        self._run(lambda: self.connection.connection_made(self.transport))  # type: ignore[arg-type]

    def _handle(self, request: Request, response: Response) -> None:
        self.again += request.known is not None and request.at > 0
        self.bodies.append(request.body)
        response.send(200, b"", b"ok")

    def _run(self, function: Callable[[], object]) -> None:
        async def run() -> None:
            function()
            for _ in range(3):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._run(lambda piece=piece: self.connection.data_received(piece))  # type: ignore[misc]

    def expire(self) -> None:
        self._run(self.connection.expired)

    def close(self) -> None:
        self._run(lambda: self.connection.connection_lost(None))
        self.loop.close()


@contextlib.contextmanager
def caller(**limits: Any) -> Iterator[Caller]:
    found = Caller(**limits)
    try:
        yield found
    finally:
        found.close()
        assert found.server.buffered == 0


def in_two(data: bytes) -> tuple[bytes, bytes]:
    at = data.index(b"\r\n\r\n") + 4
    return data[:at], data[at:]


def test_a_body_behind_its_head_is_the_known_request_too() -> None:
    with caller() as one:
        for number in range(5):
            one.send(*in_two(message(number, 30 + number)))
            assert one.server.buffered == 0
        assert one.bodies == [in_two(message(number, 30 + number))[1] for number in range(5)]
        assert one.again == 3  # the second one was learned from


def test_a_body_that_comes_in_more_pieces_is_read_as_any_other() -> None:
    with caller() as one:
        for number in range(3):
            one.send(*in_two(message(number, 30)))
        head, body = in_two(message(3, 40))
        one.send(head, body[:7], body[7:20], body[20:])
        one.send(head + body[:7], body[7:] + message(4, 5) + message(5, 6))  # and more behind it
        assert one.bodies[3:] == [body, body, *(in_two(message(number, number + 1))[1] for number in (4, 5))]


def test_a_known_head_without_its_body_is_counted_refused_in_time_and_given_back() -> None:
    for last in (Caller.expire, lambda one: one.send(b"x")):
        with caller() as one:
            for number in range(3):
                one.send(*in_two(message(number, 30)))
            head, _ = in_two(message(3, 40))
            one.send(head)
            assert one.server.buffered == len(head)
            assert one.connection.deadline > one.loop.time() + 1  # that of a body
            before = len(one.transport.written)
            last(one)
            refused = b"408" in bytes(one.transport.written)[before:]
            assert refused == (last is Caller.expire)
        assert len(one.bodies) == 3


def test_without_room_a_known_head_is_not_kept() -> None:
    with caller() as one:
        for number in range(3):
            one.send(*in_two(message(number, 30)))
        one.server.room = 40
        one.send(in_two(message(3, 30))[0])
        assert one.server.buffered == 0
        one.send(in_two(message(3, 30))[1])
        assert len(one.bodies) == 4


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_requests_are_the_same_wherever_they_are_cut(lengths: list[int], data: st.DataObject) -> None:
    messages = [message(number, length) for number, length in enumerate(lengths)]
    stream = b"".join(messages)
    cuts = data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=12, unique=True).map(sorted))
    # Where heads end is where libraries cut.
    ends = [stream.index(one) + len(in_two(one)[0]) for one in messages if data.draw(st.booleans())]
    starts = [stream.index(one) for one in messages[1:] if data.draw(st.booleans())]
    at = sorted({0, *cuts, *ends, *starts, len(stream)})
    with caller() as one:
        one.send(*[stream[a:b] for a, b in itertools.pairwise(at)])
        assert one.bodies == [in_two(sent)[1] for sent in messages]
        assert bytes(one.transport.written).count(b"HTTP/1.1 200") == len(messages)
