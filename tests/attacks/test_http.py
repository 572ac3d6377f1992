"""The HTTP server against strangers with raw sockets: memory is bounded, counted and given back, and nothing crashes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import ssl
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from fairlead.http.connection import Connection
from fairlead.http.pipeline import PIPELINED_REQUESTS
from fairlead.http.reader import DISCARDED_BYTES, MOST_HEADERS
from fairlead.http.server import Server

from ..http.support import (  # noqa: TID252 - tests are no package with a name
    Request,
    Response,
    Running,
    Signal,
    echo,
    eventually,
    limits_with,
    on_error,
    read_all,
    read_until,
    refuse,
    running,
)

GOOD = b"POST /good HTTP/1.1\r\nHost: x\r\n"
BAD = b"POST /bad HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"
MEGABYTE = 1 << 20


def good(request: Request) -> bool:
    """Stands for the check of a key."""
    return request.path == "/good"


def by_path(request: Request, response: Response) -> None:
    """What is not good is refused, as an endpoint refuses a bad key."""
    if request.path == "/good":
        response.send(200, b"", b"%d bytes" % len(request.body))
    else:
        assert request.body == b""
        response.send(401, b"www-authenticate: Bearer\r\n", b"no")


def nothing_held(server: Server) -> bool:
    return (server.buffered, server.ahead, server.in_flight) == (0, 0, 0)


@pytest.fixture
def gateway() -> Iterator[Running]:
    with running(by_path, admit=good) as server:
        yield server
        eventually(lambda: nothing_held(server.server))


def reset(connection: socket.socket) -> None:
    """Closes with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# --- bodies of strangers


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 30000000\r\n\r\n",
        b"Content-Length: 30000000\r\nExpect: 100-continue\r\n\r\n",
        b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffff\r\nabc",
        b"Content-Length: 30000000\r\n\r\n" + b"x" * 100_000,
    ],
)
def test_a_bad_key_is_refused_before_the_body_and_without_a_continue(gateway: Running, framing: bytes) -> None:
    answer = gateway.ask(BAD + framing)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer
    assert b"100 Continue" not in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_short_body_of_a_refused_request_is_dropped_and_the_connection_kept(gateway: Running) -> None:
    body = b"x" * DISCARDED_BYTES
    head = BAD + b"Content-Length: %d\r\n\r\n" % len(body)
    with gateway.connect() as connection:
        for _ in range(3):
            connection.sendall(head)
            assert read_until(connection, b"no").startswith(b"HTTP/1.1 401 ")  # before any of the body was sent
            connection.sendall(body[:1000])
            connection.sendall(body[1000:])
        connection.sendall(head + body + GOOD + b"Content-Length: 3\r\n\r\nabc")
        assert b"HTTP/1.1 200" in read_until(connection, b"3 bytes")
    assert gateway.server.buffered == 0
    assert len(body) + 1 > DISCARDED_BYTES
    assert b"connection: close" in gateway.ask(BAD + b"Content-Length: %d\r\n\r\n" % (DISCARDED_BYTES + 1))


def test_bodies_of_strangers_are_never_held(gateway: Running) -> None:
    held = []
    with contextlib.ExitStack() as stack:
        for method in (b"GET", b"POST", b"PUT"):
            for _ in range(20):
                connection = stack.enter_context(gateway.connect())
                connection.sendall(
                    method + b" /page HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 50_000
                )
                read_until(connection, b"no")
        held.append(gateway.server.buffered)
    assert held == [0]


def test_who_sends_on_after_a_refusal_is_cut() -> None:
    with running(by_path, admit=good, body_bytes=MEGABYTE) as server, server.connect() as connection:
        connection.sendall(BAD + b"Content-Length: 1000000\r\n\r\n")
        read_until(connection, b"no")
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 * MEGABYTE:
                sent += connection.send(b"x" * 65_536)
        assert sent < 64 * MEGABYTE
        eventually(lambda: server.server.connections == 0)


def test_refusals_and_answers_to_pipelined_requests_keep_their_order(gateway: Running) -> None:
    small = GOOD + b"Content-Length: 3\r\n\r\nabc"
    refused = BAD + b"Content-Length: 4\r\n\r\nabcd"
    answer = gateway.ask(small + refused + small + refused + BAD + b"Content-Length: 99999\r\n\r\nabc" + small)
    found = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert found == [b"200", b"401", b"200", b"401", b"401"]


