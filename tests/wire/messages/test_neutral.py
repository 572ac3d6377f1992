"""A Messages request in OpenAI's shape: what is carried, what is named as lost, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.wire.messages.request import MessagesRequest, parse_messages

PNG = "iVBORw0KGgo="
HI = {"role": "user", "content": "Hi"}


def parsed(*messages: Any, **members: Any) -> MessagesRequest:
    body = {"model": "m", "max_tokens": 100, "messages": list(messages) or [HI], **members}
    return parse_messages(json.dumps(body).encode())


def chat(*messages: Any, **members: Any) -> dict[str, Any]:
    """The neutral request as one document."""
    request = parsed(*messages, **members).neutral()
    return {
        "messages": json.loads(bytes(request.messages)),
        **{name: json.loads(bytes(raw)) for name, raw in request.given.items()},
    }


def texts(*said: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in said]


def test_parameters_have_openais_names() -> None:
    found = chat(
        stop_sequences=["END"], temperature=0.5, top_p=0.9, top_k=5, metadata={"user_id": "u1"},
        tools=[{"name": "get", "description": "Gets", "input_schema": {"type": "object"}, "strict": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )  # fmt: skip
    assert found["max_tokens"] == 100
    assert found["stop"] == ["END"]
    assert (found["temperature"], found["top_p"], found["top_k"], found["user"]) == (0.5, 0.9, 5, "u1")
    function = {"name": "get", "description": "Gets", "parameters": {"type": "object"}, "strict": True}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert found["tool_choice"] == "required"
    assert found["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "get"}, {"type": "function", "function": {"name": "get"}}),
    ],
)
def test_tool_choice(choice: dict[str, str], expected: object) -> None:
    assert (
        chat(tools=[{"name": "get", "input_schema": {"type": "object"}}], tool_choice=choice)["tool_choice"] == expected
    )


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "medium"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, None),
    ],
)
def test_thinking_is_an_effort(members: dict[str, Any], effort: str | None) -> None:
    assert chat(**members).get("reasoning_effort") == effort


def test_a_json_schema() -> None:
    schema = {"type": "object", "properties": {}}
    found = chat(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert found["response_format"]["json_schema"]["schema"] == schema


def test_a_long_user_id_is_a_digest() -> None:
    assert len(chat(metadata={"user_id": "user_" + "x" * 200})["user"]) == 64


def test_the_system_prompt_as_text_or_blocks() -> None:
    assert chat(system="Be brief.")["messages"][0] == {"role": "system", "content": "Be brief."}
    marked = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
    found = chat(system=[*texts("Be brief."), marked])
    assert found["messages"][0] == {"role": "system", "content": [*texts("Be brief."), marked]}


def test_claude_codes_billing_block_is_not_for_others() -> None:
    """It differs from call to call, and nobody's prompt would be cached."""
    found = chat(system=texts("x-anthropic-billing-header: cc_version=2.1; cch=1a2b3;", "You are Claude Code."))
    assert found["messages"][0]["content"] == "You are Claude Code."


def test_a_system_message_inside_messages_stays_one_of_the_system() -> None:
    found = chat(HI, {"role": "system", "content": "Today is Monday."}, system="Be brief.")
    assert [message["role"] for message in found["messages"]] == ["system", "user"]
    assert found["messages"][0]["content"] == texts("Be brief.", "Today is Monday.")


def test_tool_calls_and_their_results() -> None:
    uses = [
        {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "get", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": texts("two"), "is_error": True},
    ]
    found = chat(
        HI, {"role": "assistant", "content": [*texts("Let me see."), *uses]},
        {"role": "user", "content": [*results, *texts("And?")]},
    )["messages"]  # fmt: skip
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool", "user"]
    assert found[1]["content"] == "Let me see."
    assert [call["id"] for call in found[1]["tool_calls"]] == ["toolu_1", "toolu_2"]
    assert json.loads(found[1]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
    assert (found[2]["tool_call_id"], found[2]["content"]) == ("toolu_1", "one")
    assert found[4]["content"] == "And?"


def test_a_picture_in_a_tools_result_follows_in_the_users_message() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    call = {"type": "tool_use", "id": "t1", "name": "shot", "input": {}}
    found = chat(
        HI, {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [image]}]},
    )["messages"]  # fmt: skip
    assert found[2]["role"] == "tool"
    assert isinstance(found[2]["content"], str)
    assert found[3]["role"] == "user"
    assert found[3]["content"][1] == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}


