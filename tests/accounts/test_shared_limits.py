"""Limits that processes hold together by Valkey: exact over all of them, decided in memory, divided when it is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.accounts.valkey_server import ValkeyServer

from fairlead.accounts import limit_book, shared_meter, sharing
from fairlead.accounts.limit_book import LimitBook
from fairlead.accounts.limits import Limited, Limits, OwnLimits
from fairlead.accounts.meters import Admission
from fairlead.accounts.sharing import SharedLimits
from fairlead.errors import ConfigurationError, RateLimited
from fairlead.settings import load_settings, valkey_url
from fairlead.store.valkey import ValkeyAddress, connect, valkey_address

DEADLINE = 60.0


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def server(module_server: ValkeyServer) -> ValkeyServer:
    """Its keys are of no earlier test."""
    uvloop.run(asked(module_server, "FLUSHALL"))
    return module_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """One that the test may kill."""
    server = ValkeyServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what holds while the server answers: a busy machine may take long to."""
    monkeypatch.setattr(sharing, "WAIT_SECONDS", 20.0)
    monkeypatch.setattr(sharing, "ANSWER_SECONDS", 20.0)
    monkeypatch.setattr(sharing, "CONNECT_SECONDS", 20.0)


async def asked(server: ValkeyServer, *words: str | bytes | int) -> object:
    connection = await connect(valkey_address(server.url), 20.0)
    try:
        return await connection.ask(*words)
    finally:
        connection.close("asked")


