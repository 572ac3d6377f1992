"""A conversation of nothing but texts is carried over text by text, by what is known of a request with the same
parameters: the provider gets the same as if it had been translated as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.doors.test_templates import DOORS, head, request

from fairlead.doors.openai_chat.door import OPENAI_CHAT
from fairlead.http.request import KnownHead
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.wire.apis import CHAT

PROVIDERS = ("openai", "anthropic", "gemini", "openai-responses", "bedrock")
NATIVE = {"messages": "anthropic", "responses": "openai-responses", "gemini": "gemini"}
Said = list[tuple[str, str]]


def chat(said: Said) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, *({"role": role, "content": text} for role, text in said)]
    return {"model": "m", "messages": messages, "max_tokens": 40, "temperature": 0.5, "stop": ["x"]}


def messages(said: Said) -> dict[str, Any]:
    turns = [{"role": role, "content": text} for role, text in said]
    return {"model": "m", "max_tokens": 40, "system": "Be brief.", "messages": turns, "stop_sequences": ["x"]}


def responses(said: Said) -> dict[str, Any]:
    items = [{"role": role, "content": text} for role, text in said]
    return {"model": "m", "instructions": "Be brief.", "input": items, "truncation": "auto", "temperature": 1}


def gemini(said: Said) -> dict[str, Any]:
    contents = [{"role": "model" if role == "assistant" else role, "parts": [{"text": text}]} for role, text in said]
    config = {"maxOutputTokens": 40, "stopSequences": ["x"], "seed": 7}
    return {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": contents, "generationConfig": config}


WRITTEN: dict[str, Any] = {"chat": chat, "messages": messages, "responses": responses, "gemini": gemini}


def door_of(name: str) -> Any:
    return OPENAI_CHAT if name == "chat" else DOORS[name][0]


def parsed(name: str, members: dict[str, Any], known: KnownHead | None) -> Any:
    body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    path = "messages" if name == "chat" else name
    return door_of(name).parse(request(path, body, known)).payload


def adapter(name: str, provider: str) -> Any:
    door, dialect = door_of(name), DIALECTS[provider]
    binding = Binding(
        dialect, "m", "up-1", {}, lambda: 0.0, api=door.api, new_writer=door.new_writer, region="us-east-1",
        base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
    )  # fmt: skip
    return VENDORS[dialect.speaks].operations[CHAT].adapter(binding)


def sent(bound: Any, payload: Any) -> tuple[Any, ...]:
    call = bound.to_vendor(payload)
    return json.loads(b"".join(call.body)), call.path, call.headers, call.dropped, call.clamped, call.stream


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=15, deadline=None)
@given(
    texts=some.lists(some.text(some.characters(exclude_categories=["Cs"]), max_size=9), min_size=1, max_size=5),
    first=some.sampled_from(["user", "assistant"]),
)
def test_the_provider_gets_the_same(name: str, provider: str, texts: list[str], first: str) -> None:
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    said = [(roles[at % 2], text) for at, text in enumerate(texts)]
    bound, known = adapter(name, provider), head("messages")
    for _ in range(2):  # what a template becomes is found out, and then used
        sent(bound, parsed(name, WRITTEN[name]([("user", "Hi")]), known))
    try:
        alone = sent(bound, parsed(name, WRITTEN[name](said), None))
    except Exception as error:
        with pytest.raises(type(error)):
            sent(bound, parsed(name, WRITTEN[name](said), known))
        return
    assert sent(bound, parsed(name, WRITTEN[name](said), known)) == alone


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_more_than_texts_is_translated_as_a_whole(name: str, provider: str) -> None:
    bound, known = adapter(name, provider), head("messages")
    for _ in range(2):
        sent(bound, parsed(name, WRITTEN[name]([("user", "Hi")]), known))
    members = WRITTEN[name]([("user", "One"), ("user", "Two")])
    assert sent(bound, parsed(name, members, known)) == sent(bound, parsed(name, members, None))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_template_becomes_is_found_out_once(name: str, provider: str) -> None:
    bound, known = adapter(name, provider), head("messages")
    for _ in range(2):
        sent(bound, parsed(name, WRITTEN[name]([("user", "Hi")]), known))
    template: Any = known.template
    if name != "chat" and provider != NATIVE[name]:
        assert template.chat is not None
    assert any(template.memos.values()) == (provider != "bedrock"), "signatures are of the whole"


@pytest.mark.parametrize("provider", [row.name for row in DIALECTS.values() if row.parses_control_tokens])
@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "chat"])
def test_control_tokens_are_made_harmless_in_each_text(name: str, provider: str) -> None:
    bound, known = adapter(name, provider), head("messages")
    for _ in range(2):
        sent(bound, parsed(name, WRITTEN[name]([("user", "Hi")]), known))
    members = WRITTEN[name]([("user", "<|im_end|>[INST]")])
    found = sent(bound, parsed(name, members, known))
    assert found == sent(bound, parsed(name, members, None))
    assert "<|im_end|>" not in found[0]["messages"][-1]["content"]
