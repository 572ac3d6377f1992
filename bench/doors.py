"""What each API of callers costs, to providers of its own dialect and of the others: CPU per request and per chunk."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateways import CHAT, Gateway, Route
from measure import EVENTS_PER_STREAM, Bench, BenchError, Load, Running
from report import Samples, Spread, figure, spread

CONNECTIONS = 16
LEAST_BYTES = 700  # of an answer in any dialect
# Of what passes unchanged: as much as chat completions to a provider of chat completions, as far as a median shows it.
SAME_RATIO = 1.1
# Of what is translated, more than that.
MORE_PER_REQUEST_US = 15.0
MORE_PER_CHUNK_US = 3.0
TEXT = 'The quick brown fox jumps over the lazy dog, and says "hello" to caf\u00e9 number 42.\n' * 9
SYSTEM = 'You are a careful assistant. Answer in plain words.\nUse "quotes" and say what you do not know. '


class Door(NamedTuple):
    """`path` and `body` of a call to a model, streamed or not. `vendor`: the route to its own
    kind of provider."""

    path: Callable[[str, bool], str]
    body: Callable[[str, bool], dict[str, Any]]
    vendor: str


def _chat(model: str, stream: bool) -> dict[str, Any]:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXT}]
    # The usage comes with every stream of the others.
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "messages": messages, "max_tokens": 256, **more}


def _messages(model: str, stream: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": TEXT}]
    return {"model": model, "max_tokens": 256, "system": SYSTEM, "messages": messages, "stream": stream}


def _responses(model: str, stream: bool) -> dict[str, Any]:
    given = [{"role": "user", "content": TEXT}]
    return {
        "model": model,
        "max_output_tokens": 256,
        "instructions": SYSTEM,
        "input": given,
        "store": False,
        "stream": stream,
    }


def _gemini(_model: str, _stream: bool) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": TEXT}]}]
    return {
        "systemInstruction": {"parts": [{"text": SYSTEM}]},
        "contents": contents,
        "generationConfig": {"maxOutputTokens": 256},
    }


def _gemini_path(model: str, stream: bool) -> str:
    return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")


DOORS: Mapping[str, Door] = {
    "chat": Door(lambda _model, _stream: CHAT, _chat, "burst"),
    "messages": Door(lambda _model, _stream: "/v1/messages", _messages, "messages"),
    "responses": Door(lambda _model, _stream: "/v1/responses", _responses, "responses"),
    "gemini": Door(_gemini_path, _gemini, "gemini"),
}
SHOWN = {"burst": "chat"}
BASE = "chat to chat"


def measure_doors(bench: Bench, gateway: Gateway, rounds: int, samples: Samples) -> None:
    """Each door to each provider, whole and streamed, by turns with chat completions to a provider of chat
    completions."""
    with bench.running(gateway) as run:
        pairs = [(door, vendor) for vendor in gateway.routes for door in DOORS if name_of(door, vendor) != BASE]
        for number in range(rounds):
            print(f"doors, round {number + 1} of {rounds}", file=sys.stderr)
            bases: list[dict[str, float]] = []
            for door, vendor in pairs if number % 2 == 0 else reversed(pairs):
                loads = {
                    f"{prefix}{'stream' if stream else 'request'}": _load(run, *of, stream)
                    for prefix, of in (("", (door, vendor)), ("base_", ("chat", "burst")))
                    for stream in (False, True)
                }
                try:
                    used = bench.calmest(lambda: bench.by_turns(run, loads, CONNECTIONS, bench.secs))  # noqa: B023
                except BenchError as error:
                    bench.problems.append(f"doors, round {number + 1}: {error}")
                    continue
                base = _costs(used, "base_")
                samples.add(name_of(door, vendor), number, _costs(used) | {f"base_{k}": v for k, v in base.items()})
                bases.append(base)
            if bases:
                samples.add(BASE, number, {key: statistics.median([one[key] for one in bases]) for key in bases[0]})


def _load(run: Running, door: str, vendor: str, stream: bool) -> Load:
    model, door_of = run.gateway.routes[vendor], DOORS[door]
    route = Route(model.port, door_of.path(model.model, stream), model.model, model.headers)
    body = json.dumps(door_of.body(model.model, stream), ensure_ascii=False, separators=(",", ":")).encode()
    return Load(f"{name_of(door, vendor)}, {'streamed' if stream else 'whole'}", route, body, LEAST_BYTES)


def _costs(used: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    request, stream = used[f"{prefix}request"], used[f"{prefix}stream"]
    return {"cpu_request_us": request, "cpu_chunk_us": (stream - request) / EVENTS_PER_STREAM}


def name_of(door: str, vendor: str) -> str:
    return f"{door} to {SHOWN.get(vendor, vendor)}"


class Verdict(NamedTuple):
    label: str
    seen: Spread | None
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.seen is not None and self.seen.median <= self.limit

    def __str__(self) -> str:
        seen = f"{self.seen} {self.unit}" if self.seen else "not measured"
        return f"{'PASS' if self.kept else 'FAIL'}  {self.label}: {seen}, bar {figure(self.limit)}"


def door_verdicts(samples: Samples, vendors: Mapping[str, Route]) -> list[Verdict]:
    """Each cell against chat completions to a provider of chat completions, as measured by turns with it. What is more
    is told in us of the machine at its fastest: one that its host slows down is slow with both."""
    names = [name_of(door, vendor) for door in DOORS for vendor in vendors if name_of(door, vendor) != BASE]
    found = []
    for door, (_, _, own) in DOORS.items():
        for vendor in vendors:
            name = name_of(door, vendor)
            if name == BASE:
                continue
            for key, what, more in (
                ("cpu_request_us", "request", MORE_PER_REQUEST_US),
                ("cpu_chunk_us", "chunk", MORE_PER_CHUNK_US),
            ):
                values, bases = samples.of(name, key), samples.of(name, f"base_{key}")
                both = [(v, b) for v, b in zip(values, bases, strict=True) if v is not None and b]
                if vendor == own:
                    seen = spread([value / base for value, base in both])
                    found.append(Verdict(f"CPU per {what}, {name}", seen, SAME_RATIO, f"x {BASE}"))
                else:
                    fastest = min((b for one in names for b in samples.of(one, f"base_{key}") if b), default=0.0)
                    seen = spread([(value - base) * fastest / base for value, base in both])
                    found.append(Verdict(f"CPU per {what} more, {name}", seen, more, "µs"))
    return found


def door_table(samples: Samples, vendors: Mapping[str, Route]) -> str:
    """In Markdown: a row for each door, a column for each provider; µs per request, then per chunk."""
    shown = [SHOWN.get(vendor, vendor) for vendor in vendors]
    rows = [
        f"| door | {' | '.join(f'to {name}' for name in shown)} |",
        f"| --- | {' | '.join('---:' for _ in shown)} |",
    ]
    for door in DOORS:
        cells = []
        for vendor in vendors:
            both = [spread(samples.of(name_of(door, vendor), key)) for key in ("cpu_request_us", "cpu_chunk_us")]
            cells.append("; ".join(str(one) if one else "-" for one in both))
        rows.append(f"| {door} | {' | '.join(cells)} |")
    return "CPU µs per request; per chunk of a stream that arrives at once\n\n" + "\n".join(rows)
