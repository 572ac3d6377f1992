"""Fifty honest callers: what they ask for, what they must get for it, and how long it took."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, NamedTuple

import uvloop
from tests.attacks.load.client import Answer, BrokenAnswer, Connection, chat, get
from tests.attacks.load.scene import INPUT_PRICE, OUTPUT_PRICE, PROMPT_TOKENS
from tests.attacks.load.upstreams import honest_reply

from fairlead.testing.rendering import argument_pieces, words

THINKING_SECONDS: Final = (0.2, 0.6)
HEALTH_SECONDS: Final = 0.25
PNG: Final = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60_000)).decode()
SCHEMA: Final = {
    "type": "object",
    "properties": {"mark": {"type": "string"}},
    "required": ["mark"],
    "additionalProperties": False,
}
TOOLS: Final = [{"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}]
FORM: Final = {"type": "json_schema", "json_schema": {"name": "mark", "schema": SCHEMA, "strict": True}}


class Done(NamedTuple):
    """One call. `began`, `first_at` (of the first word) and `ended` on time.monotonic(). `cost` in picodollars, as the
    answer said it. `problem` is a sentence, or empty."""

    kind: str
    began: float
    first_at: float
    ended: float
    generation: str
    cost: int
    problem: str


class Kind(NamedTuple):
    """`controls`: how many of the same ask through the control."""

    name: str
    callers: int
    body: Callable[[str], dict[str, Any]]
    controls: int = 0


def _said(mark: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"Please answer with {mark}"}]


def _seen(mark: str) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": f"What is this? {mark}"}, {"type": "image_url", "image_url": {"url": PNG}}]
    return [{"role": "user", "content": parts}]


STREAM: Final[dict[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 200}
DASHBOARD: Final = "dashboard"
KINDS: Final = (
    Kind("whole", 12, lambda mark: {"model": "plain", "messages": _said(mark), "max_tokens": 200}, 3),
    Kind("stream", 16, lambda mark: {"model": "plain", "messages": _said(mark), **STREAM}, 4),
    Kind("image", 4, lambda mark: {"model": "plain", "messages": _seen(mark), **STREAM}, 1),
    Kind("tools", 6, lambda mark: {"model": "plain", "messages": _said(mark), "tools": TOOLS, **STREAM}, 1),
    Kind("schema", 4, lambda mark: {"model": "plain", "messages": _said(mark), "response_format": FORM, "max_tokens": 200}, 1),
    Kind("emulated", 3, lambda mark: {"model": "formless", "messages": _said(mark), "response_format": FORM, "max_tokens": 200}),
    Kind("rescued", 3, lambda mark: {"model": "rescued", "messages": _said(mark), **STREAM}),
    Kind(DASHBOARD, 2, lambda mark: {}),
)  # fmt: skip
# Of these the latency is held to its bar; the others wait for a broken provider first, or ask the database.
MEASURED: Final = ("whole", "stream", "image", "tools", "schema", "emulated")
CALLERS: Final = sum(kind.callers for kind in KINDS)


def main(port: int, control: int, keys: tuple[str, ...], seed: int, pipe: Pipe) -> None:
    """The process of the honest callers: says that it is there, is told when to begin and to end, and sends what was
    done, what /healthz answered, what was done through the control, and its own CPU seconds. `control`: its port, or
    0."""
    pipe.send("there")
    begin, until = pipe.recv()
    time.sleep(max(0.0, begin - time.monotonic()))
    done, health, controls = uvloop.run(_all(port, control, keys, until, seed))
    pipe.send((done, health, controls, time.process_time()))
    pipe.close()


async def _all(
    port: int, control: int, keys: tuple[str, ...], until: float, seed: int
) -> tuple[list[Done], list[Done], list[Done]]:
    done: list[Done] = []
    health: list[Done] = []
    controls: list[Done] = []
    async with asyncio.TaskGroup() as group:
        number = itertools.count()
        for kind in KINDS:
            for _ in range(kind.callers):
                at = next(number)
                caller = Caller(port, keys[at % len(keys)], until, random.Random(seed + at), done)
                group.create_task(caller.run(kind, at))
        for kind in KINDS if control else ():
            for _ in range(kind.controls):
                at = next(number)
                caller = Caller(control, keys[0], until, random.Random(seed + at), controls)
                group.create_task(caller.run(kind, at))
        group.create_task(_watch_health(port, until, health))
    return done, health, controls


class Caller:
    """One honest caller: asks, reads the whole answer, thinks, and asks again on the same connection."""

    def __init__(self, port: int, key: str, until: float, chance: random.Random, done: list[Done]) -> None:
        self._port = port
        self._key = key
        self._until = until
        self._random = chance
        self._done = done
        self._connection: Connection | None = None
        self._generation = ""

    async def run(self, kind: Kind, at: int) -> None:
        await asyncio.sleep(self._random.random() * THINKING_SECONDS[1])
        for number in itertools.count():
            if time.monotonic() >= self._until:
                break
            mark = f"m{at}x{number}"
            if kind.name == DASHBOARD:
                self._done.append(await self._look(number))
            else:
                self._done.append(await self._call(kind, mark))
            await asyncio.sleep(self._random.uniform(*THINKING_SECONDS))
        if self._connection is not None:
            self._connection.close()

    async def _call(self, kind: Kind, mark: str) -> Done:
        body = kind.body(mark)
        data = chat(self._key, body)
        began = time.monotonic()
        answer, problem = await self._ask(data)
        if answer is None:
            return Done(kind.name, began, 0, time.monotonic(), "", 0, problem)
        cost, problem = _judged(answer, body)
        self._generation = answer.generation
        return Done(kind.name, began, answer.first_at, answer.ended_at, answer.generation, cost, problem)

    async def _look(self, number: int) -> Done:
        paths = ["/v1/key", "/v1/credits", "/v1/models", "/readyz"]
        path = paths[number % len(paths)]
        began = time.monotonic()
        answer, problem = await self._ask(get(path, self._key))
        if answer is not None and answer.status != 200:
            problem = f"{path}: {answer.status} {answer.body[:200]!r}"
        return Done(DASHBOARD, began, 0, time.monotonic(), "", 0, problem)

    async def _ask(self, data: bytes) -> tuple[Answer | None, str]:
        try:
            if self._connection is None:
                self._connection = await Connection.open(self._port)
            answer = await self._connection.call(data)
        except (OSError, BrokenAnswer, TimeoutError) as error:
            if self._connection is not None:
                self._connection.reset()
            self._connection = None
            return None, f"{type(error).__name__}: {error}"
        if answer.headers.get("connection", "").lower() == "close":
            self._connection.close()
            self._connection = None
        return answer, ""


def expected_cost(body: dict[str, Any]) -> int:
    """Picodollars that the honest provider's answer to this request costs."""
    reply = honest_reply(body)
    pieces = (
        sum(len(argument_pieces(call)) for call in reply.tool_calls) if reply.tool_calls else len(words(reply.text))
    )
    if reply.tool_calls:
        pieces += len(words(reply.text))
    return PROMPT_TOKENS * INPUT_PRICE + pieces * OUTPUT_PRICE


