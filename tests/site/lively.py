"""A site full of life without a server: a catalogue with deployments, what it would have measured in 90 days, always
the same, and a socket for a browser."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from starlette.applications import Starlette
from tests.site.asking import ask, pages_of

from fairlead.catalogue.load import build
from fairlead.catalogue.snapshot import Snapshot
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import DeploymentSettings, ModelSettings, PriceSettings, ProviderSettings, Settings
from fairlead.site.records import Event, Priced, Used
from fairlead.telemetry.figures import (
    Band,
    DayBar,
    Figures,
    Measure,
    ModelDay,
    Performance,
    Point,
    Rate,
    Served,
)

NOW = datetime(2026, 11, 24, 12, 34, tzinfo=UTC)
STEPS = {"1h": (30, 120), "24h": (24, 3600), "7d": (28, 21_600), "30d": (30, 86_400)}
MODEL = "mistral-small-3.2"
PATH = f"/models/mistralai/{MODEL}"


@dataclass(frozen=True, slots=True)
class Offer:
    """`first`: milliseconds to the first token, `speed`: tokens a second, both medians."""

    provider: str
    input: str
    output: str
    first: float
    speed: float
    context: int | None = None
    quantization: str | None = None
    keeps_data: bool | None = None
    region: str | None = None


OFFERS: Mapping[str, tuple[Offer, ...]] = {
    MODEL: (
        Offer("harbour", "0.10", "0.30", 180, 142, None, "bf16", False, "eu"),
        Offer("northlight", "0.08", "0.28", 420, 88, 65_536, "fp8", True, "us"),
        Offer("quayside", "0.06", "0.20", 690, 61, 32_768, "int4", None, None),
        Offer("own-gpu", "0", "0", 95, 204, None, "fp8", False, "eu"),
        Offer("meridian", "0.15", "0.45", 240, 165, None, "bf16", False, "us"),
    ),
    "gpt-oss-120b": (Offer("harbour", "0.15", "0.60", 210, 190, None, "fp4", False), Offer("quayside", "0.10", "0.40", 530, 96)),
    "gpt-oss-20b": (Offer("own-gpu", "0.03", "0.12", 90, 260, None, "fp4", False),),
    "claude-opus-4-5": (Offer("meridian", "5", "25", 1200, 62),),
    "gemini-2.5-flash": (Offer("northlight", "0.30", "2.50", 380, 180, None, None, True),),
    "deepseek-v3.2": (Offer("quayside", "0.27", "0.40", 900, 55, None, "fp8"), Offer("harbour", "0.30", "0.45", 610, 71, None, "fp8", False)),
    "qwen3-235b-a22b-2507": (Offer("quayside", "0.20", "0.60", 640, 70),),
}  # fmt: skip


def settings(offers: Mapping[str, tuple[Offer, ...]] = OFFERS) -> Settings:
    names = dict.fromkeys(one.provider for row in offers.values() for one in row)
    return Settings(
        providers=tuple(ProviderSettings(name, base_url=f"https://{name}.example/v1", dialect="vllm") for name in names),
        models=tuple(
            ModelSettings(
                model,
                deployments=tuple(
                    DeploymentSettings(
                        one.provider, model, PriceSettings(one.input, one.output), context_length=one.context,
                        quantization=one.quantization, keeps_data=one.keeps_data, region=one.region,
                    )
                    for one in row
                ),
            )
            for model, row in offers.items()
        ),
    )  # fmt: skip


def snapshot() -> Snapshot:
    known = build(Settings(), DIALECTS, supports_prefill).models
    return build(settings({name: row for name, row in OFFERS.items() if name in known}), DIALECTS, supports_prefill)


def measure(unit: str, median: float, samples: int, spread: float = 1.9) -> Measure:
    return Measure(unit, samples, round(median, 1), round(median * spread, 1), round(median / spread, 1), median)


class LivelyRecords:
    """What a server with OFFERS would have recorded; the last deployment of MODEL failed for an hour."""

    def __init__(self, of: Snapshot) -> None:
        self._offers = {
            model.id: {f"{one.provider}/{model.id}": one for one in OFFERS.get(model.id, ())}
            for model in of.models.values()
            if model.deployments
        }

    async def shares(self) -> Mapping[str, Rate]:
        return {name: Rate(0.998, 900) for name in self._offers}

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:
        found = []
        for place, name in enumerate(self._offers):
            chance = random.Random(name)
            for back in range(min(days, 90)):
                week = 1 + 0.35 * math.sin(back / 7 * 2 * math.pi)
                many = int(4_000_000 / (place + 1) * week * chance.uniform(0.8, 1.2) * (1 - back / 130))
                found.append(ModelDay(name, _day(back), many // 900, many * 3 // 4, many // 4))
        return tuple(found)

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:
        chance = random.Random(model + deployment)
        found = []
        for back in reversed(range(90)):
            up = 0.93 if chance.random() < 0.03 else 0.8 if chance.random() < 0.008 else 1.0
            known = back < 70
            rate = Rate(up if known else None, 1200 if known else 0)
            found.append(DayBar(_day(back), 4000 if known else 0, rate, rate))
        return tuple(found)

    async def performance(self, model: str, window: str) -> Performance | None:
        offers = self._offers.get(model)
        if offers is None:
            return None
        number, step = STEPS[window]
        end = int(NOW.timestamp()) // step * step + step
        served = [_served(name, one, number, step, end) for name, one in offers.items()]
        middle = next(iter(offers.values()))
        total = _served("", middle, number, step, end)
        return Performance(model, window, end - number * step, end, step, end, total, tuple(served))

    async def prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:
        first = int((NOW - timedelta(days=40)).timestamp())
        of_names = {name: one for row in self._offers.values() for name, one in row.items()}
        found = []
        for name in deployments:
            now = [int(Decimal(text) * 1_000_000) for text in (of_names[name].input, of_names[name].output)]
            if name.startswith("harbour"):
                found.append(Priced(name, first, now[0] * 3 // 2, now[1] * 3 // 2))
            found.append(Priced(name, first + (26 * 86_400 if name.startswith("harbour") else 0), *now))
        return tuple(sorted(found, key=lambda one: one.at))

    async def used(self, model: str, days: int) -> tuple[Used, ...]:
        offers = self._offers.get(model, {})
        return tuple(
            Used(
                _day(back),
                name,
                40 + back % 7,
                900_000 + 20_000 * (back % 7),
                600_000 if "harbour" in name else 0,
                90_000,
            )
            for back in reversed(range(days))
            for name in offers
        )

    async def events(self, since_ms: int) -> tuple[Event, ...]:
        at = int((NOW - timedelta(days=2, hours=3)).timestamp() * 1000)
        found = (
            Event(f"meridian/{MODEL}", "meridian", "closed", "", at + 47 * 60_000),
            Event(f"meridian/{MODEL}", "meridian", "open", "upstream_failed", at),
            Event("", "quayside", "closed", "", at - 86_400_000 + 9 * 60_000),
            Event("", "quayside", "open", "upstream_timeout", at - 86_400_000),
        )
        return tuple(one for one in found if one.at >= since_ms)


def _day(back: int) -> str:
    return (NOW - timedelta(days=back)).date().isoformat()


def _served(name: str, one: Offer, number: int, step: int, end: int) -> Served:
    chance = random.Random(name or one.provider)
    points = []
    for at in range(number):
        day = 1 + 0.25 * math.sin((at / number) * 4 * math.pi + len(name))
        first, speed = one.first * day * chance.uniform(0.85, 1.2), one.speed / day * chance.uniform(0.92, 1.08)
        gap = name.startswith("meridian") and 0.4 < at / number < 0.5
        calls = 0 if gap else chance.randint(20, 60)
        points.append(
            Point(
                end - (number - at) * step, calls, calls, 0,
                _band(first, calls, 2.1), _band(speed, calls, 1.4), _band(first + 250_000 / speed, calls, 1.7),
            )
        )  # fmt: skip
    calls = sum(point.calls for point in points)
    faults = calls // 400
    traffic = Figures(
        calls, calls - faults, faults, 3, 2, 0, Rate(round(1 - faults / calls, 6), calls), Rate(0.9991, 1400),
        measure("ms", one.first, calls), measure("tokens/s", one.speed, calls),
        measure("ms", one.first + 250_000 / one.speed, calls), calls * 900, calls * 250, {"served": calls},
    )  # fmt: skip
    return Served(name, traffic, traffic, tuple(points))


def _band(median: float, samples: int, spread: float) -> Band:
    if samples < 5:
        return Band(samples)
    return Band(samples, round(median, 1), round(median * spread, 1), round(median / spread, 1))


def lively(records: type[LivelyRecords] = LivelyRecords, **more: Any) -> Starlette:
    """The site with all of that."""
    found = snapshot()
    return pages_of(found, at=NOW, given={"records": records(found)}, **more)


@contextmanager
def at_an_address(app: Starlette) -> Iterator[str]:
    """The app behind a port of this machine, for a browser."""
    loop = asyncio.new_event_loop()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            lines = {name.lower(): value for name, value in self.headers.items()}
            answer = asyncio.run_coroutine_threadsafe(ask(app, self.path, headers=lines), loop).result(60)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing: a test is quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threads = [Thread(target=loop.run_forever), Thread(target=server.serve_forever)]
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        loop.call_soon_threadsafe(loop.stop)
        for thread in threads:
            thread.join()
        loop.close()
