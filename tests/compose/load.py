"""The configuration of a gateway is replaced while calls arrive at a steady rate, whether they are answered or not.

`python -m tests.compose.load --rate 1000 --replacements 100`, from the root of the repository. Two processes: the
gateway, which replaces its configuration itself, and this one, which is all callers and both providers. Providers come
and go, prices and deployments change. Every version has a price of its own, so that a charge tells by which it was
made; the providers see which one a call was sent by.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from fairlead.http.request import Request
from fairlead.ledger.books import records_by_entry
from fairlead.ledger.verify import verify
from fairlead.money import PICODOLLARS_PER_DOLLAR

from .test_serving import Running, running

CONNECTIONS: Final = 64
# One call in so many is answered late, so that it ends with a version that has been replaced meanwhile.
LATE_EVERY: Final = 20
LATE_SECONDS: Final = 0.25
# The number of a call, in its prompt: always as long, so that all calls have the same head.
DIGITS: Final = 8
NUMBER: Final = re.compile(rb"call ([0-9]{8})")
MODEL: Final = re.compile(rb'"model": ?"x([0-9]+)"')
COST: Final = re.compile(rb'"cost_usd": ?"([0-9.]+)"')
SETTLE_SECONDS: Final = 30
SPAWN: Final = multiprocessing.get_context("spawn")


class Version(NamedTuple):
    """One configuration, with the times (time.monotonic) at which replacing the one before began and had ended."""

    number: int
    began: float
    ended: float
    sheets: dict[str, str]  # by deployment


class Ending(NamedTuple):
    """What the gateway found when all calls had ended. `charges`: record id to picodollars and sheet."""

    versions: list[Version]
    pools_seen: int
    pools_leaked: int
    calls_open: int
    charges: dict[str, tuple[int, str]]
    discrepancy: str | None
    compiled: bool


@dataclass
class Call:
    number: int
    due: float
    sent: float = 0.0
    arrived: float = 0.0  # at the provider
    provider: int = -1
    upstream_model: int = -1
    ended: float = 0.0
    failure: str = ""
    picodollars: int = -1
    record: str = ""
    deployment: str = ""


@dataclass
class Outcome:
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    connections_left: int = 0
    ending: Ending | None = None

    def wrong(self) -> list[str]:
        """Everything that must not be, in sentences."""
        assert self.ending is not None
        found = [f"call {call.number} failed: {call.failure}" for call in self.calls if call.failure]
        answered = [call for call in self.calls if not call.failure]
        found += filter(None, (self._mismatch(call) for call in answered))
        if len(self.ending.charges) != len(answered):
            found.append(f"{len(self.ending.charges)} usage records of {len(answered)} answers")
        if self.ending.discrepancy:
            found.append(self.ending.discrepancy)
        if self.ending.pools_leaked:
            found.append(f"{self.ending.pools_leaked} pools of earlier versions are still open")
        if self.ending.calls_open:
            found.append(f"{self.ending.calls_open} calls are still counted as open")
        if self.connections_left:
            found.append(f"{self.connections_left} connections to a provider that is not configured any more")
        return found

    def _mismatch(self, call: Call) -> str | None:
        """A call is charged by the version that it began with, and sent to one of that version's deployments."""
        assert self.ending is not None
        versions = self.ending.versions
        number = price_of(call.picodollars)
        if not 0 <= number < len(versions):
            return f"call {call.number}: no version costs {call.picodollars} picodollars"
        version = versions[number]
        replaced = versions[number + 1].ended if number + 1 < len(versions) else float("inf")
        if version.began > call.arrived or replaced < call.sent:
            return f"call {call.number} is charged by version {number}, which was not in force when it began"
        if call.provider not in providers_of(number) or call.upstream_model != upstream_model_of(number):
            return f"call {call.number} of version {number} was sent to p{call.provider}/x{call.upstream_model}"
        if self.ending.charges.get(call.record) != (call.picodollars, version.sheets.get(call.deployment)):
            return f"call {call.number}: its record is not as its answer, or has another version's price sheet"
        return None

    def late_enough(self) -> int:
        """Calls that ended after the version that they began with had been replaced."""
        assert self.ending is not None
        versions = self.ending.versions
        return sum(
            1
            for call in self.calls
            if not call.failure
            and (number := price_of(call.picodollars)) + 1 < len(versions)
            and versions[number + 1].ended < call.ended
        )