def test_images_and_documents() -> None:
    blocks = [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "title": "Paper",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/b.pdf"}},
        {
            "type": "document",
            "title": "Note",
            "context": "From mail",
            "source": {"type": "text", "media_type": "text/plain", "data": "Hello"},
        },
        {"type": "document", "source": {"type": "content", "content": texts("Part")}},
        {"type": "search_result", "source": "https://example.com", "title": "Found", "content": texts("Words")},
    ]
    request = parsed({"role": "user", "content": blocks})
    parts = json.loads(bytes(request.neutral().messages))[0]["content"]
    assert parts[0] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert parts[1]["file"] == {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "Paper"}
    assert parts[2]["file"] == {"file_data": "https://example.com/b.pdf", "filename": "b.pdf"}
    assert parts[3]["text"] == "Note\nFrom mail\nHello"
    assert parts[4:] == texts("Part", "Found\nhttps://example.com", "Words")
    assert (request.contents.images, request.contents.files) == (1, 2)


def test_thinking_goes_back_to_whom_it_belongs() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eHh4"},
        {"type": "thinking", "thinking": "Own words.", "signature": "fairlead:"},
        {"type": "redacted_thinking", "data": "fairlead:openai-responses-v1:d:rs_1:ZW5j:rest"},
        {"type": "redacted_thinking", "data": "fairlead:google-gemini-v1:c:call_1:c2lnbmVk"},
        {"type": "tool_use", "id": "call_1", "name": "get", "input": {}},
    ]
    message = chat(HI, {"role": "assistant", "content": blocks}, HI)["messages"][1]
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "eHh4", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "ZW5j:rest", "format": "openai-responses-v1", "id": "rs_1"},
    ]
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2lnbmVk"}}


def test_a_tools_long_name_is_shortened_and_found_again() -> None:
    name = "mcp__a_server_with_a_long_name__a_tool_whose_name_goes_on_and_on_and_on"
    request = parsed(tools=[{"name": name, "input_schema": {"type": "object"}}])
    [tool] = json.loads(bytes(request.neutral().given["tools"]))
    short = tool["function"]["name"]
    assert len(short) == 64
    assert request.echo == {short: name}


def test_what_cannot_be_said_is_named() -> None:
    request = parsed(
        context_management={"edits": []}, inference_geo="us",
        tools=[{"name": "a", "input_schema": {"type": "object"}, "defer_loading": True, "input_examples": [{}]}],
    )  # fmt: skip
    request.neutral()
    assert request.lost == ("context_management", "inference_geo", "tools.defer_loading", "tools.input_examples")
    assert request.named(("reasoning_effort", "stop", "user")) == ("thinking", "stop_sequences", "metadata")


@pytest.mark.parametrize(
    ("messages", "members", "words"),
    [
        ((), {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ((), {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash_20250124"),
        ((), {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}, "mcp_servers"),
        (({"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]},), {}, "file"),
        (({"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]},), {}, "container_upload"),
    ],
)  # fmt: skip
def test_what_only_anthropic_has_is_refused_by_name(
    messages: tuple[Any, ...], members: dict[str, Any], words: str
) -> None:
    with pytest.raises(UnsupportedContent, match=words) as refused:
        parsed(*messages, **members).neutral()
    assert refused.value.policy.elsewhere, "another deployment may have it"


def test_a_thread_is_refused_with_the_code_that_makes_the_sdk_send_everything() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed(thread={"type": "continue", "previous_message_id": "msg_1"}).neutral()
    assert refused.value.details == {"details": {"error_code": "thread_unsupported_request"}}
    assert refused.value.policy.elsewhere


def test_a_prefill_is_the_beginning_of_the_answer() -> None:
    request = parsed(HI, {"role": "assistant", "content": texts("{")})
    assert request.neutral().prefill == "{"
    assert request.contents.prefilled


def test_max_tokens_as_it_was_lowered() -> None:
    lowered = parsed().with_cap(7)
    assert json.loads(bytes(lowered.neutral().given["max_tokens"])) == 7
    made = parsed()
    made.neutral()
    assert made.with_cap(8).neutral().cap == 8