def test_a_refusal_waits_for_the_answer_that_is_owed() -> None:
    waiting: list[Signal[None]] = []

    def handler(request: Request, response: Response) -> Any:
        async def slow() -> None:
            signal: Signal[None] = Signal()
            waiting.append(signal)
            await signal
            response.send(200, b"", b"slow")

        if request.path == "/slow":
            return slow()
        return by_path(request, response)

    with running(handler, admit=good) as server, server.connect() as connection:
        connection.sendall(
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + BAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000
        )
        eventually(lambda: waiting)
        server.call(lambda: waiting[0].set(None))
        answer = read_all(connection)
        assert answer.index(b"slow") < answer.index(b"HTTP/1.1 401")
        eventually(lambda: nothing_held(server.server))


def test_a_good_key_gets_its_continue_and_its_body_read(gateway: Running) -> None:
    with gateway.connect() as connection:
        connection.sendall(GOOD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b"3 bytes" in read_until(connection, b"bytes")


def test_expect_without_a_body_gets_no_continue(gateway: Running) -> None:
    for framing in (b"", b"Content-Length: 0\r\n"):
        answer = gateway.ask(GOOD + framing + b"Expect: 100-continue\r\n" + CLOSE + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
    answer = gateway.ask(b"POST /good HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.1 200 ")


# --- bodies in pieces


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self.reading = True

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None: ...

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, data: Any) -> None:
        self.written += b"".join(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def chunks(of: int, body: int) -> bytes:
    return (b"%x\r\n%b\r\n" % (of, b"x" * of)) * (body // of)


@pytest.mark.parametrize("of", [1, 2, 16, 4096])
def test_a_body_in_tiny_chunks_takes_no_more_than_twice_its_size(of: int) -> None:
    async def main() -> tuple[int, int, bytes]:
        server = Server(by_path, limits=limits_with(), refuse=refuse, on_error=on_error, admit=good)
        connection = Connection(server, asyncio.get_running_loop())
        transport = Transport()
        connection.connection_made(transport)
        connection.data_received(GOOD + b"Transfer-Encoding: chunked\r\n\r\n")
        block = chunks(of, 8192)
        tracemalloc.start()
        for _ in range(16):
            connection.data_received(block)
            while not transport.reading:  # noqa: ASYNC110 - it counts turns of the loop
                await asyncio.sleep(0)
        held = server.buffered
        size, peak = tracemalloc.get_traced_memory()
        connection.data_received(b"0\r\n\r\n")
        tracemalloc.stop()
        assert size <= peak
        server.outbox.flush()
        connection.connection_lost(None)
        assert nothing_held(server)
        return held, peak, bytes(transport.written)

    held, peak, written = asyncio.run(main())
    assert held == 16 * 8192
    assert peak < 2 * held + 100_000
    assert b"%d bytes" % held in written


def test_a_body_that_comes_in_one_piece_is_not_copied() -> None:
    seen: list[Request] = []

    def keep(request: Request, response: Response) -> None:
        seen.append(request)
        response.send(200, b"", b"")

    async def main() -> None:
        server = Server(keep, limits=limits_with(), refuse=refuse, on_error=on_error, admit=good)
        connection = Connection(server, asyncio.get_running_loop())
        connection.connection_made(Transport())
        block = GOOD + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000
        tracemalloc.start()
        connection.data_received(block)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(seen[0].block) == 200_000
        assert peak < 250_000
        connection.connection_lost(None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"4;" + b"e" * 5_000_000, 431),
        (b"4;a=" + b"e" * 20_000 + b"\r\nabcd\r\n0\r\n\r\n", 200),
        (b"4\r\nabcd\r\n0\r\nTrailer: " + b"t" * 5_000_000, 431),
        (b"4\r\nabcd\r\n0\r\n" + b"T: t\r\n" * 500_000, 431),
        (b"4\r\nabcd\r\n0\r\n" + b"T: t\r\n" * 500 + b"\r\n", 200),
    ],
)
def test_extensions_and_trailers_are_bounded(gateway: Running, framing: bytes, status: int) -> None:
    with gateway.connect() as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(GOOD + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + framing)
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)


