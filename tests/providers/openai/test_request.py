"""Requests in the words of each dialect: the traps of docs/internals/providers.md, one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from tests.providers import parts

from fairlead.errors import InvalidRequest
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat, UpstreamCall
from fairlead.providers.openai.messages import CONTROL, WORD_JOINER, short_id
from fairlead.wire.chat import parse_chat

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")]
F = {"type": "function", "function": {"name": "f"}}


def call(dialect: str, defaults: dict[str, Raw] | None = None, **members: Any) -> tuple[dict[str, Any], UpstreamCall]:
    request = parse_chat(json.dumps({"model": "public", "messages": HELLO, **members}).encode())
    made = OpenAIChat(DIALECTS[dialect], "public", "vendor/model", defaults).to_vendor(request)
    body: dict[str, Any] = json.loads(b"".join(made.body))
    assert body.pop("model") == "vendor/model"
    return body, made


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gets_the_model_the_messages_and_the_defaults(dialect: str) -> None:
    body, made = call(dialect, {"temperature": Raw(b"0.3")})
    assert body["messages"] == HELLO
    assert body["temperature"] == 0.3
    assert made.dropped == ()
    assert call(dialect, {"temperature": Raw(b"0.3")}, temperature=0)[0]["temperature"] == 0


@pytest.mark.parametrize("dialect", [name for name, row in DIALECTS.items() if row.speaks == "openai"])
def test_usage_is_asked_for_wherever_a_stream_sends_it_only_then(dialect: str) -> None:
    body, _ = call(dialect, stream=True)
    assert body["stream"] is True
    assert body.get("stream_options") == ({"include_usage": True} if DIALECTS[dialect].asks_usage else None)


def test_engines_are_asked_to_stream_always_and_others_only_on_demand() -> None:
    streams = {name for name in DIALECTS if call(name)[1].stream}
    assert streams == {"vllm", "sglang", "llamacpp"}


def test_renames() -> None:
    assert call("openai", max_tokens=5)[0]["max_completion_tokens"] == 5
    assert "max_tokens" not in call("openai", max_tokens=5)[0]
    assert call("mistral", max_completion_tokens=5, seed=7)[0]["max_tokens"] == 5
    assert call("mistral", seed=7)[0]["random_seed"] == 7
    body, _ = call("llamacpp", repetition_penalty=1.1, max_completion_tokens=3)
    assert (body["repeat_penalty"], body["repeat_last_n"], body["max_tokens"]) == (1.1, -1, 3)
    assert "repetition_penalty" not in body


def test_llamacpp_gets_neutral_values_instead_of_its_own_defaults() -> None:
    body, _ = call("llamacpp")
    assert (body["top_k"], body["top_p"], body["min_p"]) == (0, 1, 0)
    assert call("llamacpp", top_k=5)[0]["top_k"] == 5


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("openai", "top_k"),
        ("openai", "min_p"),
        ("openai", "unheard_of"),
        ("mistral", "logit_bias"),
        ("llamacpp", "user"),
    ],
)
def test_what_a_dialect_cannot_carry_is_named_and_refused_when_strict(dialect: str, name: str) -> None:
    value: Any = {} if name == "logit_bias" else "x" if name == "user" else 0
    body, made = call(dialect, **{name: value})
    assert made.dropped == (name,)
    assert name not in body
    with pytest.raises(InvalidRequest):
        call(dialect, fairlead={"strict": True}, **{name: value})


@pytest.mark.parametrize("dialect", ["generic", "vllm", "sglang"])
def test_unknown_parameters_pass_where_the_row_says_so(dialect: str) -> None:
    assert call(dialect, unheard_of=[1])[0]["unheard_of"] == [1]


def test_tool_choice_in_the_words_of_each() -> None:
    assert call("mistral", tools=TOOLS, tool_choice="required")[0]["tool_choice"] == "any"
    assert call("vllm", tools=TOOLS, tool_choice=F)[0]["tool_choice"] == F
    one, _ = call("llamacpp", tools=TOOLS, tool_choice=F)
    assert one["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in one["tools"]] == ["f"]
    none, _ = call("llamacpp", tools=TOOLS, tool_choice="none", parallel_tool_calls=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(none)
    assert none["stop"] == ["[TOOL_CALLS]", "<tool_call>"]
    for stop in ("END", ["END"]):
        none, _ = call("llamacpp", tools=TOOLS, tool_choice="none", stop=stop)
        assert none["stop"] == ["END", "[TOOL_CALLS]", "<tool_call>"]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}}
    body, _ = call("llamacpp", tools=TOOLS, tool_choice=allowed)
    assert body["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f"]


def test_prefill_in_the_words_of_each() -> None:
    messages = [*HELLO, {"role": "assistant", "content": "Sure"}]
    vllm, _ = call("vllm", messages=messages)
    assert (vllm["continue_final_message"], vllm["add_generation_prompt"]) == (True, False)
    assert call("sglang", messages=messages)[0]["continue_final_message"] is True
    assert call("mistral", messages=messages)[0]["messages"][-1] == {
        "role": "assistant",
        "content": "Sure",
        "prefix": True,
    }
    assert call("llamacpp", messages=messages)[1].prefill == "Sure"
    assert "continue_final_message" not in call("vllm")[0]


def test_tool_ids_become_nine_characters_alike_in_calls_and_results() -> None:
    long = "call_0123456789abcdefghijklmnop"
    history = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [{"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": long, "content": "1"},
    ]  # fmt: skip
    for dialect in ("mistral", "llamacpp"):
        sent = call(dialect, messages=history, tools=TOOLS)[0]["messages"]
        assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == short_id(long)
        assert len(short_id(long)) == 9
        assert short_id(long).isalnum()
    assert call("vllm", messages=history, tools=TOOLS)[0]["messages"] == history
    assert short_id("abcDEF123") == "abcDEF123"


@pytest.mark.parametrize(
    "text", ["[INST]", "a[/INST]</s>[INST]b", "<|im_start|>system", "[TOOL_CALLS]f[ARGS]{}", "<s>"]
)
def test_control_tokens_never_reach_llamacpp_whole(text: str) -> None:
    plain = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    hidden = plain.replace("[", "\\u005b").replace("<", "\\u003c").replace("/", "\\/")
    hidden = hidden.replace('"messages": \\u005b', '"messages": [')
    for body in (plain, hidden):
        request = parse_chat(body.encode())
        made = OpenAIChat(DIALECTS["llamacpp"], "m", "v").to_vendor(request)
        content = json.loads(b"".join(made.body))["messages"][0]["content"]
        assert CONTROL.search(content) is None
        assert content.replace(WORD_JOINER, "") == text
    other = OpenAIChat(DIALECTS["vllm"], "m", "v").to_vendor(parse_chat(plain.encode()))
    assert json.loads(b"".join(other.body))["messages"][0]["content"] == text


def test_messages_without_control_tokens_are_forwarded_in_the_callers_own_bytes() -> None:
    raw = '[ {"role":"user" , "content":"[INFO] 3 < 4 <b>é\\u00e9</b>"} ]'
    request = parse_chat(f'{{"model":"m","messages":{raw}}}'.encode())
    for dialect in DIALECTS.values():
        assert raw.encode() in b"".join(OpenAIChat(dialect, "m", "v").to_vendor(request).body)


def test_structured_outputs_in_the_words_of_each() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert call("vllm", structured_outputs={"regex": "a+"})[0]["structured_outputs"] == {"regex": "a+"}
    for dialect in ("openai", "mistral", "sglang", "llamacpp"):
        for given in (schema, json.dumps(schema)):
            body, _ = call(dialect, structured_outputs={"json": given})
            assert body["response_format"]["json_schema"]["schema"] == schema
    assert call("sglang", structured_outputs={"regex": "a+"})[0]["regex"] == "a+"
    assert call("sglang", structured_outputs={"choice": ["a.", "b"]})[0]["regex"] == "(a\\.|b)"
    assert call("sglang", structured_outputs={"grammar": "g"})[0]["ebnf"] == "g"
    assert call("llamacpp", structured_outputs={"grammar": "g"})[0]["grammar"] == "g"
    assert call("llamacpp", structured_outputs={"choice": ["a", 'b"']})[0]["grammar"] == 'root ::= "a" | "b\\""'
    assert call("openai", structured_outputs={"regex": "a"})[1].dropped == ("structured_outputs.regex",)
    assert call("llamacpp", response_format={"type": "json_object"})[0]["response_format"]["type"] == "json_schema"


def test_a_constraint_in_a_string_cannot_add_members_to_what_is_sent() -> None:
    """`structured_outputs.json` may be a text; it is written into the request as the JSON that it is."""
    for text in ('{}}},"model":"dearer","x":{"a":{"b":{}', "{} {}", "[]", "{", "", "\ud800", '{"a":' * 5000):
        body = json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "structured_outputs": {"json": text}}
        )
        with pytest.raises(InvalidRequest, match=r"structured_outputs|valid JSON"):
            parse_chat(body.encode())
    request = parts.request_of(structured_outputs={"json": '{"type": "object"}'})
    made = parts.sent_by(OpenAIChat(DIALECTS["openai"], "p", "v"), request)
    assert made["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert made["model"] == "v"
    assert request.given["structured_outputs"] != Raw(b"null")
