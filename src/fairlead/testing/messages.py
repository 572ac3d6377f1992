"""Answers in Anthropic's words, for calls of `/messages`: the events of a stream and the body of a whole answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fairlead.testing.rendering import Speech, argument_pieces, dumps, text_of, words
from fairlead.testing.replies import Fault, Reply, ToolCall

ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
REASONS = {"tool_calls": "tool_use", "stop": "end_turn", "length": "max_tokens"}


def usage(reply: Reply) -> dict[str, Any] | None:
    """The usage object, or None when the reply is to leave it out."""
    if reply.fault is Fault.MISSING_USAGE:
        return None
    if reply.fault is Fault.ZERO_USAGE:
        return {"input_tokens": 0, "output_tokens": 0}
    if reply.usage is not None:
        return dict(reply.usage)
    output = reply.completion_tokens
    if output is None:
        said = len(words(reply.thinking)) + len(words(reply.text))
        output = said + sum(len(argument_pieces(call)) for call in reply.tool_calls)
    return {"input_tokens": reply.prompt_tokens, "output_tokens": output}


def stop_reason(reply: Reply) -> str:
    if reply.finish_reason is not None:
        return REASONS.get(reply.finish_reason, reply.finish_reason)
    return "tool_use" if reply.tool_calls else "end_turn"


def call_id(call: ToolCall, number: int, index: int) -> str:
    return call.id or f"toolu_{number:08d}{index:02d}"


def error_body(status: int, message: str) -> bytes:
    """An error in Anthropic's shape."""
    kind = ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"})


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body of an answer that is not streamed. `number` makes ids differ from answer to answer."""
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(529, "scripted failure")
    blocks: list[dict[str, Any]] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": reply.signature})
    if text := text_of(reply):
        blocks.append({"type": "text", "text": text})
    for index, call in enumerate(reply.tool_calls):
        blocks.append(
            {
                "type": "tool_use",
                "id": call_id(call, number, index),
                "name": call.name,
                "input": json.loads(call.arguments),
            }
        )
    message = _message(request, number)
    message["content"] = [] if reply.fault is Fault.EMPTY_CHOICES else blocks
    message["stop_reason"] = None if reply.fault is Fault.EMPTY_CHOICES else stop_reason(reply)
    if (counted := usage(reply)) is not None:
        message["usage"] = counted
    body = dumps(message)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(reply: Reply, request: dict[str, Any], number: int) -> list[bytes]:
    """The events of a stream, each complete with its blank line, the last one `message_stop`."""
    found = list(_events(reply, request, number))
    if reply.fault is Fault.EMPTY_CHOICES:
        found = [found[0], ("message_stop", {})]
    if reply.fault is Fault.ERROR_EVENT:
        error = {"error": {"type": "overloaded_error", "message": "scripted failure"}}
        found[reply.after_chunks :] = [("error", error)]
    payloads = [(kind, dumps({"type": kind, **members})) for kind, members in found]
    if reply.fault is Fault.MALFORMED_JSON:
        payloads.insert(reply.after_chunks, ("content_block_delta", b'{"type": "content_block_delta", "delta": {'))
    end = b"\r\n" if reply.fault is Fault.CRLF else b"\n"
    comment = b": keep-alive" + end + end if reply.fault is Fault.COMMENTS else b""
    return [
        b"%bevent: %b%bdata: %b%b%b" % (comment, kind.encode(), end, payload, end, end) for kind, payload in payloads
    ]


Members = dict[str, Any]


def _events(reply: Reply, request: dict[str, Any], number: int) -> Iterator[tuple[str, Members]]:
    counted = usage(reply)
    message = _message(request, number)
    if counted is not None:
        message["usage"] = {**counted, "output_tokens": 1 if counted.get("output_tokens") else 0}
    yield "message_start", {"message": message}
    yield "ping", {}
    index = 0
    if reply.thinking:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in words(reply.thinking)]
        deltas.append({"type": "signature_delta", "signature": reply.signature})
        yield from _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
        index += 1
    if text := text_of(reply):
        pieces = [text] if reply.fault is Fault.HUGE_FRAME else words(text)
        yield from _block(
            index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
        )
        index += 1
    for at, call in enumerate(reply.tool_calls):
        block = {"type": "tool_use", "id": call_id(call, number, at), "name": call.name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in argument_pieces(call)]
        yield from _block(index, block, deltas)
        index += 1
    ended: Members = {"delta": {"stop_reason": stop_reason(reply), "stop_sequence": None}}
    if counted is not None:
        ended["usage"] = counted
    yield "message_delta", ended
    yield "message_stop", {}


def _block(index: int, block: Members, deltas: list[Members]) -> Iterator[tuple[str, Members]]:
    yield "content_block_start", {"index": index, "content_block": block}
    for delta in deltas:
        yield "content_block_delta", {"index": index, "delta": delta}
    yield "content_block_stop", {"index": index}


def _message(request: dict[str, Any], number: int) -> Members:
    return {
        "id": f"msg_scripted{number:08d}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


MESSAGES = Speech(events, whole, error_body)
