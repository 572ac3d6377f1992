"""What vendors publish of their streams: the members of each event, as their own SDKs describe them (generated from their
OpenAPI documents), and the order of events, from their API references."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import anthropic
import openai.types.chat
import openai.types.responses
from google.genai.types import GenerateContentResponse
from pydantic import BaseModel

# How a stream ends: as it should, with an error of the provider's, or in the middle because its caller disconnected.
End = Literal["complete", "error", "cut"]
# Members beside those that are published: the cost of a call, and the codes of an error.
OURS = {"cost", "cost_usd", "cost_details", "usage_source", "code", "provider_code", "fairlead_code"}
# Of engines and OpenRouter: where chat completions have reasoning, and what stopped an answer. Google's: signatures.
CHAT = OURS | {"reasoning", "reasoning_content", "reasoning_details", "stop_reason", "extra_content"}
# Anthropic has these counts in `message_start`, where a provider of another API has not reported them yet.
MESSAGES = OURS | {"cache_creation"}
# Of Open Responses, and of earlier releases of OpenAI's document (`name` where arguments are done).
RESPONSES = OURS | {"store", "presence_penalty", "frequency_penalty", "name"}


def of_type(union: Any) -> dict[str, Callable[[Any], Any]]:
    """What validates the members of a union, by their `type`."""
    found = {}
    for one in get_args(get_args(union)[0]):
        (kind,) = get_args(one.model_fields["type"].annotation)
        found[kind] = one.model_validate
    return found


_responses = of_type(openai.types.responses.ResponseStreamEvent)
_messages = of_type(anthropic.types.RawMessageStreamEvent)


def unknown(value: Any, path: str = "") -> Iterator[str]:
    """The members of a validated value that its type does not have."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value):
            yield from unknown(one, f"{path}[{at}]")


def validated(event: Any, as_: Callable[[Any], Any], more: set[str] = OURS) -> None:
    found = as_(event)
    assert getattr(found, "type", None) == event.get("type"), event
    left = [path for path in unknown(found) if path.rpartition(".")[2] not in more]
    assert not left, (left, event)


def check_chat(events: list[Any], done: int, end: End) -> None:
    if end == "error":  # OpenRouter's shape comes before OpenAI's own
        *events, shown, bare = events
        assert shown == {**bare, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
        events.append(bare)
    chunks = [event for event in events if "error" not in event]
    for chunk in chunks:
        validated(chunk, openai.types.chat.ChatCompletionChunk.model_validate, CHAT)
    _check_ends(events, chunks, done, end)
    started: set[int] = set()
    calls: dict[tuple[int, int], str] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        delta, index = choice["delta"], choice["index"]
        assert ("role" in delta) == (index not in started), "the role is in the first chunk of a choice alone"
        started.add(index)
        for call in delta.get("tool_calls") or ():
            place = (index, call["index"])
            if place in calls:
                assert "id" not in call, "an id begins a call"
            else:
                assert call["id"], call
                assert call["function"]["name"], call
                assert call["index"] == sum(1 for one in calls if one[0] == index), "calls are numbered in order"
                calls[place] = call["id"]


def check_completions(events: list[Any], done: int, end: End) -> None:
    chunks = [event for event in events if "error" not in event]
    # `finish_reason` is published as required and is null until the end.
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert choice["finish_reason"] in (None, "stop", "length", "content_filter")
    filled = [
        {**chunk, "choices": [{**one, "finish_reason": one["finish_reason"] or "stop"} for one in chunk["choices"]]}
        for chunk in chunks
    ]
    for chunk in filled:
        validated(chunk, openai.types.Completion.model_validate)
    _check_ends(events, chunks, done, end)


def _check_ends(events: list[Any], chunks: list[Any], done: int, end: End) -> None:
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) <= 1
    finished: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert choice["index"] not in finished, "nothing follows the finish reason of a choice"
            if choice["finish_reason"] is not None:
                finished[choice["index"]] = choice["finish_reason"]
        if chunk.get("usage"):
            assert chunk["choices"] == [] or chunk is chunks[-1], "usage comes last"
            assert chunk is chunks[-1]
    assert done == (end == "complete")
    assert ("error" in events[-1]) == (end == "error")
    assert sum("error" in event for event in events) == (end == "error")
    if end == "complete":
        assert finished
    if end == "error":
        error = events[-1]["error"]
        assert set(error) - OURS == {"message", "type", "param"}


