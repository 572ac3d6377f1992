"""Bytes of a provider of Responses go through as they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.doors.responses.test_to_chat import read

from fairlead.errors import NotCarried, NotTranslated, UpstreamCut, UpstreamDenied, UpstreamFailed, UpstreamInvalid
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.responses_api.native import NativeAnswer, NativeCall, NativeRelay, NativeResponses
from fairlead.providers.responses_api.vendor import CHAT_API
from fairlead.providers.translated import TranslatedCall
from fairlead.testing import Fault, Reply, ToolCall
from fairlead.testing.responses import RESPONSES
from fairlead.wire.answer import AnswerContext
from fairlead.wire.usage import Usage

COST = b',"cost":0.1,"cost_usd":"0.1"'
REPLY = Reply("One twö.", thinking="Hm.", tool_calls=(ToolCall("look", '{"a": 1}', "c0"),), prompt_tokens=7)
PUBLIC = {"model": b'"public"'}
ASKED: Any = {"model": "up"}


def bound(lacks: frozenset[str] = frozenset()) -> NativeResponses:
    import dataclasses

    dialect = dataclasses.replace(DIALECTS["openai-responses"], lacks=lacks)

    class Writer:
        def __init__(self, context: AnswerContext) -> None:
            del context

    binding = Binding(dialect, "public", "up", {}, lambda: 0.0, api="responses", new_writer=Writer)  # type: ignore[arg-type]
    adapter = CHAT_API.adapter(binding)
    assert isinstance(adapter, NativeResponses)
    return adapter


def relayed(data: bytes, size: int = 0) -> tuple[bytes, NativeRelay]:
    relay = NativeRelay(PUBLIC, None)
    out = b""
    for at in range(0, len(data), size or len(data)):
        out += relay.feed(data[at : at + (size or len(data))])
    out += relay.finish()
    return out + relay.end(COST), relay


@pytest.mark.parametrize("size", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("fault", [None, Fault.CRLF, Fault.COMMENTS])
def test_only_the_models_name_and_the_cost_differ(size: int, fault: Fault | None) -> None:
    reply = Reply(REPLY.text, REPLY.tool_calls, 7, thinking="Hm.", fault=fault)
    data = b"".join(RESPONSES.events(reply, ASKED, 1))
    out, relay = relayed(data, size)
    expected = data.replace(b'"model":"up"', b'"model":"public"')
    cut = expected.rindex(b'"total_tokens":') + len(b'"total_tokens":')
    end = expected.index(b"}", cut)
    assert out == expected[:end] + COST + expected[end:]
    assert relay.delivered() == 'Hm.One twö.{"a": 1}'
    assert (relay.done, relay.choices) == (True, 1)
    assert relay.usage is not None
    assert relay.usage.prompt == 7


def test_nothing_leaves_before_the_first_word_nor_the_end_before_the_bill() -> None:
    events = RESPONSES.events(REPLY, ASKED, 1)
    relay = NativeRelay(PUBLIC, None)
    out = [relay.feed(event) for event in events]
    assert out[:4] == [b""] * 4, "created, in progress, an item that begins, and a part of it"
    assert out[4].count(b"event: ") == 5
    assert out[-1] == b""
    assert b"response.completed" in relay.end(COST)


def test_an_unknown_event_goes_through_and_counts_as_a_beginning() -> None:
    relay = NativeRelay(PUBLIC, None)
    event = b'event: response.new\ndata: {"type":"response.new","x":[1]}\n\n'
    assert relay.feed(event) == event


@pytest.mark.parametrize("after", [1, 5, 8])
def test_a_cut(after: int) -> None:
    with pytest.raises(UpstreamCut):
        relayed(b"".join(RESPONSES.events(REPLY, ASKED, 1)[:after]))


def test_the_words_of_an_item_that_came_without_deltas() -> None:
    events = [event for event in RESPONSES.events(REPLY, ASKED, 1) if b".delta" not in event]
    assert relayed(b"".join(events))[1].delivered() == 'Hm.One twö.look{"a": 1}'


def test_a_failure_is_passed_on_as_the_provider_wrote_it() -> None:
    events = RESPONSES.events(Reply("x y z", fault=Fault.ERROR_EVENT, after_chunks=5), ASKED, 1)
    relay = NativeRelay(PUBLIC, None)
    relay.feed(b"".join(events[:-1]))
    with pytest.raises(UpstreamFailed) as caught:
        relay.feed(events[-1])
    assert relay.error_event(caught.value) == events[-1].replace(b'"model":"up"', b'"model":"public"')
    own = NativeRelay(PUBLIC, None)
    own.feed(b"".join(events[:-1]))
    last = json.loads(own.error_event(UpstreamCut("It broke.")).split(b"data: ")[1])
    assert (last["type"], last["sequence_number"], last["code"]) == ("error", 5, "upstream_cut")


def test_what_is_about_the_operator_is_not_passed_on() -> None:
    relay = NativeRelay(PUBLIC, None)
    event = b'data: {"type":"response.failed","response":{"error":{"code":"insufficient_quota","message":"pay"}}}\n\n'
    with pytest.raises(UpstreamDenied) as caught:
        relay.feed(event)
    assert b"pay" not in relay.error_event(caught.value)
    denied = bound().error(401, (), b'{"error":{"message":"Incorrect API key provided: sk-proj-abc"}}')
    assert denied.native_body == b""
    secret = b'{"error":{"message":"Bad key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}}'
    assert bound().error(400, (), secret).native_body == b""
    assert bound().error(400, (), b'{"error":{"message":"Bad"}}').native_body == b'{"error":{"message":"Bad"}}'
    assert bound().error(500, (), b'{"error":{"message":"Bad"}}').native_body == b""


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b'data: {"type":"response.output_text.delta","delta":{}}\n\n',
        b'data: {"type":"response.completed","response":[]}\n\n',
    ],
)
def test_what_breaks_the_protocol(data: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        NativeRelay(PUBLIC, None).feed(data)


def test_a_whole_response() -> None:
    kept: list[bytes] = []
    body = RESPONSES.whole(REPLY, ASKED, 1).replace(b'"output_tokens_details"', b'"cost":7,"output_tokens_details"')
    answer = NativeAnswer(PUBLIC, body, kept.append)
    found = json.loads(answer.end(COST))
    assert found["model"] == "public"
    assert (found["usage"]["cost"], found["usage"]["cost_usd"]) == (0.1, "0.1")
    assert {**found, "model": "up", "usage": None} == {**json.loads(body), "usage": None}
    assert json.loads(kept[0]) == found
    counted = json.loads(NativeAnswer(PUBLIC, body, None).end(COST, Usage((5, 0, 0, 0, 0, 0, 2, 0, 0, 1), 5, 2)))
    assert (counted["usage"]["input_tokens"], counted["usage"]["cost"]) == (5, 0.1)
    events = NativeAnswer(PUBLIC, body, None).stream(COST, include_usage=True)
    assert [line for line in events.decode().splitlines() if line.startswith("event: ")] == [
        "event: response.created", *["event: response.output_item.done"] * 3, "event: response.completed",
    ]  # fmt: skip


@pytest.mark.parametrize("model", ['"up"', '"u"', '""', "null", None])
@pytest.mark.parametrize("turned", [False, True])
def test_a_whole_response_is_the_same_wherever_its_members_stand(model: str | None, turned: bool) -> None:
    usage = '"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}'
    said = '{"type":"output_text","text":"\\"model\\":\\"up\\"","annotations":[]}'
    output = f'"output":[{{"type":"message","model":"up","usage":{{}},"role":"assistant","content":[{said}]}}]'
    members = ['"id":"r"', *([] if model is None else [f'"model":{model}']), output, '"status":"completed"', usage]
    body = "{" + ",".join(reversed(members) if turned else members) + "}"
    expected = json.loads(body)
    if expected.get("model") is not None:
        expected["model"] = "public"
    expected["usage"] |= {"cost": 0.1, "cost_usd": "0.1"}
    answer = NativeAnswer(PUBLIC, body.encode(), None)
    assert answer.usage is not None
    assert json.loads(answer.end(COST)) == expected


def test_a_stream_where_a_whole_response_was_asked_for() -> None:
    call = bound().to_vendor(read("Hi"))
    assert isinstance(call, NativeCall)
    assembler = bound().assembler(call)
    for event in RESPONSES.events(REPLY, ASKED, 1):
        assembler.feed(event)
    assert assembler.finish() == b""
    assert json.loads(assembler.end(COST))["status"] == "completed"


def test_a_request_that_was_rewritten_is_translated() -> None:
    made = read("Hi")
    call = bound().to_vendor(made.with_neutral(made.neutral()))
    assert isinstance(call, TranslatedCall)
    assert json.loads(b"".join(call.body))["input"] == [{"type": "message", "role": "user", "content": "Hi"}]


def test_what_is_billed_beside_the_price() -> None:
    adapter = bound(frozenset({"web_search", "service_tier"}))
    with pytest.raises(NotTranslated):
        adapter.to_vendor(read("Hi", tools=[{"type": "web_search"}]))
    cached = {"type": "web_search", "external_web_access": False}
    call = adapter.to_vendor(read("Hi", tools=[cached], service_tier="priority"))
    assert call.dropped == ("service_tier", "tools.web_search")
    with pytest.raises(NotCarried):
        adapter.to_vendor(read("Hi", tools=[cached], fairlead={"strict": True}))
    assert json.loads(b"".join(bound().to_vendor(read("Hi", tools=[cached])).body))["tools"] == [cached]
