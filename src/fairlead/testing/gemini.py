"""Answers in Gemini's words, for calls of `:generateContent` and `:streamGenerateContent?alt=sse`."""

from __future__ import annotations

import json
from typing import Any

from fairlead.testing.rendering import Speech, argument_pieces, dumps, text_of, words
from fairlead.testing.replies import Fault, Reply

STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
}  # fmt: skip
REASONS = {"tool_calls": "STOP", "stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}

Members = dict[str, Any]


def usage(reply: Reply) -> Members | None:
    """The usage object, or None when the reply is to leave it out."""
    if reply.fault is Fault.MISSING_USAGE:
        return None
    if reply.fault is Fault.ZERO_USAGE:
        return {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    if reply.usage is not None:
        return dict(reply.usage)
    thoughts = len(words(reply.thinking))
    output = reply.completion_tokens
    if output is None:
        output = len(words(reply.text)) + sum(len(argument_pieces(call)) for call in reply.tool_calls)
    found = {
        "promptTokenCount": reply.prompt_tokens,
        "candidatesTokenCount": output,
        "totalTokenCount": reply.prompt_tokens + output + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.prompt_tokens}],
    }
    return {**found, "thoughtsTokenCount": thoughts} if thoughts else found


def error_body(status: int, message: str) -> bytes:
    """An error in Google's shape."""
    name = STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return dumps({"error": {"code": status, "message": message, "status": name}})


def _parts(reply: Reply, pieces: list[str], number: int) -> list[Members]:
    parts: list[Members] = []
    if reply.thinking:
        parts.append({"text": reply.thinking, "thought": True})
    parts += [{"text": piece} for piece in pieces]
    for at, call in enumerate(reply.tool_calls):
        made = {"name": call.name, "args": json.loads(call.arguments), "id": call.id or f"g{number}_{at}"}
        part: Members = {"functionCall": made}
        if at == 0:
            part["thoughtSignature"] = reply.signature
        parts.append(part)
    return parts


def _document(parts: list[Members], number: int, reason: str | None, counted: Members | None) -> Members:
    candidate: Members = {"content": {"parts": parts, "role": "model"}}
    if reason is not None:
        candidate["finishReason"] = reason
    document: Members = {"candidates": [{**candidate, "index": 0}]}
    if counted is not None:
        document["usageMetadata"] = counted
    return {**document, "modelVersion": "gemini-scripted", "responseId": f"resp{number:08d}"}


def _reason(reply: Reply) -> str:
    word = reply.finish_reason or "stop"
    return REASONS.get(word, word)


def whole(reply: Reply, request: Members, number: int) -> bytes:
    """The JSON body of an answer that is not streamed. `number` makes ids differ from answer to answer."""
    del request
    if reply.fault is Fault.ERROR_EVENT:
        return error_body(503, "scripted failure")
    text = text_of(reply)
    document = _document(_parts(reply, [text] if text else [], number), number, _reason(reply), usage(reply))
    if reply.fault is Fault.EMPTY_CHOICES:
        document["candidates"] = []
    body = dumps(document)
    return body[: len(body) * 2 // 3] if reply.fault is Fault.MALFORMED_JSON else body


def events(reply: Reply, request: Members, number: int) -> list[bytes]:
    """The events of a stream: each part a document, the last one with reason and usage."""
    del request
    text = text_of(reply)
    pieces = [text] if reply.fault is Fault.HUGE_FRAME else words(text)
    counted = usage(reply)
    running = None if counted is None else {**counted, "candidatesTokenCount": 0}
    documents = [_document([part], number, None, running) for part in _parts(reply, pieces, number)]
    documents.append(_document([{"text": ""}], number, _reason(reply), counted))
    if reply.fault is Fault.EMPTY_CHOICES:
        documents = []
    payloads = [dumps(document) for document in documents]
    if reply.fault is Fault.ERROR_EVENT:
        payloads[reply.after_chunks :] = [error_body(503, "scripted failure")]
    if reply.fault is Fault.MALFORMED_JSON:
        payloads.insert(reply.after_chunks, b'{"candidates": [{"content": {')
    end = b"\n" if reply.fault in (Fault.COMMENTS, Fault.ONE_BYTE_AT_A_TIME) else b"\r\n"  # Google's
    comment = b": keep-alive" + end + end if reply.fault is Fault.COMMENTS else b""
    return [b"%bdata: %b%b%b" % (comment, payload, end, end) for payload in payloads]


GEMINI = Speech(events, whole, error_body)
