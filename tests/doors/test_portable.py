"""Conversations that go on at another provider: a model thinks and calls tools, its answer goes back through the same door,
and the next model is served by any API. What the first has signed goes back to it; nobody gets what it would refuse; what
was left out is named, and refused by nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from tests.doors.test_matrix import SPEAKS, TOOLS, adapter, plain_body, thinking_body

from fairlead.testing import Reply, ToolCall
from fairlead.testing.gemini import GEMINI as SPOKEN_GEMINI
from fairlead.testing.messages import MESSAGES as SPOKEN_MESSAGES
from fairlead.testing.rendering import CHAT as SPOKEN_CHAT
from fairlead.testing.responses import ENCRYPTED
from fairlead.testing.responses import RESPONSES as SPOKEN_RESPONSES

THOUGHT, SIGNATURE = "Let me look at both.", "U0lHTkVE"
CALLS = (ToolCall("look", '{"city":"Oslo"}', "call_a"), ToolCall("look", '{"city":"Rome"}', "call_b"))
REPLY = Reply("Two of them.", thinking=THOUGHT, signature=SIGNATURE, tool_calls=CALLS)


def chat_answer() -> bytes:
    """As vLLM and DeepSeek write it: words that nobody has signed."""
    answer = json.loads(SPOKEN_CHAT.whole(REPLY, {"model": "up"}, 1))
    answer["choices"][0]["message"]["reasoning_content"] = THOUGHT
    return json.dumps(answer).encode()


def bedrock_answer() -> bytes:
    thought = {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}
    calls = [{"toolUse": {"toolUseId": one.id, "name": one.name, "input": json.loads(one.arguments)}} for one in CALLS]
    content = [{"reasoningContent": thought}, {"text": REPLY.text}, *calls]
    usage = {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}
    return json.dumps({
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use", "usage": usage,
        "metrics": {"latencyMs": 1},
    }).encode()  # fmt: skip


ANSWERS = {
    "vllm": chat_answer(), "anthropic": SPOKEN_MESSAGES.whole(REPLY, {"model": "up"}, 1), "bedrock": bedrock_answer(),
    "gemini": SPOKEN_GEMINI.whole(REPLY, {"model": "up"}, 1),
    "openai-responses": SPOKEN_RESPONSES.whole(REPLY, {"model": "up"}, 1),
}  # fmt: skip
# Whom a signature of one of these goes back to: Claude's are good at each provider of Claude.
CLAUDE = frozenset({"anthropic", "bedrock"})
SIGNED = {
    "anthropic": (SIGNATURE, CLAUDE), "bedrock": (SIGNATURE, CLAUDE), "gemini": (SIGNATURE, frozenset({"gemini"})),
    "openai-responses": (ENCRYPTED, frozenset({"openai-responses"})),
}  # fmt: skip
# They take words of reasoning in messages, and ignore what they do not know; a generic one is expected to take everything.
ENGINES = frozenset({"vllm", "sglang", "llamacpp"})
EVERYTHING = frozenset({"generic"})
# Members of an answer's message that these servers answer with an error.
STRICT = ("openai", "azure", "mistral", "groq", "cerebras", "cohere")
TARGETS = ("anthropic", "bedrock", "gemini", "openai-responses", *STRICT, *sorted(ENGINES | EVERYTHING))
NAMES = {
    "chat": "messages.reasoning", "messages": "messages.thinking", "responses": "input.reasoning",
    "gemini": "contents.thoughtSignature",
}  # fmt: skip
RESULTS = ("wet", "dry")


def asked(door: str, **members: Any) -> dict[str, Any]:
    body = {**thinking_body(door, stream=False), "tools": TOOLS[door], **members}
    if door == "responses":
        body["include"] = ["reasoning.encrypted_content"]
    return body


def sent(door: str, target: str, body: dict[str, Any]) -> tuple[Any, Any]:
    """The body that the provider gets, and the call."""
    call = adapter(door, target).to_vendor(SPEAKS[door].parse(json.dumps(body).encode(), False))
    return json.loads(b"".join(bytes(piece) for piece in call.body)), call


def answered(door: str, origin: str, **members: Any) -> Any:
    one = adapter(door, origin)
    call = one.to_vendor(SPEAKS[door].parse(json.dumps(asked(door, **members)).encode(), False))
    return json.loads(one.plain(call, ANSWERS[origin]).end(b""))


def continued(door: str, answer: Any) -> dict[str, Any]:
    """The conversation with this answer, as clients send it back, and the results of its calls."""
    asked = "Look"
    match door:
        case "chat":
            message = answer["choices"][0]["message"]
            results = [
                {"role": "tool", "tool_call_id": call["id"], "content": result}
                for call, result in zip(message["tool_calls"], RESULTS, strict=True)
            ]
            return {"messages": [{"role": "user", "content": asked}, message, *results]}
        case "messages":
            calls = [block for block in answer["content"] if block["type"] == "tool_use"]
            found = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": result}
                for call, result in zip(calls, RESULTS, strict=True)
            ]
            said = {"role": "assistant", "content": answer["content"]}
            return {"messages": [{"role": "user", "content": asked}, said, {"role": "user", "content": found}]}
        case "responses":
            calls = [item for item in answer["output"] if item["type"] == "function_call"]
            outputs = [
                {"type": "function_call_output", "call_id": call["call_id"], "output": result}
                for call, result in zip(calls, RESULTS, strict=True)
            ]
            return {"input": [{"role": "user", "content": asked}, *answer["output"], *outputs]}
        case _:
            content = answer["candidates"][0]["content"]
            made = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
            parts = [
                {"functionResponse": {**{name: call[name] for name in ("id", "name") if name in call},
                                      "response": {"output": result}}}
                for call, result in zip(made, RESULTS, strict=True)
            ]  # fmt: skip
            return {
                "contents": [{"role": "user", "parts": [{"text": asked}]}, content, {"role": "user", "parts": parts}]
            }


def reasons(value: Any) -> list[str]:
    """The values of all members in which some API has a signature or the like."""
    names = {"signature", "data", "thoughtSignature", "thought_signature", "encrypted_content", "redactedContent"}
    if isinstance(value, dict):
        own = [one for name, one in value.items() if name in names and isinstance(one, str)]
        return own + [found for one in value.values() for found in reasons(one)]
    return [found for one in value for found in reasons(one)] if isinstance(value, list) else []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("origin", ANSWERS)
@pytest.mark.parametrize("door", SPEAKS)
def test_another_model_goes_on_with_the_conversation(door: str, origin: str, target: str) -> None:
    body, call = sent(door, target, asked(door, **continued(door, answered(door, origin))))
    text = json.dumps(body)
    for words in (REPLY.text, "Oslo", "Rome", *RESULTS):
        assert words in text, "all that was said is there"
    signature, whose = SIGNED.get(origin, ("", frozenset()))
    if target in whose:
        assert signature in reasons(body), "the provider gets back what it has made"
    elif target not in EVERYTHING and not (door == "chat" and target in ENGINES):
        left = [one for one in reasons(body) if one != "skip_thought_signature_validator"]
        assert not left, "nobody gets the signature of another, tagged or not"
    assert "fairlead" not in text
    if target in STRICT:
        assert '"reasoning' not in text
        assert '"extra_content"' not in text
        assert target in ("openai", "azure") or '"refusal"' not in text
    if target in ENGINES | EVERYTHING and origin in ("vllm", "anthropic", "bedrock"):
        spoken = next(one for one in body["messages"] if one["role"] == "assistant")
        assert spoken["reasoning_content"] == THOUGHT, "its words, whoever has thought them"
    assert (NAMES[door] in call.dropped) == is_left_out(door, origin, target), call.dropped


def is_left_out(door: str, origin: str, target: str) -> bool:
    if target in EVERYTHING or target in SIGNED.get(origin, ("", frozenset()))[1]:
        return False
    if target in ENGINES:  # signatures without words
        return door != "chat" and origin in ("gemini", "openai-responses")
    return (door, origin, target) != ("gemini", "vllm", "gemini")  # a part with `thought` is Gemini's own word


@pytest.mark.parametrize("door", SPEAKS)
def test_a_strict_caller_may_change_the_model_too(door: str) -> None:
    body = asked(door, **continued(door, answered(door, "gemini")))
    for target in ("anthropic", "openai", "openai-responses"):
        _, call = sent(door, target, {**body, "fairlead": {"strict": True}})
        assert NAMES[door] in call.dropped


BUDGETS: dict[str, dict[str, Any]] = {
    "chat": {"reasoning_effort": "low", "max_tokens": 9000},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000},
    "responses": {"reasoning": {"effort": "low"}, "max_output_tokens": 9000},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024}, "maxOutputTokens": 9000}},
}


@pytest.mark.parametrize("target", ["anthropic", "bedrock"])
@pytest.mark.parametrize("origin", ["vllm", "anthropic", "gemini", "openai-responses"])
@pytest.mark.parametrize("door", SPEAKS)
def test_claude_thinks_only_where_it_has_begun_to(door: str, origin: str, target: str) -> None:
    """With a budget: 'a final `assistant` message must start with a thinking block (preceding the lastmost set of
    `tool_use` and `tool_result` blocks)', says its 400."""
    body = asked(door, **BUDGETS[door], **continued(door, answered(door, origin)))
    sent_body, call = sent(door, target, body)
    thinks = '"budget_tokens"' in json.dumps(sent_body)
    assert thinks == (origin == "anthropic")
    said = next(one for one in sent_body["messages"] if one["role"] == "assistant")
    assert (("thinking" in said["content"][0]) or ("reasoningContent" in said["content"][0])) == thinks
    named = {"chat": "reasoning_effort", "messages": "thinking", "responses": "reasoning"}
    name = named.get(door, "generationConfig.thinkingConfig")
    assert (name in call.dropped) == (not thinks)


