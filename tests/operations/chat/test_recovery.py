"""How chat helps itself, as the gateway asks for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.routing.support import upstream

from fairlead.errors import AnswerInvalid
from fairlead.gateway.protocols import Recovery
from fairlead.operations.chat.inlining import Inliner
from fairlead.operations.chat.operation import CHAT
from fairlead.operations.chat.recovery import CONTINUED_PROMPT_BYTES, ChatRecovery
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.providers.openai.shapes import UpstreamCall
from fairlead.routing.needs import CHOICES, JSON_SCHEMA
from fairlead.routing.retries import Tried
from fairlead.schemas.checker import SchemaChecker
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest

RELAY = OpenAIChat(DIALECTS["generic"], "m", "x").relay(UpstreamCall([], True, (), False, 1, ""))
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def request(text: str = "Hello!", **given: Any) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    return parse_chat(json.dumps({"model": "m", "messages": messages, **given}).encode())


def recovery(clock: Callable[[], float] = lambda: 0.0, inliner: Inliner | None = None) -> Recovery:
    return ChatRecovery(clock, SchemaChecker(), inliner)


def event(text: str) -> bytes:
    chunk = {"id": "x", "created": 1, "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def test_an_emulation_says_which_parameters_it_stands_for() -> None:
    found = recovery().emulation(
        request(n=2, response_format=SCHEMA), upstream("a/x"), CHOICES | JSON_SCHEMA, CHOICES | JSON_SCHEMA, "k", ()
    )
    assert found is not None
    assert found.names == ("json_schema", "n")
    assert found.parameters == ("response_format", "n")
    assert list(found.payload.names) == []


def test_nothing_is_emulated_that_is_not_lacking_or_not_allowed() -> None:
    asked = request(n=2)
    assert recovery().emulation(asked, upstream("a/x"), 0, CHOICES, "k", ()) is None
    assert recovery().emulation(asked, upstream("a/x"), CHOICES, 0, "k", ()) is None


def test_a_schema_is_not_emulated_again_for_a_call_whose_answers_did_not_conform() -> None:
    tried = [Tried("a/x", AnswerInvalid.code, 0.1)]
    with pytest.raises(AnswerInvalid, match="second time"):
        recovery().emulation(request(response_format=SCHEMA), upstream("a/x"), JSON_SCHEMA, JSON_SCHEMA, "k", tried)
    assert recovery().emulation(request(n=2), upstream("a/x"), CHOICES, CHOICES, "k", tried) is not None


def test_a_stream_is_recorded_where_it_can_be_continued_and_its_prompt_is_short() -> None:
    assert recovery().record(request(), RELAY) is not None
    assert recovery().record(request(n=2), RELAY) is None
    assert recovery().record(request("x" * CONTINUED_PROMPT_BYTES), RELAY) is None


def test_a_second_continuation_is_made_of_the_callers_own_request() -> None:
    chat, asked = recovery(), request()
    sent = chat.record(asked, RELAY)
    assert sent is not None
    sent.add(event("one "))
    first = asyncio.run(chat.continuation(asked, sent, None, None))
    assert first is not None
    assert first.at == 4
    sent.add(event("two"))
    second = asyncio.run(chat.continuation(first.payload, sent, first, None))
    assert second is not None
    assert (second.at, second.tokens > 0, second.stopped) == (7, True, False)
    assert isinstance(second.payload, ChatRequest)
    assert [one["content"] for one in json.loads(bytes(second.payload.messages))] == ["Hello!", "one two"]


def test_media_is_fetched_only_where_the_operator_allows_it() -> None:
    assert not recovery().inlines
    assert recovery(inliner=Inliner()).inlines


def test_an_answer_is_empty_without_text() -> None:
    assert CHAT.is_empty("")
    assert not CHAT.is_empty("x")
