"""What every dialect keeps, whoever speaks it: one suite over the recorded answers of all vendors."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import (
    ContextTooLong,
    FairleadError,
    InvalidRequest,
    UpstreamCut,
    UpstreamDenied,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamRefused,
)
from fairlead.wire.chat import ChatRequest, parse_chat

from .recorded import CASES, SPOKEN, adapter, events, whole

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
EVERY = [(dialect, case) for dialect in SPOKEN for case in CASES]
# What stands in the event that makes an answer complete.
ENDS = {
    "openai": b'"finish_reason":"',
    "anthropic": b'"message_stop"',
    "gemini": b"finishReason",
    "bedrock": b"stopReason",
}
ANSWERS: dict[str, dict[str, Any]] = {
    "text": {"content": "Héllo 🌍", "finish": "stop", "usage": (25, 7, 10, 0)},
    "tools": {"content": "Let me look.", "finish": "tool_calls", "usage": (80, 40, 0, 0)},
    "reasoning": {"content": "42", "finish": "stop", "usage": (12, 30, 0, 20)},
    "length": {"content": "One two", "finish": "length", "usage": (9, 2, 0, 0)},
}


def a_request(**given: Any) -> ChatRequest:
    members = {"model": "public", "messages": HELLO, "stream_options": {"include_usage": True}, "stream": True, **given}
    return parse_chat(json.dumps(members).encode())


def stream_of(dialect: str, case: str) -> bytes:
    return b"".join(events(SPOKEN[dialect], case))


def relayed(dialect: str, blocks: list[bytes]) -> list[Any]:
    one = adapter(dialect)
    relay = one.relay(one.to_vendor(a_request()))
    out = b"".join([relay.feed(block) for block in blocks]) + relay.finish() + relay.end(b"")
    assert out.endswith(b"data: [DONE]\n\n")
    assert out.count(b"[DONE]") == 1
    return [json.loads(event.removeprefix(b"data: ")) for event in out.split(b"\n\n")[:-2]]


def assembled(dialect: str, blocks: list[bytes]) -> Any:
    one = adapter(dialect)
    assembler = one.assembler(one.to_vendor(a_request()))
    for block in blocks:
        assembler.feed(block)
    assembler.finish()
    return json.loads(assembler.end(b""))


def plain(dialect: str, body: bytes) -> Any:
    one = adapter(dialect)
    return json.loads(one.plain(one.to_vendor(a_request(stream=False, stream_options=None)), body).end(b""))


def gathered(chunks: list[Any]) -> tuple[dict[str, Any], str | None, Any]:
    """(message, finish reason, usage) as a caller's SDK puts them together."""
    message: dict[str, Any] = {"content": "", "reasoning": "", "calls": {}, "details": []}
    finish = usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            assert finish is None, "nothing comes after the finish reason"
            finish = choice["finish_reason"]
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning"] += delta.get("reasoning_content") or ""
            message["details"] += delta.get("reasoning_details") or []
            for call in delta.get("tool_calls") or []:
                known = message["calls"].setdefault(call["index"], {"id": call.get("id"), "name": "", "arguments": ""})
                known["name"] += call["function"].get("name") or ""
                known["arguments"] += call["function"].get("arguments") or ""
    return message, finish, usage


