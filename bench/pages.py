"""What a page costs this process when it is not kept: CPU time from the request to the compressed answer.

Usage: .venv/bin/python bench/pages.py
One model has three deployments with a day of calls each, in SQLite; one has one, one none. Each page is asked for a
hundred times with nothing kept of it but what was read of the database, and the median told.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fairlead.catalogue.load import build
from fairlead.compose.pages import Recorded
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import DeploymentSettings, ModelSettings, PriceSettings, ProviderSettings, Settings
from fairlead.site.app import site
from fairlead.site.budget import PageBudget
from fairlead.site.sources import Sources
from fairlead.store import Store, open_store
from fairlead.telemetry.cells import HOUR, TRAFFIC, Cell, pack, write
from fairlead.telemetry.performance_cache import PerformanceCache
from fairlead.telemetry.reader import Reader
from fairlead.telemetry.recorder import Recorder

ROUNDS = 100
SERVED = {"mistral-small-3.2": 3, "gpt-oss-120b": 1}
PAGES = (
    ("a model without deployments", "/models/openai/gpt-5.5"),
    ("a model with one deployment", "/models/openai/gpt-oss-120b"),
    ("a model with three deployments", "/models/mistralai/mistral-small-3.2"),
    ("/models, 100 rows", "/models"),
)


def settings() -> Settings:
    providers = tuple(
        ProviderSettings(f"p{at}", base_url="http://127.0.0.1:9/v1", dialect="vllm")
        for at in range(max(SERVED.values()))
    )
    price = PriceSettings("0.10", "0.30")
    models = tuple(
        ModelSettings(name, deployments=tuple(DeploymentSettings(f"p{at}", name, price) for at in range(number)))
        for name, number in SERVED.items()
    )
    return Settings(providers=providers, models=models)


def fill(store: Store) -> None:
    """Thirty calls an hour and deployment for a day."""
    now, chance = int(time.time()), random.Random(1)
    at = [0.0]
    recorder = Recorder(lambda: at[0])
    for hour in range(now - 23 * HOUR, now, HOUR):
        for call in range(30):
            at[0] = hour + 60.0 * call if hour + 60 * call < now else now
            for model, number in SERVED.items():
                for name in ("", *(f"p{one}/{model}" for one in range(number))):
                    first = chance.lognormvariate(-1, 0.4)
                    recorder.series(TRAFFIC, model, name).add("served", first, first + 4, 500, 300)
    over, begun = recorder.cells()
    with store.write() as connection:
        write(connection, "bench", [Cell(one.name, one.start, pack(one.nonzero())) for one in (*over, *begun)], {})


async def measure(app: Any, path: str, parts: bool) -> float:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, path

    headers = [(b"host", b"localhost"), (b"accept", b"text/html"), (b"accept-encoding", b"gzip")]
    scope = {
        "type": "http", "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "http_version": "1.1", "root_path": "", "server": ("localhost", 80), "client": ("x", 1),
    }  # fmt: skip
    took = []
    for _ in range(ROUNDS + 5):
        app.state.context.cache.forget(parts)
        begun = time.process_time()
        await app(dict(scope), receive, send)
        took.append((time.process_time() - begun) * 1000)
    return statistics.median(took[5:])


async def main() -> None:
    snapshot = build(settings(), DIALECTS, supports_prefill)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        fill(store)
        app = site(
            Sources(
                lambda: snapshot, lambda _: None, lambda: datetime.now(UTC),
                Recorded(PerformanceCache(Reader(store)), store),
                lambda one: DIALECTS[snapshot.providers[one.provider].dialect].carries,
            ),
            budget=PageBudget(share=1e9, burst=1e9),
        )  # fmt: skip
        for name, path in PAGES:
            first, again = await measure(app, path, parts=True), await measure(app, path, parts=False)
            print(f"{name}: {first:.1f} ms the first time, {again:.1f} ms when only what was measured is new")
        store.close()


if __name__ == "__main__":
    asyncio.run(main())