def price_of(picodollars: int) -> int:
    """The version whose price this is: an answer of one token costs one micro-dollar more with each."""
    number, rest = divmod(picodollars, PICODOLLARS_PER_DOLLAR // 1_000_000)
    return -1 if rest else number - 1


def providers_of(number: int) -> tuple[int, ...]:
    """Each comes and goes, and sometimes there are both."""
    return ((0,), (0, 1), (1,), (0, 1))[number % 4]


def upstream_model_of(number: int) -> int:
    """Two versions in a row have the same deployments, and differ in the price alone."""
    return number // 2


def text_of(number: int, urls: tuple[str, str]) -> str:
    text = "".join(f'[[providers]]\nid = "p{at}"\nbase_url = "{urls[at]}"\n' for at in providers_of(number))
    text += '[[models]]\nid = "m"\n'
    for at in providers_of(number):
        text += (
            f'[[models.deployments]]\nprovider = "p{at}"\nupstream_model = "x{upstream_model_of(number)}"\n'
            f'price = {{ input = "0", output = "{number + 1}" }}\n'
        )
    return text


# --- the gateway's process


def gateway(directory: Path, urls: tuple[str, str], replacements: int, pipe: Pipe) -> None:
    uvloop.run(_gateway(directory, urls, replacements, pipe))


async def _gateway(directory: Path, urls: tuple[str, str], replacements: int, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    async with running(directory, text_of(0, urls)) as served:
        gc.freeze()
        pipe.send((served.port, served.key))
        begin, seconds = await loop.run_in_executor(None, pipe.recv)
        versions = [_version(0, 0.0, served)]
        seen = set(served.parts.servings.now.pools)
        for number in range(1, replacements + 1):
            await asyncio.sleep(begin + seconds * number / (replacements + 1) - time.monotonic())
            began = time.monotonic()
            await served.apply(text_of(number, urls))
            versions.append(_version(number, began, served))
            seen |= served.parts.servings.now.pools
        await loop.run_in_executor(None, pipe.recv)  # all calls have ended
        pipe.send(await _ending(served, versions, seen))
        await loop.run_in_executor(None, pipe.recv)  # both providers have been looked at


def _version(number: int, began: float, served: Running) -> Version:
    sheets = {name: one.deployment.sheet.id for name, one in served.parts.servings.now.upstreams.items()}
    return Version(number, began, time.monotonic(), sheets)


async def _ending(served: Running, versions: list[Version], seen: set[Any]) -> Ending:
    unused = seen - served.parts.servings.now.pools

    def leaked() -> int:
        return sum(1 for pool in unused if pool.idle or pool.in_flight)

    give_up = time.monotonic() + SETTLE_SECONDS
    while (leaked() or served.parts.servings.calls) and time.monotonic() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await served.parts.ledger.flush()
    with served.store.read() as connection:
        records = [record for _, batch in records_by_entry(connection, 0) for _, record in batch]
        found = verify(connection)
    return Ending(
        versions,
        len(seen),
        leaked(),
        served.parts.servings.calls,
        {record.id: (record.price, record.sheet) for record in records},
        found.discrepancy,
        str(sys.modules[Request.__module__].__file__).endswith(tuple(EXTENSION_SUFFIXES)),
    )


# --- providers and callers


class Provider(asyncio.Protocol):
    """Answers every call with one token, and notes when it came."""

    def __init__(self, place: int, calls: list[Call], open_: set[Provider]) -> None:
        self._place = place
        self._calls = calls
        self._open = open_
        self._got = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._got += data
        number, model = NUMBER.search(self._got), MODEL.search(self._got)
        if number is None or model is None or not self._got.endswith(b"}"):
            return
        self._got = b""
        call = self._calls[int(number[1])]
        call.arrived, call.provider, call.upstream_model = time.monotonic(), self._place, int(model[1])
        if call.number % LATE_EVERY:
            self._transport.write(ANSWER)
        else:
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._transport.write, ANSWER)


def _answer() -> bytes:
    document = {
        "id": "c", "object": "chat.completion", "created": 0, "model": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }  # fmt: skip
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


ANSWER: Final = _answer()


class Callers:
    """Sends each call when it is due, on any connection that is free; the next one does not wait for its answer."""

    def __init__(self, key: str, calls: list[Call]) -> None:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "call " + "0" * DIGITS}]}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._before, _, self._after = (head.encode() + body).partition(b"0" * DIGITS + b'"')
        self._after = b'"' + self._after
        self._calls = calls
        self._free: deque[Caller] = deque()
        self._waiting: deque[Call] = deque()
        self._left = len(calls)
        self.done = asyncio.get_running_loop().create_future()

    def send(self, call: Call) -> None:
        if self._free:
            self._free.popleft().send(call, b"%b%08d%b" % (self._before, call.number, self._after))
        else:
            self._waiting.append(call)

    def free(self, caller: Caller) -> None:
        self._free.append(caller)
        if self._waiting:
            self.send(self._waiting.popleft())

    def ended(self) -> None:
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    async def offer(self, begin: float, rate: float) -> None:
        """Calls at this rate from `begin` on, in the time of the loop."""
        for call in self._calls:
            call.due = begin + call.number / rate
            late = call.due - time.monotonic()
            if late > 0.001:
                await asyncio.sleep(late)
            self.send(call)