def test_a_head_has_a_bounded_number_of_fields(gateway: Running) -> None:
    fields = b"a:b\r\n" * (MOST_HEADERS - 2)
    assert gateway.ask(b"GET /bad HTTP/1.1\r\nHost: x\r\n" + fields + CLOSE + b"\r\n").startswith(b"HTTP/1.1 401 ")
    assert gateway.ask(b"GET /bad HTTP/1.1\r\nHost: x\r\n" + fields + b"a:b\r\n" + CLOSE + b"\r\n").startswith(
        b"HTTP/1.1 431 "
    )


# --- the budget of buffered bytes


def never(_request: Request, _response: Response) -> Any:
    async def wait() -> None:
        await Signal[None]()

    return wait()


def test_bodies_beyond_the_budget_get_503_and_the_usual_ones_still_have_room() -> None:
    with running(by_path, admit=good, buffered_bytes=8 * MEGABYTE, body_bytes=4 * MEGABYTE) as server:
        large = GOOD + b"Content-Length: 3000000\r\n\r\n"
        with contextlib.ExitStack() as stack:
            for _ in range(50):  # who declares much and sends nothing takes nothing
                stack.enter_context(server.connect()).sendall(large)
            assert b"3000000 bytes" in server.ask(GOOD + CLOSE + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(server.connect()).sendall(large + b"x" * 2_900_000)
            eventually(lambda: server.server.buffered == 5_800_000)
            answer = server.ask(large + b"x" * 2_900_000)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer
            assert b"overloaded" in answer
            assert b"300000 bytes" in server.ask(GOOD + CLOSE + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000)
        eventually(lambda: nothing_held(server.server))


def test_a_body_that_outgrows_the_budget_while_it_arrives_is_refused_and_given_back() -> None:
    with running(by_path, admit=good, buffered_bytes=2 * MEGABYTE, body_bytes=8 * MEGABYTE) as server:
        with server.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(65_536, 4 * MEGABYTE))
            assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 503 ")
            assert server.server.buffered == 0
        eventually(lambda: nothing_held(server.server))


def test_bodies_of_calls_under_way_are_counted_until_they_are_answered() -> None:
    body = b"Content-Length: 1000\r\n\r\n" + b"x" * 1000
    with running(never, buffered_bytes=2500) as server, contextlib.ExitStack() as stack:
        for number in range(2):
            stack.enter_context(server.connect()).sendall(GOOD + body)
            eventually(lambda n=number: server.server.in_flight == n + 1)
        assert server.server.buffered == 2000
        assert server.ask(GOOD + CLOSE + body).startswith(b"HTTP/1.1 503 ")
        stack.close()
        eventually(lambda: nothing_held(server.server))


def test_what_was_counted_is_given_back_whatever_becomes_of_a_connection(gateway: Running) -> None:
    whole = GOOD + b"Content-Length: 3000\r\n\r\n" + b"x" * 3000
    chunked = GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(100, 3000)
    with gateway.connect() as connection:
        for _ in range(5):  # a known head, from the third one on
            connection.sendall(whole)
            assert b"3000 bytes" in read_until(connection, b"bytes")
            assert gateway.server.buffered == 0
    for end in (socket.socket.close, reset):
        for start in (
            whole[:2000],
            chunked,
            chunked + b"zz\r\n",
            whole + whole[:1000],
            whole * 3 + b"nonsense\r\n\r\n",
        ):
            connection = gateway.connect()
            connection.sendall(start)
            read = connection.recv(1) if start.startswith(whole) else b""
            end(connection)
            assert read in (b"", b"H")
    eventually(lambda: gateway.server.connections == 0)
    assert nothing_held(gateway.server)


def test_a_thousand_half_bodies_are_counted_and_given_back() -> None:
    start = GOOD + b"Content-Length: 20000\r\n\r\n" + b"x" * 10_000
    with running(by_path, admit=good) as server, contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(server.connect()).sendall(start)
        eventually(lambda: server.server.buffered == 10_000_000, 20)
        stack.close()
        eventually(lambda: server.server.connections == 0, 20)
        assert nothing_held(server.server)


# --- answers that are not read


def large_answers(size: int, started: list[int]) -> Any:
    answer = b"y" * size

    def handler(_request: Request, response: Response) -> None:
        started.append(1)
        response.send(200, b"", answer)

    return handler


