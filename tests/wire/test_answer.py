"""Neutral answer events: a whole answer is its stream, merged."""

from __future__ import annotations

import pytest
from msgspec import Raw

from fairlead.errors import UpstreamInvalid
from fairlead.wire.answer import (
    Event,
    Extension,
    Finish,
    Media,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    merged,
    words,
)

STATE = ReasoningState("anthropic-claude-v1", "Hm. Well.", "signed")


def test_deltas_of_a_part_become_one_event_where_the_first_stood() -> None:
    stream: list[Event] = [
        Start("a1"), Reasoning("Hm. "), Reasoning("Well."), STATE, Text("Let ", part=1), Text("me.", part=1),
        ToolCall(0, "c1", "look", part=2), ToolArguments(0, '{"at":'), ToolCall(1, "c2", "listen", "{}", part=3),
        ToolArguments(0, "1}"), Finish("tool_calls", native="tool_use"),
    ]  # fmt: skip
    assert merged(stream) == [
        Start("a1"), Reasoning("Hm. Well."), STATE, Text("Let me.", part=1),
        ToolCall(0, "c1", "look", '{"at":1}', part=2), ToolCall(1, "c2", "listen", "{}", part=3),
        Finish("tool_calls", native="tool_use"),
    ]  # fmt: skip
    assert merged(merged(stream)) == merged(stream)


def test_parts_and_choices_stay_apart() -> None:
    apart: list[Event] = [
        Text("a"), Text("b", part=1), Text("c", choice=1), Refusal("d"), Reasoning("e", summary=True), Reasoning("f"),
        Extension("messages", "server_tool_use", Raw(b"{}")), Extension("messages", "server_tool_use", Raw(b"{}")),
    ]  # fmt: skip
    assert merged(apart) == apart


def test_arguments_of_a_call_that_never_began() -> None:
    with pytest.raises(UpstreamInvalid, match="never began"):
        merged([ToolCall(0, "c", "f"), ToolArguments(1, "{}")])


def test_the_words_that_are_charged_for() -> None:
    said: list[Event] = [
        Start("a"), Reasoning("1"), STATE, Text("2"), Refusal("3"), ToolCall(0, "c", "4", "5"), ToolArguments(0, "6"),
        Media("audio", data="AAAA", transcript="7"), Finish("stop"),
    ]  # fmt: skip
    assert "".join(map(words, said)) == "1234567"
