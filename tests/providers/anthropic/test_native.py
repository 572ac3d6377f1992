"""Messages passed on to a provider that speaks them: what it gets, and what its caller gets back, to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.doors.messages.test_writer import content, read

from fairlead.doors.messages.writer import MessagesWriter
from fairlead.errors import FairleadError, NotCarried, UnsupportedContent, UpstreamCut, UpstreamInvalid
from fairlead.prices import PriceSheet, Schedule, rates_from
from fairlead.providers.anthropic.native import NativeMessages
from fairlead.providers.anthropic.native_answers import NativeRelay, native_answer
from fairlead.providers.anthropic.vendor import DIALECT
from fairlead.providers.billed_parameters import priced
from fairlead.testing.messages import events, whole
from fairlead.testing.replies import Fault, Reply, ToolCall
from fairlead.wire.messages.request import MessagesRequest, parse_messages

COST = b',"cost":0.5,"cost_usd":"0.5"'
REPLY = Reply(text="Hello, é🎈 world.", thinking="Hm, well.", tool_calls=(ToolCall("get", '{"a": 1}'),))


class _Translating:
    def to_vendor(self, payload: Any) -> Any:
        return ("translated", payload)


def adapter(*, billed: bool = False, allowed: frozenset[str] = frozenset()) -> NativeMessages:
    dialect = DIALECT
    if billed:
        dialect = priced(DIALECT, PriceSheet("p", Schedule(rates_from({"input": "1", "output": "1"}))), allowed)
    return NativeMessages(dialect, "public", "up-1", b"/messages", MessagesWriter, _Translating())  # type: ignore[arg-type]


def sent(body: bytes, *, query: str = "", headers: bytes = b"", cap: int = 0, **given: Any) -> tuple[bytes, Any]:
    request = parse_messages(body, query, headers)
    call = adapter(**given).to_vendor(request.with_cap(cap) if cap else request)
    return b"".join(call.body), call


BODY = (
    b'{"model":"public", "messages" : [{"role":"user","content":[{"type":"text","text":"\\u00e9 caf\xc3\xa9","cache_control":'
    b'{"type":"ephemeral"}}]},{"role":"system","content":"now"}],"system":[{"type":"text","text":"first"}],\n'
    b' "max_tokens":32000,"thinking":{"type":"adaptive"},"never_heard_of":[1.50,null],"stream":true}'
)


def test_only_the_name_of_the_model_changes() -> None:
    body, call = sent(BODY, query="beta=true", headers=b"anthropic-version: 2026-10-21\r\nanthropic-beta: a,b\r\n")
    assert body == BODY.replace(b'"public"', b'"up-1"')
    assert call.path == b"/messages?beta=true"
    assert call.headers == b"content-type: application/json\r\nanthropic-version: 2026-10-21\r\nanthropic-beta: a,b\r\n"
    assert call.stream
    assert call.dropped == ()


def test_a_caller_without_a_version_gets_the_one_that_is_spoken_here() -> None:
    assert sent(BODY)[1].headers == b"content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"


def test_a_lowered_cap_changes_nothing_else() -> None:
    expected = BODY.replace(b'"public"', b'"up-1"').replace(b"32000", b"17")
    assert sent(BODY, cap=17)[0] == expected
    assert (
        json.loads(sent(b'{"model":"public","messages":[{"role":"user","content":"a"}]}', cap=17)[0])["max_tokens"]
        == 17
    )


def test_what_is_for_the_gateway_stays_here() -> None:
    body = json.dumps({
        "fairlead": {"parameters": True}, "models": ["public", "other"], "provider": {"order": ["a"]},
        "messages": [{"role": "user", "content": "a"}], "max_tokens": 9,
    }).encode()  # fmt: skip
    assert json.loads(sent(body)[0]) == {
        "model": "up-1", "messages": [{"role": "user", "content": "a"}], "max_tokens": 9,
    }  # fmt: skip


def with_messages(*messages: Any) -> bytes:
    return json.dumps({"model": "public", "max_tokens": 9, "messages": messages}).encode()


def test_reasoning_of_others_is_left_out_and_the_rest_stays() -> None:
    own = '{"type":"thinking","thinking":"a","signature":"c2ln"}'
    other = '{"type":"thinking","thinking":"b","signature":"fairlead:"}'
    call = '{"type":"tool_use","id":"t","name":"n","input":{"z":1.50}}'
    begin = '"messages":[{"role":"user","content":"a"},{"role":"assistant","content":['
    text = f'{{"model":"public",{begin}{own},{other},{call}]}},{{"role":"assistant","content":[{other}]}}]}}'
    assert sent(text.encode())[0].decode() == f'{{"model":"up-1",{begin}{own},{call}]}}]}}'


def test_a_word_that_only_looks_like_a_tag_stays() -> None:
    text = b'{"model":"public","messages":[ {"role":"user" ,"content":[ {"type":"text","text":"fairlead: a tag?"}]} ]}'
    assert sent(text)[0] == text.replace(b"public", b"up-1")


def test_a_citation_of_another_providers_search_is_left_out() -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "https://a",
        "encrypted_index": "fairlead:",
        "cited_text": "x",
    }
    block = {"type": "text", "text": "a", "citations": [cited]}
    got = json.loads(
        sent(with_messages({"role": "user", "content": "a"}, {"role": "assistant", "content": [block]}))[0]
    )
    assert got["messages"][1]["content"] == [{"type": "text", "text": "a"}]


def test_what_is_billed_beside_the_price_sheet_is_left_out_and_named() -> None:
    body = b'{"model":"public","speed":"fast","messages":[{"role":"user","content":"a"}],"inference_geo":"us"}'
    got, call = sent(body, billed=True)
    assert got == b'{"model":"up-1","messages":[{"role":"user","content":"a"}]}'
    assert call.dropped == ("speed", "inference_geo")
    assert sent(body, billed=True, allowed=frozenset({"*"}))[0] == body.replace(b"public", b"up-1")
    with pytest.raises(NotCarried):
        sent(body[:-1] + b',"fairlead":{"strict":true}}', billed=True)


def test_a_tool_that_is_billed_by_the_call_needs_the_operators_word() -> None:
    body = (
        with_messages({"role": "user", "content": "a"})[:-1]
        + b',"tools":[{"type":"web_search_20260209","name":"web_search"}]}'
    )
    with pytest.raises(UnsupportedContent, match="web_search_20260209") as refused:
        sent(body, billed=True)
    assert refused.value.policy.elsewhere
    assert sent(body, billed=True, allowed=frozenset({"web_search"}))[0] == body.replace(b"public", b"up-1")
    assert sent(body)[0] == body.replace(b"public", b"up-1"), "a deployment without a price"


def test_a_request_that_was_rewritten_is_translated() -> None:
    request: MessagesRequest = parse_messages(BODY)
    changed = request.with_neutral(request.neutral())
    assert adapter().to_vendor(changed) == ("translated", changed)


def test_counting_goes_to_its_own_path() -> None:
    call = adapter().count_call(parse_messages(BODY, "beta=true"))
    assert call.path == b"/messages/count_tokens?beta=true"


def relayed(blocks: list[bytes], relay: NativeRelay | None = None) -> bytes:
    relay = relay or NativeRelay(b'"public"')
    return b"".join(map(relay.feed, blocks)) + relay.finish() + relay.end(COST)


def expected(stream: bytes) -> bytes:
    start = stream.replace(b'"model":"up-1"', b'"model":"public"')
    at = start.rindex(b"}}\n\nevent: message_stop")
    return start[:at] + COST + start[at:]


STREAM = b"".join(events(REPLY, {"model": "up-1"}, 1))


def test_a_stream_is_passed_on_but_for_the_model_and_the_cost() -> None:
    assert relayed([STREAM]) == expected(STREAM)
    assert relayed(events(REPLY, {"model": "up-1"}, 1)) == expected(STREAM)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_wherever_it_is_cut_into_blocks(size: int) -> None:
    for stream in (STREAM, STREAM.replace(b"\n", b"\r\n"), STREAM.replace(b"event: ping", b": hello\n\nevent: ping")):
        relay = NativeRelay(b'"public"')
        got = relayed([stream[at : at + size] for at in range(0, len(stream), size)], relay)
        assert got.replace(b"\r\n", b"\n") == expected(stream.replace(b"\r\n", b"\n"))
        assert relay.delivered() == 'Hm, well.Hello, é🎈 world.get{"a": 1}'
        assert relay.usage is not None
        assert relay.usage.prompt == 12
        assert content(read(got.replace(b"\r\n", b"\n").replace(b": hello\n\n", b"")))[1]["text"] == REPLY.text


def test_unknown_events_and_blocks_are_passed_on() -> None:
    new = b'event: something_new\ndata: {"type":"something_new","x":1}\n\n'
    block = b'event: content_block_start\ndata: {"type":"content_block_start","index":9,"content_block":{"type":"new","y":2}}\n\n'
    blocks = events(REPLY, {"model": "up-1"}, 1)
    stream = [*blocks[:3], new, block, *blocks[3:]]
    assert relayed(stream) == expected(b"".join(stream))


def test_nothing_is_sent_before_there_is_something_to_say() -> None:
    relay = NativeRelay(b'"public"')
    blocks = events(REPLY, {"model": "up-1"}, 1)
    assert relay.feed(blocks[0]) + relay.feed(blocks[1]) == b"", "another candidate may still serve"
    assert relay.feed(blocks[2]).startswith(b"event: message_start")


def test_a_cut_stream_never_looks_complete() -> None:
    blocks = events(REPLY, {"model": "up-1"}, 1)
    for end in range(len(blocks) - 1):
        relay = NativeRelay(b'"public"')
        got = b"".join(map(relay.feed, blocks[:end]))
        assert b"message_delta" not in got
        with pytest.raises(UpstreamCut):
            relay.finish()


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"type":7}', b'{"type":"message_start","message":7}', b"\xff"])
def test_an_event_that_breaks_the_protocol(data: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        NativeRelay(b'"public"').feed(b"event: x\ndata: " + data + b"\n\n")


def test_an_error_in_the_stream_keeps_its_words() -> None:
    data = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}'
    with pytest.raises(FairleadError) as failed:
        NativeRelay(b'"public"').feed(b"event: error\ndata: " + data + b"\n\n")
    assert (failed.value.native_api, failed.value.native_body) == ("messages", data)
    assert failed.value.policy.elsewhere


def usage_at_end(stream: bytes) -> dict[str, Any]:
    [ended] = [event for event in read(stream) if event["type"] == "message_delta"]
    found: dict[str, Any] = ended["usage"]
    return found


def test_the_providers_own_cost_is_not_shown() -> None:
    reply = Reply(usage={"input_tokens": 1, "output_tokens": 2, "cost": 9})
    got = relayed(events(reply, {"model": "up-1"}, 1))
    assert usage_at_end(got) == {"input_tokens": 1, "output_tokens": 2, "cost": 0.5, "cost_usd": "0.5"}


@pytest.mark.parametrize("written", [b',"usage":null', b', "usage" : null ', b""])
def test_a_last_usage_that_is_none_is_the_first_one(written: bytes) -> None:
    """Of a provider that counts in `message_start` alone."""
    last = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}%b}\n\n' % written
    start, _, end = STREAM.partition(b"event: message_delta")
    got = relayed([start + last + b"event: message_stop" + end.partition(b"event: message_stop")[2]])
    first = json.loads(start.partition(b"data: ")[2].partition(b"\n")[0])["message"]["usage"]
    shown = usage_at_end(got)
    assert (shown["input_tokens"], shown["output_tokens"]) == (first["input_tokens"], first["output_tokens"])
    assert (shown["cost"], shown["cost_usd"]) == (0.5, "0.5")


def test_missing_usage_is_what_was_counted_here() -> None:
    relay = NativeRelay(b'"public"')
    for event in events(Reply(fault=Fault.MISSING_USAGE), {"model": "up-1"}, 1):
        relay.feed(event)
    assert relay.usage is None
    relay.finish()
    from fairlead.wire.usage import TokenClasses, Usage

    counted = Usage(TokenClasses(input=3, output=4, request=1), 3, 4)
    assert usage_at_end(b'event: x\ndata: {"type":"x"}\n\n' + relay.end(COST, counted))["output_tokens"] == 4


def test_a_whole_answer_is_passed_on_but_for_the_model_and_the_cost() -> None:
    body = whole(REPLY, {"model": "up-1"}, 1)
    answer = native_answer(body, b'"public"')
    got = answer.end(COST)
    assert got == body.replace(b'"up-1"', b'"public"')[:-2] + COST + b"}}"
    assert answer.delivered() == 'Hm, well.Hello, é🎈 world.get{"a":1}'
    assert answer.usage is not None
    empty = b'{"type": "message", "model": "up-1", "content": [], "stop_reason": "end_turn"}'
    assert native_answer(empty, b'"public"').end(COST) == (
        b'{"type": "message", "model": "public", "content": [], "stop_reason": "end_turn","usage":{"cost":0.5,"cost_usd":"0.5"}}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"type":"completion"}',
        b'{"type":"message","content":7}',
        b'{"type":"message","content":[]}',
    ],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamInvalid):
        native_answer(body, b'"public"')


ERROR = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages.1:  `tool_use` ids ..."},"request_id":"r"}'


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 529])
def test_errors_come_back_as_they_were_written(status: int) -> None:
    error = adapter().error(status, [(b"retry-after", b"7"), (b"x-should-retry", b"true")], ERROR)
    assert error.status == status
    assert error.native_body == ERROR
    assert error.headers == b"x-should-retry: true\r\n"
    if status in (429, 500, 529):
        assert error.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, ERROR), (402, ERROR), (403, ERROR), (400, b"<html>"), (500, b'{"error":"x"}'),
        (400, ERROR.replace(b"messages.1", b"key sk-ant-REDACTED")),
    ],
)  # fmt: skip
def test_errors_about_the_operator_or_without_a_shape_are_told_in_our_words(status: int, body: bytes) -> None:
    assert adapter().error(status, [], body).native_body == b""
