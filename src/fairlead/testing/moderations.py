"""Answers in the format of OpenAI's moderations, for calls of `/moderations`."""

from __future__ import annotations

from typing import Any

from fairlead.testing.rendering import Speech, dumps, error_body
from fairlead.testing.replies import Fault, Reply

CATEGORIES = ("harassment", "violence")


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body: an input with the word "violence" is flagged. `EMPTY_CHOICES`: the last result is missing."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(500, "scripted failure")
    given = request.get("input", "")
    inputs = given if isinstance(given, list) and isinstance(given[0], str) else [str(given)]
    results = []
    for one in inputs:
        flagged = "violence" in one
        results.append({
            "flagged": flagged,
            "categories": {"harassment": False, "violence": flagged},
            "category_scores": {"harassment": 0.01, "violence": 0.99 if flagged else 0.02},
            "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        })  # fmt: skip
    if reply.fault is Fault.EMPTY_CHOICES:
        results = results[:-1]
    answer: dict[str, Any] = {"id": f"modr-scripted-{number}", "model": request.get("model"), "results": results}
    if reply.usage is not None:  # OpenAI reports none
        answer["usage"] = dict(reply.usage)
    body = dumps(answer)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(_reply: Reply, _request: dict[str, Any], _number: int) -> list[bytes]:
    return []


MODERATIONS = Speech(events, whole, error_body)
