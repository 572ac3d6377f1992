"""What is translated is what vendors publish of their requests: each is validated with the types of their own SDKs, which
are generated from their OpenAPI documents, and nothing else may stand in it."""

from __future__ import annotations

import sys
from typing import Any

import anthropic.types
import pytest
import typing_extensions
from google.genai import types as google
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import ConfigDict, TypeAdapter, ValidationError
from tests.doors.test_matrix import ASKED, SAME, SPEAKS, sent
from tests.doors.test_portable import ANSWERS, answered, asked, continued

# Anthropic's newest version has no sampling; the one that is sent here has.
OLDER = ("temperature", "top_k", "top_p")
# A type of OpenAI's SDK that its union of parts leaves out.
UNPUBLISHED = {("audio", "openai-responses")}
GENERATION = {"contents": google.Content, "tools": google.Tool}
SINGLE = {
    "systemInstruction": google.Content, "toolConfig": google.ToolConfig, "generationConfig": google.GenerationConfig,
}  # fmt: skip


def strict(made: Any) -> TypeAdapter[Any]:
    """Of a TypedDict, in which nothing but its members may stand, nor in those inside it."""
    inside = {
        one
        for name, module in list(sys.modules.items())
        if name.startswith(("openai.types", "anthropic.types"))
        for one in vars(module).values()
        if typing_extensions.is_typeddict(one) and not hasattr(one, "__pydantic_config__")
    }
    for one in inside:
        one.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    try:
        return TypeAdapter(made)
    finally:
        for one in inside:
            del one.__pydantic_config__


def consume(value: Any) -> None:
    """What is published as an Iterable is validated while it is read."""
    if isinstance(value, dict):
        for one in value.values():
            consume(one)
    elif not isinstance(value, str | bytes | int | float | None):
        for one in value:
            consume(one)


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    messages = strict(anthropic.types.message_create_params.MessageCreateParamsNonStreaming)

    def older(body: dict[str, Any]) -> None:
        consume(messages.validate_python({name: value for name, value in body.items() if name not in OLDER}))

    chat = strict(completion_create_params.CompletionCreateParamsNonStreaming)
    responses = strict(response_create_params.ResponseCreateParamsNonStreaming)
    return {
        "openai": lambda body: consume(chat.validate_python(body)), "anthropic": older, "gemini": check_gemini,
        "openai-responses": lambda body: consume(responses.validate_python(body)),
    }  # fmt: skip


def check_gemini(body: dict[str, Any]) -> None:
    for name, value in body.items():
        if name in SINGLE:
            SINGLE[name].model_validate(value)
        else:
            for one in value:
                GENERATION[name].model_validate(one)


def test_translated_requests_are_as_published(published: dict[str, Any]) -> None:
    checked = 0
    for feature, door, dialect in ASKED:
        is_known = dialect in published and (door, dialect) not in SAME and dialect not in feature.refused
        if is_known and (feature.name, dialect) not in UNPUBLISHED:
            body, _ = sent(door, dialect, feature.asked[door])
            published[dialect](body)
            checked += 1
    assert checked > 120


@pytest.mark.parametrize("door", SPEAKS)
def test_conversations_that_another_model_began_are_as_published(published: dict[str, Any], door: str) -> None:
    """Also where both sides speak the same API: clients send back what was written here."""
    for origin in ANSWERS:
        body = asked(door, **continued(door, answered(door, origin)))
        if door == "responses":
            body["tools"] = [{**tool, "strict": False} for tool in body["tools"]]
        for dialect, check in published.items():
            check(sent(door, dialect, body)[0])


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "openai-responses"])
def test_what_is_not_published_is_found(published: dict[str, Any], dialect: str) -> None:
    body, _ = sent("chat", dialect, {"messages": [{"role": "user", "content": "Hi"}]})
    published[dialect](body)
    turn = body[{"gemini": "contents", "openai-responses": "input"}.get(dialect, "messages")][0]
    turn["reasoning_details"] = []
    with pytest.raises(ValidationError):
        published[dialect](body)
