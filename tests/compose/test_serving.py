"""The version of the configuration is replaced while calls run: none fails, and each is charged by its own version."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from fairlead.accounts.keys import create_key
from fairlead.catalogue import load
from fairlead.catalogue.built import Catalogue, load_catalogue
from fairlead.compose.service import Parts, Service
from fairlead.errors import ConfigurationError
from fairlead.ledger.verify import verify
from fairlead.settings import load_settings
from fairlead.store import Store, open_store
from fairlead.testing import Received, ScriptedUpstream
from fairlead.testing.connection import Wire

CALLERS = 20
REPLACEMENTS = 100
DEADLINE_SECONDS = 100


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def usage(self) -> dict[str, Any]:
        return json.loads(self.body)["usage"]  # type: ignore[no-any-return]


class Caller:
    """One connection that makes one call after another."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, model: str, **more: Any) -> Answer:
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}], **more}).encode()
        return await self.post("/v1/chat/completions", body, f"Authorization: Bearer {self._key}")

    async def post(self, target: str, body: bytes, *lines: str) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = "\r\n".join((f"POST {target} HTTP/1.1", "Host: x", *lines, f"Content-Length: {len(body)}"))
        writer.write(head.encode() + b"\r\n\r\n" + body)
        first, *found = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in found if line)
        if "content-length" in headers:
            answer = await reader.readexactly(int(headers["content-length"]))
        else:
            pieces = []
            while size := int(await reader.readline(), 16):
                pieces.append(await reader.readexactly(size))
                await reader.readexactly(2)
            await reader.readexactly(2)
            answer = b"".join(pieces)
        return Answer(int(first.split()[1]), headers, answer)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            with contextlib.suppress(ConnectionError):
                await self._streams[1].wait_closed()


class Running(NamedTuple):
    parts: Parts
    store: Store
    port: int
    key: str
    directory: Path
    callers: list[Caller]

    async def apply(self, text: str) -> None:
        await self.parts.apply(load_settings(written(self.directory, text)))

    def caller(self) -> Caller:
        self.callers.append(Caller(self.port, self.key))
        return self.callers[-1]


def written(directory: Path, text: str) -> Path:
    file = directory / "fairlead.toml"
    file.write_text("[routing]\nprobes = false\n" + text)
    return file


def configuration(price: str, *urls: str, more: str = "") -> str:
    """Model `m` at each of these; an answer of one token costs `price` micro-dollars."""
    text = "".join(
        f'[[providers]]\nid = "p{at}"\nbase_url = "{url}"\nconnect_timeout_seconds = 60\n'
        for at, url in enumerate(urls)
    )
    text += '[[models]]\nid = "m"\n'
    for at in range(len(urls)):
        text += (
            f'[[models.deployments]]\nprovider = "p{at}"\nupstream_model = "x{at}"\n'
            f'price = {{ input = "0", output = "{price}" }}\n'
        )
    return text + more


@contextlib.asynccontextmanager
async def running(directory: Path, text: str) -> AsyncIterator[Running]:
    store = open_store(directory / "data")
    key = create_key(store, "test")
    parts = Parts(Service(load_settings(written(directory, text)), store, []))
    _, port = await parts.server.listen("127.0.0.1", 0)
    parts.begin_background()
    served = Running(parts, store, port, key, directory, [])
    try:
        yield served
    finally:
        for caller in served.callers:
            await caller.close()
        await parts.server.drain(10)
        for reach in parts.version.reaches.values():
            await reach.pool.close()
        await parts.close()
        store.close()


class Held(ScriptedUpstream):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.resume = threading.Event()

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.arrived.set()
        while not self.resume.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.01)
        return await super().answer(request, wire)


def run(test: Callable[[], Any]) -> None:
    uvloop.run(asyncio.wait_for(test(), DEADLINE_SECONDS))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def cost(answer: Answer, price: str) -> bool:
    usage = answer.usage
    return Decimal(usage["cost_usd"]) == Decimal(price) * usage["completion_tokens"] / 1_000_000


