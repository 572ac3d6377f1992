"""Answers written as chat completions."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.doors.openai_chat.writer import ChatWriter
from fairlead.errors import UpstreamCut
from fairlead.wire.answer import AnswerContext, Event, Extension, Finish, ReasoningState, Start, Text, merged
from fairlead.wire.usage import TokenClasses, Usage

USAGE = Usage(TokenClasses(3, output=2, request=1), 3, 2)


def chunks(block: bytes) -> list[Any]:
    *events, rest = block.split(b"\n\n")
    assert rest == b""
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    return [json.loads(event[6:]) for event in events if event != b"data: [DONE]"]


@given(st.lists(st.tuples(st.text(), st.integers(0, 2)), min_size=1), st.text(), st.text(), st.booleans())
def test_every_text_is_one_chunk_whatever_is_in_it(
    texts: list[tuple[str, int]], answer_id: str, model: str, detailed: bool
) -> None:
    details = {"service_tier": Raw(b'"choices"')} if detailed else None
    writer = ChatWriter(AnswerContext(model, 7, choices=3))
    events: list[Event] = [Start(answer_id, details=details), *(Text(text, choice) for text, choice in texts)]
    found = chunks(writer.write(events))
    begun: set[int] = set()
    for (text, choice), chunk in zip(texts, found, strict=True):
        delta = {"content": text} if choice in begun else {"role": "assistant", "content": text}
        begun.add(choice)
        written = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": None}
        frame = {"id": answer_id, "object": "chat.completion.chunk", "created": 7, "model": model, "choices": [written]}
        assert chunk == frame | ({"service_tier": "choices"} if detailed else {})
    whole = json.loads(ChatWriter(AnswerContext(model, 7)).whole(merged(events), None, b""))
    for choice in whole["choices"]:
        assert choice["message"]["content"] == "".join(text for text, at in texts if at == choice["index"])


def test_an_answer_without_a_word_has_its_role_and_its_finish() -> None:
    writer = ChatWriter(AnswerContext("m", 7, include_usage=True))
    out = writer.write([Start("a")]) + writer.finish([Finish("stop")]) + writer.end(USAGE, b',"cost":1')
    last, usage = chunks(out)
    assert last["choices"] == [{"index": 0, "delta": {"role": "assistant"}, "logprobs": None, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]["total_tokens"], usage["usage"]["cost"]) == ([], 5, 1)
    assert out.endswith(b"data: [DONE]\n\n")


def test_usage_is_left_out_where_nobody_asked_for_it_or_knows_it() -> None:
    assert ChatWriter(AnswerContext("m", 7)).end(USAGE, b"") == b"data: [DONE]\n\n"
    assert ChatWriter(AnswerContext("m", 7, include_usage=True)).end(None, b"") == b"data: [DONE]\n\n"


def test_what_only_another_api_has_is_left_out_and_its_reasoning_is_not() -> None:
    events: list[Event] = [
        Start("a"), Extension("messages", "server_tool_use", Raw(b"{}")), ReasoningState("f", data="d", id="r", part=1),
        Finish("stop"),
    ]  # fmt: skip
    detail = {"type": "reasoning.encrypted", "data": "d", "format": "f", "index": 1, "id": "r"}
    [chunk] = chunks(ChatWriter(AnswerContext("m", 7)).write(events[:-1]))
    assert chunk["choices"][0]["delta"] == {"role": "assistant", "reasoning_details": [detail]}
    whole = json.loads(ChatWriter(AnswerContext("m", 7)).whole(events, None, b""))
    assert whole["choices"][0]["message"]["reasoning_details"] == [detail]


def test_a_stream_that_fails_ends_with_the_error_and_without_done() -> None:
    out = ChatWriter(AnswerContext("m", 7)).error(UpstreamCut("It ended."))
    assert chunks(out)[0]["error"]["code"] == "upstream_cut"
    assert b"[DONE]" not in out