def test_claude_thinks_again_once_the_user_has_spoken() -> None:
    messages = continued("messages", answered("messages", "gemini"))["messages"]
    messages += [{"role": "assistant", "content": "Wet and dry."}, {"role": "user", "content": "And now?"}]
    for target in ("anthropic", "bedrock"):
        body, call = sent("messages", target, asked("messages", **BUDGETS["messages"], messages=messages))
        assert '"budget_tokens"' in json.dumps(body)
        assert call.dropped == (NAMES["messages"],)


def test_reasoning_that_was_not_wanted_encrypted_is_no_item_of_a_provider() -> None:
    """OpenAI looks for such an item by its id: "Item with id 'rs_...' not found"."""
    answer = answered("responses", "vllm")
    for item in answer["output"]:
        item.pop("encrypted_content", None)
    body, call = sent("responses", "openai-responses", asked("responses", **continued("responses", answer)))
    assert [one.get("type", "message") for one in body["input"]].count("reasoning") == 0
    assert call.dropped == (NAMES["responses"],)
    body, _ = sent("responses", "vllm", asked("responses", **continued("responses", answer)))
    assert THOUGHT in json.dumps(body)


@pytest.mark.parametrize("origin", ANSWERS)
@pytest.mark.parametrize("door", SPEAKS)
def test_a_call_that_falls_back_is_the_same_as_one_that_began_there(door: str, origin: str) -> None:
    """Other providers were tried before with the same payload: nothing of what they needed sticks to it."""
    body = json.dumps(asked(door, **continued(door, answered(door, origin)))).encode()
    tried = SPEAKS[door].parse(body, False)
    for target in (*TARGETS, *reversed(TARGETS)):
        fresh = adapter(door, target).to_vendor(SPEAKS[door].parse(body, False))
        again = adapter(door, target).to_vendor(tried)
        assert b"".join(map(bytes, again.body)) == b"".join(map(bytes, fresh.body)), target
        assert again.dropped == fresh.dropped, target


