"""Receipts: how a charge was made up, so that anyone can make it up again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fairlead.ledger.record import UsageRecord, usage_of
from fairlead.money import Picodollars, dollars
from fairlead.prices import PriceSheet, Schedule
from fairlead.wire.usage import PROMPT_CLASSES


def receipt(
    record: UsageRecord, sheet: PriceSheet | None, refunded: int = 0, version: int = 0, *, cost: bool = True
) -> dict[str, Any]:
    """Everything that the charge is made of, line by line. Amounts are decimal strings of dollars. `version` counts
    the sheets of a deployment. `cost`: what each attempt cost the operator is shown."""
    return {
        "id": record.id,
        "model": record.model,
        "fallback": {"reason": "budget", "asked": record.asked} if record.asked else None,
        "deployment": record.deployment or None,
        "outcome": record.outcome,
        "stream": record.stream,
        "session": record.session or None,
        "user": record.user or None,
        "digests": _digests(record),
        "started_at_ms": record.at,
        "ended_at_ms": record.done,
        "first_token_ms": record.first_token or None,
        "usage": {
            "state": record.state,
            **({"reported": record.implausible} if record.implausible else {}),
            "balanced": record.balanced,
            "prompt_tokens": record.prompt,
            "completion_tokens": record.completion,
            "classes": {
                name: {
                    "tokens": count,
                    "provenance": (at < PROMPT_CLASSES and record.prompt_usage) or record.usage,
                }
                for at, (name, count) in enumerate(record.tokens._asdict().items())
                if count
            },
        },
        "price_sheet": None if sheet is None else {"id": sheet.id, "version": version, "unit": "USD per token"},
        "lines": [] if sheet is None else _lines(sheet.price, record),
        "charged_usd": dollars(record.price),
        "waived_usd": dollars(record.shortfall),
        "refunded_usd": dollars(refunded),
        "hold": {"usd": dollars(record.hold), "scopes": record.scopes} if record.scopes else None,
        "attempts": [
            {
                "deployment": attempt.deployment,
                "price_sheet": attempt.sheet,
                "outcome": attempt.outcome,
                "milliseconds": attempt.milliseconds,
                **({"cost_usd": None if own is None else dollars(own)} if cost else {}),
            }
            for attempt, own in zip(record.attempts, _costs(record, sheet), strict=True)
        ],
    }


def _digests(record: UsageRecord) -> dict[str, str | None] | None:
    if not record.received:
        return None
    return {"received_sha256": record.received, "sent_sha256": record.sent or None}


def _costs(record: UsageRecord, sheet: PriceSheet | None) -> list[int | None]:
    """What each attempt cost the operator; None where the sheet does not know it. Only the last can have served: its
    cost is what is left of the whole."""
    costs: list[int | None] = [attempt.cost for attempt in record.attempts]
    if costs and record.usage not in ("none", "usage_missing"):
        wasted = sum(attempt.cost for attempt in record.attempts[:-1])
        costs[-1] = None if sheet is None or sheet.cost is None else (record.cost or 0) - wasted
    return costs


def _lines(schedule: Schedule, record: UsageRecord) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "tokens": count,
            "usd_per_token": Picodollars(rate).per_token(),
            "usd": dollars(product),
            "formula": f"{count} x {rate} = {product} picodollars",
        }
        for name, count, rate, product in schedule.lines(usage_of(record))
    ]


# Members of OpenRouter's that are not kept here, or have no meaning here.
_NOT_KEPT = (
    "api_type", "app_id", "http_referer", "moderation_latency", "native_tokens_completion_images", "num_fetches",
    "num_input_audio_prompt", "num_media_completion", "num_media_prompt", "num_search_results", "preset_id",
    "request_id", "response_cache_source_id", "router", "service_tier", "user_agent", "web_search_engine",
    "workspace_id",
)  # fmt: skip


def generation(record: UsageRecord) -> dict[str, Any]:
    """OpenRouter's shape of `GET /generation`. Source: its API reference."""
    tokens = record.tokens
    return {
        "id": record.id,
        "model": record.model,
        "provider_name": record.deployment.partition("/")[0] or None,
        "created_at": datetime.fromtimestamp(record.at / 1000, UTC).isoformat(timespec="milliseconds"),
        "streamed": record.stream,
        "cancelled": record.outcome == "caller_gone",
        "latency": record.done - record.at,
        "generation_time": record.attempts[-1].milliseconds if record.attempts else None,
        "tokens_prompt": record.prompt,
        "tokens_completion": record.completion,
        "native_tokens_prompt": record.prompt,
        "native_tokens_completion": record.completion,
        "native_tokens_cached": tokens.cached_input,
        "native_tokens_reasoning": tokens.reasoning,
        "total_cost": record.price / 1e12,
        "usage": record.price / 1e12,
        "is_byok": False,
        # Not kept, or not ours to know.
        "upstream_id": None,
        "upstream_inference_cost": None,
        "cache_discount": None,
        "finish_reason": None,
        "native_finish_reason": None,
        "total_cost_usd": dollars(record.price),
        "outcome": record.outcome,
        "usage_state": record.state,
        "session_id": record.session or None,
        "external_user": record.user or None,
        "provider_responses": [
            {
                "provider_name": attempt.deployment.partition("/")[0] or None,
                "endpoint_id": attempt.deployment,
                "status": 200 if attempt.outcome == "served" else None,
                "outcome": attempt.outcome,
                "latency": attempt.milliseconds,
                "is_byok": False,
            }
            for attempt in record.attempts
        ],
        "data_region": "global",
        "origin": "",
        **dict.fromkeys(_NOT_KEPT),
    }
