"""Answers in the format of Cohere's, Jina's and vLLM's rerank, for calls of `/rerank`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fairlead.testing.rendering import Speech, dumps, error_body
from fairlead.testing.rendering import usage as chat_usage
from fairlead.testing.replies import Fault, Reply


def score(query: str, document: Any) -> float:
    """How well a document answers a query, from 0 to 1: another one for every other pair, the same every time."""
    return hashlib.sha256(f"{query} {json.dumps(document)}".encode()).digest()[0] / 256


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body: the documents, the best first, and `prompt_tokens` of the reply for each. `EMPTY_CHOICES`: the
    last one is missing."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(500, "scripted failure")
    query, documents = request.get("query", ""), request.get("documents", [])
    results: list[dict[str, Any]] = [
        {"index": at, "document": {"text": one}, "relevance_score": score(query, one)}
        for at, one in enumerate(documents)
    ]
    results = sorted(results, key=lambda one: -one["relevance_score"])[: request.get("top_n") or None]
    if reply.fault is Fault.EMPTY_CHOICES:
        results = results[:-1]
    answer = {"id": f"rerank-scripted-{number}", "model": request.get("model"), "results": results}
    counted = chat_usage(reply)
    if counted is not None:
        if reply.usage is None and reply.fault is not Fault.ZERO_USAGE:
            tokens = reply.prompt_tokens * len(documents)
            counted = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer["usage"] = counted
    body = dumps(answer)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(_reply: Reply, _request: dict[str, Any], _number: int) -> list[bytes]:
    return []


RERANK = Speech(events, whole, error_body)
