"""How a call was routed, in few words, where there was something to decide: for `fairlead explain`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from fairlead.routing.parameters import Parameters
from fairlead.routing.plan import Plan
from fairlead.routing.retries import Tried, Tries


class Decided(NamedTuple):
    """Kept as it is on the path of the call; made into JSON when it is stored."""

    id: str
    plan: Plan
    tried: tuple[Tried, ...]
    continued_at: int | None
    parameters: Parameters | None = None


def decided(
    generation_id: str,
    plan: Plan,
    tries: Tries | None,
    continued_at: int | None,
    parameters: Parameters | None = None,
) -> Decided:
    tried = () if tries is None else tuple(tries.tried)
    return Decided(generation_id, plan, tried, continued_at, parameters)


def shown(plan: Plan) -> dict[str, Any]:
    """A plan for people and programs."""
    scores = plan.scores or (0.0,) * len(plan.candidates)
    first_late = len(plan.candidates) - plan.resting
    return {
        "strategy": plan.strategy or None,
        "candidates": [
            {
                "model": upstream.model_id,
                "deployment": upstream.deployment.id,
                "provider": upstream.deployment.provider,
                "score": None if score in (float("inf"), float("-inf")) else round(score, 6),
                "resting": at >= first_late,
            }
            for at, (upstream, score) in enumerate(zip(plan.candidates, scores, strict=True))
        ],
        "rejected": [
            {
                "model": one.upstream.model_id,
                "deployment": one.upstream.deployment.id,
                "provider": one.upstream.deployment.provider,
                "reason": one.reason,
                "detail": one.detail or None,
            }
            for one in plan.rejected
        ],
    }


def body(decision: Decided) -> bytes:
    return msgspec.json.encode(
        {
            **shown(decision.plan),
            "failed": [
                {"deployment": one.deployment, "outcome": one.outcome, "milliseconds": round(one.seconds * 1000)}
                for one in decision.tried
            ],
            "continued_at_character": decision.continued_at,
            "parameters": None if decision.parameters is None else decision.parameters._asdict(),
        }
    )
