"""Events become Anthropic's: blocks with brackets, one at a time, and the usage at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic
import pytest
from pydantic import TypeAdapter

from fairlead.doors.messages.writer import MessagesWriter
from fairlead.errors import UpstreamCut
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Finish,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    merged,
)
from fairlead.wire.usage import TokenClasses, Usage

CONTEXT = AnswerContext("public", 1)
USAGE = Usage(TokenClasses(input=5, cached_input=3, cache_write_5m=2, output=6, reasoning=1, request=1), 10, 7)
COST = b',"cost":0.5,"cost_usd":"0.5"'


def read(stream: bytes) -> list[dict[str, Any]]:
    events = []
    for event in stream.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found = json.loads(data.removeprefix("data: "))
        assert name == f"event: {found['type']}"
        events.append(found)
    return events


def streamed(events: Sequence[Event], finish: Finish, echo: Any = None) -> list[dict[str, Any]]:
    writer = MessagesWriter(AnswerContext("public", 1, echo=echo))
    return read(writer.write([Start("chatcmpl-1"), *events]) + writer.finish([finish]) + writer.end(USAGE, COST))


def content(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks as a client puts them together."""
    blocks: list[dict[str, Any]] = []
    for event in stream:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            kind = delta.pop("type")
            if kind == "input_json_delta":
                block["input"] = (block["input"] or "") + delta["partial_json"]
            elif kind == "citations_delta":
                block.setdefault("citations", []).append(delta["citation"])
            else:
                [(name, value)] = delta.items()
                block[name] = block[name] + value if kind != "signature_delta" else value
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"] or "{}")
    return blocks


def whole(events: Sequence[Event], finish: Finish, echo: Any = None) -> dict[str, Any]:
    writer = MessagesWriter(AnswerContext("public", 1, echo=echo))
    found: dict[str, Any] = json.loads(writer.whole(merged([Start("x"), *events, finish]), USAGE, COST))
    return found


