"""Answers in the format of OpenAI's embeddings, for calls of `/embeddings`."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

from fairlead.testing.rendering import Speech, dumps, error_body
from fairlead.testing.rendering import usage as chat_usage
from fairlead.testing.replies import Fault, Reply

DIMENSIONS = 8


def vector(value: Any, dimensions: int = DIMENSIONS) -> list[float]:
    """The vector of an input, a string or a list of tokens: another one for every other input, the same every time.
    Its numbers are exact in 32 bits."""
    seed = json.dumps(value).encode()
    found = b"".join(hashlib.sha256(b"%d" % at + seed).digest() for at in range(-(-dimensions // 32)))
    return [(byte - 128) / 128 for byte in found[:dimensions]]


def inputs_of(request: dict[str, Any]) -> list[Any]:
    given = request.get("input", "")
    alone = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
    return [given] if alone else list(given)


def whole(reply: Reply, request: dict[str, Any], _number: int) -> bytes:
    """The JSON body: a vector for each input, and `prompt_tokens` of the reply for each. `EMPTY_CHOICES`: one vector
    is missing."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(500, "scripted failure")
    inputs = inputs_of(request)
    written = [vector(one, request.get("dimensions") or DIMENSIONS) for one in inputs]
    shown: list[Any] = written
    if request.get("encoding_format") == "base64":
        shown = [base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode() for one in written]
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(shown)]
    if reply.fault is Fault.EMPTY_CHOICES:
        data = data[:-1]
    answer = {"object": "list", "data": data, "model": request.get("model")}
    counted = chat_usage(reply)
    if counted is not None:
        if reply.usage is None and reply.fault is not Fault.ZERO_USAGE:
            tokens = reply.prompt_tokens * len(inputs)
            counted = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer["usage"] = counted
    body = dumps(answer)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(_reply: Reply, _request: dict[str, Any], _number: int) -> list[bytes]:
    return []


EMBEDDINGS = Speech(events, whole, error_body)
