"""Writes of one batch of events leave together, in order, and none is lost or held back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from fairlead.http.outbox import MOST_BYTES, MOST_WRITES, Outbox


def seen(peer: socket.socket) -> bytes:
    """What has arrived so far."""
    try:
        return peer.recv(1 << 22)
    except BlockingIOError:
        return b""


def with_transports(story: Callable[[list[asyncio.Transport], list[socket.socket]], Coroutine[Any, Any, None]]) -> None:
    """Runs `story` with two transports and the sockets at their other ends."""

    async def play() -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        loop = asyncio.get_running_loop()
        transports = []
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.setblocking(False)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transports.append(transport)
        try:
            await story(transports, [theirs for _, theirs in pairs])
        finally:
            for transport in transports:
                transport.close()
            await asyncio.sleep(0)
            for _, theirs in pairs:
                theirs.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


def test_writes_leave_in_order_before_the_loop_waits_again() -> None:
    async def story(transports: list[asyncio.Transport], peers: list[socket.socket]) -> None:
        outbox = Outbox()
        for number in range(3):
            outbox.write(transports[0], b"a%d" % number)
            outbox.write(transports[1], b"b%d" % number)
        assert [seen(peer) for peer in peers] == [b"", b""]
        await asyncio.sleep(0)
        assert [seen(peer) for peer in peers] == [b"a0a1a2", b"b0b1b2"]
        outbox.write(transports[0], b"again")
        await asyncio.sleep(0)
        assert seen(peers[0]) == b"again"

    with_transports(story)


def test_many_writes_and_large_ones_do_not_wait_for_the_end_of_the_batch() -> None:
    async def story(transports: list[asyncio.Transport], peers: list[socket.socket]) -> None:
        outbox = Outbox()
        for _ in range(MOST_WRITES):
            outbox.write(transports[0], b"x")
        assert seen(peers[0]) == b"x" * MOST_WRITES
        outbox.write(transports[0], b"y")
        outbox.write_large(transports[0], (b"large", memoryview(b"parts")), 10)
        assert seen(peers[0]) == b""
        outbox.write_large(transports[0], (b"z" * MOST_BYTES,), MOST_BYTES)
        assert seen(peers[0]).startswith(b"ylargepartszzz")
        outbox.write(transports[1], b"z" * (MOST_BYTES + 1))
        assert seen(peers[1])[:1] == b"z"

    with_transports(story)


def test_a_transport_that_was_closed_meanwhile_takes_nothing_from_the_others() -> None:
    async def story(transports: list[asyncio.Transport], peers: list[socket.socket]) -> None:
        outbox = Outbox()
        outbox.write(transports[0], b"lost")
        outbox.write(transports[1], b"kept")
        transports[0].abort()
        await asyncio.sleep(0)
        assert [seen(peer) for peer in peers] == [b"", b"kept"]

    with_transports(story)


def test_a_transport_that_takes_nothing_any_more_is_cut_and_the_others_get_theirs() -> None:
    async def story(transports: list[asyncio.Transport], peers: list[socket.socket]) -> None:
        outbox = Outbox()
        transports[0].write_eof()
        outbox.write(transports[0], b"too late")
        outbox.write(transports[1], b"kept")
        await asyncio.sleep(0)
        assert transports[0].is_closing()
        assert [seen(peer) for peer in peers] == [b"", b"kept"]

    with_transports(story)