def shown(answer: Any) -> tuple[dict[str, Any], str | None, Any]:
    """The same of a whole answer."""
    choice = answer["choices"][0]
    said = choice["message"]
    calls = {
        at: {"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        for at, call in enumerate(said.get("tool_calls") or [])
    }
    message = {
        "content": said["content"] or "",
        "reasoning": said.get("reasoning_content") or "",
        "calls": calls,
        "details": said.get("reasoning_details") or [],
    }
    return message, choice["finish_reason"], answer["usage"]


def counted(usage: Any) -> tuple[int, int, int, int]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"], cached, thought


def agree(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> None:
    for message, _, _ in (one, other):
        for call in message["calls"].values():
            call["arguments"] = json.loads(call["arguments"])
    assert one[:2] == other[:2]
    assert counted(one[2]) == counted(other[2])


@pytest.mark.parametrize(("dialect", "case"), EVERY)
def test_a_whole_answer_a_relayed_and_an_assembled_stream_say_the_same(dialect: str, case: str) -> None:
    wanted = ANSWERS[case]
    answer = plain(dialect, whole(SPOKEN[dialect], case))
    blocks = events(SPOKEN[dialect], case)
    agree(shown(answer), gathered(relayed(dialect, blocks)))
    agree(shown(answer), shown(assembled(dialect, blocks)))
    message, finish, usage = shown(answer)
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "public"
    assert message["content"] == wanted["content"]
    assert finish == wanted["finish"]
    prompt, output, cached, thought = counted(usage)
    # Bedrock does not tell how many tokens were thoughts.
    told = 0 if dialect == "bedrock" else wanted["usage"][3]
    assert (prompt, output, cached, thought) == (*wanted["usage"][:3], told)


@pytest.mark.parametrize("dialect", SPOKEN)
def test_parallel_tool_calls_keep_their_order_their_ids_and_their_arguments(dialect: str) -> None:
    chunks = relayed(dialect, events(SPOKEN[dialect], "tools"))
    calls = list(gathered(chunks)[0]["calls"].values())
    assert [json.loads(call["arguments"]) for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert {call["name"] for call in calls} == {"get_weather"}
    assert len({call["id"] for call in calls}) == 2
    firsts = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert all(call["type"] == "function" for call in firsts if call.get("id"))


@pytest.mark.parametrize("dialect", SPOKEN)
def test_arguments_are_compact_also_when_the_document_is_laid_out_for_people(dialect: str) -> None:
    document = whole(SPOKEN[dialect], "tools")
    assert b'"city": "Oslo"' in document or SPOKEN[dialect] == "openai"
    message, _, _ = shown(plain(dialect, document))
    found = [call["arguments"] for call in message["calls"].values()]
    assert found == ['{"city":"Oslo"}', '{"city":"Rome"}']


@pytest.mark.parametrize("dialect", SPOKEN)
def test_thoughts_come_as_reasoning_content_and_signed_ones_can_be_sent_back(dialect: str) -> None:
    message, _, _ = shown(plain(dialect, whole(SPOKEN[dialect], "reasoning")))
    assert message["reasoning"] == "Let me think."
    if dialect in ("anthropic", "bedrock"):
        (detail,) = message["details"]
        again = [*HELLO, {"role": "assistant", "content": "42", "reasoning_details": [detail]}, *HELLO]
        body = json.loads(b"".join(adapter(dialect).to_vendor(a_request(messages=again)).body))
        assert "EqQBCgIYAhIM" in json.dumps(body["messages"][1]["content"][0])
        assert "Let me think." in json.dumps(body["messages"][1]["content"][0])


@pytest.mark.parametrize(("dialect", "case"), EVERY)
def test_a_stream_one_byte_at_a_time_says_the_same(dialect: str, case: str) -> None:
    stream = stream_of(dialect, case)
    bytewise = [stream[at : at + 1] for at in range(len(stream))]  # splits every UTF-8 character too
    assert relayed(dialect, bytewise) == relayed(dialect, [stream])
    assert assembled(dialect, bytewise) == assembled(dialect, [stream])


@pytest.mark.parametrize("dialect", SPOKEN)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_stream_in_any_pieces_says_the_same(dialect: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    stream = stream_of(dialect, case)
    if dialect != "bedrock" and data.draw(st.booleans()):
        stream = b": hello\n\n" + stream.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    blocks = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    agree(gathered(relayed(dialect, blocks)), gathered(relayed(dialect, events(SPOKEN[dialect], case))))


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "case"), EVERY)
def test_a_stream_cut_anywhere_before_its_end_never_looks_complete(dialect: str, case: str) -> None:
    stream = stream_of(dialect, case)
    end = stream.index(ENDS[SPOKEN[dialect]])
    complete = relayed(dialect, [stream])
    for length in range(len(stream)):
        one = adapter(dialect)
        call = one.to_vendor(a_request())
        relay, assembler = one.relay(call), one.assembler(call)
        begun = relay.feed(stream[:length])
        assembler.feed(stream[:length])
        if length <= end:
            assert b'"finish_reason":"' not in begun
            assert b"[DONE]" not in begun
            with pytest.raises(UpstreamError):
                relay.finish()
            with pytest.raises(UpstreamError):
                assembler.finish()
        else:
            try:
                begun += relay.finish()
            except UpstreamError:
                continue
            said = [json.loads(event.removeprefix(b"data: ")) for event in begun.split(b"\n\n")[:-1]]
            assert gathered(said)[:2] == gathered(complete)[:2], length


@pytest.mark.parametrize("dialect", SPOKEN)
def test_an_empty_stream_and_what_is_no_answer_are_errors(dialect: str) -> None:
    with pytest.raises(UpstreamCut):
        relayed(dialect, [])
    for body in (b"", b"<html>", b"[]", b"{}", b'{"object":"other"}', b"\xff", b"[" * 100_000):
        with pytest.raises(UpstreamError):
            plain(dialect, body)
    for junk in (b"data: {broken\n\n", b"data: <html>\n\n", b'data: "\xff\xff\xff"\n\n'):
        with pytest.raises(UpstreamInvalid):
            relayed(dialect, [junk])


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        ("openai", UpstreamFailed),
        ("azure", UpstreamFailed),
        ("anthropic", UpstreamFailed),
        ("gemini", UpstreamFailed),
        ("bedrock", UpstreamRateLimited),
    ],
)
def test_an_error_inside_a_stream_is_raised_and_what_came_before_is_known(
    dialect: str, error: type[FairleadError]
) -> None:
    one = adapter(dialect)
    call = one.to_vendor(a_request())
    for taker in (one.relay(call), one.assembler(call)):
        with pytest.raises(error):
            for block in events(SPOKEN[dialect], "error"):
                taker.feed(block)
        assert taker.delivered() == "Half"


