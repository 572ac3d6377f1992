"""A provider's responses as events: a stream and its last document say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    UpstreamCut,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamRateLimited,
)
from fairlead.providers.responses_api.reader import ResponsesFormat, ResponsesReader
from fairlead.testing import Reply, ToolCall
from fairlead.testing.responses import RESPONSES
from fairlead.wire.answer import (
    Citation,
    Event,
    Extension,
    Finish,
    Logprobs,
    Media,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    merged,
)
from fairlead.wire.answer import ToolCall as CallEvent

REPLY = Reply(
    "One two.", thinking="Hm.", tool_calls=(ToolCall("look", '{"a": 1}', "c0"), ToolCall("ns/patch", "free", "c1")),
    prompt_tokens=7,
)  # fmt: skip
ASKED: Any = {
    "model": "m",
    "tools": [{"type": "namespace", "name": "ns", "tools": [{"type": "custom", "name": "patch"}]}],
}


def read(data: bytes, size: int = 0) -> tuple[list[Event], ResponsesReader]:
    reader = ResponsesReader()
    events: list[Event] = []
    for at in range(0, len(data), size or len(data)):
        events += reader.feed(data[at : at + (size or len(data))])
    return events + reader.last(), reader


@pytest.mark.parametrize("size", [0, 1, 7, 100])
def test_a_stream_and_its_document(size: int) -> None:
    data = b"".join(RESPONSES.events(REPLY, ASKED, 1))
    events, reader = read(data, size)
    assert merged(events)[1:] == [
        Reasoning("Hm.", summary=True),
        ReasoningState("openai-responses-v1", data="Z0FBQUFBQm", id="rs_1", part=1),
        Text("One two.", part=2),
        CallEvent(0, "c0", "look", '{"a": 1}', part=3),
        CallEvent(1, "c1", "patch", "free", part=4, kind="custom", namespace="ns"),
        Finish("tool_calls", native="completed"),
    ]
    assert reader.usage is not None
    assert reader.usage.prompt == 7
    whole = ResponsesFormat().whole(RESPONSES.whole(REPLY, ASKED, 1))
    assert merged(whole.events)[1:] == merged(events)[1:]
    assert whole.usage == reader.usage


def test_deltas_are_not_needed() -> None:
    events = [
        event for event in RESPONSES.events(REPLY, ASKED, 1) if b".delta" not in event and b"item.added" not in event
    ]
    full, _ = read(b"".join(RESPONSES.events(REPLY, ASKED, 1)))
    found, _ = read(b"".join(events))
    assert merged(found)[1:] == merged(full)[1:]


def document(**members: Any) -> bytes:
    return json.dumps(
        {"id": "resp_1", "created_at": 5.0, "model": "m", "status": "completed", "output": [], **members}
    ).encode()


def test_what_else_a_document_may_hold() -> None:
    output = [
        {"type": "message", "content": [
            {"type": "output_text", "text": "So", "annotations": [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}, {"type": "file_citation"}],
             "logprobs": [{"token": "So"}]},
            {"type": "refusal", "refusal": "No."},
        ]},
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        {"type": "image_generation_call", "id": "ig", "result": "AAAA"},
    ]  # fmt: skip
    events = ResponsesFormat().whole(document(output=output, service_tier="flex")).events
    assert events == [
        Start("resp_1", 5, "m", {"service_tier": Raw(b'"flex"')}),
        Text("So"),
        Logprobs((Raw(b'{"token": "So"}'),)),
        Citation("u", "t", start=0, end=2),
        Refusal("No.", part=1),
        Extension(
            "responses",
            "web_search_call",
            Raw(b'{"type": "web_search_call", "id": "ws", "status": "completed"}'),
            part=3,
        ),
        Media("image", "image/png", "AAAA", part=4),
        Finish("stop", native="completed"),
    ]


@pytest.mark.parametrize(("why", "reason"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_why_an_answer_is_incomplete(why: str, reason: str) -> None:
    events = ResponsesFormat().whole(document(status="incomplete", incomplete_details={"reason": why})).events
    assert events[-1] == Finish(reason, native=why)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}}, UpstreamFailed),
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "x"}}}, UpstreamRateLimited),
        ({"type": "response.failed", "response": {"error": {"code": "context_length_exceeded", "message": "x"}}}, ContextTooLong),
        ({"type": "response.failed", "response": {}}, UpstreamFailed),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, UpstreamRateLimited),
        ({"type": "error", "error": {"code": "server_error", "message": "x"}}, UpstreamFailed),
        ({"type": "error", "error": 5}, UpstreamFailed),
        ({"type": "response.cancelled", "response": {}}, UpstreamFailed),
        ({"type": "response.output_text.delta", "delta": 5}, UpstreamInvalid),
        ({"type": "response.function_call_arguments.delta", "delta": "x", "output_index": 9}, UpstreamInvalid),
        ([], UpstreamInvalid),
    ],
)  # fmt: skip
def test_failures_in_a_stream(event: Any, kind: type[FairleadError]) -> None:
    with pytest.raises(kind):
        read(f"data: {json.dumps(event)}\n\n".encode())


def test_an_end_that_is_missing() -> None:
    data = b"".join(RESPONSES.events(REPLY, ASKED, 1)[:-1])
    with pytest.raises(UpstreamCut):
        read(data)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"\xff", b"[" * 10_000, b'{"status":"in_progress"}', b'{"status":"completed","output":[5]}']
)
def test_what_is_no_response(body: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        ResponsesFormat().whole(body)