CASES: dict[str, tuple[list[Event], Finish, list[dict[str, Any]], str]] = {
    "text": ([Text("Hel"), Text("lo")], Finish("stop"), [{"type": "text", "text": "Hello"}], "end_turn"),
    "two texts": (
        [Text("a", part=0), Text("b", part=1)], Finish("length"),
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "max_tokens",
    ),
    "signed thinking": (
        [Reasoning("Hm"), Reasoning("."), ReasoningState("anthropic-claude-v1", "Hm.", "c2ln"), Text("Hi", part=1)], Finish("stop"),
        [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "Hi"}], "end_turn",
    ),
    "redacted thinking": (
        [ReasoningState("anthropic-claude-v1", data="eHh4"), Text("Hi", part=1)], Finish("stop"),
        [{"type": "redacted_thinking", "data": "eHh4"}, {"type": "text", "text": "Hi"}], "end_turn",
    ),
    "unsigned thinking": (
        [Reasoning("Hm."), Text("Hi")], Finish("stop"),
        [{"type": "thinking", "thinking": "Hm.", "signature": "fairlead:"}, {"type": "text", "text": "Hi"}], "end_turn",
    ),
    "another provider's thinking": (
        [Reasoning("Sum.", summary=True), ReasoningState("openai-responses-v1", data="ZW5j", id="rs_1"), Text("Hi")], Finish("stop"),
        [
            {"type": "thinking", "thinking": "Sum.", "signature": "fairlead:openai-responses-v1:d:rs_1:ZW5j"},
            {"type": "text", "text": "Hi"},
        ], "end_turn",
    ),
    "tools": (
        [
            Text("See"), ToolCall(0, "call_1", "get"), ToolArguments(0, '{"a":'), ToolArguments(0, "1}"),
            ToolCall(1, "call_2", "put", '{"b":2}'),
        ], Finish("tool_calls"),
        [
            {"type": "text", "text": "See"},
            {"type": "tool_use", "id": "call_1", "name": "get", "input": {"a": 1}},
            {"type": "tool_use", "id": "call_2", "name": "put", "input": {"b": 2}},
        ], "tool_use",
    ),
    "calls whose arguments come in turn": (
        [
            ToolCall(0, "c1", "get"), ToolCall(1, "c2", "put"), ToolArguments(0, '{"a":1}'), ToolArguments(1, '{"b":2}'),
        ], Finish("stop"),
        [
            {"type": "tool_use", "id": "c1", "name": "get", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "put", "input": {"b": 2}},
        ], "tool_use",
    ),
    "a call that Gemini signed": (
        [ToolCall(0, "c1", "get", "{}", signature="c2ln")], Finish("tool_calls"),
        [
            {"type": "redacted_thinking", "data": "fairlead:google-gemini-v1:c:c1:c2ln"},
            {"type": "tool_use", "id": "c1", "name": "get", "input": {}},
        ], "tool_use",
    ),
    "refusal": ([Refusal("No.")], Finish("stop"), [{"type": "text", "text": "No."}], "refusal"),
    "content filter": ([Text("N")], Finish("content_filter"), [{"type": "text", "text": "N"}], "refusal"),
    "pause": ([Text("N")], Finish("stop", native="pause_turn"), [{"type": "text", "text": "N"}], "pause_turn"),
    "stop sequence": ([Text("N")], Finish("stop", stop_sequence="END"), [{"type": "text", "text": "N"}], "stop_sequence"),
    "citation": (
        [Text("N"), Citation("https://a", "A", "words")], Finish("stop"),
        [{
            "type": "text", "text": "N", "citations": [{
                "type": "web_search_result_location", "url": "https://a", "title": "A", "cited_text": "words",
                "encrypted_index": "fairlead:",
            }],
        }], "end_turn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_stream_and_a_document_say_the_same(name: str) -> None:
    events, finish, blocks, reason = CASES[name]
    stream = streamed(events, finish)
    assert content(stream) == blocks
    document = whole(events, finish)
    assert document["content"] == blocks
    [ended] = [event for event in stream if event["type"] == "message_delta"]
    assert ended["delta"]["stop_reason"] == document["stop_reason"] == reason
    assert ended["delta"]["stop_sequence"] == document["stop_sequence"] == finish.stop_sequence
    assert ended["usage"] == document["usage"]
    assert document["model"] == stream[0]["message"]["model"] == "public"
    assert document["id"].startswith("msg_")


@pytest.mark.parametrize("name", CASES)
def test_blocks_are_opened_and_closed_one_after_the_other(name: str) -> None:
    events, finish, _, _ = CASES[name]
    kinds = [event["type"] for event in streamed(events, finish)]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    depth = 0
    for kind in kinds:
        depth += {"content_block_start": 1, "content_block_stop": -1}.get(kind, 0)
        assert depth in (0, 1)
    assert depth == 0


def test_usage_has_anthropics_classes_and_the_cost() -> None:
    usage = whole([Text("a")], Finish("stop"))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (5, 3, 2)
    assert usage["output_tokens"] == 7
    assert (usage["cost"], usage["cost_usd"]) == (0.5, "0.5")


def test_unknown_usage_is_zero() -> None:
    assert read(MessagesWriter(CONTEXT).end(None, b""))[0]["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_anthropics_own_id_stays() -> None:
    writer = MessagesWriter(CONTEXT)
    assert read(writer.write([Start("msg_01")]))[0]["message"]["id"] == "msg_01"


def test_shortened_names_of_tools_are_the_callers_again() -> None:
    events: list[Event] = [ToolCall(0, "c", "short", "{}")]
    assert whole(events, Finish("tool_calls"), {"short": "long"})["content"][0]["name"] == "long"
    assert content(streamed(events, Finish("tool_calls"), {"short": "long"}))[0]["name"] == "long"


def test_arguments_that_are_no_object_are_shown() -> None:
    [block] = whole([ToolCall(0, "c", "get", '{"a":')], Finish("tool_calls"))["content"]
    assert block["input"] == {"_raw": '{"a":'}


def test_a_broken_stream_ends_with_an_error_event() -> None:
    [event] = read(MessagesWriter(CONTEXT).error(UpstreamCut("It ended.")))
    assert event == {"type": "error", "error": {"type": "api_error", "message": "It ended.", "code": "upstream_cut"}}


EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)
BLOCK: TypeAdapter[Any] = TypeAdapter(anthropic.types.ContentBlock)


@pytest.mark.parametrize("name", CASES)
def test_every_event_is_one_of_anthropics_published_ones(name: str) -> None:
    """As its SDK describes them; members beside those are ours (`cost`, `code`)."""
    events, finish, _, _ = CASES[name]
    for event in streamed(events, finish):
        if event["type"] != "ping":
            EVENT.validate_python(event)
    document = whole(events, finish)
    anthropic.types.Message.model_validate(document)
    for block in document["content"]:
        BLOCK.validate_python(block)
