"""Events that differ from the one before in their text alone are passed on as any other, and say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import UpstreamInvalid
from fairlead.providers.anthropic.native_answers import NativeRelay as MessagesRelay
from fairlead.providers.gemini.native_answers import NativeRelay
from fairlead.providers.openai.answers import ChatRelay
from fairlead.providers.openai.shapes import UpstreamCall
from fairlead.providers.repeated import MOST_TRIES, NumberedEvent, RepeatedEvent
from fairlead.providers.responses_api.native import NativeRelay as ResponsesRelay

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


PADDING = st.one_of(st.none(), st.text("aZ09", max_size=9), st.sampled_from(['q"', "back\\", "é", "a b"]))


def padded(event: dict[str, Any], padding: str | None) -> dict[str, Any]:
    return event if padding is None else {**event, "obfuscation": padding}


def chat_event(text: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text, **more.pop("delta", {})}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "model": "theirs", "choices": [choice], **more}


def gemini_event(text: Any, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more.pop("candidate", {})}
    return {"candidates": [candidate], "modelVersion": "theirs", "responseId": "r", **more}


def sent(events: list[dict[str, Any]], *, ascii_only: bool) -> bytes:
    return b"".join(f"data: {json.dumps(one, ensure_ascii=ascii_only)}\n\n".encode() for one in events)


def read(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(one.removeprefix(b"data: ")) for one in stream.split(b"\n\n") if one]


def chat_relay(*, with_usage: bool = True) -> ChatRelay:
    return ChatRelay(b'"ours"', UpstreamCall([], True, (), with_usage, 1, ""))


def gemini_relay() -> NativeRelay:
    return NativeRelay(b'"ours"', 1, is_array=False)


OTHERS = st.sampled_from(("role", "thought", "other model", "nothing", "no usage"))


@given(
    st.lists(st.tuples(TEXTS, OTHERS, PADDING), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(1, 400),
)
@settings(max_examples=150, deadline=None)
def test_chat_streams_come_out_as_they_came(
    told: list[tuple[str, str, str | None]], ascii_only: bool, with_usage: bool, size: int
) -> None:
    made = {
        "role": lambda text: chat_event(text, delta={"role": "assistant"}),
        "thought": lambda text: chat_event(text, delta={"reasoning_content": "hm"}),
        "other model": lambda text: chat_event(text, model='th"eirs"'),
        "nothing": chat_event,
        "no usage": lambda text: chat_event(text, usage=None),
    }
    events = [padded(made[kind](text), padding) for text, kind, padding in told]
    stream, relay = sent(events, ascii_only=ascii_only), chat_relay(with_usage=with_usage)
    out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    shown = [{**one, "model": "ours"} for one in events]
    if not with_usage:  # a caller who did not ask for usage sees none
        shown = [{name: value for name, value in one.items() if name != "usage"} for one in shown]
    assert read(out) == shown
    words = [text + ("hm" if kind == "thought" else "") for text, kind, _ in told]
    assert relay.delivered() == "".join(words)


@given(st.lists(TEXTS, min_size=1, max_size=12), st.booleans(), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_gemini_streams_come_out_as_they_came(texts: list[str], ascii_only: bool, size: int) -> None:
    texts = ["a", *texts]  # what comes before the first word is held
    events = [gemini_event(text) for text in texts]
    stream, relay = sent(events, ascii_only=ascii_only), gemini_relay()
    out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert read(out) == [{**one, "modelVersion": "ours"} for one in events]
    assert relay.delivered() == "".join(texts)


def named(events: list[dict[str, Any]], *, ascii_only: bool) -> bytes:
    return b"".join(
        f"event: {one['type']}\ndata: {json.dumps(one, ensure_ascii=ascii_only, separators=(',', ':'))}\n\n".encode()
        for one in events
    )


@given(st.lists(st.tuples(TEXTS, st.integers(0, 1)), min_size=1, max_size=12), st.booleans(), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_streams_of_messages_come_out_as_they_came(told: list[tuple[str, int]], ascii_only: bool, size: int) -> None:
    deltas = [
        {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
        for text, index in told
    ]
    stream, relay = named(deltas, ascii_only=ascii_only), MessagesRelay(b'"ours"')
    out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert out == stream
    assert relay.delivered() == "".join(text for text, _ in told)


@given(
    st.lists(st.tuples(TEXTS, st.integers(1, 3), PADDING), min_size=1, max_size=12), st.booleans(), st.integers(1, 400)
)
@settings(max_examples=150, deadline=None)
def test_streams_of_responses_come_out_as_they_came(
    told: list[tuple[str, int, str | None]], ascii_only: bool, size: int
) -> None:
    number, events = 7, []
    for text, step, padding in told:
        number += step
        kind = "response.output_text.delta"
        made = {"type": kind, "sequence_number": number, "item_id": "m", "output_index": 0, "delta": text}
        events.append(padded(made, padding))
    stream, relay = named(events, ascii_only=ascii_only), ResponsesRelay({"model": b'"ours"'}, None)
    out = b"".join(relay.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert out == stream
    assert relay.delivered() == "".join(text for text, _, _ in told)
    last = relay.error_event(UpstreamInvalid("broken"))  # goes on with the numbers
    assert f'"sequence_number":{number + 1}' in last.decode().replace(": ", ":")


def test_a_number_may_grow_and_nothing_else() -> None:
    numbered = NumberedEvent()
    numbered.learn(b'{"n":9,"t":"x y","o":1}', b'"n":', b'"x y"')
    assert (numbered.text_of(b'{"n":10,"t":"\\u0061","o":1}'), numbered.number) == ("a", 10)
    assert (numbered.text_of(b'{"n":0,"t":"","o":1}'), numbered.number) == ("", 0)
    for event in (
        b'{"n":,"t":"x","o":1}',
        b'{"n":01,"t":"x","o":1}',
        b'{"n":-1,"t":"x","o":1}',
        b'{"n":1.5,"t":"x","o":1}',
        b'{"n":1,"t":"x","o":2}',
        b'{"n":1,"t":"x"',
        b'{"n":1,"t":"',
        b'{"n":1',
        b'{"n":11111111111111111111,"t":"x","o":1}',
        b"",
    ):
        assert numbered.text_of(event) is None, event
    other = NumberedEvent()
    other.learn(b'{"t":"x","n":9}', b'"n":', b'"x"')
    assert other.text_of(b'{"t":"x","n":9}') is None


def test_what_stands_around_a_text_decides() -> None:
    repeated = RepeatedEvent()
    assert repeated.text_of(b"") is None
    repeated.learn(b'{"m":"a","t":"x y"}', b'{"m":"b","t":"x y"}', b'"x y"')
    assert repeated.text_of(b'{"m":"a","t":"other"}') == b"other"
    assert repeated.text_of(b'{"m":"a","t":""}') == b""
    assert repeated.shown_before + b"other" + repeated.shown_after == b'{"m":"b","t":"other"}'
    for payload in (
        b'{"m":"a","t":"x","t":"y"}',
        b'{"m":"a","t":"x"y"}',
        b'{"m":"a","t":"x\\"}',
        b'{"m":"a","t":"x\ny"}',
        b'{"m":"a","t":"\xff"}',
        b'{"m":"a","t":"\\ud83d"}',
        b'{"m":"a","t":"x","u":1}',
        b'{"m":"c","t":"x"}',
        b'{"m":"a","t":"}',
        b'{"m":"a","t":',
    ):
        assert repeated.text_of(payload) is None, payload


@pytest.mark.parametrize("colon", [":", ": "])
def test_random_letters_behind_a_text_go_on_as_they_came(colon: str) -> None:
    def event(model: str, text: str, letters: str) -> bytes:
        return f'{{"m":"{model}","t":"{text}","o":1,"obfuscation"{colon}"{letters}"}}'.encode()

    repeated = RepeatedEvent()
    repeated.learn(event("a", "x y", "abc"), event("b", "x y", "abc"), b'"x y"')
    for text, letters in (("z", "Q7"), ("", ""), ('\\",\\"o', "abcdefghijklmn"), (f'\\"obfuscation\\"{colon}', "a")):
        assert repeated.text_of(event("a", text, letters)) == text.encode()
        shown = repeated.shown_before + text.encode() + repeated.shown_after
        assert shown == event("b", text, letters)
    for other in (
        event("a", "z", 'a"b'), event("a", "z", "a\\"), event("a", "z", "a-b"), event("c", "z", "a"),
        event("a", "z", "a").replace(b'"o":1', b'"o":2'), event("a", "z", "a")[:-1], event("a", "z", "a") + b"x",
        event("a", 'z","o":1,"u":"', "a"), b'{"m":"a","t":"',
    ):  # fmt: skip
        assert repeated.text_of(other) is None, other


def test_a_text_that_stands_elsewhere_too_is_not_learned_and_a_changing_stream_is_left_alone() -> None:
    repeated = RepeatedEvent()
    repeated.learn(b'{"m":"a","t":"a"}', b'{"m":"b","t":"a"}', b'"a"')
    assert repeated.text_of(b'{"m":"a","t":"x"}') is None
    for number in range(MOST_TRIES + 1):
        repeated.learn(b'{"n":%d,"t":"x"}' % number, b'{"n":%d,"t":"x"}' % number, b'"x"')
    assert repeated.text_of(b'{"n":%d,"t":"y"}' % (MOST_TRIES - 2)) == b"y"  # the first one was tried, too
    assert repeated.text_of(b'{"n":%d,"t":"y"}' % (MOST_TRIES - 1)) is None


def test_an_event_that_breaks_off_in_its_text_is_still_refused() -> None:
    for relay, event in ((chat_relay(), chat_event), (gemini_relay(), gemini_event)):
        good = sent([event("a b"), event("c d")], ascii_only=True)
        relay.feed(good)
        for broken in (b"c\nd", b'c"d', b"\xff"):
            with pytest.raises(UpstreamInvalid):
                relay.feed(good.replace(b"c d", broken))
