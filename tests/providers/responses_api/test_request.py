"""Chat requests in the words of Responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.errors import NotCarried
from fairlead.providers.call_shapes import Translation
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.responses_api.translator import ResponsesTranslator
from fairlead.wire.chat import parse_chat

HELLO = [{"role": "user", "content": "Hello"}]
F = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}


def call(messages: Any = HELLO, **members: Any) -> tuple[dict[str, Any], Translation]:
    request = parse_chat(json.dumps({"model": "public", "messages": messages, **members}).encode())
    made = ResponsesTranslator(DIALECTS["openai-responses"], "up").to_vendor(request)
    return json.loads(b"".join(made.body)), made


def test_the_smallest() -> None:
    body, made = call()
    assert body == {
        "model": "up", "input": [{"type": "message", "role": "user", "content": "Hello"}], "store": False,
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip
    assert (made.stream, made.dropped) == (False, ())


def test_a_conversation() -> None:
    body, _ = call(
        [
            {"role": "developer", "content": "D"},
            {"role": "user", "content": [
                {"type": "text", "text": "T"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}, {"type": "file", "file": {"file_id": "f1"}},
            ]},
            {"role": "assistant", "content": "A", "reasoning_details": [
                {"type": "reasoning.encrypted", "format": "openai-responses-v1", "data": "e", "id": "rs_1"},
                {"type": "reasoning.text", "format": "anthropic-claude-v1", "text": "x", "signature": "s"},
            ], "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "R"},
        ]
    )  # fmt: skip
    assert body["input"] == [
        {"type": "message", "role": "developer", "content": "D"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "T"}, {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
            {"type": "input_file", "file_url": "https://example.com/a.pdf"}, {"type": "input_file", "file_id": "f1"},
        ]},
        {"type": "reasoning", "summary": [], "encrypted_content": "e", "id": "rs_1"},
        {"type": "message", "role": "assistant", "content": "A"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "R"},
    ]  # fmt: skip


def test_parameters() -> None:
    schema = {"name": "a", "schema": {"type": "object"}, "strict": True}
    body, made = call(
        max_tokens=5, temperature=0.5, reasoning_effort="low", verbosity="low", logprobs=True, top_logprobs=2, stream=True,
        response_format={"type": "json_schema", "json_schema": schema}, tools=[F], tool_choice={"type": "function", "function": {"name": "f"}},
        stop=["x"], seed=1, n=2, store=True,
    )  # fmt: skip
    assert body["max_output_tokens"] == 5
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_schema", **schema}}
    assert body["tools"] == [
        {"type": "function", "strict": False, "parameters": {"type": "object"}, "name": "f", "description": "d"}
    ]
    assert body["tool_choice"] == {"type": "function", "name": "f"}
    assert body["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert (body["store"], body["stream"], body["top_logprobs"]) == (True, True, 2)
    assert set(made.dropped) == {"stop", "seed", "n"}


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"json": {"type": "object"}}, {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}),
        ({"json": '{"type": "object"}'}, {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}),
        ({"json_object": True}, {"type": "json_object"}),
    ],
)
def test_constraints(constraint: Any, expected: Any) -> None:
    assert call(structured_outputs=constraint)[0]["text"]["format"] == expected


def test_what_is_dropped_and_strict_mode() -> None:
    assert call(structured_outputs={"regex": "a"})[1].dropped == ("structured_outputs.regex",)
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    }
    assert call(tools=[F], tool_choice=allowed)[0]["tool_choice"]["tools"] == [{"type": "function", "name": "f"}]
    with pytest.raises(NotCarried):
        call(stop="x", fairlead={"strict": True})
