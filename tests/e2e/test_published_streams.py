"""Streams as vendors publish them: every event has the members of its type, and comes in its order, whatever provider wrote
the answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream, ToolCall

from .conftest import AT_ONCE, Served, model, provider, serving
from .published import CHECKS, End
from .speaking import EVERY_WAY, WAYS, Answer, Way, ask

LONG = "one two three four five six seven eight nine ten"
CALLS = (ToolCall("get_weather", '{"city": "Oslo"}', "call_1"), ToolCall("get_weather", '{"city": "Rome"}', "call_2"))


MANY = tuple(ToolCall("get_weather", '{"city": "Oslo"}', f"call_{at}") for at in range(12))


class Scene(NamedTuple):
    name: str
    reply: Reply
    end: End = "complete"


SCENES = (
    Scene("text", Reply(text='One "two"\nthree é🎈 four.')),
    Scene("a cut-off text", Reply(text="One two", finish_reason="length")),
    Scene("a call", Reply(tool_calls=CALLS[:1])),
    Scene("parallel calls", Reply(tool_calls=CALLS)),
    Scene("text and calls", Reply(text="Let me look.", tool_calls=CALLS)),
    Scene("a call without arguments", Reply(tool_calls=(ToolCall("now", "{}", "call_1"),))),
    Scene("reasoning", Reply(text="So.", thinking="Let me think.")),
    Scene("reasoning and calls", Reply(tool_calls=CALLS, thinking="Let me think.")),
    Scene("no usage", Reply(text="One two", fault=Fault.MISSING_USAGE)),
    Scene("a cut", Reply(text=LONG, fault=Fault.EOF, after_chunks=7, chunk_delay_seconds=0.01), "error"),
    Scene("an error", Reply(text=LONG, fault=Fault.ERROR_EVENT, after_chunks=7, chunk_delay_seconds=0.01), "error"),
    Scene(
        "a cut in calls",
        Reply(text="One", tool_calls=MANY, fault=Fault.EOF, after_chunks=9, chunk_delay_seconds=0.01),
        "error",
    ),
)
SSE = {"content-type": "text/event-stream"}


def events(*payloads: Any) -> Reply:
    named = [f"event: {one['type']}\n" if "type" in one else "" for one in payloads]
    body = "".join(f"{name}data: {json.dumps(one)}\n\n" for name, one in zip(named, payloads, strict=True))
    return Reply(body=body if "type" in payloads[0] else body + "data: [DONE]\n\n", headers=SSE)


def chunk(delta: Any, finish: str | None = None) -> Any:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}


def refused_response() -> Reply:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "refusal", "refusal": "I can't do that."}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    begun = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "model": "up", "output": [],
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    }  # fmt: skip
    usage = {
        "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8,
    }  # fmt: skip
    found = [
        {"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "refusal": ""}},
        {"type": "response.refusal.delta", **place, "delta": "I can't "},
        {"type": "response.refusal.delta", **place, "delta": "do that."},
        {"type": "response.refusal.done", **place, "refusal": part["refusal"]},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**begun, "status": "completed", "output": [item], "usage": usage}},
    ]  # fmt: skip
    return events(*({**event, "sequence_number": at} for at, event in enumerate(found)))


# How each API says that a model will not answer.
REFUSALS = {
    "vllm": events(
        chunk({"role": "assistant", "refusal": "I can't "}), chunk({"refusal": "do that."}), chunk({}, "stop")
    ),
    "anthropic": Reply(text="", finish_reason="refusal"),
    "openai-responses": refused_response(),
    "gemini": Reply(text="", finish_reason="content_filter"),
}
# By which a refusal is known, in the events of each door.
REFUSED = {
    "chat": ('"refusal":', '"finish_reason":"content_filter"'),
    "messages": ('"stop_reason":"refusal"',),
    "responses": ('"response.refusal.delta"', '"reason":"content_filter"'),
    "gemini": ('"finishReason":"SAFETY"',),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE
    for way in EVERY_WAY:
        config += provider(upstream.url, name=way.name, dialect=way.dialect)
        config += model(way.name, name=way.name, upstream="up")
    with serving(tmp_path_factory.mktemp("streams"), config) as running:
        yield running


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: way.name)
def test_streams_have_the_published_events_in_their_order(served: Served, upstream: ScriptedUpstream, way: Way) -> None:
    for scene in SCENES:
        if scene.name == "no usage" and not way.joins:
            continue  # passed on as it came
        if scene.reply.tool_calls and way.door == "completions":
            continue
        upstream.default = scene.reply
        answer = ask(served.port, served.key, way, way.name, stream=True)
        assert answer.status == 200, (scene.name, answer.body)
        check(scene.name, answer, way, scene.end)


@pytest.mark.parametrize("way", [way for way in EVERY_WAY if way.door != "completions"], ids=lambda way: way.name)
def test_refusals_are_told_in_the_published_way(served: Served, upstream: ScriptedUpstream, way: Way) -> None:
    upstream.default = REFUSALS[way.dialect]
    answer = ask(served.port, served.key, way, way.name, stream=True)
    check("refusal", answer, way, "complete")
    assert any(sign.encode() in answer.body for sign in REFUSED[way.door]), answer.body


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_who_disconnects_has_the_beginning_of_such_a_stream(
    served: Served, upstream: ScriptedUpstream, way: Way
) -> None:
    upstream.default = Reply(text=LONG * 5, chunk_delay_seconds=0.01)
    door = way.spoken
    body = json.dumps(door.write(way.name, stream=True)).encode()
    head = (
        f"POST {door.path(way.name, True)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.key}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port), 60) as connection:
        connection.sendall(head.encode() + body)
        data = b""
        while b"three" not in data:
            data += connection.recv(65536)
    found = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ") and line.rstrip().endswith(b"}")]
    answer = Answer(200, {}, data, door, [json.loads(one) for one in found])
    check("disconnect", answer, way, "cut")


def check(name: str, answer: Answer, way: Way, end: End) -> None:
    try:
        CHECKS[way.door](answer.events, answer.done, end)
    except (AssertionError, LookupError, ValueError) as error:
        raise AssertionError(f"{way.name}, {name}: {error}\n{answer.body.decode()[-4000:]}") from error