def test_a_hundred_replacements_under_load_lose_no_call_and_mix_no_prices(tmp_path: Path) -> None:
    prices = ["1", "2", "3"]

    async def test() -> None:
        answers: list[Answer] = []
        async with running(tmp_path, configuration("1", first.url)) as served:

            async def calls() -> None:
                caller = served.caller()
                while not done.is_set():
                    answers.append(await caller.call("m"))

            done = asyncio.Event()
            callers = [asyncio.create_task(calls()) for _ in range(CALLERS)]
            seen_pools = set(served.parts.servings.now.pools)
            for turn in range(REPLACEMENTS):
                urls = (first.url, second.url)[: 1 + turn % 2] if turn % 3 else (second.url,)
                before = len(answers)
                await served.apply(configuration(prices[turn % 3], *urls))
                seen_pools |= served.parts.servings.now.pools
                await until(lambda before=before: len(answers) > before)  # type: ignore[misc]
            done.set()
            await asyncio.gather(*callers)
            await served.parts.ledger.flush()
            with served.store.read() as connection:
                found = verify(connection)
            assert found.discrepancy is None
            assert found.records == len(answers)
            # Connections of providers that are gone are closed, those in use are kept.
            unused = seen_pools - served.parts.servings.now.pools
            assert unused
            await until(lambda: not any(pool.idle or pool.in_flight for pool in unused))
            assert len(served.parts.servings.now.pools) < len(seen_pools)
        assert {answer.status for answer in answers} == {200}
        assert all(any(cost(answer, price) for price in prices) for answer in answers)
        assert len({answer.usage["cost_usd"] for answer in answers}) == len(prices)

    with ScriptedUpstream() as first, ScriptedUpstream() as second:
        run(test)


def test_a_call_ends_with_the_price_and_provider_that_it_began_with(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, configuration("7", first.url)) as served:
            slow = asyncio.create_task(served.caller().call("m"))
            await until(first.arrived.is_set)
            await served.apply(configuration("9", second.url))
            new = await served.caller().call("m")
            assert served.parts.servings.calls == 1
            first.resume.set()
            old = await slow
            assert cost(old, "7")
            assert cost(new, "9")
            assert old.headers["x-fairlead-deployment"] == "p0/x0"
            await until(lambda: not served.parts.servings.calls)
            await until(lambda: not first.connections)

    with Held() as first, ScriptedUpstream() as second:
        run(test)


def test_the_catalogue_that_comes_along_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path | None] = []

    def counted(directory: Path | None = None) -> Catalogue:
        read.append(directory)
        return load_catalogue(directory)

    monkeypatch.setattr(load, "load_catalogue", counted)
    (tmp_path / "own").mkdir()
    own = f'[catalogue]\ndirectory = "{tmp_path / "own"}"\n'

    async def test() -> None:
        async with running(tmp_path, configuration("7", first.url)) as served:
            await served.apply(configuration("8", first.url))
            assert len(read) == 1
            for _ in range(2):  # the operator's own files may have changed
                await served.apply(own + configuration("8", first.url))
            await served.apply(configuration("9", first.url))
            assert read == [None, tmp_path / "own", tmp_path / "own", None]
            assert cost(await served.caller().call("m"), "9")

    with ScriptedUpstream() as first:
        run(test)


def test_a_refused_configuration_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, configuration("7", first.url)) as served:
            before = served.parts.servings.now
            with pytest.raises(ConfigurationError):
                await served.apply(configuration("8", first.url) + '[[models]]\nid = "m"\n')
            assert served.parts.servings.now is before
            assert cost(await served.caller().call("m"), "7")

    with ScriptedUpstream() as first:
        run(test)


def test_lists_limits_and_pages_follow_the_version_in_force(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, configuration("7", first.url)) as served:
            assert (await served.caller().call("other")).status == 404
            more = '[[models]]\nid = "other"\n[[models.deployments]]\nprovider = "p0"\nupstream_model = "y"\n'
            more += 'price = "free"\n[models.limits]\nrequests_per_minute = 1\n'
            await served.apply(configuration("7", first.url, more=more))
            caller = served.caller()
            assert (await caller.call("other")).status == 200
            assert (await caller.call("other")).status == 429
            listed = await get(served.port, "/v1/models")
            assert {model["id"] for model in listed["data"]} == {"m", "other"}
            await served.apply(configuration("7", first.url))
            assert (await caller.call("other")).status == 404
            assert {model["id"] for model in (await get(served.port, "/v1/models"))["data"]} == {"m"}

    with ScriptedUpstream() as first:
        run(test)


async def get(port: int, path: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])