REFUSALS: list[tuple[str, int, dict[str, str], Any, type[FairleadError]]] = [
    ("openai", 400, {}, {"error": {"message": "too long", "code": "context_length_exceeded"}}, ContextTooLong),
    ("openai", 400, {}, {"error": {"message": "no such thing", "type": "invalid_request_error"}}, UpstreamRefused),
    ("azure", 401, {}, {"error": {"code": "401", "message": "Access denied due to invalid key."}}, UpstreamDenied),
    ("azure", 429, {"retry-after": "7"}, {"error": {"code": "429", "message": "Too many."}}, UpstreamRateLimited),
    ("azure", 404, {}, {"error": {"code": "DeploymentNotFound", "message": "No such."}}, UpstreamFailed),
    ("anthropic", 400, {}, "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong),
    ("anthropic", 400, {}, "messages: roles must alternate", UpstreamRefused),
    ("anthropic", 400, {}, "Your credit balance is too low to access the API.", UpstreamDenied),
    ("anthropic", 401, {}, "invalid x-api-key", UpstreamDenied),
    ("anthropic", 429, {"retry-after": "7"}, "slow down", UpstreamRateLimited),
    ("anthropic", 529, {}, "Overloaded", UpstreamFailed),
    ("gemini", 400, {}, "API key not valid. Please pass a valid API key.", UpstreamDenied),
    ("gemini", 400, {}, "The input token count (2) exceeds the maximum number of tokens allowed (1).", ContextTooLong),
    ("gemini", 400, {}, "Invalid JSON payload received.", UpstreamRefused),
    ("gemini", 503, {}, "The model is overloaded.", UpstreamFailed),
    ("bedrock", 400, {"x-amzn-errortype": "ValidationException:http://x"}, "Input is too long for requested model.", ContextTooLong),
    ("bedrock", 400, {"x-amzn-errortype": "ValidationException"}, "The provided model identifier is invalid.", UpstreamRefused),
    ("bedrock", 403, {"x-amzn-errortype": "AccessDeniedException"}, "No access.", UpstreamDenied),
    ("bedrock", 429, {"x-amzn-errortype": "ThrottlingException"}, "Too many requests.", UpstreamRateLimited),
    ("bedrock", 424, {"x-amzn-errortype": "ModelErrorException"}, "The model failed.", UpstreamFailed),
    ("bedrock", 500, {}, "oh", UpstreamFailed),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "status", "headers", "said", "error"), REFUSALS)
def test_every_vendors_refusal_is_one_of_our_errors(
    dialect: str, status: int, headers: dict[str, str], said: Any, error: type[FairleadError]
) -> None:
    if isinstance(said, str):
        said = {"message": said} if dialect == "bedrock" else {"type": "error", "error": {"message": said}}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    found = adapter(dialect).error(status, pairs, json.dumps(said).encode())
    assert type(found) is error
    if "retry-after" in headers:
        assert found.retry_after_seconds == 7
    if error in (UpstreamRefused, ContextTooLong):
        assert found.message


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "bedrock"])
def test_what_cannot_be_carried_is_named_and_refused_in_strict_mode(dialect: str) -> None:
    members = {
        "logit_bias": {"1": 1},
        "logprobs": True,
        "min_p": 0.1,
        "seed": 3,
        "some_new_thing": 1,
        "temperature": 0.5,
    }
    call = adapter(dialect).to_vendor(a_request(**members))
    wanted = {"logit_bias", "logprobs", "min_p", "some_new_thing"} | (set() if dialect == "gemini" else {"seed"})
    assert set(call.dropped) == wanted
    for name in wanted:
        assert f'"{name}"' not in b"".join(call.body).decode()
    strict = a_request(**members)
    strict.strict = True
    with pytest.raises(InvalidRequest) as caught:
        adapter(dialect).to_vendor(strict)
    for name in wanted:
        assert repr(name) in caught.value.message