def check_messages(events: list[Any], done: int, end: End) -> None:
    assert done == 0
    for event in events:
        if event["type"] == "error":
            validated(event, anthropic.types.ErrorResponse.model_validate)
        elif event["type"] != "ping":
            validated(event, _messages[event["type"]], MESSAGES)
    order = [event for event in events if event["type"] != "ping"]
    assert order[0]["type"] == "message_start"
    assert order[0]["message"]["content"] == []
    assert order[0]["message"]["stop_reason"] is None
    expected = {"text": {"text_delta", "citations_delta"}, "tool_use": {"input_json_delta"}}
    expected["thinking"] = {"thinking_delta", "signature_delta"}
    opened: dict[str, Any] | None = None
    count = 0
    state = "blocks"
    for event in order[1:]:
        assert state in ("blocks", "ending"), (state, event)
        match event["type"]:
            case "content_block_start":
                assert (state, opened, event["index"]) == ("blocks", None, count), event
                opened = event["content_block"]
                count += 1
            case "content_block_delta":
                assert opened is not None, event
                assert event["index"] == count - 1
                assert event["delta"]["type"] in expected[opened["type"]], event
            case "content_block_stop":
                assert opened is not None, event
                assert event["index"] == count - 1
                opened = None
            case "message_delta":
                assert (state, opened) == ("blocks", None), event
                assert event["delta"]["stop_reason"] is not None
                state = "ending"
            case "message_stop":
                assert state == "ending", event
                state = "complete"
            case "error":
                state = "error"
    assert state == ("blocks" if end == "cut" else end)


def check_responses(events: list[Any], done: int, end: End) -> None:
    assert done == 0
    for event in events:
        validated(event, _responses[event["type"]], RESPONSES)
    numbers = [event["sequence_number"] for event in events]
    assert numbers == list(range(len(events)))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[:2] == ["created", "in_progress"]
    items: dict[int, Any] = {}
    parts: dict[tuple[int, str, int], str] = {}
    for kind, event in zip(kinds[2:], events[2:], strict=True):
        assert not kinds[:-1].count("completed"), "nothing follows the last event"
        if "output_index" not in event:
            continue
        at = event["output_index"]
        if kind == "output_item.added":
            assert at == len(items), "items are numbered in order"
            items[at] = event["item"]
        elif kind == "output_item.done":
            assert not [one for one in parts if one[0] == at], "its parts are done"
            assert event["item"]["id"] == items[at]["id"]
            items[at] = event["item"]
        else:
            assert event["item_id"] == items[at]["id"]
            _check_part(kind, event, parts)
    if end == "complete":
        assert kinds[-1] in ("completed", "incomplete")
        assert events[-1]["response"]["output"] == list(items.values())
        assert not parts
    elif end == "error":
        assert kinds[-1] in ("failed", "error")


def _check_part(kind: str, event: Any, parts: dict[tuple[int, str, int], str]) -> None:
    """Parts are added, grow, and are done with what they have grown to."""
    if kind.endswith("annotation.added"):
        return
    number = event.get("content_index", event.get("summary_index", 0))
    group = "summary" if "summary_index" in event else "content" if "content_index" in event else "call"
    place = (event["output_index"], group, number)
    name, _, verb = kind.rpartition(".")
    if verb == "added":
        assert place not in parts, event
        parts[place] = ""
    elif verb == "delta":
        if group == "call":
            parts.setdefault(place, "")
        parts[place] += event["delta"]
    elif name in ("content_part", "reasoning_summary_part"):
        part = event["part"]
        assert parts.pop(place) == (part["refusal"] if part["type"] == "refusal" else part["text"])
    else:
        text = next(event[one] for one in ("text", "refusal", "arguments", "input") if one in event)
        assert parts.get(place, "") == text, event
        if group == "call":
            parts.pop(place, None)


def check_gemini(events: list[Any], done: int, end: End) -> None:
    assert done == 0
    documents = [event for event in events if "error" not in event]
    for document in documents:
        shown = dict(document.get("usageMetadata") or {})
        bare = {**document, "usageMetadata": {name: value for name, value in shown.items() if name not in OURS}}
        GenerateContentResponse.model_validate(bare)  # which forbids what it does not know
    finished = [bool(one.get("finishReason")) for document in documents for one in document.get("candidates") or ()]
    assert finished.count(True) == (end == "complete")
    assert not any(finished[:-1]), "the finish reason comes last"
    assert ("error" in events[-1]) == (end == "error")
    if end == "error":
        error = events[-1]["error"]
        assert isinstance(error["code"], int)
        assert error["status"].isupper()
        assert error["message"]
    assert len({document["responseId"] for document in documents if "responseId" in document}) <= 1


CHECKS: dict[str, Callable[[list[Any], int, End], None]] = {
    "chat": check_chat, "completions": check_completions, "messages": check_messages, "responses": check_responses,
    "gemini": check_gemini,
}  # fmt: skip
