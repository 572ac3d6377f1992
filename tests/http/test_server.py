"""The server over real sockets: what it takes, what it refuses, and what it does when a caller behaves badly."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest

from fairlead.errors import CallerGone

from .support import Request, Response, Signal, eventually, read_all, read_until, running

CLOSE = b"Connection: close\r\n"


def get(path: bytes = b"/", extra: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"GET %b HTTP/%b\r\nHost: x\r\n%b\r\n" % (path, version, extra)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_one_connection_serves_many_requests_and_pipelined_ones_in_order() -> None:
    with running() as server:
        with server.connect() as connection:
            for number in range(3):
                connection.sendall(get(b"/%d" % number))
                assert b'"/%d"' % number in read_until(connection, b"}")
        answers = server.ask(b"".join(get(b"/%d" % n) for n in range(50)) + get(b"/last", CLOSE))
        positions = [answers.index(b'"/%d"' % n) for n in range(50)]
        assert positions == sorted(positions)
        assert answers.index(b'"/last"') > positions[-1]


def test_pipelined_requests_are_answered_in_order_also_when_the_first_is_slow() -> None:
    waiting: list[Signal[None]] = []

    def handler(request: Request, response: Response) -> Any:
        async def slow() -> None:
            signal: Signal[None] = Signal()
            waiting.append(signal)
            await signal
            response.send(200, b"", b"first")

        if request.path == "/slow":
            return slow()
        response.send(200, b"", b"second")
        return None

    with running(handler) as server, server.connect() as connection:
        connection.sendall(get(b"/slow") + get(b"/quick", CLOSE))
        eventually(lambda: waiting)
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        server.call(lambda: waiting[0].set(None))
        answer = read_all(connection)
        assert answer.index(b"first") < answer.index(b"second")


def test_bodies_come_whole_chunked_or_counted_in_any_pieces() -> None:
    chunked = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n"
    counted = b"POST /n HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nabcdefg"
    with running() as server, server.connect() as connection:
        for request in (chunked, counted):
            for at in range(len(request)):
                connection.sendall(request[at : at + 1])
            assert b'"length": 7' in read_until(connection, b"}")


def test_expect_100_continue_is_answered_before_the_body() -> None:
    with running() as server, server.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'"length": 3' in read_until(connection, b"}")


@pytest.mark.parametrize(
    "framed",
    [b"Content-Length: 7\r\n\r\nabcdefg", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"],
)
def test_an_upgrade_is_ignored_and_the_body_read(framed: bytes) -> None:
    """Java's HTTP client sends `Upgrade: h2c` unasked; llhttp alone would lose the body and all that follows."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    request = b"POST /u HTTP/1.1\r\nHost: x\r\n" + offer + framed
    with running() as server:
        answer = server.ask(request + get(b"/next", offer) + get(b"/last", CLOSE))
        assert answer.count(b"HTTP/1.1 200") == answer.count(b"HTTP/1.1 ") == 3
        assert answer.index(b'"length": 7') < answer.index(b'"/next"') < answer.index(b'"/last"')
        with server.connect() as connection:
            for at in range(len(request)):
                connection.sendall(request[at : at + 1])
            assert b'"length": 7' in read_until(connection, b"}")
        for refused, status in (
            (get(b"/", offer + b"Host: y\r\n"), 400),
            (b"POST / HTTP/1.1\r\nHost: x\r\n" + offer + b"Content-Length: 99999999\r\n\r\n", 413),
        ):
            assert status_of(server.ask(refused)) == status


def test_http_1_0_head_and_absolute_targets() -> None:
    with running() as server:
        old = server.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert status_of(old) == 200
        assert b"connection: close" in old
        head = server.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert b"content-length: " in head
        assert b'"/p", "query": "q=1"' in server.ask(get(b"http://x/p?q=1", CLOSE))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(b"/", b"X: " + b"a" * 40_000 + b"\r\n"), 431),
        (get(b"/" + b"a" * 40_000), 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (get(b"/", b"X: a\r\n b\r\n"), 400),
        (get(b"/", b"X : a\r\n"), 400),
        (get(b"/", b"X: a\x00b\r\n"), 400),
        (get(b"/", b"X: a\rb\r\n"), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"lots of nonsense\r\n\r\n", 400),
        (b"\x00" * 100, 400),
    ],
)  # fmt: skip
def test_what_is_too_large_or_no_http_is_refused_and_the_connection_closed(request_: bytes, status: int) -> None:
    handled: list[Request] = []

    def handler(request: Request, response: Response) -> None:
        handled.append(request)
        response.send(200, b"", b"")

    with running(handler, body_bytes=4096) as server:
        answer = server.ask(request_)
        assert status_of(answer) == status
        assert b"connection: close" in answer
        assert handled == []


def test_a_refusal_comes_after_the_answers_that_are_owed() -> None:
    with running() as server:
        answer = server.ask(get(b"/good") + b"nonsense\r\n\r\n")
        assert answer.index(b"/good") < answer.index(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET / HT", 408),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", 408),
    ],
)
def test_a_caller_who_is_too_slow_gets_408(start: bytes, status: int) -> None:
    with running(head_seconds=0.2, body_seconds=0.2) as server:
        assert status_of(server.ask(start)) == status


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with running(idle_seconds=0.1, head_seconds=0.1) as server:
        assert server.ask(b"") == b""
        assert server.ask(get()).count(b"HTTP/1.1") == 1
        eventually(lambda: server.server.connections == 0)


