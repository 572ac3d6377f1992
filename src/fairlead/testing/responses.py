"""Answers in the format of OpenAI's Responses, for calls of `/responses`: the events of a stream and whole
responses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from fairlead.testing.rendering import Speech, argument_pieces, dumps, text_of, words
from fairlead.testing.rendering import usage as chat_usage
from fairlead.testing.replies import Fault, Reply, ToolCall

# What a response repeats of its request, with what stands there when the request says nothing.
REPEATED: dict[str, Any] = {
    "background": False, "frequency_penalty": 0.0, "instructions": None, "max_output_tokens": None,
    "max_tool_calls": None, "parallel_tool_calls": True, "presence_penalty": 0.0, "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "service_tier": "default",
    "store": False, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
    "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled",
}  # fmt: skip
ENCRYPTED = "Z0FBQUFBQm"


def usage(reply: Reply) -> dict[str, Any] | None:
    """The usage object, or None when the reply is to leave it out."""
    counted = chat_usage(reply)
    if counted is None or "input_tokens" in counted:
        return counted
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }


def error_body(status: int, message: str) -> bytes:
    """An error in OpenAI's shape."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    return dumps({"error": {"message": message, "type": kind, "param": None, "code": None}})


def whole(reply: Reply, request: dict[str, Any], number: int) -> bytes:
    """The JSON body of a response that is not streamed."""
    if reply.fault is Fault.ERROR_EVENT:
        return dumps(_failed(request, number))
    body = dumps(_complete(reply, request, number))
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(reply: Reply, request: dict[str, Any], number: int) -> list[bytes]:
    """The events of a stream, each complete with its blank line."""
    found = list(_events(reply, request, number))
    if reply.fault is Fault.ERROR_EVENT:
        found[reply.after_chunks :] = [{"type": "response.failed", "response": _failed(request, number)}]
    end = b"\r\n" if reply.fault is Fault.CRLF else b"\n"
    comment = b": keep-alive" + end + end if reply.fault is Fault.COMMENTS else b""
    written = [
        b"%bevent: %b%bdata: %b%b%b"
        % (comment, event["type"].encode(), end, dumps({**event, "sequence_number": at}), end, end)
        for at, event in enumerate(found)
    ]
    if reply.fault is Fault.MALFORMED_JSON:
        written.insert(reply.after_chunks, b'data: {"type": "response.output_text.delta", "delta": ' + end + end)
    return written


def _events(reply: Reply, request: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    complete = _complete(reply, request, number)
    begun = {**complete, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(complete["output"]):
        yield from _item_events(reply, index, item)
    yield {"type": f"response.{complete['status']}", "response": complete}


def _item_events(reply: Reply, index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index}
    started = {**item, "status": "in_progress"}
    empty = {
        name: "" if isinstance(item.get(name), str) else []
        for name in ("content", "arguments", "input", "summary")
        if name in item
    }
    yield {"type": "response.output_item.added", "output_index": index, "item": {**started, **empty}}
    if item["type"] == "message":
        place["content_index"] = 0
        part = {"type": "output_text", "text": "", "annotations": []}
        yield {"type": "response.content_part.added", **place, "part": part}
        text = item["content"][0]["text"]
        for piece in [text] if reply.fault is Fault.HUGE_FRAME else words(text):
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": item["content"][0]}
    elif item["type"] == "reasoning":
        for at, part in enumerate(item["summary"]):
            where = {**place, "summary_index": at}
            yield {"type": "response.reasoning_summary_part.added", **where, "part": {**part, "text": ""}}
            yield {"type": "response.reasoning_summary_text.delta", **where, "delta": part["text"]}
            yield {"type": "response.reasoning_summary_text.done", **where, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **where, "part": part}
    else:
        kind, name = (
            ("custom_tool_call_input", "input")
            if item["type"] == "custom_tool_call"
            else ("function_call_arguments", "arguments")
        )
        for piece in argument_pieces(ToolCall("", item[name])):
            yield {"type": f"response.{kind}.delta", **place, "delta": piece}
        yield {"type": f"response.{kind}.done", **place, name: item[name]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _complete(reply: Reply, request: dict[str, Any], number: int) -> dict[str, Any]:
    response = _frame(request, number)
    if reply.fault is not Fault.EMPTY_CHOICES:
        response["output"] = list(_items(reply, request, number))
    response["status"] = "incomplete" if reply.finish_reason == "length" else "completed"
    if reply.finish_reason == "length":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        response["completed_at"] = response["created_at"]
    response["usage"] = usage(reply)
    return response


def _items(reply: Reply, request: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    if reply.thinking:
        yield {
            "id": f"rs_{number}", "type": "reasoning", "summary": [{"type": "summary_text", "text": reply.thinking}],
            "encrypted_content": ENCRYPTED,
        }  # fmt: skip
    text = text_of(reply)
    if text or not reply.tool_calls:
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        yield {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": content}
    for at, call in enumerate(reply.tool_calls):
        yield _call(call, request, number, at)


def _call(call: ToolCall, request: dict[str, Any], number: int, at: int) -> dict[str, Any]:
    """A call of a custom tool where the request has one of that name; its arguments are its input then."""
    namespace, _, name = call.name.rpartition("/")
    made = {"status": "completed", "call_id": call.id or f"call_{number}_{at}", "name": name}
    if namespace:
        made["namespace"] = namespace
    if any(tool.get("name") == name for tool in _tools(request) if tool.get("type") == "custom"):
        return {"id": f"ctc_{number}_{at}", "type": "custom_tool_call", **made, "input": call.arguments}
    return {"id": f"fc_{number}_{at}", "type": "function_call", **made, "arguments": call.arguments}


def _tools(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    items = request.get("input")
    added = [tool for item in items if item.get("tools") for tool in item["tools"]] if isinstance(items, list) else []
    for tool in [*request.get("tools", []), *added]:
        yield tool
        yield from tool.get("tools", [])


def _frame(request: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"resp_scripted_{number}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": request.get("model"),
        "output": [],
        "completed_at": None,
        "previous_response_id": None,
        **{name: request.get(name, usual) for name, usual in REPEATED.items()},
        "tools": [
            {"description": None, "strict": None, **tool} if tool.get("type") == "function" else tool
            for tool in request.get("tools") or ()
        ],
        "usage": None,
        "metadata": json.loads(dumps(request.get("metadata") or {})),
    }


def _failed(request: dict[str, Any], number: int) -> dict[str, Any]:
    error = {"code": "server_error", "message": "scripted failure"}
    return {**_frame(request, number), "status": "failed", "error": error}


RESPONSES = Speech(events, whole, error_body)
