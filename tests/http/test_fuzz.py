"""Hostile bytes: nothing escapes, nothing hangs, and what is taken for a request is one by h11's judgement too.

FAIRLEAD_FUZZ=1000000 makes a longer run; -s prints what it saw.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.connection import Connection
from fairlead.http.request import Request, Response
from fairlead.http.server import Server

from .support import limits_with, on_error, refuse

COUNT = int(os.environ.get("FAIRLEAD_FUZZ", "100000"))
CORPUS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: x:80\r\nAccept: */*\r\nX-Empty:\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"DELETE /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET http://x/abs HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + b'{"model":"m"}',
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nA;a=b\r\n0123456789\r\n1\r\nx\r\n0\r\nTrailer: v\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
    b"POST /u HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naPOST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-fl-abc\r\nCookie: a=b; c=d\r\nX-\xc3\xa9: y\r\n\r\n",
)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"99999999999999999999", b"-1", b"0x10", b"\xff", b"HTTP/1.1", b"HTTP/1.0", b"Host: y\r\n", b"0\r\n\r\n", b"Connection: close\r\n",
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(CORPUS))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice(PIECES)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 12)]
        elif kind == 3:
            part = data[at : at + rng.randrange(1, 40)]
            data[at:at] = part
        elif kind == 4:
            other = rng.choice(CORPUS)
            data[at:] = other[rng.randrange(len(other)) :]
        elif kind == 5:
            data = bytearray(bytes(data).replace(b"\r\n", b"\n", rng.randrange(1, 4)))
        elif kind == 6 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        else:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
    return bytes(data)


def mutations(seed: int, count: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    return (mutated(rng) for _ in range(count))


class Transport:
    """Keeps what is written; the socket of a caller who sends and listens."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, _name: str) -> Any:
        return ("127.0.0.1", 1)

    def set_write_buffer_limits(self, *_: Any) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write_eof(self) -> None: ...

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, data: Any) -> None:
        self.written += b"".join(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class Harness:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.server = Server(
            self.handle,
            limits=limits_with(head_bytes=4096, body_bytes=65536),
            refuse=refuse,
            on_error=on_error,
        )

    def handle(self, request: Request, response: Response) -> None:
        self.requests.append(request)
        response.send(200, b"", b"ok")

    def feed(self, blocks: list[bytes]) -> Transport:
        self.requests.clear()
        transport = Transport()
        connection = Connection(self.server, asyncio.get_running_loop())
        connection.connection_made(transport)  # type: ignore[arg-type]
        for block in blocks:
            if transport.closed:
                break
            connection.data_received(block)
        connection.eof_received()
        transport.closed = True
        connection.connection_lost(None)
        return transport


Seen = tuple[bytes, bytes, bytes]


def judged(data: bytes, count: int) -> list[Seen | str]:
    """The first `count` requests of a connection in h11's eyes: (method, target, body); a string says why one is none."""
    found: list[Seen | str] = []
    while len(found) < count:
        data = data.lstrip(b"\r\n")  # RFC 9112 section 2.2: empty lines before a request are skipped
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=4096)
        connection.receive_data(data)
        head: h11.Request | None = None
        body = b""
        try:
            while type(event := connection.next_event()) is not h11.EndOfMessage:
                if isinstance(event, h11.Request):
                    head = event
                    if head.method == b"CONNECT":  # RFC 9110 section 9.3.6: it has no body; h11 would read one
                        return [*found, (bytes(head.method), bytes(head.target), b"")]
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    return [*found, f"incomplete: {event!r}"]
        except h11.RemoteProtocolError as error:
            return [*found, str(error)]
        assert head is not None
        found.append((bytes(head.method), bytes(head.target), body))
        kept = head.http_version == b"1.0" and (b"connection", b"keep-alive") in head.headers  # h11 knows no such thing
        if connection.their_state is h11.MUST_CLOSE and not kept:
            return [*found, "nothing may follow"]
        data = connection.trailing_data[0]
    return found


def is_known_difference(request: Request, verdict: Seen | str, data: bytes) -> bool:
    """Where llhttp and h11 differ, and why that harms nobody here:
    - h11 refuses a target with bytes that are no ASCII; here that is only a path that does not exist.
    - llhttp takes several spaces between the words of the request line, as RFC 9112 section 3 allows."""
    if not isinstance(verdict, str) or "illegal request line" not in verdict:
        return False
    words = (request.method.encode(), request.target, b"HTTP/" + request.version.encode())
    spaced = (
        re.search(rb" +".join(map(re.escape, words)), data) is not None and b" ".join(words) not in verdict.encode()
    )
    return spaced or not request.target.isascii()


async def hammer(count: int, seed: int) -> dict[str, int]:
    harness = Harness()
    rng = random.Random(seed)
    figures = {"requests": 0, "ahead": 0, "refused": 0, "silent": 0, "differences": 0}
    for turn, data in enumerate(mutations(seed, count)):
        if turn % 64 == 0:  # the loop itself lets go of cancelled timers only when it turns
            await asyncio.sleep(0)
        cut = rng.randrange(len(data) + 1)
        transport = harness.feed([data[:cut], data[cut:]] if rng.random() < 0.5 else [data])
        written = bytes(transport.written).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"HTTP/1.1 5" not in written.replace(b"HTTP/1.1 501", b""), data
        assert harness.server.in_flight == 0, data
        assert not harness.server.open, data
        if harness.requests:
            figures["requests"] += 1
            figures["ahead"] += len(harness.requests) - 1
            verdicts = judged(data, len(harness.requests))
            for request, verdict in itertools.zip_longest(harness.requests, verdicts[: len(harness.requests)]):
                seen = (request.method.encode(), request.target, request.body)
                if verdict != seen:
                    figures["differences"] += 1
                    assert is_known_difference(request, verdict or "nothing", data), (data, verdict, seen)
                    break  # h11 has stopped here
        elif written.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")):
            figures["refused"] += 1
        else:
            assert written == b"", data
            figures["silent"] += 1
    return figures


def memory() -> tuple[int, int]:
    """What the process holds now: KiB resident and blocks of Python's allocator. (The peak would tell of earlier tests.)"""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024, sys.getallocatedblocks()


@pytest.mark.slow
def test_mutated_requests_are_refused_or_valid_in_h11s_eyes_too() -> None:
    asyncio.run(hammer(min(COUNT, 10_000), 1))
    before, blocks = memory()
    figures = asyncio.run(hammer(COUNT, 2))
    after, blocks_after = memory()
    print(f"\n{COUNT} mutated requests: {figures}, {after - before} KiB and {blocks_after - blocks} blocks more")
    assert figures["requests"] > COUNT / 10
    assert figures["refused"] > COUNT / 10
    assert after - before < 4096
    assert blocks_after - blocks < 2000


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_requests_cut_anywhere_are_the_same_requests(data: st.DataObject) -> None:
    whole = b"".join(data.draw(st.lists(st.sampled_from((*CORPUS[:4], *CORPUS[8:12])), min_size=1, max_size=6)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    edges = [0, *cuts, len(whole)]
    blocks = [whole[a:b] for a, b in itertools.pairwise(edges)]

    async def main() -> None:
        def seen(harness: Harness) -> list[tuple[str, bytes, bytes]]:
            return [(request.method, request.target, request.body) for request in harness.requests]

        harness = Harness()
        harness.feed([whole])
        expected = seen(harness)
        assert expected
        harness.feed(blocks)
        assert seen(harness) == expected

    asyncio.run(main())