@pytest.mark.parametrize("at_once", [True, False])
def test_requests_whose_answers_nobody_reads_are_not_started(at_once: bool) -> None:
    started: list[int] = []
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(large_answers(100_000, started)) as server, server.connect() as connection:
        connection.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 3 * MEGABYTE:  # a hundred thousand requests
                sent += connection.send(get * 10_000 if at_once else get)
        eventually(lambda: server.server.ahead > 0)
        # What the kernel takes, and one answer more than what may wait here: of 10 GB.
        assert len(started) < 150
        (one,) = server.server.open
        eventually(lambda: one._reading_paused)
        assert server.call(one.transport.get_write_buffer_size) < 600_000
        # And what had been read from the socket when reading stopped.
        assert server.call(lambda: len(one._queue or ())) <= 4 * PIPELINED_REQUESTS
        assert server.server.ahead < 600_000
        assert 0 < one.deadline - server.loop.time() <= 60  # the stall deadline
        one.deadline = 0
        eventually(lambda: server.server.connections == 0)
        assert nothing_held(server.server)


def test_a_reader_who_catches_up_gets_every_answer() -> None:
    started: list[int] = []
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(large_answers(20_000, started)) as server, server.connect() as connection:
        requests = get * 500 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        sender = threading.Thread(target=connection.sendall, args=(requests,))
        sender.start()
        eventually(lambda: started)
        answer = read_all(connection)
        sender.join(60)
        assert answer.count(b"HTTP/1.1 200") == 501
        assert len(answer) > 501 * 20_000
        eventually(lambda: nothing_held(server.server))


def test_what_all_callers_send_ahead_is_bounded() -> None:
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
    with running(never, buffered_bytes=800_000) as server, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(20)]
        for connection in connections:
            connection.sendall(get)
        eventually(lambda: server.server.in_flight == 20)
        eventually(lambda: sum(one._broken is not None for one in list(server.server.open)) > 0)
        assert server.server.ahead < 800_000
    assert nothing_held(server.server)


# --- heads


