"""Calls that might have been made: when, by whom, of which model, served by whom, and how fast. Pure: one source of
chance, and no clock but the times that are given."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final, NamedTuple

from fairlead.demo.incidents import Span
from fairlead.demo.organisations import DemoKey
from fairlead.demo.providers import BY_PROVIDER, MODELS, DemoModel, deployment_id

DAY: Final = 86_400
# Calls per hour (UTC) of each kind of use, the busiest as 1.
HOURS: Final[Mapping[str, tuple[float, ...]]] = {
    "office": (.12, .1, .1, .1, .12, .18, .38, .7, .95, 1, .95, .8, .85, .98, 1, .92, .75, .5, .34, .26, .22, .18, .15,
               .13),
    "day": (.3, .26, .24, .24, .25, .3, .4, .54, .66, .74, .78, .8, .82, .8, .78, .8, .86, .94, 1, .98, .9, .72, .52,
            .38),
    "night": (.9, 1, 1, .9, .6, .3, .12, .08, .08, .08, .08, .1, .1, .08, .08, .08, .08, .1, .12, .15, .2, .3, .5,
              .7),
}  # fmt: skip
WEEKEND: Final = {"office": 0.28, "day": 0.85, "night": 0.8}
# How long attempts fail before a breaker opens, and how rarely it tries again.
OPENS_SECONDS: Final = 45.0
AGAIN: Final = 0.03
# The share of streams that nobody can continue once they are cut.
FINAL: Final = 0.5
FAULTS: Final = ("upstream_failed", "upstream_timeout", "upstream_cut", "upstream_rate_limited", "upstream_invalid")
REFUSED: Final = ("invalid_request", "rate_limit_exceeded", "context_length_exceeded", "unsupported_content")
CONTEXT: Final = 120_000


class Attempt(NamedTuple):
    """`outcome`: "served" or the code of an error; `seconds`: how long it took."""

    deployment: str
    outcome: str
    seconds: float


@dataclass(slots=True)
class Call:
    """Times in seconds. `attempts`: in their order, empty when the call was refused; `order`: deployments in the order
    in which they were to be tried; `first`: until the first token of the answer, since the attempt began."""

    key: int
    model: str
    start: float
    stream: bool
    outcome: str
    attempts: list[Attempt] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    prompt: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    first: float = 0.0
    user: str = ""
    session: str = ""

    @property
    def end(self) -> float:
        return self.start + sum(one.seconds for one in self.attempts)


@dataclass(slots=True)
class _Session:
    name: str
    turns: int = 0


class Traffic:
    """Makes the calls of one day after the other, in order."""

    def __init__(self, seed: int, keys: Sequence[DemoKey], spans: Iterable[Span]) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a demonstration
        self._keys = keys
        self._spans = tuple(spans)
        self._sessions: dict[int, _Session] = {}
        self._numbers = 0

    def day(self, number: int, start: float, count: int, deployments: Mapping[str, Sequence[str]]) -> list[Call]:
        """So many calls between `start` and a day later, in the order of their ends. `number`: of the day, from 0;
        `deployments`: of each model, by its id, as they are configured on that day."""
        chance = self._chance
        slots, weights = self._slots(number, start)
        if not slots:
            return []
        picked = chance.choices(slots, cum_weights=list(accumulate(weights)), k=count)
        begun = sorted((hour + chance.random() * 3600, key) for hour, key in picked)
        models = {key: self._models(key, number, deployments) for key in {key for _, key in begun}}
        paces = {name: chance.lognormvariate(0, 0.07) for names in deployments.values() for name in names}
        calls = [self._call(at, key, models[key], deployments, paces) for at, key in begun]
        return sorted(calls, key=lambda call: call.end)

    def _slots(self, number: int, start: float) -> tuple[list[tuple[float, int]], list[float]]:
        slots, weights = [], []
        for hour in range(24):
            at = start + hour * 3600
            when = datetime.fromtimestamp(at, UTC)
            for index, key in enumerate(self._keys):
                if key.since > number or (key.revoked and key.revoked <= number):
                    continue
                hours = key.use.hours
                weekend = WEEKEND[hours] if when.weekday() >= 5 else 1.0
                slots.append((at, index))
                weights.append(key.share * HOURS[hours][when.hour] * weekend)
        return slots, weights

    def _models(
        self, index: int, number: int, deployments: Mapping[str, Sequence[str]]
    ) -> tuple[list[DemoModel], list[float]]:
        key = self._keys[index]
        shares = dict(key.use.models)
        found, weights = [], []
        for model in MODELS:
            share = shares.get(model.id, 0.0) if shares else model.share
            if key.models and model.id not in key.models:
                share = 0.0
            if not share or not deployments.get(model.id):
                continue
            # New models are taken up within some days.
            taken_up = min(1.0, (number - model.since + 1) / 7) if model.since else 1.0
            found.append(model)
            weights.append(share * taken_up)
        return found, list(accumulate(weights))

    def _call(
        self, at: float, index: int, models: tuple[list[DemoModel], list[float]],
        deployments: Mapping[str, Sequence[str]], paces: Mapping[str, float],
    ) -> Call:  # fmt: skip
        chance = self._chance
        key = self._keys[index]
        use = key.use
        (model,) = chance.choices(models[0], cum_weights=models[1])
        call = Call(index, model.id, at, chance.random() < use.stream, "served")
        if key.users:
            call.user = f"user-{1 + int(key.users * chance.random() ** 2.2)}"
        if chance.random() < 0.006:
            call.outcome = chance.choices(REFUSED, (5, 3, 2, 1))[0]
            return call
        self._tokens(call, key, model)
        call.order = self._ordered(deployments[model.id])
        for deployment in call.order[:3]:
            outcome = self._fault(deployment, at)
            if outcome is None:
                continue  # its breaker is open
            provider = BY_PROVIDER[deployment.partition("/")[0]]
            busy = 1 + 0.3 * HOURS["office"][int(at) % DAY // 3600]
            first = model.first_ms / 1000 * provider.delay * busy * paces[deployment] * chance.lognormvariate(0, 0.32)
            first *= 1 + (call.prompt - call.cached) / 30_000
            if outcome != "served":
                seconds = 10.0 if outcome == "upstream_timeout" else first * chance.uniform(0.2, 1.5)
                call.attempts.append(Attempt(deployment, outcome, seconds))
                at += seconds
                if outcome == "upstream_cut" and call.stream and chance.random() < FINAL:
                    call.output = max(1, int(call.output * chance.random()))
                    call.reasoning = min(call.reasoning, call.output)
                    call.outcome = outcome
                    return call
                continue
            speed = model.speed * provider.pace / busy / paces[deployment] * chance.lognormvariate(0, 0.16)
            if chance.random() < 0.008:
                call.outcome = "caller_gone"
                call.output = max(1, int(call.output * chance.random()))
                call.reasoning = min(call.reasoning, call.output)
            call.first = first
            call.attempts.append(Attempt(deployment, call.outcome, first + call.output / speed))
            return call
        call.outcome = call.attempts[-1].outcome if call.attempts else "candidates_resting"
        call.output = call.reasoning = 0
        return call

    def _tokens(self, call: Call, key: DemoKey, model: DemoModel) -> None:
        chance, use = self._chance, key.use
        call.prompt = int(use.prompt * chance.lognormvariate(0, 0.55)) + 8
        cached = use.cached
        if use.sessions:
            session = self._sessions.get(call.key)
            if session is None or chance.random() < 1 / use.sessions:
                self._numbers += 1
                session = self._sessions[call.key] = _Session(f"{chance.getrandbits(48):012x}-{self._numbers}")
            call.session = session.name
            call.prompt = int(use.prompt * (0.5 + 0.05 * session.turns) * chance.lognormvariate(0, 0.2)) + 8
            cached = 0.0 if not session.turns else min(0.97, use.cached * chance.uniform(0.9, 1.15))
            session.turns += 1
        call.prompt = min(call.prompt, CONTEXT)
        if model.cached is not None:
            call.cached = int(call.prompt * cached) // 64 * 64
        call.output = max(1, min(8_000, int(use.answer * chance.lognormvariate(0, 0.7))))
        if model.reasoning:
            call.reasoning = int(call.output * model.reasoning * chance.uniform(0.5, 1.5))
            call.output += call.reasoning

    def _ordered(self, deployments: Sequence[str]) -> list[str]:
        left = list(deployments)
        found = []
        while left:
            weights = [self._weight(name) for name in left]
            (name,) = self._chance.choices(left, weights)
            left.remove(name)
            found.append(name)
        return found

    @staticmethod
    def _weight(deployment: str) -> float:
        provider = BY_PROVIDER[deployment.partition("/")[0]]
        return float((provider.pace / provider.delay) ** 0.4 / float(provider.ratio) ** 1.4)

    def _fault(self, deployment: str, at: float) -> str | None:
        """What an attempt comes to: "served" or the code of an error; None: it is not tried."""
        for span in self._spans:
            if not span.start <= at < span.end or span.subject not in (deployment, deployment.partition("/")[0]):
                continue
            if span.part < 1:
                return span.outcome if self._chance.random() < span.part else "served"
            is_open = at >= span.start + OPENS_SECONDS
            return None if is_open and self._chance.random() > AGAIN else span.outcome
        faults = BY_PROVIDER[deployment.partition("/")[0]].faults
        if self._chance.random() < faults:
            return self._chance.choices(FAULTS, (5, 3, 2, 3, 1))[0]
        return "served"


def deployments_of(configured: Iterable[str]) -> dict[str, list[str]]:
    """The deployments among these ids, by model."""
    there = set(configured)
    return {
        model.id: [name for provider in model.providers if (name := deployment_id(model, provider)) in there]
        for model in MODELS
    }


def spread(total: int, days: int) -> list[int]:
    """How many of the calls are made on each day: more and more."""
    weights = [0.45 + 1.2 * day / max(1, days - 1) for day in range(days)]
    whole = sum(weights)
    return [round(total * weight / whole) for weight in weights]
