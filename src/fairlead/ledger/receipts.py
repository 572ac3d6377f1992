"""Receipts: how a charge was made up, so that anyone can make it up again."""

from __future__ import annotations

from typing import Any

from fairlead.ledger.record import UsageRecord, usage_of
from fairlead.money import Picodollars, dollars
from fairlead.prices import PriceSheet, Schedule
from fairlead.wire.usage import PROMPT_CLASSES


def receipt(record: UsageRecord, sheet: PriceSheet | None, refunded: int = 0) -> dict[str, Any]:
    """Everything that the charge is made of, line by line. Amounts are decimal strings of dollars."""
    return {
        "id": record.id,
        "model": record.model,
        "deployment": record.deployment or None,
        "outcome": record.outcome,
        "stream": record.stream,
        "started_at_ms": record.at,
        "ended_at_ms": record.done,
        "usage": {
            "state": "usage_missing" if record.missing else record.usage,
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
        "price_sheet": None if sheet is None else {"id": sheet.id, "unit": "USD per token"},
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
                "cost_usd": dollars(attempt.cost),
            }
            for attempt in record.attempts
        ],
    }


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


def generation(record: UsageRecord) -> dict[str, Any]:
    """OpenRouter's shape of `GET /generation`. Source: its API reference."""
    tokens = record.tokens
    return {
        "id": record.id,
        "model": record.model,
        "provider_name": record.deployment.partition("/")[0] or None,
        "created_at": record.at // 1000,
        "streamed": record.stream,
        "cancelled": record.outcome == "caller_gone",
        "generation_time": record.done - record.at,
        "tokens_prompt": record.prompt,
        "tokens_completion": record.completion,
        "native_tokens_prompt": record.prompt,
        "native_tokens_completion": record.completion,
        "native_tokens_cached": tokens.cached_input,
        "native_tokens_reasoning": tokens.reasoning,
        "total_cost": record.price / 1e12,
        "total_cost_usd": dollars(record.price),
        "outcome": record.outcome,
        "usage_state": "usage_missing" if record.missing else record.usage,
    }
