"""What every attacker has at hand, and how actors run: each forever, at its own pace, whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Final, NamedTuple, Protocol

import uvloop
from tests.attacks.load.client import Answer, BrokenAnswer, Connection
from tests.attacks.load.scene import SECRET, Accounts

# Attackers have machines of their own: here they yield to the gateway and to the honest.
NICENESS: Final = 10
ANSWER_SECONDS: Final = 20.0
SHOWN: Final = 300


class Delivery(NamedTuple):
    """Of a hostile call: what the caller got. `words` are of the answer's text."""

    actor: str
    model: str
    status: int
    generation: str
    words: int


@dataclass
class Seen:
    """What came of all attacks. `wrong`: sentences about answers that nobody should get."""

    acts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    cpu_seconds: float = 0.0


class Attack:
    """One actor's means."""

    def __init__(self, port: int, accounts: Accounts, seen: Seen, actor: str, chance: random.Random) -> None:
        self.port = port
        self.accounts = accounts
        self.seen = seen
        self.actor = actor
        self.random = chance
        self._open: list[Connection] = []

    def a_key(self) -> str:
        """A customer's key for a third of the strangers' tries, as one who has paid a dollar has one."""
        return self.accounts.rich if self.random.random() < 0.3 else "sk-fl-stranger_" + "x" * 43

    async def open(self) -> Connection:
        connection = await Connection.open(self.port)
        self._open.append(connection)
        return connection

    async def finish(self, connection: Connection, what: str = "") -> Answer:
        """Reads the answer on a connection whose request has been written."""
        return self.judge(await connection.call(b"", seconds=ANSWER_SECONDS), what)

    async def ask(self, data: bytes, stop: Callable[[Answer], bool] | None = None, what: str = "") -> Answer:
        connection = await self.open()
        answer = await connection.call(data, stop, seconds=ANSWER_SECONDS)
        if stop is not None:
            answer.body = answer.body or b"".join(answer.pieces)
        return self.judge(answer, what)

    def judge(self, answer: Answer, what: str = "") -> Answer:
        """Counts it, and notes what no answer may be: a fault of ours, no JSON, a provider's credential, an answer's text in an error."""
        self.seen.statuses[answer.status] += 1
        told = f"{self.actor} {what}: {answer.status} {answer.body[:SHOWN]!r}"
        if answer.status == 500 or b'"code":"internal_error"' in answer.body.replace(b" ", b""):
            self.note(f"a fault of ours: {told}")
        if SECRET.encode() in answer.body:
            self.note(f"a provider's credential: {told}")
        kind = answer.headers.get("content-type", "")
        if kind.startswith(("application/json", "text/event-stream")) and (answer.complete or answer.streamed):
            try:
                for document in answer.documents():
                    error = document.get("error") if isinstance(document, dict) else None
                    if error and "harbor" in str(error):
                        self.note(f"text that was not paid, in an error: {told}")
            except (ValueError, RecursionError) as error:
                self.note(f"no JSON ({error}): {told}")
        return answer

    def note(self, sentence: str) -> None:
        if len(self.seen.wrong) < 1000:
            self.seen.wrong.append(sentence)

    def close(self) -> None:
        for connection in self._open:
            connection.reset()
        self._open.clear()


class Runs(Protocol):
    @property
    def act(self) -> Callable[[Attack], Awaitable[None]]: ...
    @property
    def copies(self) -> int: ...
    @property
    def seconds(self) -> float: ...


async def run(actor: Runs, attack: Attack, begin: float, until: float, pace: float) -> None:
    """Acts again and again between two moments."""
    name = actor.act.__name__
    await asyncio.sleep(max(0.0, begin - time.monotonic()) + attack.random.random() * actor.seconds / pace)
    while (left := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                await actor.act(attack)
            attack.seen.acts[name] += 1
        except (OSError, BrokenAnswer, TimeoutError, RuntimeError) as error:  # uvloop: RuntimeError once it is closed
            attack.seen.failures[f"{name}: {type(error).__name__}"] += 1
        except Exception as error:
            attack.note(f"{name}: the driver itself failed: {error!r}")
        finally:
            attack.close()
        await asyncio.sleep(actor.seconds / pace * attack.random.uniform(0.5, 1.5))


def main(
    kind: str,
    chosen: frozenset[str],
    port: int,
    accounts: Accounts,
    pace: float,
    seed: int,
    pipe: Pipe,
) -> None:
    """The process of the strangers or of the customers, as far as they are chosen: says that it is there, is told when
    to begin and to end, and sends what it has seen."""
    from tests.attacks.load.customers import CUSTOMERS
    from tests.attacks.load.strangers import STRANGERS

    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    actors: tuple[Runs, ...] = {"strangers": STRANGERS, "customers": CUSTOMERS}[kind]
    seen = Seen()
    pipe.send("there")
    begin, until = pipe.recv()

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for at, actor in enumerate(actors):
                if actor.act.__name__ not in chosen:
                    continue
                for copy in range(actor.copies):
                    chance = random.Random(seed * 1_000_003 + at * 1009 + copy)
                    attack = Attack(port, accounts, seen, actor.act.__name__, chance)
                    group.create_task(run(actor, attack, begin, until, pace))

    uvloop.run(together())
    seen.cpu_seconds = time.process_time()
    pipe.send(seen)
    pipe.close()
