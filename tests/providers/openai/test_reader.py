"""OpenAI's dialect read into events: what its many speakers send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from fairlead.doors.openai_chat.writer import ChatWriter
from fairlead.errors import UpstreamCut, UpstreamError
from fairlead.providers.openai.reader import ChunkFormat
from fairlead.wire.answer import (
    AnswerContext,
    Citation,
    Event,
    Finish,
    Logprobs,
    Media,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    merged,
)

FORMAT = ChunkFormat()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return f"data: {json.dumps({'id': 'c1', 'created': 9, 'model': 'v', 'choices': [choice]})}\n\n".encode()


def read(*blocks: bytes, choices: int = 1, prefill: str = "") -> list[Event]:
    reader = FORMAT.reader(choices, prefill)
    events = [event for block in (*blocks, b"data: [DONE]\n\n") for event in reader.feed(block)]
    return events + reader.last()


def read_whole(message: dict[str, Any], **more: Any) -> list[Event]:
    choice = {"index": 0, "message": message, "finish_reason": "stop", **more}
    document = {"id": "c1", "created": 9, "model": "v", "choices": [choice]}
    return FORMAT.whole(json.dumps(document).encode()).events


START, STOP = Start("c1", 9, "v"), Finish("stop", native="stop")


def test_text_and_reasoning_of_every_speaker() -> None:
    assert read(
        chunk({"role": "assistant", "content": ""}), chunk({"reasoning": "Hm."}), chunk({"reasoning_content": "Well."}),
        chunk({"content": "Hi"}), chunk({"refusal": "No."}), chunk({}, "stop"),
    ) == [START, Reasoning("Hm."), Reasoning("Well."), Text("Hi"), Refusal("No."), STOP]  # fmt: skip


def test_mistrals_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]
    assert read(chunk({"content": parts}), chunk({}, "stop")) == [START, Reasoning("Hm."), Text("Hi"), STOP]
    assert read_whole({"content": parts}) == [START, Reasoning("Hm."), Text("Hi"), STOP]


def test_calls_begin_once_with_their_name_and_go_on_by_index() -> None:
    one = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    two = {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}
    assert read(
        chunk({"tool_calls": [one]}), chunk({"tool_calls": [two]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]}, "tool_calls"),
    ) == [
        START, ToolCall(0, "a", "f"), ToolCall(1, "b", "g", "{"), ToolArguments(0, "{}"), ToolArguments(1, "}"),
        Finish("tool_calls", native="tool_calls"),
    ]  # fmt: skip


def test_calls_that_all_have_the_same_index_or_none() -> None:
    calls = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    wanted = [START, ToolCall(0, "a", "a", "{}"), ToolCall(1, "b", "b", "{}"), STOP]
    assert read(*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, "stop")) == wanted
    assert read_whole({"content": None, "tool_calls": [{**call, "index": None} for call in calls]}) == wanted


def test_a_call_whose_name_comes_late_or_again() -> None:
    assert read(
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "}"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": " "}}]}, "stop"),
    ) == [START, ToolCall(0, "a", "f", "{}"), ToolArguments(0, " "), STOP]


def test_custom_calls_and_signed_ones() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    signed = {
        "id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}},
    }  # fmt: skip
    events = read_whole({"content": None, "tool_calls": [custom, signed]})
    assert events == [
        START, ToolCall(0, "a", "patch", "*** Begin", kind="custom"), ToolCall(1, "b", "f", "{}", signature="s"), STOP,
    ]  # fmt: skip
    more = {"index": 0, "custom": {"input": " Patch"}}
    custom["index"] = 0  # type: ignore[assignment]
    assert merged(read(chunk({"tool_calls": [custom]}), chunk({"tool_calls": [more]}), chunk({}, "stop")))[
        1
    ] == ToolCall(0, "a", "patch", "*** Begin Patch", kind="custom")


def test_reasoning_that_must_be_sent_back() -> None:
    def detail(**members: Any) -> bytes:
        return chunk({"reasoning_details": [{"format": "anthropic-claude-v1", "index": 2, **members}]})

    assert read(
        detail(type="reasoning.text", text="Hm. "), detail(type="reasoning.text", text="Well."),
        detail(type="reasoning.text", signature="s"), detail(type="reasoning.encrypted", data="d", id="r1"),
        chunk({"content": "Hi"}, "stop"),
    ) == [
        START, ReasoningState("anthropic-claude-v1", "Hm. Well.", "s", part=2),
        ReasoningState("anthropic-claude-v1", data="d", id="r1", part=2), Text("Hi"), STOP,
    ]  # fmt: skip


RARE: dict[str, Any] = {
    "content": "See [1].",
    "annotations": [
        {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 4, "end_index": 7}}
    ],
    "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    "audio": {"id": "s1", "data": "BBBB", "transcript": "See.", "expires_at": 5},
}


def test_citations_images_audio_and_probabilities() -> None:
    probabilities = {"content": [{"token": "See", "logprob": -0.5}], "refusal": None}
    events = read_whole(RARE, logprobs=probabilities)
    assert events == [
        START, Text("See [1]."), Citation("u", "t", start=4, end=7), Media("image", "image/png", "AAAA"),
        Media("audio", data="BBBB", id="s1", transcript="See.", expires_at=5),
        Logprobs((Raw(b'{"token": "See", "logprob": -0.5}'),)), STOP,
    ]  # fmt: skip
    written = json.loads(ChatWriter(AnswerContext("public", 1)).whole(events, None, b""))
    choice = written["choices"][0]
    assert {name: choice["message"][name] for name in RARE} == RARE
    assert choice["logprobs"] == probabilities
    assert (written["id"], written["created"], written["model"]) == ("c1", 9, "public")


def test_what_the_provider_repeats_of_the_prefill_is_left_out() -> None:
    said = [chunk({"content": part}) for part in ("He", "llo", " wor", "ld")]
    assert merged(read(*said, chunk({}, "stop"), prefill="Hello"))[1] == Text(" world")
    assert merged(read(*said, chunk({}, "stop"), prefill="Good"))[1] == Text("Hello world"), "it does not repeat it"


def test_an_end_is_an_end_only_with_every_finish_reason() -> None:
    for blocks in ((), (chunk({"content": "a"}),)):
        with pytest.raises(UpstreamCut):
            read(*blocks)
    reader = FORMAT.reader(2)
    reader.feed(chunk({"content": "a"}, "stop"))
    with pytest.raises(UpstreamCut):
        reader.last()
    assert read(chunk({"content": "a"}, "stop"), choices=2)[-1] == STOP, "it has said itself that this was all"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error":{"message":"no"}}', b'{"choices":[{"message":7}]}'])
def test_what_is_no_completion(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        FORMAT.whole(body)