def _judged(answer: Answer, body: dict[str, Any]) -> tuple[int, str]:
    """What the answer says that it cost, and what is wrong with it."""
    if answer.status != 200:
        return 0, f"{answer.status} {answer.body[:300]!r}"
    try:
        documents, text = answer.documents(), answer.text()
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return 0, f"unreadable: {error}: {answer.body[:300]!r}"
    reply = honest_reply(body)
    wanted = reply.tool_calls[0].arguments if reply.tool_calls else reply.text
    if text != wanted:
        return 0, f"another answer: {answer.body[-400:]!r}"
    if answer.streamed and not answer.body.rstrip().endswith(b"data: [DONE]"):
        return 0, f"cut: {answer.body[-400:]!r}"
    usage = next((one["usage"] for one in reversed(documents) if one.get("usage")), {})
    cost = picodollars(str(usage.get("cost_usd", "-1")))
    if cost != expected_cost(body):
        return cost, f"costs {usage.get('cost_usd')}, not {expected_cost(body)} picodollars: {json.dumps(usage)}"
    return cost, "" if answer.generation else "no generation id"


def picodollars(usd: str) -> int:
    whole, _, fraction = usd.partition(".")
    return int(whole + fraction.ljust(12, "0")[:12])


async def _watch_health(port: int, until: float, health: list[Done]) -> None:
    """Asks /healthz on a new connection each time, as a load balancer does."""
    while (began := time.monotonic()) < until:
        problem = ""
        try:
            connection = await asyncio.wait_for(Connection.open(port), 20)
            answer = await connection.call(get("/healthz"), seconds=20)
            connection.close()
            problem = "" if answer.status == 200 else f"{answer.status}"
        except (OSError, BrokenAnswer, TimeoutError) as error:
            problem = f"{type(error).__name__}: {error}"
        health.append(Done("healthz", began, 0, time.monotonic(), "", 0, problem))
        await asyncio.sleep(HEALTH_SECONDS)
