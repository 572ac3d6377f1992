"""What Anthropic, Gemini and Bedrock each make of the same request or answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fairlead.errors import InvalidRequest
from fairlead.wire.chat import parse_chat
from fairlead.wire.usage import TokenClasses, Usage

from .asked import CONVERSATION, MODELS, TOOLS, sent
from .recorded import SPOKEN, adapter, events, whole

ONE = {"type": "function", "function": {"name": "get_time"}}
SOME = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ONE]}}


@pytest.mark.parametrize(
    ("choice", "as_anthropic", "as_gemini", "as_bedrock"),
    [
        ("auto", {"type": "auto"}, {"mode": "AUTO"}, {"auto": {}}),
        ("required", {"type": "any"}, {"mode": "ANY"}, {"any": {}}),
        ("none", {"type": "none"}, {"mode": "NONE"}, None),
        (ONE, {"type": "tool", "name": "get_time"}, {"mode": "ANY", "allowedFunctionNames": ["get_time"]}, {"tool": {"name": "get_time"}}),
        (SOME, {"type": "any"}, {"mode": "ANY"}, {"any": {}}),
    ],
)  # fmt: skip
def test_every_form_of_tool_choice(choice: Any, as_anthropic: Any, as_gemini: Any, as_bedrock: Any) -> None:
    body, _ = sent("anthropic", tools=TOOLS, tool_choice=choice)
    assert body["tool_choice"] == as_anthropic
    assert len(body["tools"]) == (1 if choice is SOME else 2)
    body, _ = sent("gemini", tools=TOOLS, tool_choice=choice)
    assert body["toolConfig"]["functionCallingConfig"] == as_gemini
    body, call = sent("bedrock", tools=TOOLS, tool_choice=choice)
    assert body.get("toolConfig", {}).get("toolChoice") == as_bedrock
    assert call.dropped == ()
    if choice == "none":
        assert "toolConfig" not in body
        body, call = sent("bedrock", tools=TOOLS, tool_choice="none", messages=CONVERSATION)
        assert call.dropped == ("tool_choice.none",)


def test_one_tool_call_at_a_time_where_there_is_a_word_for_it() -> None:
    body, _ = sent("anthropic", tools=TOOLS, parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    for dialect in ("gemini", "bedrock"):
        assert sent(dialect, tools=TOOLS, parallel_tool_calls=False)[1].dropped == ("parallel_tool_calls",)


def test_effort_is_a_budget_a_word_or_a_level_as_the_model_takes_it() -> None:
    body, _ = sent("anthropic", reasoning_effort="low", max_tokens=9000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    body, call = sent("anthropic", reasoning_effort="high", max_tokens=500)
    assert "thinking" not in body
    assert call.dropped == ("reasoning_effort",), "no room to think"
    body, call = sent("anthropic", "claude-opus-4-6", reasoning_effort="high", temperature=0.3)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert call.dropped == ("temperature",), "a model that thinks takes no temperature"
    assert sent("gemini", reasoning_effort="low")[0]["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1024
    body, _ = sent("gemini", "gemini-3-pro-preview", reasoning_effort="low")
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "low"}
    body, _ = sent("bedrock", reasoning_effort="low", max_tokens=9000)
    assert body["additionalModelRequestFields"]["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert sent("bedrock", "amazon.nova-pro-v1:0", reasoning_effort="low")[1].dropped == ("reasoning_effort",)


def test_a_temperature_that_claude_refuses_is_clamped_and_said_so() -> None:
    body, call = sent("anthropic", temperature=1.7)
    assert body["temperature"] == 1
    assert (call.dropped, call.clamped) == ((), ("temperature",))
    assert sent("gemini", temperature=1.7)[0]["generationConfig"]["temperature"] == 1.7


def test_max_tokens_is_always_said_to_anthropic() -> None:
    assert sent("anthropic")[0]["max_tokens"] == 4096
    assert sent("anthropic", max_completion_tokens=5)[0]["max_tokens"] == 5
    assert "generationConfig" not in sent("gemini")[0]
    assert "inferenceConfig" not in sent("bedrock")[0]


def test_cache_breakpoints_stand_where_the_caller_put_them() -> None:
    part = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "short"}]}]
    content = sent("anthropic", messages=messages)[0]["messages"][0]["content"]
    assert content[0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in content[1]
    content = sent("bedrock", messages=messages)[0]["messages"][0]["content"]
    assert content == [{"text": "long"}, {"cachePoint": {"type": "default"}}, {"text": "short"}]


def test_ids_of_other_vendors_are_made_such_as_this_one_takes() -> None:
    call = {"id": "functions.get_time:0", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        *CONVERSATION[:2],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "noon"},
    ]
    use, result = (one["content"][0] for one in sent("anthropic", messages=messages)[0]["messages"][1:])
    assert use["id"] == result["tool_use_id"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", use["id"])
    use, result = (one["content"][0] for one in sent("bedrock", messages=messages)[0]["messages"][1:])
    assert use["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", use["toolUse"]["toolUseId"])


def test_a_prefill_for_claude_ends_without_white_space() -> None:
    hello = {"role": "user", "content": "Hello"}
    for dialect in ("anthropic", "bedrock"):
        body, _ = sent(dialect, messages=[hello, {"role": "assistant", "content": "Good day, \n"}])
        assert body["messages"][-1]["content"][0]["text"] == "Good day,"
        body, _ = sent(dialect, messages=[hello, {"role": "assistant", "content": " \n"}])
        assert [message["role"] for message in body["messages"]] == ["user"]


def test_arguments_that_are_no_object_are_told_to_the_caller() -> None:
    broken = json.loads(json.dumps(CONVERSATION))
    broken[2]["tool_calls"][0]["function"]["arguments"] = "[1]"
    for dialect in MODELS:
        with pytest.raises(InvalidRequest, match="not a JSON object"):
            sent(dialect, messages=broken)


@pytest.mark.parametrize("dialect", SPOKEN)
def test_usage_that_was_counted_here_takes_the_place_of_the_vendors_in_every_dialect(dialect: str) -> None:
    one, vendor = adapter(dialect), SPOKEN[dialect]
    counted = Usage(TokenClasses(11, output=22, request=1), 11, 22)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    call = one.to_vendor(parse_chat(json.dumps({**body, "stream_options": {"include_usage": True}}).encode()))
    relay, assembler = one.relay(call), one.assembler(call)
    for event in events(vendor, "text"):
        relay.feed(event)
        assembler.feed(event)
    relay.finish()
    assembler.finish()
    *_, last, done = relay.end(b',"usage_source":"counted"', counted).split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    for document in (
        last.removeprefix(b"data: "),
        assembler.end(b',"usage_source":"counted"', counted),
        one.plain(call, whole(vendor, "text")).end(b',"usage_source":"counted"', counted),
    ):
        usage = json.loads(document)["usage"]
        assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [11, 22, 33]
        assert usage["usage_source"] == "counted"
