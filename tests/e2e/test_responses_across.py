"""Responses at a provider of Messages, and Messages at a provider of Responses: reasoning and tools go both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
from tests.e2e.conftest import AT_ONCE, Served, model, provider, serving

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

CALL = Reply("Sunny.", thinking="Hm.", tool_calls=(ToolCall("look", '{"a":1}', "c1"),))
TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    config = (
        AT_ONCE
        + provider(upstream.url, name="ant", dialect="anthropic")
        + provider(upstream.url, name="own", dialect="openai-responses")
        + model("ant", name="claude", upstream="up-claude")
        + model("own", name="native", upstream="up-native")
        + provider(upstream.url, name="gem", dialect="gemini")
    )
    for then in ("own", "gem"):  # whoever has failed is tried last from then on
        config += provider(upstream.url, name=f"before-{then}", dialect="anthropic")
        config += model(f"before-{then}", then, name=f"then-{then}", upstream="up")
    with serving(tmp_path_factory.mktemp("across"), config) as served:
        yield served


def post(served: Served, path: str, body: dict[str, Any]) -> httpx.Response:
    head = {"authorization": f"Bearer {served.key}", "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{served.url}{path}", json=body, headers=head, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def test_responses_at_a_provider_of_messages(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(CALL, Reply("Done."), Reply("Done."))
    asked = {
        "model": "claude", "stream": True, "tools": [TOOL], "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip
    answer = post(served, "/v1/responses", {**asked, "input": "Hi"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    result = {"type": "function_call_output", "call_id": output[-1]["call_id"], "output": "x"}
    items = [{"role": "user", "content": "Hi"}, *output, result]
    post(served, "/v1/responses", {**asked, "input": items})
    said = upstream.requests[-1].json["messages"][1]["content"]
    assert said[0] == {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    assert [block["type"] for block in said] == ["thinking", "text", "tool_use"]
    elsewhere = {"model": "native", "input": items, "tools": [TOOL], "fairlead": {"parameters": True, "strict": True}}
    shown = post(served, "/v1/responses", elsewhere).headers
    assert shown["x-fairlead-dropped"] == "input.reasoning", "named, and refused by nobody"
    assert "dropped=input.reasoning" in shown["x-fairlead-parameters"]
    sent = upstream.requests[-1].json["input"]
    assert [item.get("type", "message") for item in sent] == [
        "message", "message", "function_call", "function_call_output",
    ]  # fmt: skip


def test_messages_at_a_provider_of_responses(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(CALL, Reply("Done."))
    asked: dict[str, Any] = {
        "model": "native", "max_tokens": 50, "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    }  # fmt: skip
    first = post(served, "/v1/messages", {**asked, "messages": [{"role": "user", "content": "Hi"}]}).json()
    assert [block["type"] for block in first["content"]] == ["thinking", "text", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}
    messages = [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]  # fmt: skip
    post(served, "/v1/messages", {**asked, "messages": messages})
    sent = upstream.requests[-1].json["input"]
    assert [item["type"] for item in sent] == [
        "message", "reasoning", "message", "function_call", "function_call_output",
    ]  # fmt: skip
    assert sent[1]["encrypted_content"] == "Z0FBQUFBQm", "what the provider itself had encrypted"
    shown = post(served, "/v1/messages", {**asked, "model": "claude", "messages": messages}).headers
    assert shown["x-fairlead-dropped"] == "messages.thinking"
    said = upstream.requests[-1].json["messages"][1]["content"]
    assert [block["type"] for block in said] == ["text", "tool_use"]


@pytest.mark.parametrize("then", ["own", "gem"])
def test_a_call_falls_back_on_another_api_in_the_middle_of_a_conversation(
    served: Served, upstream: ScriptedUpstream, then: str
) -> None:
    """What Anthropic has signed is in the first attempt and in no other; the bill is one."""
    upstream.enqueue(CALL)
    asked: dict[str, Any] = {
        "model": f"then-{then}", "max_tokens": 5000, "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "provider": {"order": [f"before-{then}", then]},
    }  # fmt: skip
    first = post(served, "/v1/messages", {**asked, "messages": [{"role": "user", "content": "Hi"}]}).json()
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}
    messages = [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]  # fmt: skip
    upstream.enqueue(Reply(status=529), Reply("Done."))
    before = len(upstream.requests)
    answer = post(served, "/v1/messages", {**asked, "messages": messages})
    tried = [request.body for request in upstream.requests[before:]]
    assert [b"c2lnbmVk" in body for body in tried] == [True, False]
    assert b"Sunny." in tried[1]
    assert "messages.thinking" in answer.headers["x-fairlead-dropped"]
    assert answer.headers["x-fairlead-deployment"].startswith(f"{then}/")
    head = {"authorization": f"Bearer {served.key}"}
    name = answer.headers["x-fairlead-generation-id"]
    receipt = httpx.get(f"{served.url}/v1/receipts/{name}", headers=head, timeout=60).json()
    assert [one["outcome"] for one in receipt["attempts"]] == ["upstream_failed", "served"]
