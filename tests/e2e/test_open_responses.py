"""The compliance cases of Open Responses (openresponses.org; `src/lib/compliance-tests.ts` of github.com/openresponses/
openresponses), against every API of providers: the requests are the published ones, and answers have
the members that its `ResponseResource` and its events require."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

from .conftest import AT_ONCE, Served, model, provider, serving
from .published import check_responses

DIALECTS = ("vllm", "anthropic", "gemini", "openai-responses")
WEATHER = {
    "type": "function", "name": "get_weather", "description": "Get the current weather for a location",
    "parameters": {
        "type": "object", "properties": {"location": {"type": "string", "description": "The city and state"}},
        "required": ["location"],
    },
}  # fmt: skip
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
CALL = Reply(tool_calls=(ToolCall("get_weather", '{"location": "San Francisco, CA"}', "call_1"),))


def message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


class Case(NamedTuple):
    """`shows`: what must be in the body that reached the provider."""

    name: str
    items: list[dict[str, Any]]
    streams: bool = False
    tools: bool = False
    shows: tuple[str, ...] = ()


CASES = (
    Case("basic-response", [message("user", "Say hello in exactly 3 words.")], shows=("exactly 3 words",)),
    Case("streaming-response", [message("user", "Count from 1 to 5.")], streams=True),
    Case(
        "system-prompt",
        [message("system", "You are a pirate. Always respond in pirate speak."), message("user", "Say hello.")],
        shows=("You are a pirate", "Say hello."),
    ),
    Case("tool-calling", [message("user", "What's the weather like in San Francisco?")], tools=True),
    Case(
        "tool-calling-streaming", [message("user", "What's the weather like in San Francisco?")], streams=True, tools=True
    ),
    Case(
        "image-input",
        [
            message("user", [
                {"type": "input_text", "text": "What do you see in this image? Answer in one sentence."},
                {"type": "input_image", "image_url": PIXEL},
            ]),
        ],
        shows=(PIXEL.partition(",")[2],),
    ),
    Case(
        "multi-turn",
        [
            message("user", "My name is Alice."),
            message("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
            message("user", "What is my name?"),
        ],
        shows=("My name is Alice.", "Nice to meet you", "What is my name?"),
    ),
)  # fmt: skip

Is = Callable[[Any], bool]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    return is_number(value) and value == int(value)


def is_string(value: Any) -> bool:
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def or_null(test: Is) -> Is:
    return lambda value: value is None or test(value)


# `ResponseResource`: all of its members are required.
RESOURCE: dict[str, Is] = {
    "id": is_string, "object": lambda value: value == "response", "created_at": is_integer,
    "completed_at": or_null(is_integer), "status": is_string, "incomplete_details": or_null(is_object),
    "model": is_string, "previous_response_id": or_null(is_string), "instructions": or_null(is_string),
    "output": is_list, "error": or_null(is_object), "tools": is_list,
    "tool_choice": lambda value: value in ("none", "auto", "required") or is_object(value),
    "truncation": lambda value: value in ("auto", "disabled"), "parallel_tool_calls": is_flag,
    "text": lambda value: is_object(value) and is_string(value["format"]["type"]), "top_p": is_number,
    "presence_penalty": is_number, "frequency_penalty": is_number, "top_logprobs": is_integer,
    "temperature": is_number, "reasoning": or_null(lambda value: {"effort", "summary"} <= set(value)),
    "usage": or_null(is_object), "max_output_tokens": or_null(is_integer), "max_tool_calls": or_null(is_integer),
    "store": is_flag, "background": is_flag, "service_tier": is_string, "metadata": is_object,
    "safety_identifier": or_null(is_string), "prompt_cache_key": or_null(is_string),
}  # fmt: skip
FUNCTION_TOOL = ("type", "name", "description", "parameters", "strict")
USAGE: dict[str, Is] = {
    "input_tokens": is_integer, "output_tokens": is_integer, "total_tokens": is_integer,
    "input_tokens_details": lambda value: is_integer(value["cached_tokens"]),
    "output_tokens_details": lambda value: is_integer(value["reasoning_tokens"]),
}  # fmt: skip
ITEMS: dict[str, dict[str, Is]] = {
    "message": {
        "id": is_string, "status": is_string, "role": is_string,
        "content": lambda value: all(is_list(part["annotations"]) and is_string(part["text"]) for part in value),
    },
    "function_call": {
        "id": is_string, "call_id": is_string, "name": is_string, "arguments": is_string, "status": is_string,
    },
}  # fmt: skip


def has_members(value: dict[str, Any], members: dict[str, Is]) -> None:
    wrong = [name for name, test in members.items() if name not in value or not test(value[name])]
    assert not wrong, {name: value.get(name, "is missing") for name in wrong}


def is_resource(response: dict[str, Any]) -> None:
    has_members(response, RESOURCE)
    for item in response["output"]:
        has_members(item, ITEMS[item["type"]])
    for tool in response["tools"]:
        assert set(FUNCTION_TOOL) <= set(tool), tool
    if response["usage"] is not None:
        has_members(response["usage"], USAGE)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE
    for dialect in DIALECTS:
        config += provider(upstream.url, name=dialect, dialect=dialect)
        config += model(dialect, name=dialect, upstream="up").replace(
            "\n[[models.deployments]]", '\ninput_modalities = ["text", "image"]\n[[models.deployments]]', 1
        )
    with serving(tmp_path_factory.mktemp("open"), config) as running:
        yield running


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_published_cases_pass(served: Served, upstream: ScriptedUpstream, case: Case, dialect: str) -> None:
    upstream.default = CALL if case.tools else Reply(text="Ahoy there, matey!")
    body: dict[str, Any] = {"model": dialect, "input": case.items, "stream": case.streams}
    if case.tools:
        body["tools"] = [WEATHER]
    with httpx.Client(timeout=60) as client:
        got = client.post(f"{served.url}/v1/responses", json=body, headers={"authorization": f"Bearer {served.key}"})
    assert got.status_code == 200, got.text
    for words in case.shows:
        assert words.encode() in upstream.requests[-1].body
    if not case.streams:
        response = got.json()
    else:
        events = [json.loads(line[6:]) for line in got.text.splitlines() if line.startswith("data: ")]
        check_responses(events, 0, "complete")
        response = events[-1]["response"]
        kinds = [event["type"] for event in events]
        if case.tools:
            assert "response.function_call_arguments.delta" in kinds
            assert "response.function_call_arguments.done" in kinds
            for kind in ("response.output_item.added", "response.output_item.done"):
                assert [one["item"]["type"] for one in events if one["type"] == kind] == ["function_call"]
        for event in events:
            if "response" in event:
                is_resource(event["response"])
    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == ["function_call" if case.tools else "message"]
    is_resource(response)
