"""Answers in the format of OpenAI's completions, for calls of `/completions` that are none of chat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from fairlead.testing.embeddings import inputs_of
from fairlead.testing.rendering import HUGE_FRAME_BYTES, Speech, choice_count, dumps, error_body, words
from fairlead.testing.rendering import usage as chat_usage
from fairlead.testing.replies import Fault, Reply


def usage(reply: Reply, request: dict[str, Any]) -> dict[str, Any] | None:
    """`prompt_tokens` of the reply for each prompt, and its `completion_tokens` for each answer that is written."""
    counted = chat_usage(reply)
    if counted is None or reply.usage is not None or reply.fault is Fault.ZERO_USAGE:
        return counted
    prompts = len(inputs_of({"input": request.get("prompt", "")}))
    made = 0 if request.get("max_tokens") == 0 else prompts * (request.get("best_of") or choice_count(request))
    prompt, completion = counted["prompt_tokens"] * prompts, counted["completion_tokens"] * made
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def pieces_of(reply: Reply, request: dict[str, Any]) -> list[list[str]]:
    """What is written of each answer, piece by piece: behind its prompt where that is asked for."""
    text = reply.text
    if reply.fault is Fault.HUGE_FRAME:
        text *= HUGE_FRAME_BYTES // len(text.encode()) + 1
    written = [] if request.get("max_tokens") == 0 else [text] if reply.fault is Fault.HUGE_FRAME else words(text)
    if request.get("suffix"):
        written = [*written, f" [before {request['suffix']}]"]
    found = []
    for prompt in inputs_of({"input": request.get("prompt", "")}):
        said = prompt if isinstance(prompt, str) else "".join(chr(65 + token % 26) for token in prompt)
        found += [[said, *written] if request.get("echo") else written] * choice_count(request)
    return found


def logprobs(pieces: list[str], begin: int = 0) -> dict[str, Any]:
    offsets = [begin + sum(map(len, pieces[:at])) for at in range(len(pieces))]
    return {
        "tokens": pieces, "token_logprobs": [-0.25] * len(pieces),
        "top_logprobs": [{piece: -0.25} for piece in pieces], "text_offset": offsets,
    }  # fmt: skip


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body of an answer that is not streamed."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(500, "scripted failure")
    answer = _frame(request, number)
    if reply.fault is not Fault.EMPTY_CHOICES:
        answer["choices"] = [
            {
                "index": at, "text": "".join(pieces), "finish_reason": reply.finish_reason or "stop",
                "logprobs": logprobs(pieces) if request.get("logprobs") is not None else None,
            }
            for at, pieces in enumerate(pieces_of(reply, request))
        ]  # fmt: skip
    counted = usage(reply, request)
    if counted is not None:
        answer["usage"] = counted
    body = dumps(answer)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(reply: Reply, request: dict[str, Any], number: int) -> list[bytes]:
    """The events of a stream, each complete with its blank line, the last one `[DONE]`."""
    frame = _frame(request, number)
    if reply.fault is Fault.EMPTY_CHOICES:
        payloads = [dumps(frame)]
    else:
        payloads = [dumps({**frame, "choices": [choice]}) for choice in _choices(reply, request)]
    counted = usage(reply, request)
    if counted is not None and (request.get("stream_options") or {}).get("include_usage"):
        payloads.append(dumps({**frame, "usage": counted}))
    payloads.append(b"[DONE]")
    if reply.fault is Fault.ERROR_EVENT:
        payloads[reply.after_chunks :] = [error_body(500, "scripted failure"), b"[DONE]"]
    if reply.fault is Fault.MALFORMED_JSON:
        payloads.insert(reply.after_chunks, b'{"id": "cmpl-broken", "choices": [{"text": ')
    end = b"\r\n" if reply.fault is Fault.CRLF else b"\n"
    comment = b": keep-alive" + end + end if reply.fault is Fault.COMMENTS else b""
    return [comment + b"data: " + payload + end + end for payload in payloads]


def _choices(reply: Reply, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = pieces_of(reply, request)
    for place in range(max(map(len, found), default=0)):
        for at, pieces in enumerate(found):
            if place < len(pieces):
                begin = sum(map(len, pieces[:place]))
                shown = logprobs([pieces[place]], begin) if request.get("logprobs") is not None else None
                yield {"index": at, "text": pieces[place], "logprobs": shown, "finish_reason": None}
    for at in range(len(found)):
        yield {"index": at, "text": "", "logprobs": None, "finish_reason": reply.finish_reason or "stop"}


def _frame(request: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-scripted-{number}", "object": "text_completion", "created": int(time.time()),
        "model": request.get("model"), "choices": [],
    }  # fmt: skip


COMPLETIONS = Speech(events, whole, error_body)
