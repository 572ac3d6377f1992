"""Answers in vLLM's words: the events of a stream and the body of a whole answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fairlead.testing.replies import Fault, Reply, ToolCall

HUGE_FRAME_BYTES = 1024 * 1024
ARGUMENT_PIECE_CHARACTERS = 8


class Speech(NamedTuple):
    """What writes the answers of one API: the events of a stream, a whole answer, an error."""

    events: Callable[[Reply, dict[str, Any], int], list[bytes]]
    whole: Callable[[Reply, dict[str, Any], int], bytes]
    error_body: Callable[[int, str], bytes]


_WORDS = re.compile(r"\S+\s*|\s+")


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def words(text: str) -> list[str]:
    """The pieces in which `text` is streamed; joined they give it back."""
    return _WORDS.findall(text)


def usage(reply: Reply) -> dict[str, Any] | None:
    """The usage object, or None when the reply is to leave it out."""
    if reply.fault is Fault.MISSING_USAGE:
        return None
    if reply.fault is Fault.ZERO_USAGE:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if reply.usage is not None:
        return dict(reply.usage)
    completion = reply.completion_tokens
    if completion is None:
        completion = len(words(reply.text)) + sum(len(argument_pieces(call)) for call in reply.tool_calls)
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": reply.prompt_tokens + completion,
    }


def argument_pieces(call: ToolCall) -> list[str]:
    size = ARGUMENT_PIECE_CHARACTERS
    return [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]


def text_of(reply: Reply) -> str:
    """The text to send: made a megabyte long for HUGE_FRAME, nothing beside tool calls unless it was scripted."""
    if reply.tool_calls and reply.text == Reply().text:
        return ""
    if reply.fault is Fault.HUGE_FRAME and reply.text:
        return reply.text * (HUGE_FRAME_BYTES // len(reply.text.encode()) + 1)
    return reply.text


def rest_of(text: str, request: dict[str, Any]) -> str:
    """What is left of `text` behind a prefill; all of it when there is none, or another one."""
    last = request["messages"][-1] if request.get("messages") else {}
    begun = last.get("content") if last.get("role") == "assistant" else None
    return text.removeprefix(begun) if isinstance(begun, str) else text


def finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def call_id(call: ToolCall, number: int, index: int) -> str:
    """Nine letters and digits, as vLLM's Mistral parser makes them."""
    return call.id or f"t{number % 1_000_000:06d}{index % 100:02d}"


def logprobs(piece: str) -> dict[str, Any]:
    token = {"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}
    return {"content": [{**token, "top_logprobs": [token]}]}


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body of an answer that is not streamed. `number` makes ids differ from answer to answer."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(500, "scripted failure")
    text = text_of(reply)
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not reply.tool_calls else None}
    message["tool_calls"] = [
        {
            "id": call_id(call, number, index),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(reply.tool_calls)
    ]
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": {"content": [entry for piece in words(text) for entry in logprobs(piece)["content"]]}
            if request.get("logprobs")
            else None,
            "finish_reason": finish_reason(reply),
            "stop_reason": None,
        }
        for index in range(choice_count(request))
    ]
    answer = _frame(request, number, "chat.completion")
    answer["choices"] = [] if reply.fault is Fault.EMPTY_CHOICES else choices
    counted = usage(reply)
    if counted is not None:
        answer["usage"] = counted
    body = dumps(answer)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(reply: Reply, request: dict[str, Any], number: int) -> list[bytes]:
    """The events of a stream, each complete with its blank line, the last one `[DONE]`."""
    frame = _frame(request, number, "chat.completion.chunk")
    payloads: list[bytes] = []
    if reply.fault is Fault.EMPTY_CHOICES:
        payloads.append(dumps({**frame, "choices": []}))
    else:
        payloads.extend(dumps({**frame, "choices": [choice]}) for choice in _choices(reply, request, number))
    options = request.get("stream_options")
    counted = usage(reply)
    if counted is not None and isinstance(options, dict) and options.get("include_usage"):
        payloads.append(dumps({**frame, "choices": [], "usage": counted}))
    payloads.append(b"[DONE]")
    if reply.fault is Fault.ERROR_EVENT:
        # vLLM ends a stream that failed with its error and a [DONE].
        payloads[reply.after_chunks :] = [error_body(500, "scripted failure"), b"[DONE]"]
    if reply.fault is Fault.MALFORMED_JSON:
        payloads.insert(reply.after_chunks, b'{"id": "chatcmpl-broken", "choices": [{"delta": {"content": ')
    end = b"\r\n" if reply.fault is Fault.CRLF else b"\n"
    comment = b": keep-alive" + end + end if reply.fault is Fault.COMMENTS else b""
    return [comment + b"data: " + payload + end + end for payload in payloads]


def _choices(reply: Reply, request: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    count = range(choice_count(request))
    with_logprobs = bool(request.get("logprobs"))
    for index in count:
        yield _choice(index, {"role": "assistant", "content": ""})
    text = text_of(reply)
    for piece in [text] if reply.fault is Fault.HUGE_FRAME else words(text):
        for index in count:
            yield _choice(index, {"content": piece}, logprobs(piece) if with_logprobs else None)
    for at, call in enumerate(reply.tool_calls):
        opening = {
            "index": at,
            "id": call_id(call, number, at),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        for index in count:
            yield _choice(index, {"tool_calls": [opening]})
        for piece in argument_pieces(call):
            for index in count:
                yield _choice(index, {"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
    for index in count:
        yield {**_choice(index, {}), "finish_reason": finish_reason(reply), "stop_reason": None}


def _choice(index: int, delta: dict[str, Any], odds: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": odds, "finish_reason": None}


def _frame(request: dict[str, Any], number: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-scripted-{number}",
        "object": kind,
        "created": int(time.time()),
        "model": request.get("model"),
    }


def choice_count(request: dict[str, Any]) -> int:
    wanted = request.get("n")
    return wanted if isinstance(wanted, int) and 1 <= wanted <= 128 else 1


def error_body(status: int, message: str) -> bytes:
    """An error in vLLM's shape."""
    kinds = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}
    kind = kinds.get(status, "InternalServerError")
    return dumps({"error": {"message": message, "type": kind, "param": None, "code": status}})


CHAT = Speech(events, whole, error_body)
