"""Times the plan of one request, in microseconds of CPU: best of several runs.

    .venv/bin/python bench/plan.py

Budget: under 10 with 2 deployments, under 100 with 50. One deployment and nothing to decide is a comparison.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.http.client import Pool
from fairlead.http.limits import PoolLimits, Timeouts
from fairlead.operations.chat.operation import CHAT
from fairlead.prices import PriceSheet, Schedule, rates_from
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.routing.demand import Demand
from fairlead.routing.health import Health
from fairlead.routing.needs import CHOICES, JSON_SCHEMA, lacks_of
from fairlead.routing.plan import Rules, plan
from fairlead.routing.upstream import Servable, Upstream, servable, unit_price
from fairlead.wire.apis import CHAT_COMPLETIONS
from fairlead.wire.chat import parse_chat

RUNS, CALLS = 9, 3_000
MODEL = Model("m", "m", "v", "", 0, 32_768, 4_096)
ROW = DIALECTS["vllm"]
POOL = Pool("http://127.0.0.1:1/v1", timeouts=Timeouts(1, 1, 1, 1), limits=PoolLimits(1, 1, 1))


def offer(deployments: int) -> Servable:
    found = []
    for at in range(deployments):
        sheet = PriceSheet(f"p{at}/x", Schedule(rates_from({"input": f"0.{at + 10}", "output": "0.3"})))
        deployment = Deployment(sheet.deployment, f"p{at}", "x", sheet, 1.0, 0)
        found.append(
            Upstream(
                deployment, CHAT, {CHAT_COMPLETIONS: OpenAIChat(ROW, "m", "x")}, POOL, b"", b"", b"",
                model_id="m",
                lacks=lacks_of(MODEL, deployment, ROW.carries, ROW.passes_unknown), context=32_768,
                unit_price=unit_price(sheet),
            )
        )  # fmt: skip
    return servable(MODEL, found)


def demand(**given: object) -> Demand:
    messages = [{"role": "user", "content": "word " * 200}]
    return CHAT.demand(parse_chat(json.dumps({"model": "m", "messages": messages, **given}).encode()))


def microseconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time_ns()
        for _ in range(CALLS):
            work()
        best = min(best, time.process_time_ns() - began)
    return best / CALLS / 1000


def main() -> None:
    cases = {
        "plain": demand(),
        "4 parameters": demand(temperature=0.5, max_tokens=100, top_p=0.9, seed=7),
        "preferences": demand(provider={"order": ["p1"], "max_price": {"prompt": 1}, "ignore": ["p9"]}),
    }
    for strategy in ("balanced", "price", "priority"):
        for deployments in (1, 2, 50):
            one = offer(deployments)
            health = Health()
            for upstream in one.upstreams:
                health.first_token(health.of(upstream.deployment), 0.2, 1.0)
            for name, chat in cases.items():
                rules = Rules(strategy, JSON_SCHEMA | CHOICES)
                cost = microseconds(lambda chat=chat, one=one, health=health, rules=rules: plan(  # type: ignore[misc]
                    chat, (one,), health, 1000.0, rules
                ))  # fmt: skip
                print(f"{strategy:10} {deployments:3} deployments, {name:14} {cost:8.2f} us")


if __name__ == "__main__":
    main()