def test_requests_and_connections_beyond_the_limits_get_503() -> None:
    def never(_request: Request, _response: Response) -> Any:
        async def wait() -> None:
            await Signal[None]()

        return wait()

    with running(never, requests_in_flight=1) as server, server.connect() as first:
        first.sendall(get())
        eventually(lambda: server.server.in_flight == 1)
        answer = server.ask(get(b"/", CLOSE))
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer
    with running(connections=1) as server, server.connect() as first:
        first.sendall(get())
        read_until(first, b"}")
        assert status_of(server.ask(b"")) == 503
    assert server.server.in_flight == 0


def test_a_caller_who_hangs_up_is_raised_where_its_request_waits() -> None:
    seen: list[BaseException] = []

    def handler(_request: Request, _response: Response) -> Any:
        async def wait() -> None:
            try:
                await Signal[None]()
            except CallerGone as error:
                seen.append(error)
                raise

        return wait()

    with running(handler) as server:
        for _ in range(3):
            connection = server.connect()
            connection.sendall(get())
            eventually(lambda: server.server.in_flight == 1)
            connection.close()
            eventually(lambda: server.server.in_flight == 0)
    assert len(seen) == 3


def test_a_caller_who_closes_only_its_sending_side_gets_the_answer() -> None:
    signals: list[Signal[None]] = []

    def handler(_request: Request, response: Response) -> Any:
        async def wait() -> None:
            signal: Signal[None] = Signal()
            signals.append(signal)
            await signal
            response.send(200, b"", b"here")

        return wait()

    with running(handler) as server, server.connect() as connection:
        connection.sendall(get())
        connection.shutdown(socket.SHUT_WR)
        eventually(lambda: signals)
        time.sleep(0.5)
        server.call(lambda: signals[0].set(None))
        assert read_all(connection).endswith(b"here")


def test_a_caller_who_does_not_read_is_told_by_pause_and_resume_and_cut_in_the_end() -> None:
    told: list[str] = []
    answers: list[Response] = []

    def handler(_request: Request, response: Response) -> Any:
        async def wait() -> None:
            response.on_pause = lambda: told.append("pause")
            response.on_resume = lambda: told.append("resume")
            response.start(200, b"")
            answers.append(response)
            await Signal[None]()

        return wait()

    with running(handler, stall_seconds=0.4) as server, server.connect() as connection:
        connection.sendall(get())
        eventually(lambda: answers)
        for _ in range(200):
            server.call(lambda: answers[0].write(b"x" * 65536))
            if answers[0].paused:
                break
        assert answers[0].paused
        connection.settimeout(0.05)

        def resumed() -> bool:
            # The last bytes may be here before the server's thread has told that there is room again.
            with contextlib.suppress(TimeoutError):
                assert connection.recv(1 << 20)
            return "resume" in told

        eventually(resumed)

        def cut() -> bool:
            # The kernel's buffers grow: only when they are full does the caller's silence show.
            if not answers[0].paused:
                server.call(lambda: answers[0].write(b"x" * 65536))
            return server.server.connections == 0

        eventually(cut)
    assert told[:3] == ["pause", "resume", "pause"]


def test_the_first_bytes_come_with_the_head_and_a_stream_ends_properly() -> None:
    def handler(_request: Request, response: Response) -> None:
        response.start(200, b"content-type: text/plain\r\n")
        response.write(b"hello")
        response.write(b" world")
        response.end()

    with running(handler) as server:
        with server.connect() as connection:
            connection.sendall(get())
            first = connection.recv(65536)
            assert b"\r\n\r\n5\r\nhello\r\n" in first
            assert (first + (b"" if first.endswith(b"0\r\n\r\n") else read_until(connection, b"0\r\n\r\n"))).count(
                b"HTTP/1.1"
            ) == 1
        assert server.ask(b"GET / HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nhello world")


def test_a_handler_that_fails_is_answered_for_and_the_server_lives_on() -> None:
    def handler(request: Request, response: Response) -> Any:
        async def fail() -> None:
            raise ZeroDivisionError("inside")

        async def forget() -> None:
            return

        if request.path == "/at-once":
            raise ZeroDivisionError("at once")
        return fail() if request.path == "/inside" else forget()

    with running(handler) as server:
        for path in (b"/at-once", b"/inside", b"/forgotten"):
            assert status_of(server.ask(get(path, CLOSE))) == 500
        assert server.server.in_flight == 0


def test_a_drain_lets_streams_end_and_closes_the_idle() -> None:
    answers: list[tuple[Response, Signal[None]]] = []

    def handler(_request: Request, response: Response) -> Any:
        async def wait() -> None:
            signal: Signal[None] = Signal()
            response.start(200, b"")
            response.write(b"begin")
            answers.append((response, signal))
            await signal
            response.end(b"finish")

        return wait()

    with running(handler) as server, server.connect() as idle, server.connect() as busy:
        busy.sendall(get())
        eventually(lambda: answers and server.server.connections == 2)
        import asyncio

        # Longer than the sockets of this test wait: nothing is cut.
        draining = asyncio.run_coroutine_threadsafe(server.server.drain(600), server.loop)
        assert read_all(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        server.call(lambda: answers[0][1].set(None))
        assert read_all(busy).endswith(b"finish\r\n0\r\n\r\n")
        draining.result(60)


def test_a_drain_ends_although_what_a_hang_up_calls_fails() -> None:
    begun: list[Response] = []

    def handler(_request: Request, response: Response) -> Any:
        async def wait() -> None:
            response.on_disconnect = fail
            begun.append(response)
            await Signal[None]()

        return wait()

    def fail() -> None:
        raise ValueError("on purpose")

    with running(handler) as server:
        server.loop.call_soon_threadsafe(lambda: server.loop.set_exception_handler(lambda *_: None))
        connection = server.connect()
        connection.sendall(get())
        eventually(lambda: begun)
        connection.close()
        eventually(lambda: begun[0].disconnected)
        assert server.server.connections == 0
        server.call(lambda: server.server.drain(0.1))