class Process:
    """What one of several processes has."""

    def __init__(self, address: ValkeyAddress, processes: int = 1) -> None:
        self.clock = time.monotonic
        self.shared = SharedLimits(address, self.clock, processes)
        self.book = LimitBook()
        self.book.share(self.shared)
        self.task = asyncio.create_task(self.shared.run())

    async def is_shared(self) -> None:
        await until(lambda: self.shared.trouble is None)

    async def is_divided(self) -> None:
        await until(lambda: self.shared.trouble is not None)

    async def call(self, limits: Limits, tokens: int = 1) -> Admission:
        """As the gateway does it. Raises RateLimited."""
        whose = Limited("key_1", "acc_1", OwnLimits(limits), None)
        leasing = self.book.lease(whose, [("small", False)], tokens)
        if leasing is not None:
            await leasing
        admission = self.book.admit(whose, "small", tokens, self.clock(), free=False)
        assert admission is not None
        return admission

    async def fits(self, limits: Limits, tokens: int = 1) -> bool:
        try:
            admission = await self.call(limits, tokens)
        except RateLimited:
            return False
        admission.settle(tokens, self.clock())
        return True

    async def die(self) -> None:
        """Without a word to the server, as by kill -9."""
        link, self.shared._link = self.shared._link, None
        if link is not None:
            link.on_lost = None
            link.close("killed")
            self.shared._hearing.close("killed")
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(int(DEADLINE * 100)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")


async def eventually(attempt: Callable[[], Coroutine[None, None, bool]]) -> None:
    for _ in range(int(DEADLINE * 20)):
        if await attempt():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")


@contextlib.asynccontextmanager
async def processes(url: str, count: int) -> AsyncIterator[list[Process]]:
    made = [Process(valkey_address(url), count) for _ in range(count)]
    try:
        for one in made:
            await one.is_shared()
        yield made
    finally:
        for one in made:
            await one.end()


@pytest.mark.parametrize("most", [1, 7, 200])
@pytest.mark.usefixtures("patient")
def test_a_limit_holds_exactly_over_all_wherever_the_calls_arrive(server: ValkeyServer, most: int) -> None:
    limits = Limits(requests_per_day=most)

    async def alone(made: list[Process]) -> int:
        return sum([await made[0].fits(limits) for _ in range(most + 5)])

    async def everywhere(made: list[Process]) -> int:
        chance = random.Random(most)
        return sum([await chance.choice(made).fits(limits) for _ in range(most)])

    async def at_once(made: list[Process]) -> int:
        return sum(await asyncio.gather(*(one.fits(limits) for one in made for _ in range(most + 5))))

    async def served(story: Callable[[list[Process]], Coroutine[None, None, int]]) -> int:
        async with processes(server.url, 3) as made:
            total = await story(made)

            async def is_used_up() -> bool:
                nonlocal total
                total += await made[1].fits(limits)
                return total >= most

            await eventually(is_used_up)
            return total + sum([await one.fits(limits) for one in made for _ in range(5)])

    for story in (alone, everywhere, at_once):
        assert uvloop.run(served(story)) == most, story.__name__
        uvloop.run(asked(server, "FLUSHALL"))


@pytest.mark.usefixtures("patient")
def test_most_calls_are_decided_without_asking(server: ValkeyServer) -> None:
    limits = Limits(requests_per_minute=10_000, tokens_per_minute=1_000_000)

    async def story() -> int:
        waited = 0
        async with processes(server.url, 2) as (first, _):
            whose = Limited("key_1", "acc_1", OwnLimits(limits), None)
            for _ in range(300):
                leasing = first.book.lease(whose, [("small", False)], 10)
                if leasing is not None:
                    waited += 1
                    await leasing
                admission = first.book.admit(whose, "small", 10, first.clock(), free=False)
                assert admission is not None
                admission.settle(10, first.clock())
                await asyncio.sleep(0.002)
        return waited

    assert uvloop.run(story()) < 200


@pytest.mark.usefixtures("patient")
def test_concurrent_calls_are_counted_over_all(server: ValkeyServer) -> None:
    limits = Limits(concurrent_requests=5)

    async def story() -> None:
        async with processes(server.url, 2) as (first, second):
            open_calls = [await first.call(limits) for _ in range(3)] + [await second.call(limits) for _ in range(2)]
            for one in (first, second):
                with pytest.raises(RateLimited, match="5 requests in flight") as refused:
                    await one.call(limits)
                assert refused.value.retry_after_seconds == 1
            open_calls[0].settle(1, first.clock())
            await eventually(lambda: taken(second, open_calls))
            with pytest.raises(RateLimited):
                await first.call(limits)

    async def taken(process: Process, calls: list[Admission]) -> bool:
        try:
            calls.append(await process.call(limits))
        except RateLimited:
            return False
        return True

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_one_at_a_time_at_changing_processes_is_never_refused(server: ValkeyServer) -> None:
    limits = Limits(concurrent_requests=1)

    async def story() -> None:
        async with processes(server.url, 2) as made:
            for at in range(10):
                await eventually(lambda one=made[at % 2]: one.fits(limits))  # type: ignore[misc]

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_tokens_are_counted_as_they_were_used(server: ValkeyServer) -> None:
    limits = Limits(tokens_per_day=1000)

    async def story() -> int:
        used = 0
        async with processes(server.url, 2) as made:
            for at in range(20):
                one = made[at % 2]
                with contextlib.suppress(RateLimited):
                    admission = await one.call(limits, 100)
                    admission.settle(40, one.clock())
                    used += 40

            async def nothing_is_left() -> bool:
                nonlocal used
                if await made[0].fits(limits, 20):
                    used += 20
                return used > 980

            await eventually(nothing_is_left)
            return used + 20 * sum([await one.fits(limits, 20) for one in made])

    assert uvloop.run(story()) == 1000


@pytest.mark.usefixtures("patient")
def test_headers_tell_what_all_have_used(server: ValkeyServer) -> None:
    limits = Limits(requests_per_day=100)

    async def story() -> None:
        async with processes(server.url, 2) as (first, second):
            for _ in range(30):
                assert await first.fits(limits)

            async def told() -> bool:
                admission = await second.call(limits)
                lines = admission.headers(second.clock()).split(b"\r\n")
                assert lines[0] == b"x-ratelimit-limit-requests: 100"
                calls.append(1)
                return lines[1] == b"x-ratelimit-remaining-requests: %d" % (70 - len(calls))

            calls: list[int] = []
            for _ in range(60):
                if await told():
                    return
                await asyncio.sleep(0.3)
            raise AssertionError("not told")

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_what_a_killed_process_held_comes_back(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LEASE_NS", 2 * shared_meter.SECOND_NS)
    limits = Limits(concurrent_requests=2, requests_per_day=50)

    async def story() -> None:
        async with processes(server.url, 1) as (first,):
            killed = Process(valkey_address(server.url))
            await killed.is_shared()
            for _ in range(2):
                await killed.call(limits)
            assert not await first.fits(limits)
            await killed.die()
            await eventually(lambda: first.fits(limits))
            # What it may have used counts as used: never is more let through than the limit.
            served = 1
            while await first.fits(limits):
                served += 1
            assert 20 <= served <= 48

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_a_process_that_ends_returns_everything(server: ValkeyServer) -> None:
    limits = Limits(requests_per_day=400)

    async def story() -> None:
        async with processes(server.url, 1) as (ending,):
            assert await ending.fits(limits)
        async with processes(server.url, 1) as (first,):
            served = 0
            while await first.fits(limits):
                served += 1
            assert served == 399

    uvloop.run(story())


def test_a_server_that_hangs_holds_no_call_and_is_used_again_when_it_answers(own_server: ValkeyServer) -> None:
    limits = Limits(requests_per_day=40)

    async def story() -> None:
        async with processes(own_server.url, 2) as (first, second):
            assert await first.fits(limits)
            own_server.signal(signal.SIGSTOP)
            try:
                served = 0
                for one in (first, second):
                    while await one.fits(limits):  # it returns, although nothing answers
                        served += 1
                    assert "is away" in one.shared.remark()
                assert 0 < served <= 40
            finally:
                own_server.signal(signal.SIGCONT)
            for one in (first, second):
                await one.is_shared()
                assert one.shared.absences
                assert one.shared.remark() == ""

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_a_killed_server_is_told_and_used_again(own_server: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(requests_per_day=40)

    async def story() -> None:
        async with processes(own_server.url, 2) as (first, second):
            assert await first.fits(limits)
            own_server.stop()
            await first.is_divided()
            await second.is_divided()
            served = [0, 0]
            for at, one in enumerate((first, second)):
                while await one.fits(limits):
                    served[at] += 1
            assert 0 < served[0] <= 20
            assert 0 < served[1] <= 20
            await until(lambda: "divided among 2 processes" in caplog.text)
            own_server.start()
            await first.is_shared()
            await until(lambda: "answers again" in caplog.text)
            # What was used meanwhile counts, as far as this process knows.
            more = 0
            while await first.fits(limits):
                more += 1
            assert more <= 40 - served[0]

    with caplog.at_level("WARNING"):
        uvloop.run(story())
    assert caplog.text.count("is away") <= 2  # once for each


@pytest.mark.usefixtures("patient")
def test_a_server_that_forgets_everything_goes_on(server: ValkeyServer) -> None:
    limits = Limits(requests_per_day=40, concurrent_requests=10)

    async def story() -> None:
        async with processes(server.url, 2) as (first, second):
            held = await first.call(limits)
            await asked(server, "FLUSHALL")
            await asked(server, "SCRIPT", "FLUSH")
            served = 0
            for one in (first, second):
                for _ in range(60):
                    served += await one.fits(limits)
                    await asyncio.sleep(0)
            assert 0 < served <= 80
            held.settle(1, first.clock())
            await first.is_shared()

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_a_clock_that_jumps_back_blocks_nobody(server: ValkeyServer) -> None:
    limits = Limits(requests_per_minute=600)
    ahead = b"""
        local state = cmsgpack.unpack(redis.call('GET', KEYS[1]))
        state.at = state.at + 86400000
        for _, holder in pairs(state.h) do holder.x = holder.x + 86400000 end
        return redis.call('SET', KEYS[1], cmsgpack.pack(state))
    """

    async def story() -> None:
        async with processes(server.url, 1) as (first,):
            for _ in range(300):
                assert await first.fits(limits)
            # The state is from tomorrow, as after the server's clock was set back by a day.
            await asked(server, "EVAL", ahead, 1, "fairlead:limits:key/key_1")
            served = sum([await first.fits(limits) for _ in range(290)])
            assert served >= 280

    uvloop.run(story())


@pytest.mark.parametrize("value", [b"rubbish", b"\x93\x01\x02\x03"])
@pytest.mark.usefixtures("patient")
def test_a_key_with_something_else_in_it_is_replaced(server: ValkeyServer, value: bytes) -> None:
    async def story() -> None:
        async with processes(server.url, 1) as (first,):
            await asked(server, "SET", "fairlead:limits:key/key_1", value)
            assert await first.fits(Limits(requests_per_day=40))
            await asked(server, "DEL", "fairlead:limits:key/key_1")
            await asked(server, "LPUSH", "fairlead:limits:key/key_1", value)
            for _ in range(20):
                assert await first.fits(Limits(requests_per_day=40))
            assert first.shared.absences == 0

    uvloop.run(story())


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*999999999\r\n", b":12x\r\n", b"$-5\r\n" * 9, b"+OK\r\n", b"\x00" * 100],
)
def test_garbage_is_told_and_limits_are_divided(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def story() -> None:
        listening = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        one = Process(valkey_address(f"valkey://127.0.0.1:{port}"), 4)
        await until(lambda: one.shared.trouble not in (None, "not connected yet"))
        served = sum([await one.fits(Limits(requests_per_day=40)) for _ in range(40)])
        assert served == 10
        await one.end()
        listening.close()

    uvloop.run(story())


def test_a_wrong_password_is_told_without_it(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path, password="right")

    async def story(url: str) -> str | None:
        one = Process(valkey_address(url))
        await until(lambda: one.shared.trouble != "not connected yet")
        await one.end()
        return one.shared.trouble

    try:
        assert uvloop.run(story(server.url)) is None
        for url in (server.url.replace("right", "wrong"), server.url.replace(":right@", "")):
            trouble = uvloop.run(story(url))
            assert trouble == "it refuses the password"
    finally:
        server.stop()


@pytest.mark.usefixtures("patient")
def test_changed_limits_hold_for_what_was_used(server: ValkeyServer) -> None:
    async def story() -> None:
        async with processes(server.url, 2) as (first, second):
            for _ in range(50):
                assert await first.fits(Limits(requests_per_day=100))
            served = sum([await second.fits(Limits(requests_per_day=10)) for _ in range(20)])
            assert 3 <= served <= 5  # half of it was used

    uvloop.run(story())


@pytest.mark.usefixtures("patient")
def test_a_scope_that_is_forgotten_while_it_holds_leases_is_remembered(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_book, "MOST_METERS", 2)
    limits = Limits(requests_per_day=640)

    async def story() -> None:
        async with processes(server.url, 1) as (first,):
            now = first.clock
            for key in ("key_1", "key_2", "key_3", "key_1") * 5:
                whose = Limited(key, "acc_1", OwnLimits(limits), None)
                leasing = first.book.lease(whose, [("small", False)], 1)
                if leasing is not None:
                    await leasing
                assert first.book.admit(whose, "small", 1, now(), free=False) is not None
            admission = await first.call(limits)
            assert b"x-ratelimit-remaining-requests: 629" in admission.headers(now())

    uvloop.run(story())


def test_an_address_is_read_and_its_password_never_shown() -> None:
    address = valkey_address("valkeys://user:se%3Acret@cache.example:7000/3?prefix=staging")
    assert (address.host, address.port, address.user, address.password) == ("cache.example", 7000, "user", "se:cret")
    assert (address.database, address.tls, address.prefix) == (3, True, "staging")
    assert "cret" not in f"{address} {address!r}"
    assert not valkey_address("redis://cache").tls
    for wrong in ("http://h", "valkey://", "valkey://h/x", "valkey://h:99999999", "valkey://:pass@h?color=1"):
        with pytest.raises(ConfigurationError) as caught:
            valkey_address(wrong)
        assert "pass@" not in str(caught.value)


def test_a_setting_that_is_no_address_is_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.toml"
    for wrong in ("http://:pass@h", "valkey://", "valkey://:pass@h/x"):
        file.write_text(f'[limits]\nvalkey = "{wrong}"\n')
        with pytest.raises(ConfigurationError, match="valkey takes the address of a server") as caught:
            load_settings(file, {})
        assert "pass" not in str(caught.value).replace(":password@", "")
    file.write_text('[limits]\nvalkey = { env = "HERE" }\n')
    settings = load_settings(file, {})
    assert valkey_url(settings, {"HERE": "valkey://h"}) == "valkey://h"
    assert valkey_url(settings, {"HERE": "valkey://h", "FAIRLEAD_VALKEY_URL": "valkey://other"}) == "valkey://other"
    with pytest.raises(ConfigurationError, match="HERE is not set"):
        valkey_url(settings, {})
