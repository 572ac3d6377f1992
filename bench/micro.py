"""Times the hot functions of the data plane alone, in microseconds of CPU per call: best of several runs.

    .venv/bin/python bench/micro.py [WORD ...]

With words, only the cases whose name contains one of them. For comparing two versions of one function; what a whole
request costs is script/bench's to say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai_chat import ChatRelay, UpstreamCall, plain_answer, to_vendor
from fairlead.wire.chat import parse_chat
from measure import BODY_SHAPES, request_body

RUNS = 7
RUN_SECONDS = 0.03

Case = tuple[str, Callable[[], object]]

REPLY = {
    "id": "chatcmpl-abcdef0123456789",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "mock-model",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog. " * 12},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 200, "completion_tokens": 120, "total_tokens": 320},
}


def call_for(size: str, dialect: str, *, stream: bool) -> UpstreamCall:
    request = parse_chat(request_body(size, "bench", stream=stream))
    return to_vendor(
        request, DIALECTS[dialect], public_model="bench", upstream_model="mock-model", defaults={}, supported=None
    )


def request_cases() -> Iterator[Case]:
    for size in BODY_SHAPES:
        body = request_body(size, "bench", stream=False)
        yield f"parse_chat {size}", lambda body=body: parse_chat(body)  # type: ignore[misc]
    for dialect in ("generic", "vllm"):
        for size in BODY_SHAPES:
            request = parse_chat(request_body(size, "bench", stream=False))
            yield (
                f"to_vendor {dialect} {size}",
                lambda request=request, row=DIALECTS[dialect]: to_vendor(  # type: ignore[misc]
                    request, row, public_model="bench", upstream_model="mock-model", defaults={}, supported=None
                ),
            )


def event(text: str) -> bytes:
    chunk = {
        "id": "chatcmpl-abcdef0123456789",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "mock-model",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def answer_cases() -> Iterator[Case]:
    one, ten = event("word; "), event("word; ") * 10
    for dialect in ("generic", "vllm"):
        relay = ChatRelay(call_for("1k", dialect, stream=True))
        yield f"ChatRelay.feed {dialect} 1 event", lambda feed=relay.feed: feed(one)  # type: ignore[misc]
        yield f"ChatRelay.feed {dialect} 10 events", lambda feed=relay.feed: feed(ten)  # type: ignore[misc]
    call, body = call_for("1k", "generic", stream=False), json.dumps(REPLY).encode()
    yield "plain_answer", lambda: plain_answer(call, body)


def microseconds(run: Callable[[], object]) -> float:
    run()
    started = time.process_time_ns()
    run()
    times = max(1, min(100_000, int(RUN_SECONDS * 1e9 / max(1, time.process_time_ns() - started))))
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time_ns()
        for _ in range(times):
            run()
        best = min(best, (time.process_time_ns() - started) / times / 1e3)
    return best
