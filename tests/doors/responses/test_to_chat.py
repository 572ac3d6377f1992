"""Responses requests in the words of chat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.doors.responses.parse import read_responses
from fairlead.doors.responses.reasoning_state import MARK, Wrapped, unwrapped, wrapped
from fairlead.doors.responses.request import ResponsesRequest
from fairlead.doors.responses.tools import chat_name
from fairlead.errors import CallerError, InvalidRequest, NotTranslated
from fairlead.http.request import Request


def request(body: Any, *headers: tuple[bytes, bytes]) -> ResponsesRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_responses(Request("POST", b"/v1/responses", list(headers), data, "1.1"))


def read(items: Any = "Hi", **members: Any) -> ResponsesRequest:
    return request({"model": "m", "input": items, **members})


def messages(items: Any, **members: Any) -> Any:
    return json.loads(bytes(read(items, **members).neutral().messages))


def given(**members: Any) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in read(**members).neutral().given.items()}


def test_instructions_and_everything_before_the_first_turn_are_one_system_message() -> None:
    items = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "B"}, {"type": "input_text", "text": "C"}]},
        {"role": "system", "content": "D"},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": "Later"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Ho", "annotations": []}, {"type": "refusal", "refusal": "!"}]},
    ]  # fmt: skip
    assert messages(items, instructions="A") == [
        {"role": "system", "content": "A\n\nB\nC\n\nD"},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Later"},
        {"role": "assistant", "content": "Ho!"},
    ]


def test_what_an_assistant_says_and_calls_is_one_message_with_its_outputs_behind_it() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "*** \"x\""},
        {"type": "function_call", "call_id": "c", "name": "run", "namespace": "ns", "arguments": ""},
        {"role": "user", "content": "Wait"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "B"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "A"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "original"}]},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]  # fmt: skip
    found = messages(items)
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool", "tool", "user"]
    assert found[1]["content"] == "Let me see."
    assert [(call["id"], call["function"]) for call in found[1]["tool_calls"]] == [
        ("a", {"name": "f", "arguments": "{}"}),
        ("b", {"name": "patch", "arguments": '{"input":"*** \\"x\\""}'}),
        ("c", {"name": "ns__run", "arguments": "{}"}),
    ]
    assert found[3]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"},
    }


def test_reasoning_goes_back_with_the_format_that_it_came_with() -> None:
    state = wrapped(Wrapped("anthropic-claude-v1", text="Hm.", signature="s"))
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "x"}], "encrypted_content": state},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": None, "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": MARK + "broken"},
        {"type": "reasoning", "id": "rs_4", "summary": []},
        {"role": "assistant", "content": "Ho"},
    ]  # fmt: skip
    [_, said] = messages(items)
    assert said["reasoning_details"] == [
        {"type": "reasoning.text", "format": "anthropic-claude-v1", "text": "Hm.", "signature": "s", "id": "rs_1"},
        {"type": "reasoning.encrypted", "format": "openai-responses-v1", "data": "gAAA", "id": "rs_2"},
    ]
    assert unwrapped(state) == Wrapped("anthropic-claude-v1", text="Hm.", signature="s")


def test_the_signature_of_a_call_finds_its_call() -> None:
    state = wrapped(Wrapped("google-gemini-v1", signature="sig", call="a"))
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": state},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "A"},
    ]
    assert messages(items)[1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "sig"}}


def test_parameters() -> None:
    found = given(
        max_output_tokens=9, temperature=0.5, top_p=0.5, top_logprobs=2, reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
        user="u", metadata={"a": "b"}, prompt_cache_key="k", parallel_tool_calls=False, service_tier="flex",
        tools=[{"type": "function", "name": "f", "parameters": None, "strict": False}], tool_choice={"type": "function", "name": "f"},
    )  # fmt: skip
    assert found == {
        "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.5, "logprobs": True, "top_logprobs": 2,
        "reasoning_effort": "low", "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
        "user": "u", "metadata": {"a": "b"}, "prompt_cache_key": "k", "parallel_tool_calls": False, "service_tier": "flex",
        "tools": [{"type": "function", "function": {"name": "f", "strict": False}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }  # fmt: skip


def test_tools_of_items_and_namespaces() -> None:
    added = {
        "type": "additional_tools", "role": "developer",
        "tools": [{"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}, {"type": "function", "name": "wait"}]}],
    }  # fmt: skip
    made = read([added, {"role": "user", "content": "Hi"}], tool_choice={"type": "custom", "name": "exec"})
    tools = json.loads(bytes(made.neutral().given["tools"]))
    assert [tool["function"]["name"] for tool in tools] == ["functions__exec", "functions__wait"]
    assert made.echo.tools["functions__exec"].namespace == "functions"
    assert json.loads(bytes(made.neutral().given["tool_choice"]))["function"]["name"] == "functions__exec"


@pytest.mark.parametrize("name", ["mcp.server/tool", "x" * 100, "ä"])
def test_names_that_chat_does_not_allow_are_made_short_and_stay_apart(name: str) -> None:
    made = chat_name(name, "ns")
    assert len(made) <= 64
    assert made.isascii()
    assert made != chat_name(name + "2", "ns")


def test_what_is_left_out_is_known_by_name() -> None:
    made = read(
        [{"role": "user", "content": "Hi"}, {"type": "web_search_call", "id": "ws"}], truncation="auto", max_tool_calls=1,
        reasoning={"summary": "auto"}, tools=[{"type": "web_search", "external_web_access": False}], prompt_cache_options={"mode": "explicit"}, new=1,
    )  # fmt: skip
    made.neutral()
    assert set(made.lost) == {
        "max_tool_calls", "prompt_cache_options", "new", "tools.web_search", "input.web_search_call", "truncation", "reasoning.summary",
    }  # fmt: skip
    assert made.named(("max_completion_tokens", "response_format", "x")) == ("max_output_tokens", "text", "x")


@pytest.mark.parametrize(
    "items",
    [
        [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
        [{"type": "local_shell_call", "call_id": "c"}],
        [{"type": "mcp_call", "id": "c"}],
    ],
)
def test_what_has_no_counterpart_is_refused(items: Any) -> None:
    with pytest.raises(NotTranslated):
        read(items).neutral()


@pytest.mark.parametrize(
    "items",
    [
        [{"type": "function_call_output", "call_id": "x", "output": "A"}],
        [{"type": "function_call", "name": "f", "arguments": "{}"}],
        [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}],
        [{"role": "user"}],
        [{"role": "nobody", "content": "Hi"}],
        [{"role": "user", "content": [{"type": "input_file"}]}],
        [{"role": "user", "content": [{"type": "video"}]}],
        [{"role": "user", "content": [{"type": "input_image", "image_url": "http://127.0.0.1/x.png"}]}],
        [{"role": "system", "content": "x"}, {"type": "function_call_output", "call_id": "x", "output": 5}],
    ],
)
def test_items_that_are_wrong(items: Any) -> None:
    with pytest.raises(CallerError) as caught:
        read(items).neutral()
    assert caught.value.param is not None
    assert caught.value.param.startswith("input")


GARBAGE: list[Any] = [
    b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff\xfe", b'{"model":"m","model":"n","input":"x"}',
    {}, {"model": "m"}, {"input": "x"}, {"model": 5, "input": "x"}, {"model": "m", "input": None},
    {"model": "m", "input": {}}, {"model": "m", "input": []}, {"model": "m", "input": [5]},
    {"model": "m", "input": [{"content": [5]}]}, {"model": "m", "input": [{"role": "user", "content": [{"type": 5}]}]},
    {"model": "m", "input": "x", "tools": {}}, {"model": "m", "input": "x", "tools": [[]]},
    {"model": "m", "input": "x", "tools": [{"type": "namespace", "tools": 5}]},
    {"model": "m", "input": "x", "text": []}, {"model": "m", "input": "x", "reasoning": "low"},
    {"model": "m", "input": "x", "metadata": {"a": 1}}, {"model": "m", "input": "x", "stream": "yes"},
    {"model": "m", "input": "x", "include": "x"}, {"model": "m", "input": "x", "tool_choice": 5},
    {"model": "m", "input": "x", "truncation": "some"}, {"model": "m", "input": "x", "fairlead": {"x": 1}},
    {"model": "m", "input": "x", "provider": {"x": 1}}, {"model": "m", "input": "x", "n" * 300: 1},
    b'{"model":"m","input":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"model":"m","input":[{"role":"user","content":' + b'[{"a":' * 20_000 + b"1" + b"}]" * 20_000 + b"}]}",
    b'{"model":"m","input":[' + b"{}," * 10_000 + b"{}]}",
    b'{"model":"m","input":"x","tools":[' + b'{"type":"function","name":"f"},' * 3_000 + b"{}]}",
    b'{"model":"m","input":[{"role":"user","content":[' + b'{"type":"input_text"},' * 5_000 + b"{}]}]}",
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest):
        request(body)


def test_headers_that_go_on() -> None:
    made = request(
        {"model": "m", "input": "x"}, (b"openai-beta", b"a=b"), (b"x-openai-internal-codex-responses-lite", b"true"),
        (b"authorization", b"Bearer k"), (b"session-id", b"s"), (b"x-openwebui-user-email", b"e"),
    )  # fmt: skip
    assert made.forwarded == b"openai-beta: a=b\r\nx-openai-internal-codex-responses-lite: true\r\n"


def test_the_body_for_a_provider_of_the_same_api() -> None:
    made = request(b'{"input": "x", "fairlead": {"strict": false}, "models": ["m"], "max_output_tokens": 50 }')
    assert made.model == "m"
    assert made.native(b'"up"') == b'{"input": "x","max_output_tokens": 50,"model":"up"}'
    assert made.with_cap(9).native(b'"up"') == b'{"input": "x","max_output_tokens": 9,"model":"up"}'
    assert read("x").with_cap(9).native(b'"up"') == b'{"model": "up", "input": "x","max_output_tokens":9}'.replace(
        b'"up"', b'"up"'
    )
    assert made.with_neutral(made.neutral()).native(b'"up"') is None


def test_another_providers_reasoning_does_not_reach_a_provider_of_the_same_api() -> None:
    state = wrapped(Wrapped("anthropic-claude-v1", signature="s"))
    made = read(
        [
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "summary": [], "encrypted_content": state},
            {"type": "reasoning", "summary": [], "encrypted_content": "own"},
        ]
    )
    sent = json.loads(made.native(b'"up"') or b"")
    assert [item.get("encrypted_content") for item in sent["input"]] == [None, "own"]


def test_tools_that_are_billed_beside_the_price() -> None:
    refused = frozenset({"web_search", "service_tier"})
    cached = {"type": "web_search", "external_web_access": False}
    added = {"type": "additional_tools", "role": "developer", "tools": [cached, {"type": "function", "name": "f"}]}
    made = read([added, {"role": "user", "content": "Hi"}], tools=[cached], service_tier="priority")
    assert made.billed(refused) == ([], ["service_tier", "tools.web_search"])
    sent = json.loads(made.native(b'"up"', ["service_tier", "tools.web_search"]) or b"")
    assert sent["tools"] == []
    assert "service_tier" not in sent
    assert [tool["type"] for tool in sent["input"][0]["tools"]] == ["function"]
    assert read(tools=[{"type": "web_search_preview"}]).billed(refused) == (["tools.web_search_preview"], [])
    assert read(tools=[{"type": "web_search"}]).billed(frozenset()) == ([], [])


def test_a_request_that_was_released_can_still_be_counted() -> None:
    from fairlead.doors.responses.operation import RESPONSES_CHAT

    made = read("Hello there")
    kept = RESPONSES_CHAT.kept(made)
    made.neutral()
    made.release()
    assert kept.count("o200k_base").provenance == "counted"