def test_what_was_stored_of_another_provider_is_left_out_and_named() -> None:
    output = answered("responses", "anthropic")["output"]
    payload = SPEAKS["responses"].parse(json.dumps(asked("responses", input="And now?")).encode(), False)
    call = adapter("responses", "openai-responses").to_vendor(
        payload.with_history([Raw(json.dumps(one).encode()) for one in output], None)
    )
    items = json.loads(b"".join(map(bytes, call.body)))["input"]
    assert [one["type"] for one in items] == ["message", "function_call", "function_call", "message"]
    assert call.dropped == (NAMES["responses"],)


def test_what_is_redacted_goes_back_to_its_own_provider_alone() -> None:
    """Bedrock writes it as bytes, Anthropic as text: only signatures are the same at both."""
    answer = answered("messages", "anthropic")
    answer["content"][0] = {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}
    body = asked("messages", **continued("messages", answer))
    sent_body, call = sent("messages", "anthropic", body)
    assert "cmVkYWN0ZWQ=" in reasons(sent_body)
    assert not call.dropped
    sent_body, call = sent("messages", "bedrock", body)
    assert not reasons(sent_body)
    assert call.dropped == (NAMES["messages"],)


# A turn of the assistant's that is nothing but reasoning.
ONLY_THOUGHT: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "reasoning_content": THOUGHT},
                          {"role": "user", "content": "Well?"}]},
    "messages": {"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT, "signature": "fairlead:"}]},
        {"role": "user", "content": "Well?"},
    ]},
    "responses": {"input": [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_flr1", "summary": [], "content": [{"type": "reasoning_text", "text": THOUGHT}]},
        {"role": "user", "content": "Well?"},
    ]},
    "gemini": {"contents": [
        {"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": THOUGHT, "thought": True}]},
        {"role": "user", "parts": [{"text": "Well?"}]},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("door", SPEAKS)
def test_a_turn_of_nothing_but_reasoning_is_no_empty_message(door: str, target: str) -> None:
    body, _ = sent(door, target, {**plain_body(door), **ONLY_THOUGHT[door]})
    text = json.dumps(body)
    assert "Well?" in text
    for message in body.get("messages", ()):
        if message["role"] == "assistant":
            assert target in ENGINES | EVERYTHING
            assert message["reasoning_content"] == THOUGHT
            assert message["content"] == "" or door == "chat"
