"""The pool against upstreams that behave well and badly, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from fairlead.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from fairlead.http.client import Pool
from fairlead.http.connect import Proxy
from fairlead.http.limits import Timeouts

from .support import pool_limits_with, pool_to, timeouts_with

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """Calls `script(number of the request on all connections, reader, writer)` for every request."""

    def __init__(self, script: Callable[[int, Reader, Writer], Awaitable[Any]]) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                if length:
                    await reader.readexactly(length)
                await self.script(len(self.heads), reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


def answering(data: bytes) -> Upstream:
    async def script(_number: int, _reader: Reader, writer: Writer) -> None:
        writer.write(data)

    return Upstream(script)


@contextlib.asynccontextmanager
async def pooled(upstream: Upstream, *, tls: Any = None, client_tls: Any = None, **options: Any) -> AsyncIterator[Pool]:
    server = await asyncio.start_server(upstream, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    pool = pool_to(f"{scheme}://{host}:{port}/v1", tls=client_tls, **options)
    try:
        yield pool
    finally:
        await pool.close()
        server.close()
        await asyncio.sleep(0.02)


async def call(pool: Pool, body: bytes = b"{}") -> bytes:
    exchange = pool.request(b"POST", b"/x", b"", [body])
    try:
        await exchange.head()
        return await exchange.read()
    finally:
        exchange.cancel()


def run(main: Awaitable[Any]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main, 60)

    return asyncio.run(bounded())


# The exchanges' signals need the eager runner, so that a test drives them as the gateway does.
async def eagerly(coroutine: Any) -> Any:
    from fairlead.http import eager

    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        done.set_result(await coroutine)

    def finished(error: BaseException | None) -> None:
        if error is not None and not done.done():
            done.set_exception(error)

    eager.run(keep(), finished)
    return await done


def test_connections_are_kept_and_the_request_is_what_was_asked() -> None:
    async def main() -> None:
        upstream = answering(OK)
        async with pooled(upstream) as pool:
            for _ in range(5):
                assert await eagerly(call(pool, b'{"a":1}')) == b"ok"
            assert upstream.connections == 1
            assert pool.idle == 1
            assert upstream.heads[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
            assert b"content-length: 7\r\n" in upstream.heads[0]

    run(main())


def test_a_kept_connection_that_died_costs_one_silent_retry_and_no_more() -> None:
    async def script(number: int, _reader: Reader, writer: Writer) -> None:
        if number == 2:
            writer.close()
        else:
            writer.write(OK)

    async def main() -> None:
        upstream = Upstream(script)
        async with pooled(upstream) as pool:
            assert await eagerly(call(pool)) == b"ok"
            assert await eagerly(call(pool)) == b"ok"
            assert upstream.connections == 2
            assert len(upstream.heads) == 3

    run(main())


def test_an_upstream_that_closes_after_every_answer_unannounced_serves_a_queue() -> None:
    async def script(_number: int, _reader: Reader, writer: Writer) -> None:
        writer.write(OK)
        await writer.drain()
        writer.close()

    async def main() -> None:
        for reuse in (True, False):
            async with pooled(Upstream(script), limits=pool_limits_with(connections=2, reuse=reuse)) as pool:
                answers = await asyncio.gather(*(eagerly(call(pool)) for _ in range(40)))
                assert answers == [b"ok"] * 40

    run(main())


def test_a_new_connection_that_is_closed_is_no_reason_to_send_again() -> None:
    async def script(_number: int, _reader: Reader, writer: Writer) -> None:
        writer.close()

    async def main() -> None:
        upstream = Upstream(script)
        async with pooled(upstream) as pool:
            with pytest.raises(UpstreamCut):
                await eagerly(call(pool))
            assert len(upstream.heads) == 1

    run(main())


def test_the_queue_in_front_is_bounded_in_places_and_time() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(_number: int, _reader: Reader, writer: Writer) -> None:
        asked.set()
        await go_on.wait()
        writer.write(OK)

    async def main() -> None:
        limits = pool_limits_with(connections=1, queue=1, queue_seconds=0.2)
        async with pooled(Upstream(script), limits=limits) as pool:
            first = asyncio.create_task(eagerly(call(pool)))
            await asked.wait()
            second = asyncio.create_task(eagerly(call(pool)))
            await asyncio.sleep(0)
            with pytest.raises(UpstreamBusy, match="queue for this provider is full"):
                await eagerly(call(pool))
            with pytest.raises(UpstreamBusy, match="in time"):
                await second
            go_on.set()
            assert await first == b"ok"
            assert pool.waiting == 0

    run(main())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"nonsense\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, UpstreamInvalid),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, UpstreamInvalid),
    ],
)
def test_an_answer_that_breaks_the_protocol_or_the_limits_is_invalid(answer: bytes, kind: type[UpstreamError]) -> None:
    async def main() -> None:
        async with pooled(answering(answer), limits=pool_limits_with(body_bytes=1000)) as pool:
            with pytest.raises(kind):
                await eagerly(call(pool))
            assert pool.idle == 0

    run(main())


def test_a_stream_that_never_ends_is_cut_at_its_bound() -> None:
    async def main() -> None:
        got: list[bytes] = []

        async def relayed() -> None:
            exchange = pool.request(b"GET", b"/x", b"")
            await exchange.head()
            await exchange.relay(got.append)

        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 5_000
        async with pooled(
            answering(answer), limits=pool_limits_with(body_bytes=1_000_000, stream_bytes=2_000_000)
        ) as pool:
            with pytest.raises(UpstreamInvalid):
                await eagerly(relayed())
            assert sum(map(len, got)) <= 2_000_000

    run(main())


def test_what_follows_an_answer_makes_the_connection_unusable_not_the_answer() -> None:
    async def main() -> None:
        upstream = answering(OK + OK)
        async with pooled(upstream) as pool:
            assert await eagerly(call(pool)) == b"ok"
            assert await eagerly(call(pool)) == b"ok"
            assert upstream.connections == 2

    run(main())


def test_interim_answers_are_skipped_and_an_answer_may_end_with_the_connection() -> None:
    async def script(_number: int, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end")
        await writer.drain()
        writer.close()

    async def main() -> None:
        async with pooled(Upstream(script)) as pool:
            assert await eagerly(call(pool)) == b"to the end"

    run(main())


@pytest.mark.parametrize(
    ("sent", "timeouts", "words"),
    [
        (b"", timeouts_with(first_byte_seconds=0.2), "begin to answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", timeouts_with(idle_seconds=0.2), "stopped sending"),
        (b"", timeouts_with(total_seconds=0.2), "total time limit"),
    ],
)
def test_every_phase_has_its_timeout(sent: bytes, timeouts: Timeouts, words: str) -> None:
    async def script(_number: int, reader: Reader, writer: Writer) -> None:
        writer.write(sent)
        await reader.read(1)

    async def main() -> None:
        upstream = Upstream(script)
        async with pooled(upstream, timeouts=timeouts) as pool:
            with pytest.raises(UpstreamTimeout, match=words):
                await eagerly(call(pool))
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(0.05)), 60)
            assert pool.in_flight == 0

    run(main())


def test_nobody_there_is_unreachable() -> None:
    async def main() -> None:
        server = await asyncio.start_server(answering(OK), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        for url in (f"http://127.0.0.1:{port}", "unix:/nothing/here.sock", "http://no-such-host.invalid"):
            pool = pool_to(url)
            with pytest.raises(UpstreamUnreachable):
                await eagerly(call(pool))
            await pool.close()

    run(main())


def test_a_cancelled_call_closes_its_connection_at_once() -> None:
    async def script(_number: int, reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await writer.drain()
        if not await reader.read(1):
            raise ConnectionError

    async def main() -> None:
        upstream = Upstream(script)
        async with pooled(upstream) as pool:
            exchange = pool.request(b"POST", b"/x", b"", [b"{}"])
            await eagerly(exchange.head())
            exchange.cancel()
            await asyncio.wait_for(upstream.gone.wait(), 60)
            assert pool.in_flight == 0

    run(main())


def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "u.sock")
        server = await asyncio.start_unix_server(answering(OK), path)
        pool = pool_to(f"unix:{path}")
        assert await eagerly(call(pool)) == b"ok"
        await pool.close()
        server.close()
        await asyncio.sleep(0.02)

    run(main())


def test_https_is_verified() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main() -> None:
        async with pooled(answering(OK), tls=tls, client_tls=trusting) as pool:
            assert await eagerly(call(pool)) == b"ok"
        async with pooled(answering(OK), tls=tls, client_tls=ssl.create_default_context()) as pool:
            with pytest.raises(UpstreamUnreachable, match="certificate"):
                await eagerly(call(pool))

    run(main())


def test_a_proxy_gets_the_absolute_form_for_http_and_a_tunnel_for_https() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    asked: list[bytes] = []

    async def main() -> None:
        target = answering(OK)
        server = await asyncio.start_server(target, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]

        async def pump(reader: Reader, writer: Writer) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def proxy(reader: Reader, writer: Writer) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head)
            if head.startswith(b"CONNECT"):
                there, back = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(pump(reader, back), pump(there, writer))
            else:
                writer.write(OK)
                await writer.drain()
                writer.close()

        proxying = await asyncio.start_server(proxy, "127.0.0.1", 0)
        address = Proxy.parse(f"http://user:pass@127.0.0.1:{proxying.sockets[0].getsockname()[1]}")
        plain = pool_to("http://far.example:81/v1", proxy=address)
        assert await eagerly(call(plain)) == b"ok"
        assert asked[0].startswith(b"POST http://far.example:81/v1/x HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic dXNlcjpwYXNz" in asked[0]
        secure = pool_to(f"https://localhost:{port}/v1", proxy=address, tls=trusting)
        assert await eagerly(call(secure)) == b"ok"
        assert asked[1].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % port)
        assert b"proxy-authorization" not in target.heads[0]
        for pool in (plain, secure):
            await pool.close()
        server.close()
        proxying.close()
        await asyncio.sleep(0.05)

    run(main())


HEAD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: application/json\r\n"
WHOLE_ANSWERS = [
    HEAD + b"Content-Length: 2\r\n\r\nok",
    HEAD.lower().replace(b"http/1.1", b"HTTP/1.1") + b"content-length: 2\r\n\r\nok",
    HEAD + b"Content-Length:2\r\n\r\nok",
    HEAD + b"Content-Length:  2\r\n\r\nok",
    HEAD + b"Content-Length: 2 \r\n\r\nok",
    HEAD + b"Content-Length: 0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    HEAD + b"Content-Length: +2\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nX-Long: a\r\n b\r\n\r\nok",
    HEAD + b"Content-Length: 2\nTransfer-Encoding: chunked\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nServer x\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\n: x\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    HEAD + b"Content-Length: 40\r\n\r\nok",
    HEAD.replace(b"200 OK", b"200 ") + b"Content-Length: 2\r\n\r\nok",
    HEAD.replace(b"200 OK", b"429 Slow") + b"Content-Length: 2\r\n\r\nok",
    b"\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nX-Long: a\rTransfer-Encoding: chunked\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
]


@pytest.mark.parametrize("answer", WHOLE_ANSWERS)
def test_an_answer_in_one_block_is_read_as_one_that_comes_in_pieces(answer: bytes) -> None:
    """A pool that knows a provider's headers takes whole answers without a parser; nothing must show of that."""

    async def outcome(pool: Pool) -> tuple[Any, ...]:
        exchange = pool.request(b"GET", b"/", b"")
        try:
            status = await exchange.head()
            body = await exchange.read()
        except UpstreamError as error:
            return (type(error),)
        headers = [(name, value.strip()) for name, value in exchange.headers]
        return (status, body, headers, pool.idle)

    async def play() -> None:
        timeouts = timeouts_with(first_byte_seconds=0.3, idle_seconds=0.3)
        async with (
            pooled(answering(answer), timeouts=timeouts) as knowing,
            pooled(answering(answer), timeouts=timeouts) as asking,
        ):
            for name in (b"Server", b"Content-Type", b"Content-Length", b"X-Long", b"Transfer-Encoding", b"Connection"):
                knowing.name_of(name)
                knowing.name_of(name.lower())
            for _ in range(3):
                asking.names.clear()
                assert await eagerly(outcome(knowing)) == await eagerly(outcome(asking))

    run(play())


def test_only_so_many_names_of_headers_are_remembered() -> None:
    pool = pool_to("http://127.0.0.1:1/v1")
    for number in range(1000):
        assert pool.name_of(b"X-%d" % number) == b"x-%d" % number
    assert pool.name_of(b"N" * 1000) == b"n" * 1000
    assert len(pool.names) == 256
