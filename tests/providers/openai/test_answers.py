"""Answers and streams on their way back: complete and true, or an error, and never anything between."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    UpstreamCut,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
)
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat, UpstreamCall
from fairlead.wire.usage import Usage

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def adapter() -> OpenAIChat:
    return OpenAIChat(DIALECTS["generic"], "public", "vendor")


def a_call(**changes: Any) -> UpstreamCall:
    values: dict[str, Any] = {"include_usage": False, "choices": 1, "prefill": "", **changes}
    return UpstreamCall([], True, (), **values)


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    document = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 9,
        "model": "vendor",
        "choices": choices,
        **more,
    }
    return f"data: {json.dumps(document, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


DONE = b"data: [DONE]\n\n"
TEXT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hé"}),
    chunk({"content": "llo 🌍"}),
    chunk({}, "stop"),
]


def relayed(blocks: list[bytes], **changes: Any) -> list[Any]:
    relay = adapter().relay(a_call(**changes))
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    assert out.endswith(DONE)
    assert out.count(b"[DONE]") == 1
    return [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n")[:-2]]


def assembled(blocks: list[bytes], **changes: Any) -> Any:
    assembler = adapter().assembler(a_call(**changes))
    for block in blocks:
        assembler.feed(block)
    assert assembler.finish() == b""
    return json.loads(assembler.end(b""))


def text_of(events: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_stream_in_any_pieces_and_line_ends_says_the_same(data: st.DataObject) -> None:
    stream = b"".join([*TEXT, chunk(None, usage=USAGE), DONE])
    if data.draw(st.booleans()):
        stream = stream.replace(b"\n", b"\r\n")
    if data.draw(st.booleans()):
        stream = b": hello\n\n" + stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    blocks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    events = relayed(blocks, include_usage=True)
    assert text_of(events) == "Héllo 🌍"
    assert events[-1]["usage"] == USAGE
    assert {event["model"] for event in events} == {"public"}
    assert assembled(blocks)["choices"][0]["message"]["content"] == "Héllo 🌍"


def test_usage_comes_only_when_asked_and_then_last_and_alone() -> None:
    together = [*TEXT[:-1], chunk({}, "stop", usage=USAGE), DONE]
    apart = [*TEXT, chunk(None, usage=USAGE), DONE]
    both = [*TEXT[:-1], chunk({}, "stop", usage=USAGE), chunk(None, usage=USAGE), DONE]
    nulls = [event.replace(b'"}]}', b'"}]}').replace(b"]}\n", b'],"usage":null}\n') for event in TEXT]
    for blocks in (together, apart, both, [*nulls, chunk(None, usage=USAGE), DONE]):
        assert all("usage" not in event for event in relayed(blocks))
        events = relayed(blocks, include_usage=True)
        assert [event["usage"] for event in events if event.get("usage")] == [USAGE]
        assert events[-1]["choices"] == []
        assert assembled(blocks)["usage"] == USAGE


def test_a_stream_without_a_finish_reason_is_cut_with_or_without_done() -> None:
    for blocks in (TEXT[:-1], [*TEXT[:-1], DONE], [], [DONE], [chunk(None)]):
        with pytest.raises(UpstreamCut):
            relayed(blocks)
        with pytest.raises(UpstreamCut):
            assembled(blocks)
    for blocks in (TEXT, [*TEXT, chunk({"content": "x"}, index=1), DONE]):
        with pytest.raises(UpstreamCut):
            relayed(blocks, choices=2)
        with pytest.raises(UpstreamCut):
            assembled(blocks, choices=2)
    assert text_of(relayed(TEXT)) == "Héllo 🌍", "a missing [DONE] after a finish is made up for"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (b"data: {broken\n\n", UpstreamInvalid),
        (b"data: <html>\n\n", UpstreamInvalid),
        (b"data: []\n\n", UpstreamInvalid),
        (b'data: {"choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n', UpstreamInvalid),
        (b'data: {"choices":' + b"[" * 100_000 + b"\n\n", UpstreamInvalid),
        (b'data: {"error":{"message":"boom"}}\n\n', UpstreamFailed),
        (b'data: {"error":{"message":"maximum context length is 8","code":400}}\n\n', ContextTooLong),
        (b'event: error\ndata: {"error":"boom"}\n\n', UpstreamFailed),
    ],
)
def test_an_event_that_is_none_ends_the_stream(event: bytes, error: type[FairleadError]) -> None:
    for take in (adapter().relay(a_call()).feed, adapter().assembler(a_call()).feed):
        take(TEXT[0])
        with pytest.raises(error):
            take(event)


def test_an_event_without_end_is_refused_and_not_kept() -> None:
    relay = adapter().relay(a_call())
    with pytest.raises(UpstreamInvalid):
        for _ in range(40):
            relay.feed(b"data: " + b"x" * 1_000_000)


def test_the_echo_of_a_prefill_is_taken_away_and_only_that() -> None:
    for start in ("Hé", "Héllo 🌍", "H", "Héllo 🌍!"):
        said = "Héllo 🌍".removeprefix(start) if "Héllo 🌍".startswith(start) else None
        if said is not None:
            assert text_of(relayed([*TEXT, DONE], prefill=start)) == said
            assert assembled([*TEXT, DONE], prefill=start)["choices"][0]["message"]["content"] == said
    assert text_of(relayed([*TEXT, DONE], prefill="Other")) == "Héllo 🌍"


def test_everything_of_a_stream_is_in_the_whole_answer() -> None:
    blocks = [
        chunk({"role": "assistant", "content": None, "reasoning_content": "hm"}),
        chunk(
            {"tool_calls": [{"index": 0, "id": "a1", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk(
            {"tool_calls": [{"index": 1, "id": "b2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}
        ),
        chunk({}, "tool_calls"),
        chunk({"content": "x"}, "stop", index=1, system_fingerprint="fp"),
        DONE,
    ]
    answer = assembled(blocks, choices=2)
    assert answer["model"] == "public"
    assert (answer["id"], answer["created"], answer["object"]) == ("c1", 9, "chat.completion")
    first, second = answer["choices"]
    assert first["finish_reason"] == "tool_calls"
    assert first["message"]["content"] is None
    assert first["message"]["reasoning_content"] == "hm"
    assert [(c["id"], c["function"]) for c in first["message"]["tool_calls"]] == [
        ("a1", {"name": "f", "arguments": '{"a":1}'}),
        ("b2", {"name": "g", "arguments": "{}"}),
    ]
    assert second["message"]["content"] == "x"
    assert "tool_calls" not in second["message"]
    assert len(assembled(blocks, choices=1)["choices"]) == 2, "more than was asked for is nobody's fault"


def test_fewer_choices_than_asked_for_are_complete_when_the_provider_says_that_this_is_all() -> None:
    for end in ([DONE], [chunk(None, usage=USAGE), DONE], [chunk(None, usage=USAGE)]):
        assert text_of(relayed([*TEXT, *end], choices=3)) == "Héllo 🌍"
        assert len(assembled([*TEXT, *end], choices=3)["choices"]) == 1
    with pytest.raises(UpstreamInvalid):
        relayed([chunk({"content": "x"}, index=128), DONE])


def test_logprobs_are_put_together() -> None:
    one = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    events = [chunk({"content": "a"}), chunk({"content": "a"}, "stop")]
    events = [
        event.replace(b'"finish_reason"', b'"logprobs":{"content":[%b]},"finish_reason"' % json.dumps(one).encode())
        for event in events
    ]
    assert assembled([*events, DONE])["choices"][0]["logprobs"]["content"] == [one, one]


def test_a_whole_answer_changes_nothing_but_the_name_of_the_model() -> None:
    body = b'{"id":"x", "model": "vendor-2024", "choices":[{"message":{"content":"\\"model\\":\\"vendor-2024\\""}}],"usage":{"prompt_tokens":1}}'
    whole = adapter().plain(a_call(), body)
    assert whole.delivered() == '"model":"vendor-2024"'
    answer, usage = whole.end(b',"cost":1'), whole.usage
    assert json.loads(answer)["usage"] == {"prompt_tokens": 1, "cost": 1}
    body = body.replace(b'"prompt_tokens":1}', b'"prompt_tokens":1,"cost":1}')
    assert answer == body.replace(b'"model": "vendor-2024"', b'"model":"public"', 1)
    assert usage is not None
    assert usage.tokens.input == 1
    for bad in (b"", b"<html>", b"{}", b'{"choices":[]}', b'{"choices":[{}],"a":"\xff"}', b"[" * 100_000):
        with pytest.raises(UpstreamInvalid):
            adapter().plain(a_call(), bad)
    with pytest.raises(UpstreamError):
        adapter().plain(a_call(), b'{"error":{"message":"no"}}')


@pytest.mark.parametrize("shape", ["apart", "together", "spaced"])
def test_the_cost_stands_in_the_usage_of_the_last_chunk_and_is_asked_for_once(shape: str) -> None:
    blocks = {
        "apart": [*TEXT, chunk(None, usage=USAGE), DONE],
        "together": [*TEXT[:-1], chunk({}, "stop", usage=USAGE), DONE],
        "spaced": [*TEXT, chunk(None, usage=USAGE).replace(b'"usage":', b'"usage" : ').replace(b"[]", b"[ ]"), DONE],
    }[shape]
    asked: list[Usage | None] = []
    cost = b',"cost":0.5,"cost_usd":"0.5"'
    for include_usage in (False, True):
        relay = adapter().relay(a_call(include_usage=include_usage))
        out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(cost)
        asked.append(relay.usage)
        assert relay.delivered() == "Héllo 🌍"
        events = [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n")[:-2]]
        found = [event["usage"] for event in events if event.get("usage")]
        assert found == ([{**USAGE, "cost": 0.5, "cost_usd": "0.5"}] if include_usage else [])
        assert all(event["model"] == "public" for event in events)
    assembler = adapter().assembler(a_call())
    for block in blocks:
        assembler.feed(block)
    assembler.finish()
    asked.append(assembler.usage)
    assert assembler.delivered() == "Héllo 🌍"
    assert json.loads(assembler.end(cost))["usage"] == {**USAGE, "cost": 0.5, "cost_usd": "0.5"}
    assert [usage and (usage.prompt, usage.completion) for usage in asked] == [(3, 2)] * 3