class Caller(asyncio.Protocol):
    """One connection, with one call at a time."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._call: Call | None = None
        self._got = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._callers.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._call is not None:
            self._end(f"the connection ended: {error}")

    def send(self, call: Call, data: bytes) -> None:
        self._call = call
        call.sent = time.monotonic()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) < int(headers[b"content-length"]):
            return
        call = self._call
        assert call is not None
        cost = COST.search(body)
        if not head.startswith(b"HTTP/1.1 200 ") or cost is None:
            self._end(self._got.decode(errors="replace"))
        else:
            whole, _, part = cost[1].decode().partition(".")
            call.picodollars = int(whole + part.ljust(12, "0")[:12])
            call.record = headers[b"x-fairlead-generation-id"].decode()
            call.deployment = headers[b"x-fairlead-deployment"].decode()
            self._end("")

    def _end(self, failure: str) -> None:
        call, self._call = self._call, None
        assert call is not None
        call.ended, call.failure, self._got = time.monotonic(), failure, b""
        self._callers.ended()
        if not self._transport.is_closing():
            self._callers.free(self)


async def _outcome(directory: Path, rate: float, replacements: int, seconds: float) -> Outcome:
    loop = asyncio.get_running_loop()
    calls = [Call(number, 0.0) for number in range(int(rate * seconds))]
    open_: tuple[set[Provider], set[Provider]] = (set(), set())
    servers = [
        await loop.create_server(lambda at=at: Provider(at, calls, open_[at]), "127.0.0.1", 0)  # type: ignore[misc]
        for at in range(2)
    ]
    urls = tuple(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for server in servers)
    pipe, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=gateway, args=(directory, urls, replacements, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        port, key = await loop.run_in_executor(None, pipe.recv)
        callers = Callers(key, calls)
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Caller(callers), "127.0.0.1", port)
        begin = time.monotonic() + 0.5
        pipe.send((begin, seconds))
        await callers.offer(begin, rate)
        await callers.done
        outcome = Outcome(max(call.sent for call in calls) - begin, calls)
        pipe.send("all calls have ended")
        outcome.ending = await loop.run_in_executor(None, pipe.recv)
        gone = [at for at in range(2) if at not in providers_of(replacements)]
        give_up = time.monotonic() + SETTLE_SECONDS
        while any(open_[at] for at in gone) and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        outcome.connections_left = sum(len(open_[at]) for at in gone)
        pipe.send("looked")
        await loop.run_in_executor(None, process.join, SETTLE_SECONDS)
        return outcome
    finally:
        process.kill()
        for server in servers:
            server.close()


def run(rate: float, replacements: int, seconds: float) -> Outcome:
    """Offers `rate` calls per second for so long. Raises EOFError when the gateway does not start."""
    with tempfile.TemporaryDirectory() as directory:
        return uvloop.run(_outcome(Path(directory), rate, replacements, seconds))


def main() -> int:
    """Status 1 when a call failed or was charged by another version, or a pool leaked."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000, help="calls per second (default 1000)")
    parser.add_argument("--replacements", type=int, default=100, help="of the configuration (default 100)")
    parser.add_argument("--seconds", type=float, default=30, help="how long (default 30)")
    given = parser.parse_args()
    outcome = run(given.rate, given.replacements, given.seconds)
    ending, wrong = outcome.ending, outcome.wrong()
    assert ending is not None
    waited = sorted((call.ended - call.due) * 1000 for call in outcome.calls if call.number % LATE_EVERY)
    took = sorted((version.ended - version.began) * 1000 for version in ending.versions[1:])
    print(f"data plane               {'compiled' if ending.compiled else 'from its sources'}")
    print(f"calls                    {len(outcome.calls)}, {sum(bool(call.failure) for call in outcome.calls)} failed")
    print(f"rate reached             {len(outcome.calls) / outcome.seconds:.0f} calls/s of {given.rate:.0f}")
    print(f"replacements             {len(took)}, median {took[len(took) // 2]:.1f} ms, longest {took[-1]:.1f} ms")
    print(f"begun before, ended after a replacement: {outcome.late_enough()} calls")
    print(f"from due to answered     median {waited[len(waited) // 2]:.1f} ms, 99 %: {waited[len(waited) * 99 // 100]:.1f} ms, "
          f"longest {waited[-1]:.1f} ms")  # fmt: skip
    print(f"pools                    {ending.pools_seen} seen, {ending.pools_leaked} leaked")
    print(f"wrong                    {len(wrong)}")
    for sentence in itertools.islice(wrong, 10):
        print(f"  {sentence[:300]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
