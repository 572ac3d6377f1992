"""Responses as they are written: each event in its place, with its number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from fairlead.doors.responses.reasoning_state import unwrapped
from fairlead.doors.responses.request import Echo
from fairlead.doors.responses.tools import ToolName
from fairlead.doors.responses.writer import ResponsesWriter
from fairlead.errors import ContextTooLong, RateLimited, UpstreamCut
from fairlead.wire.answer import (
    AnswerContext,
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
    ToolArguments,
    ToolCall,
    merged,
)
from fairlead.wire.usage import Usage

USAGE = Usage((8, 2, 0, 0, 0, 0, 3, 2, 0, 1), 10, 5)
COST = b',"cost":0.1,"cost_usd":"0.1"'
NAMES = {"patch": ToolName("custom", "apply_patch"), "functions__run": ToolName("function", "run", "functions")}
REQUIRED = b',"tools":[],"tool_choice":"auto","parallel_tool_calls":true'
_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def writer(*, encrypted: bool = True, keep: Any = None) -> ResponsesWriter:
    echo = Echo("resp_1", REQUIRED, NAMES, encrypted, keep)
    return ResponsesWriter(AnswerContext("public", 1_700_000_000, echo=echo))


def parsed(data: bytes, *, is_described: bool = True) -> list[dict[str, Any]]:
    events = []
    for block in data.decode().removesuffix("\n\n").split("\n\n"):
        name, _, payload = block.partition("\n")
        event = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if is_described:
            _event.validate_python(event)  # as OpenAI's own SDK describes it
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def streamed(events: list[Event], finish: str = "stop", **options: Any) -> list[dict[str, Any]]:
    made = writer(**options)
    out = made.write([Start("a"), *events[:1]]) + b"".join([made.write([event]) for event in events[1:]])
    out += made.finish([Finish(finish)])  # type: ignore[arg-type]
    return parsed(out + made.end(USAGE, COST))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text() -> None:
    events = streamed([Text("Hel"), Text("lo")])
    assert kinds(events) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert events[6]["text"] == "Hello"
    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"] == [events[-2]["item"]]
    assert response["usage"] == {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15,
        "cost": 0.1, "cost_usd": "0.1",
    }  # fmt: skip


def test_reasoning_its_summary_and_what_the_model_must_get_back() -> None:
    state = ReasoningState("anthropic-claude-v1", "Hm.", "signed")
    events = streamed([Reasoning("Sum", summary=True), Reasoning("Hm.", part=1), state, Text("So", part=2)])
    assert kinds(events)[2:12] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "content_part.added", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    item = events[11]["item"]
    assert item["summary"] == [{"type": "summary_text", "text": "Sum"}]
    assert item["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    found = unwrapped(item["encrypted_content"])
    assert found is not None
    assert (found.format, found.text, found.signature) == ("anthropic-claude-v1", "Hm.", "signed")
    plain = streamed([Reasoning("Hm."), state, Text("So", part=2)], encrypted=False)
    assert "encrypted_content" not in json.dumps(plain)


def test_the_encrypted_reasoning_of_a_provider_of_this_api_stays_as_it_is() -> None:
    events = streamed([ReasoningState("openai-responses-v1", data="gAAA", id="rs_7"), Text("So")])
    item = next(event["item"] for event in events if event["type"] == "response.output_item.done")
    assert (item["id"], item["encrypted_content"]) == ("rs_7", "gAAA")


def test_calls_of_functions_of_custom_tools_and_in_namespaces() -> None:
    events = streamed(
        [
            Text("Wait."), ToolCall(0, "c0", "look", '{"a"', part=1), ToolArguments(0, ":1}"),
            ToolCall(1, "c1", "patch", part=2), ToolArguments(1, '{"input": "*** B'), ToolArguments(1, 'egin"}'),
            ToolCall(2, "", "functions__run", "{}", part=3),
        ],
        "tool_calls",
    )  # fmt: skip
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["message", "function_call", "custom_tool_call", "function_call"]
    assert done[1]["arguments"] == '{"a":1}'
    assert (done[2]["name"], done[2]["input"]) == ("apply_patch", "*** Begin")
    assert (done[3]["namespace"], done[3]["name"]) == ("functions", "run")
    assert done[3]["call_id"]
    assert "".join(event["delta"] for event in events if "custom_tool_call_input.delta" in event["type"]) == "*** Begin"
    opened = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert opened == [0, 1, 2, 3]


def test_arguments_that_come_late_belong_to_their_call() -> None:
    events = streamed([ToolCall(0, "c0", "f", "{"), ToolCall(1, "c1", "g", "{}"), ToolArguments(0, "}")], "tool_calls")
    done = {event["item"]["call_id"]: event["item"] for event in events if event["type"] == "response.output_item.done"}
    assert (done["c0"]["arguments"], done["c1"]["arguments"]) == ("{}", "{}")


def test_refusals_citations_and_probabilities() -> None:
    token = Raw(b'{"token":"So","logprob":-0.1,"bytes":[83,111],"top_logprobs":[]}')
    events = streamed([Text("So"), Logprobs((token,)), Citation("https://a", "A", start=0, end=2), Refusal("No.")])
    assert kinds(events)[4:11] == [
        "output_text.delta", "output_text.annotation.added", "output_text.done", "content_part.done",
        "content_part.added", "refusal.delta", "refusal.done",
    ]  # fmt: skip
    text, refusal = events[-1]["response"]["output"][0]["content"]
    assert text["annotations"][0]["url"] == "https://a"
    assert text["logprobs"][0]["token"] == "So"
    assert refusal == {"type": "refusal", "refusal": "No."}


def test_items_that_only_this_api_has_and_images() -> None:
    search = Extension(
        "responses",
        "web_search_call",
        Raw(b'{"id":"ws","type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}}'),
    )
    events = streamed([search, Extension("messages", "x", Raw(b"{}")), Media("image", data="AAAA"), Text("So")])
    assert [item["type"] for item in events[-1]["response"]["output"]] == [
        "web_search_call", "image_generation_call", "message",
    ]  # fmt: skip


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_incomplete_answer(finish: str, reason: str) -> None:
    events = streamed([Text("Half")], finish)
    last = events[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_an_answer_without_a_word() -> None:
    made = writer()
    out = made.write([Start("a")]) + made.finish([Finish("stop")]) + made.end(None, b"")
    events = parsed(out)
    assert kinds(events) == ["created", "in_progress", "completed"]
    assert events[-1]["response"]["usage"] is None


def test_a_failure_in_the_middle_has_the_next_number() -> None:
    made = writer()
    out = made.write([Start("a"), Text("Half")]) + made.error(UpstreamCut("It broke."))
    last = parsed(out)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {
        "code": "server_error",
        "message": "It broke.",
        "fairlead_code": "upstream_cut",
    }
    assert last["response"]["status"] == "failed"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ContextTooLong("Too long."), "context_length_exceeded", "Too long."),
        (RateLimited("Slowly.", retry_after_seconds=7), "rate_limit_exceeded", "Slowly. Please try again in 7s."),
    ],
)
def test_codes_that_clients_branch_on(error: Any, code: str, words: str) -> None:
    # OpenAI sends `context_length_exceeded`, and does not list it.
    failed = parsed(writer().error(error), is_described=False)[-1]["response"]["error"]
    assert (failed["code"], failed["message"]) == (code, words)


def test_a_whole_response_is_the_last_of_its_stream() -> None:
    events: list[Event] = [
        Reasoning("Sum", summary=True), ReasoningState("openai-responses-v1", data="e"), Text("So", part=1),
        ToolCall(0, "c", "f", '{"a":', part=2), ToolArguments(0, "1}"),
    ]  # fmt: skip
    whole = json.loads(writer().whole(merged([Start("a"), *events, Finish("tool_calls")]), USAGE, COST))
    Response.model_validate(whole)
    last = streamed(events, "tool_calls")[-1]["response"]

    def plain(response: dict[str, Any]) -> Any:
        return json.loads(
            json.dumps(response),
            object_hook=lambda one: {k: v for k, v in one.items() if k not in ("id", "completed_at")},
        )

    assert plain(whole) == plain(last)


def test_what_is_stored_has_the_reasoning_also_when_the_caller_does_not_want_it() -> None:
    kept: list[bytes] = []
    events = streamed(
        [ReasoningState("anthropic-claude-v1", "Hm.", "signed"), Text("So")], encrypted=False, keep=kept.append
    )
    assert "encrypted_content" not in json.dumps(events)
    assert "encrypted_content" in json.loads(kept[0])["output"][0]
