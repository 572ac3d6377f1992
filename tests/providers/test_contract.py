"""The contract of every dialect: the same cases, and the same answers in OpenAI's shape."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    InvalidRequest,
    UpstreamCut,
    UpstreamDenied,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamRefused,
)
from fairlead.wire.usage import Usage

from .support import HELLO, adapter, body_of, called, document_of, stream_of

EVERY = ["openai", "azure", "anthropic", "gemini", "bedrock"]
TRANSLATED = ["anthropic", "gemini", "bedrock"]
CASES = ["text", "tools", "reasoning", "length"]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
OTHER = {"type": "function", "function": {"name": "other"}}
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def relayed(dialect: str, blocks: list[bytes], include_usage: bool = True) -> tuple[list[Any], Usage | None]:
    call = called(dialect, stream=True, stream_options={"include_usage": include_usage})
    relay = adapter(dialect).relay(call)
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b',"cost":0.5')
    assert out.endswith(b"data: [DONE]\n\n")
    assert out.count(b"[DONE]") == 1
    events = [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n")[:-2]]
    for event in events:
        ChatCompletionChunk.model_validate(event)
    return events, relay.usage


def assembled(dialect: str, blocks: list[bytes]) -> Any:
    assembler = adapter(dialect).assembler(called(dialect, stream=True))
    for block in blocks:
        assembler.feed(block)
    assert assembler.finish() == b""
    assert assembler.delivered()
    return json.loads(assembler.end(b',"cost":0.5'))


def joined(events: list[Any]) -> dict[str, Any]:
    """A stream put together as a client does it."""
    whole: dict[str, Any] = {"content": "", "reasoning": "", "details": [], "calls": {}, "finish": None}
    for choice in (choice for event in events for choice in event["choices"]):
        delta = choice["delta"]
        whole["content"] += delta.get("content") or ""
        whole["reasoning"] += delta.get("reasoning_content") or ""
        whole["details"] += delta.get("reasoning_details") or []
        for call in delta.get("tool_calls") or ():
            entry = whole["calls"].setdefault(call["index"], {"id": call.get("id"), "name": "", "arguments": ""})
            entry["name"] += call["function"].get("name") or ""
            entry["arguments"] += call["function"].get("arguments") or ""
        whole["finish"] = choice["finish_reason"] or whole["finish"]
    return whole


def as_joined(answer: Any) -> dict[str, Any]:
    ChatCompletion.model_validate(answer)
    (choice,) = answer["choices"]
    message = choice["message"]
    return {
        "content": message["content"] or "",
        "reasoning": message.get("reasoning_content") or "",
        "details": message.get("reasoning_details") or [],
        "calls": {
            index: {"id": call["id"], **call["function"]} for index, call in enumerate(message.get("tool_calls") or ())
        },
        "finish": choice["finish_reason"],
    }


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("case", CASES)
def test_a_stream_and_a_whole_answer_say_the_same(dialect: str, case: str) -> None:
    events, usage = relayed(dialect, [stream_of(dialect, case)])
    streamed = joined(events)
    wanted = {
        "text": ("Héllo 🌍", "", "stop", (25, 7)),
        "tools": ("Let me look.", "", "tool_calls", (80, 40)),
        "reasoning": ("42", "Let me think.", "stop", (12, 30)),
        "length": ("One two", "", "length", (9, 2)),
    }[case]
    assert (streamed["content"], streamed["reasoning"], streamed["finish"]) == wanted[:3]
    assert usage is not None
    assert usage.balanced
    assert (usage.prompt, usage.completion) == wanted[3]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["cost"] == 0.5
    assert events[-1]["usage"]["total_tokens"] == sum(wanted[3])
    assert {event["model"] for event in events} == {"public"}
    assert all("usage" not in event or event["usage"] is None for event in events[:-1])
    plain = adapter(dialect).plain(called(dialect), document_of(dialect, case))
    assert plain.usage == usage
    assert plain.delivered()
    answer = json.loads(plain.end(b',"cost":0.5'))
    assert as_joined(answer) == streamed
    assert answer["usage"]["cost"] == 0.5
    assert answer["model"] == "public"
    assert as_joined(assembled(dialect, [stream_of(dialect, case)])) == streamed


@pytest.mark.parametrize("dialect", EVERY)
def test_parallel_calls_keep_their_ids_names_and_arguments(dialect: str) -> None:
    calls = joined(relayed(dialect, [stream_of(dialect, "tools")])[0])["calls"]
    assert [(call["name"], json.loads(call["arguments"])["city"]) for call in calls.values()] == [
        ("get_weather", "Oslo"),
        ("get_weather", "Rome"),
    ]
    assert len({call["id"] for call in calls.values()}) == 2
    assert all(call["id"].endswith(end) for call, end in zip(calls.values(), ("a1", "b2"), strict=True))


@pytest.mark.parametrize("dialect", EVERY)
def test_a_cached_prompt_and_reasoning_are_counted_apart(dialect: str) -> None:
    usage = relayed(dialect, [stream_of(dialect, "text")])[1]
    assert usage is not None
    assert (usage.tokens.input, usage.tokens.cached_input, usage.tokens.output) == (15, 10, 7)
    usage = relayed(dialect, [stream_of(dialect, "reasoning")])[1]
    assert usage is not None
    assert usage.tokens.reasoning == (0 if dialect == "bedrock" else 20), "Converse does not tell it"


@pytest.mark.parametrize("dialect", EVERY)
def test_usage_is_sent_only_when_asked_for(dialect: str) -> None:
    events, usage = relayed(dialect, [stream_of(dialect, "text")], include_usage=False)
    assert usage is not None
    assert not any(event.get("usage") for event in events)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("case", ["text", "tools", "reasoning"])
def test_one_byte_at_a_time_says_the_same(dialect: str, case: str) -> None:
    stream = stream_of(dialect, case)
    bytewise = joined(relayed(dialect, [bytes([byte]) for byte in stream])[0])
    assert bytewise == joined(relayed(dialect, [stream])[0])


@pytest.mark.parametrize("dialect", EVERY)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_stream_in_any_pieces_says_the_same(dialect: str, data: st.DataObject) -> None:
    stream = stream_of(dialect, data.draw(st.sampled_from(CASES)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    blocks = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    assert joined(relayed(dialect, blocks)[0]) == joined(relayed(dialect, [stream])[0])


# From here on what a vendor's stream has said is a complete answer; what may follow is its usage.
COMPLETE = {
    "openai": b'"finish_reason":"',
    "azure": b'"finish_reason":"',
    "anthropic": b'"type":"message_stop"}',
    "gemini": b'"finishReason":"',
    "bedrock": b'"stopReason": "',
}


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("case", ["text", "tools"])
def test_a_stream_cut_anywhere_is_never_complete(dialect: str, case: str) -> None:
    stream = stream_of(dialect, case)
    complete = stream.rindex(COMPLETE[dialect])
    for end in range(complete):
        relay = adapter(dialect).relay(called(dialect, stream=True))
        out = relay.feed(stream[:end])
        assert b'"finish_reason":"' not in out
        assert not relay.done
        with pytest.raises((UpstreamCut, UpstreamInvalid)):
            relay.finish()
        assembler = adapter(dialect).assembler(called(dialect, stream=True))
        assembler.feed(stream[:end])
        with pytest.raises((UpstreamCut, UpstreamInvalid)):
            assembler.finish()


@pytest.mark.parametrize("dialect", EVERY)
def test_an_error_in_the_middle_of_a_stream_ends_it(dialect: str) -> None:
    relay = adapter(dialect).relay(called(dialect, stream=True))
    with pytest.raises(UpstreamError) as caught:
        relay.feed(stream_of(dialect, "error"))
    assert caught.value.another_may_help


@pytest.mark.parametrize("dialect", EVERY)
def test_what_breaks_the_protocol_is_refused(dialect: str) -> None:
    for bad in (b"", b"<html>", b"[]", b"[" * 100_000, b'{"a":"\xff"}'):
        with pytest.raises(UpstreamError):
            adapter(dialect).plain(called(dialect), bad)
    broken = [b"data: {broken\n\n", b"data: []\n\n"]
    if dialect == "bedrock":
        whole = stream_of(dialect, "text")
        broken = [
            whole[:-1] + bytes([whole[-1] ^ 1]),
            whole[:20] + b"x" + whole[21:],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"\0" * 64,
        ]
    for bad in broken:
        with pytest.raises(UpstreamInvalid):
            adapter(dialect).relay(called(dialect, stream=True)).feed(bad)


# --- requests


def text_parts(dialect: str, body: Any) -> list[tuple[str, list[Any]]]:
    """(role, parts) of each message."""
    if dialect == "gemini":
        return [(turn["role"], turn["parts"]) for turn in body["contents"]]
    return [(turn["role"], turn["content"]) for turn in body["messages"]]


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_system_prompts_stand_apart_and_turns_alternate(dialect: str) -> None:
    body = body_of(
        dialect,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "One"},
            {"role": "user", "content": [{"type": "text", "text": "Two"}]},
            {"role": "assistant", "content": "Three"},
            {"role": "user", "content": "Four"},
        ],
    )
    system = body["systemInstruction"]["parts"] if dialect == "gemini" else body["system"]
    assert [part["text"] for part in system] == ["Be brief.", "Be kind."]
    turns = text_parts(dialect, body)
    assert [role for role, _ in turns] == ["user", "model" if dialect == "gemini" else "assistant", "user"]
    assert [part["text"] for _, parts in turns for part in parts] == ["One", "Two", "Three", "Four"]


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_images_go_as_base64_with_their_type(dialect: str) -> None:
    parts: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    body = body_of(dialect, messages=[{"role": "user", "content": parts}])
    image = text_parts(dialect, body)[0][1][1]
    assert (
        image
        == {
            "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            "gemini": {"inlineData": {"mimeType": "image/png", "data": PNG}},
            "bedrock": {"image": {"format": "png", "source": {"bytes": PNG}}},
        }[dialect]
    )
    jpg = parts[1]["image_url"]["url"].replace("png", "jpg")
    body = body_of(dialect, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": jpg}}]}])
    assert "jpeg" in json.dumps(body)


@pytest.mark.parametrize("dialect", EVERY)
def test_an_answer_with_tools_goes_back_as_history(dialect: str) -> None:
    """What the caller got is what the next request holds: ids, arguments, results, signatures."""
    answer = json.loads(adapter(dialect).plain(called(dialect), document_of(dialect, "tools")).end(b""))
    message = answer["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": text}
        for call, text in zip(message["tool_calls"], ('{"c":21}', "warm"), strict=True)
    ]
    body = body_of(dialect, messages=[*HELLO, message, *results], tools=[WEATHER])
    if dialect in ("openai", "azure"):
        assert body["messages"][1:] == [message, *results]
        return
    _, (_, said), (role, back) = text_parts(dialect, body)
    assert role == "user"
    if dialect == "anthropic":
        assert [part["input"] for part in said[1:]] == [{"city": "Oslo"}, {"city": "Rome"}]
        assert [(part["tool_use_id"], part["content"]) for part in back] == [
            ("toolu_a1", '{"c":21}'),
            ("toolu_b2", "warm"),
        ]
    elif dialect == "gemini":
        assert [part["functionCall"]["args"] for part in said[1:]] == [{"city": "Oslo"}, {"city": "Rome"}]
        assert said[1]["thoughtSignature"] == "CtwFAdHtimabcA=="
        assert [part["functionResponse"]["response"] for part in back] == [{"c": 21}, {"result": "warm"}]
        assert [part["functionResponse"]["name"] for part in back] == ["get_weather"] * 2
        assert [part["functionResponse"]["id"] for part in back] == ["fc_a1", "fc_b2"]
    else:
        assert [part["toolUse"]["input"] for part in said[1:]] == [{"city": "Oslo"}, {"city": "Rome"}]
        assert [part["toolResult"]["toolUseId"] for part in back] == ["tooluse_a1", "tooluse_b2"]
        assert [part["toolResult"]["content"] for part in back] == [[{"text": '{"c":21}'}], [{"text": "warm"}]]


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock"])
def test_signed_thoughts_go_back_and_unsigned_ones_do_not(dialect: str) -> None:
    answer = json.loads(adapter(dialect).plain(called(dialect), document_of(dialect, "reasoning")).end(b""))
    message = answer["choices"][0]["message"]
    again = [*HELLO, message, {"role": "user", "content": "Why?"}]
    said = text_parts(dialect, body_of(dialect, messages=again))[1][1]
    signed = {"anthropic": said[0].get("signature")}.get(dialect) or said[0]["reasoningContent"]["reasoningText"][
        "signature"
    ]
    assert signed == "EqQBCgIYAhIM"
    del message["reasoning_details"]
    assert len(text_parts(dialect, body_of(dialect, messages=again))[1][1]) == 1


def choice_of(dialect: str, body: Any) -> Any:
    if dialect == "anthropic":
        return body.get("tool_choice")
    if dialect == "gemini":
        return body.get("toolConfig", {}).get("functionCallingConfig")
    return body.get("toolConfig", {}).get("toolChoice")


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_tools_and_every_tool_choice(dialect: str) -> None:
    body = body_of(dialect, tools=[WEATHER, OTHER])
    tool = {
        "anthropic": lambda: body["tools"][0] | {"schema": body["tools"][0].get("input_schema")},
        "gemini": lambda: (
            body["tools"][0]["functionDeclarations"][0]
            | {"schema": body["tools"][0]["functionDeclarations"][0].get("parametersJsonSchema")}
        ),
        "bedrock": lambda: (
            body["toolConfig"]["tools"][0]["toolSpec"]
            | {"schema": body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]}
        ),
    }[dialect]()
    assert (tool["name"], tool["description"]) == ("get_weather", "The weather of a city.")
    assert tool["schema"] == WEATHER["function"]["parameters"]  # type: ignore[index]
    wanted: dict[str, list[Any]] = {
        "anthropic": [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "other"}],
        "gemini": [{"mode": "AUTO"}, {"mode": "ANY"}, {"mode": "ANY", "allowedFunctionNames": ["other"]}],
        "bedrock": [{"auto": {}}, {"any": {}}, {"tool": {"name": "other"}}],
    }
    for choice, expected in zip(
        ["auto", "required", {"type": "function", "function": {"name": "other"}}], wanted[dialect], strict=True
    ):
        assert choice_of(dialect, body_of(dialect, tools=[WEATHER, OTHER], tool_choice=choice)) == expected
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}]}
    only = body_of(dialect, tools=[WEATHER, OTHER], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert choice_of(dialect, only) == wanted[dialect][1]
    assert "get_weather" not in json.dumps(only)
    none = called(dialect, tools=[WEATHER], tool_choice="none")
    forbidden = {"anthropic": {"type": "none"}, "gemini": {"mode": "NONE"}, "bedrock": None}
    assert choice_of(dialect, json.loads(none.body[0])) == forbidden[dialect]
    if dialect == "bedrock":
        assert b"toolConfig" not in none.body[0]


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_sampling_limits_and_stops(dialect: str) -> None:
    body = body_of(dialect, max_completion_tokens=50, temperature=0.5, top_k=40, stop=["a", "b"])
    found = {
        "anthropic": lambda: [body["max_tokens"], body["temperature"], body["top_k"], body["stop_sequences"]],
        "gemini": lambda: [
            body["generationConfig"][name] for name in ("maxOutputTokens", "temperature", "topK", "stopSequences")
        ],
        "bedrock": lambda: [
            body["inferenceConfig"]["maxTokens"],
            body["inferenceConfig"]["temperature"],
            body["additionalModelRequestFields"]["top_k"],
            body["inferenceConfig"]["stopSequences"],
        ],
    }[dialect]()
    assert found == [50, 0.5, 40, ["a", "b"]]
    assert "b" not in body_of(dialect, stop="a").get("stop_sequences", ["a"])
    assert b"top_p" in json.dumps(body_of(dialect, top_p=0.5)).replace("topP", "top_p").encode()
    assert "top_k" not in json.dumps(body_of(dialect, top_k=-1)).replace("topK", "top_k")


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_a_json_schema_is_carried(dialect: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "shape", "schema": SCHEMA}}
    for members in ({"response_format": wanted}, {"structured_outputs": {"json": SCHEMA}}):
        body = body_of(dialect, **members)
        found = {
            "anthropic": lambda body=body: body["output_config"]["format"]["schema"],
            "gemini": lambda body=body: body["generationConfig"]["responseJsonSchema"],
            "bedrock": lambda body=body: json.loads(
                body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
            ),
        }[dialect]()
        assert found == SCHEMA
    json_object = called(dialect, response_format={"type": "json_object"})
    if dialect == "gemini":
        assert json.loads(json_object.body[0])["generationConfig"] == {"responseMimeType": "application/json"}
    else:
        assert json_object.dropped == ("response_format.json_object",)


@pytest.mark.parametrize(
    ("dialect", "model", "wanted"),
    [
        ("anthropic", None, {"thinking": {"type": "enabled", "budget_tokens": 12_288}}),
        ("anthropic", "claude-opus-4-6", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}),
        (
            "anthropic",
            "claude-opus-4-7",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "medium"}},
        ),
        ("gemini", None, {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 8192}}}),
        (
            "gemini",
            "gemini-3-pro-preview",
            {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "medium"}}},
        ),
        (
            "bedrock",
            None,
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 12_288}}},
        ),
        ("bedrock", "openai.gpt-oss-120b-1:0", {"additionalModelRequestFields": {"reasoning_effort": "medium"}}),
    ],
)
def test_effort_becomes_each_models_own_word(dialect: str, model: str | None, wanted: dict[str, Any]) -> None:
    members: dict[str, Any] = {} if dialect == "gemini" else {"max_tokens": 20_000}
    body = body_of(dialect, model, reasoning_effort="medium", **members)
    for name, value in wanted.items():
        assert body[name] == value


def test_effort_that_cannot_be_is_named() -> None:
    def dropped(dialect: str, model: str | None = None, **members: Any) -> Any:
        return called(dialect, model, reasoning_effort="high", **members).dropped

    assert dropped("anthropic", max_tokens=500) == ("reasoning_effort",), "no room for a budget"
    assert dropped("anthropic", tools=[WEATHER], tool_choice="required") == ("reasoning_effort",)
    assert dropped("bedrock", "meta.llama3-3-70b-instruct-v1:0") == ("reasoning_effort",)
    assert called("gemini", "gemini-3-pro-preview", reasoning_effort="none").dropped == ("reasoning_effort",)
    assert body_of("anthropic", reasoning_effort="none")["thinking"] == {"type": "disabled"}
    with_temperature = called("anthropic", reasoning_effort="high", temperature=0.2)
    assert with_temperature.dropped == ("temperature",)
    assert b"temperature" not in with_temperature.body[0]


@pytest.mark.parametrize("dialect", TRANSLATED)
def test_what_cannot_be_carried_is_named_and_refused_in_strict_mode(dialect: str) -> None:
    members = {"logit_bias": {"5": 1}, "no_such": 1}
    assert called(dialect, **members).dropped == ("logit_bias", "no_such")
    with pytest.raises(InvalidRequest):
        called(dialect, logit_bias={"5": 1}, fairlead={"strict": True})
    assert called(dialect, temperature=0.1, max_tokens=5, fairlead={"strict": True}).dropped == ()


def test_claude_takes_one_of_temperature_and_top_p_and_newer_ones_neither() -> None:
    both = called("anthropic", temperature=0.2, top_p=0.9)
    assert both.dropped == ("top_p",)
    assert called("anthropic", temperature=1.5).dropped == ("temperature>1",)
    assert body_of("anthropic", temperature=1.5)["temperature"] == 1
    assert called("anthropic", "claude-opus-4-7", temperature=0.2).dropped == ("temperature",)


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock"])
def test_cache_marks_are_carried(dialect: str) -> None:
    mark = {"type": "ephemeral"}
    parts = [{"type": "text", "text": "Long.", "cache_control": mark}]
    body = body_of(dialect, messages=[{"role": "system", "content": parts}, {"role": "user", "content": parts}])
    for found in (body["system"], body["messages"][0]["content"]):
        if dialect == "anthropic":
            assert found[0]["cache_control"] == mark
        else:
            assert found[1] == {"cachePoint": {"type": "default"}}


def test_gemini_gives_as_many_choices_as_were_asked_for() -> None:
    assert body_of("gemini", n=2)["generationConfig"]["candidateCount"] == 2
    two = json.loads(document_of("gemini", "text"))
    two["candidates"].append({**two["candidates"][0], "index": 1})
    plain = adapter("gemini").plain(called("gemini", n=2), json.dumps(two).encode())
    assert [choice["index"] for choice in json.loads(plain.end(b""))["choices"]] == [0, 1]
    with pytest.raises(UpstreamInvalid):
        adapter("gemini").plain(called("gemini"), json.dumps(two).encode())
    with pytest.raises(UpstreamCut):
        adapter("gemini").plain(called("gemini", n=2), document_of("gemini", "text"))


def test_gemini_3_gets_a_signature_for_calls_that_it_did_not_make() -> None:
    history = [
        *HELLO,
        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "x", "content": "1"},
    ]  # fmt: skip
    signed = body_of("gemini", "gemini-3-pro-preview", messages=history)["contents"][1]["parts"][0]
    assert signed["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in json.dumps(body_of("gemini", messages=history))


def test_a_prompt_that_gemini_blocks_is_a_filtered_answer() -> None:
    blocked = b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}'
    answer = json.loads(adapter("gemini").plain(called("gemini"), blocked).end(b""))
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    failed = document_of("gemini", "text").replace(b'"STOP"', b'"MALFORMED_FUNCTION_CALL"')
    with pytest.raises(UpstreamFailed):
        adapter("gemini").plain(called("gemini"), failed)


def test_bedrock_declares_the_tools_of_the_history_where_none_are_given() -> None:
    history = [
        *HELLO,
        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "x", "content": "1"},
    ]  # fmt: skip
    tools = body_of("bedrock", messages=history)["toolConfig"]["tools"]
    assert [tool["toolSpec"]["name"] for tool in tools] == ["f"]


def test_arguments_that_are_no_object_are_the_callers_fault() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "[1"}}
    for dialect in TRANSLATED:
        with pytest.raises(InvalidRequest) as caught:
            called(dialect, messages=[*HELLO, {"role": "assistant", "tool_calls": [call]}])
        assert caught.value.param == "messages[1].tool_calls"


def test_paths_are_those_of_the_vendors() -> None:
    assert called("gemini").path == b"/models/gemini-2.5-flash:generateContent"
    assert called("gemini", stream=True).path == b"/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    start = b"/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert called("bedrock").path == start
    assert called("bedrock", stream=True).path == start + b"-stream"
    assert called("anthropic").path is None


@pytest.mark.parametrize(
    ("dialect", "status", "body", "kind"),
    [
        ("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, ContextTooLong),
        ("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2"}}, ContextTooLong),
        ("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."}}, UpstreamDenied),
        ("anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "tools.0: bad"}}, UpstreamRefused),
        ("anthropic", 401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, UpstreamDenied),
        ("anthropic", 429, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, UpstreamRateLimited),
        ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, UpstreamFailed),
        ("gemini", 400, {"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}, ContextTooLong),
        ("gemini", 400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}, UpstreamDenied),
        ("gemini", 400, [{"error": {"code": 400, "message": "Unknown name", "status": "INVALID_ARGUMENT"}}], UpstreamRefused),
        ("gemini", 429, {"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "27s"}]}}, UpstreamRateLimited),
        ("gemini", 503, {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, UpstreamFailed),
        ("bedrock", 400, {"message": "Input is too long for requested model."}, ContextTooLong),
        ("bedrock", 400, {"message": "Malformed input request"}, UpstreamRefused),
        ("bedrock", 403, {"message": "The security token included in the request is invalid."}, UpstreamDenied),
        ("bedrock", 429, {"message": "Too many requests"}, UpstreamRateLimited),
        ("bedrock", 424, {"message": "failed"}, UpstreamFailed),
        ("azure", 400, {"error": {"code": "context_length_exceeded", "message": "x"}}, ContextTooLong),
        ("azure", 429, {"error": {"code": "429", "message": "retry after 3 seconds"}}, UpstreamRateLimited),
    ],
)  # fmt: skip
def test_a_vendors_error_says_who_is_at_fault(dialect: str, status: int, body: Any, kind: type[FairleadError]) -> None:
    error = adapter(dialect).error(status, [], json.dumps(body).encode())
    assert type(error) is kind
    if "retryDelay" in json.dumps(body):
        assert error.retry_after_seconds == 28


def test_bedrocks_error_type_goes_before_its_status() -> None:
    headers = [(b"x-amzn-errortype", b"ServiceQuotaExceededException:http://internal.amazon.com/")]
    assert type(adapter("bedrock").error(400, headers, b'{"message":"x"}')) is UpstreamRateLimited