@pytest.mark.parametrize(
    "host",
    [
        b"[", b"]", b"[]", b"a b", b"[::1", b"::1]", b"[::1]x", b"[::1]:99999", b"x:99999", b"x:-1", b"x:a", b"x:1:2", b"::1",
        b"\xc3\xa9", b"a\x01b", b"a\x7fb", b"a/b", b"a?b", b"a#b", b"a@b", b"user:password@x", b"a\\b", b"<script>", b"%zz", b"%2",
        b"[zz]", b"[:::]", b"[1::2::3]", b"[fe80::1%25eth0]", b"", b"a,\tb", b"x" * 300, b"{x}", b"a|b", b"a^b", b"a`b", b'a"b',
    ],
)  # fmt: skip
def test_hosts_that_are_none_get_400(gateway: Running, host: bytes) -> None:
    for method in (b"GET", b"POST"):
        answer = gateway.ask(method + b" / HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert answer.count(b"HTTP/1.1 4") == 1


@pytest.mark.parametrize(
    "host",
    [
        b"x",
        b"X.example.org",
        b"x:",
        b"x:80",
        b"x:65535",
        b"127.0.0.1:8000",
        b"[::1]",
        b"[::1]:80",
        b"a_b",
        b"a%20b",
        b"x.",
    ],
)
def test_valid_hosts_are_served(gateway: Running, host: bytes) -> None:
    assert gateway.ask(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE + b"\r\n").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://[/ HTTP/1.1", 400),
        (b"GET http://[::1/ HTTP/1.1", 400),
        (b"GET http://a:99999/ HTTP/1.1", 400),
        (b"GET http://user@x/ HTTP/1.1", 400),
        (b"GET ftp://x/ HTTP/1.1", 400),
        (b"GET http:///x HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"CONNECT [ HTTP/1.1", 400),
        (b"CONNECT x:99999 HTTP/1.1", 400),
        (b"GET http://x:80/a?b HTTP/1.1", 401),
        (b"GET HTTPS://[::1]?b HTTP/1.1", 401),
        (b"OPTIONS * HTTP/1.1", 401),
    ],
)
def test_targets_have_one_of_the_four_forms(gateway: Running, line: bytes, status: int) -> None:
    answer = gateway.ask(line + b"\r\nHost: x\r\n" + CLOSE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer


def test_a_head_that_begins_behind_another_request_is_not_taken_for_a_known_one(gateway: Running) -> None:
    """Else one message could be read in two ways: by the parser, and by the memory of the last head."""
    whole = GOOD + b"Content-Length: 3\r\n\r\nabc"
    with gateway.connect() as connection:
        for _ in range(3):
            connection.sendall(whole)
            read_until(connection, b"3 bytes")
        connection.sendall(whole + b"POST /bad HTTP/1.1\r\nX: ")
        read_until(connection, b"3 bytes")
        connection.sendall(whole)  # the value of X, and the rest of that head
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", GOOD + b"Content-Length: 9000\r\n\r\n"])
def test_slow_senders_get_408_and_are_closed(start: bytes) -> None:
    with running(by_path, admit=good, head_seconds=0.3, body_seconds=0.3) as server, server.connect() as connection:
        connection.sendall(start)
        answer = b""
        connection.settimeout(0.05)
        for _ in range(200):
            try:
                connection.sendall(b"x")
                answer += connection.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert nothing_held(server.server)


def test_a_head_behind_an_answer_has_the_time_of_a_head() -> None:
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(echo, head_seconds=0.3, idle_seconds=60) as server, server.connect() as connection:
        connection.sendall(get + b"GET /late")
        assert b"408" in read_until(connection, b"in time")


def test_bodies_of_refused_requests_have_a_time_limit_too() -> None:
    with running(by_path, admit=good, body_seconds=0.3) as server, server.connect() as connection:
        connection.sendall(BAD + b"Content-Length: 9000\r\n\r\nabc")
        assert read_all(connection).count(b"HTTP/1.1") == 1


def test_pipelining_and_hanging_up_leaves_nothing(gateway: Running) -> None:
    get = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    for count in (1, 100, 20_000):
        for end in (socket.socket.close, reset):
            connection = gateway.connect()
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(get * count)
            end(connection)
    eventually(lambda: gateway.server.connections == 0)
    assert nothing_held(gateway.server)


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_the_same_bounds_hold_over_tls(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def connect(server: Running) -> ssl.SSLSocket:
        return trusting.wrap_socket(server.connect(), server_hostname="localhost")

    with running(by_path, admit=good, tls=context) as server:
        with connect(server) as connection:
            connection.sendall(BAD + b"Content-Length: 8000000\r\n\r\n")
            with contextlib.suppress(OSError):
                for _ in range(50):
                    connection.sendall(b"x" * 65_536)
            answer = read_until(connection, b"no")
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert b"100 Continue" not in answer
        with connect(server) as connection:
            connection.sendall(GOOD + b"Content-Length: 300000\r\nExpect: 100-continue\r\n\r\n")
            read_until(connection, b"100 Continue\r\n\r\n")
            connection.sendall(b"x" * 300_000)
            assert b"300000 bytes" in read_until(connection, b"bytes")
            connection.sendall(GOOD + b"Content-Length: 300000\r\n\r\nabc")
            eventually(lambda: server.server.buffered == 3)
        eventually(lambda: server.server.connections == 0)
        assert nothing_held(server.server)
    started: list[int] = []
    with running(large_answers(100_000, started), tls=context, stall_seconds=1) as server:
        with connect(server) as connection:
            connection.settimeout(0.5)
            with contextlib.suppress(TimeoutError, OSError):
                for _ in range(100):
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            assert len(started) < 150
            eventually(lambda: server.server.connections == 0, 10)
        assert nothing_held(server.server)


@pytest.mark.parametrize(
    "block",
    [
        b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 9000,
        GOOD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunks(1, 40_000)
        + b"0\r\n\r\n"
        + GOOD
        + b"Content-Length: 1\r\n\r\nx",
        (BAD + b"Content-Length: 1\r\n\r\nx") * 5000,
    ],
)
def test_one_connection_lets_others_have_their_turn(block: bytes) -> None:
    """However much it sends at once: a turn of the loop handles a bounded number of its requests and chunks."""

    async def main() -> tuple[int, list[int]]:
        server = Server(by_path, limits=limits_with(), refuse=refuse, on_error=on_error, admit=good)
        connection = Connection(server, asyncio.get_running_loop())
        transport = Transport()
        connection.connection_made(transport)
        done = [0]
        connection.data_received(block)
        done.append(server.requests * 32 + server.buffered)
        while not transport.reading:
            await asyncio.sleep(0)
            done.append(server.requests * 32 + server.buffered)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        assert nothing_held(server)
        return server.requests, [b - a for a, b in itertools.pairwise(done)]

    requests, turns = asyncio.run(main())
    assert requests == block.count(b" HTTP/1.1\r\n")
    assert max(turns) <= 12_000
