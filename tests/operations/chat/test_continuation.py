"""The seam of a stream that goes on elsewhere: no character twice, none lost, the prompt paid once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.routing.support import request

from fairlead.operations.chat.continuation import FRESH_BLOCKS, Sent, Splice, continued, may_be_continued
from fairlead.routing.attempt import charged
from fairlead.wire.usage import TokenClasses, Usage


def event(delta: dict[str, Any] | None = None, *, id_: str = "one", finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: %b\n\n" % json.dumps({"id": id_, "created": 7, "choices": choices, **more}).encode()


def text_of(block: bytes) -> str:
    events = [json.loads(line[6:]) for line in block.split(b"\n\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for one in events for choice in one["choices"])


def sent(*pieces: str) -> Sent:
    found = Sent()
    found.add(event({"role": "assistant", "content": ""}))
    for piece in pieces:
        found.add(event({"content": piece}))
    return found


@given(st.text(max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_whatever_is_cut_wherever_is_joined_exactly(text: str, at: int, second: int) -> None:
    head, rest = text[:at], text[at:]
    found = sent(*head)
    assert found.text == head
    made = continued(request(), head, 1)
    if made is None:
        assert not head.strip()
        return
    changed, tail = made
    assert changed.prefill is not None
    assert changed.prefill + tail == head
    splice = Splice(found, request(), head, 1, tail)
    # An engine that goes on from the prefill writes the white space again, in any pieces.
    begun = tail + rest
    out = b"".join(splice.change(event({"content": part}, id_="two")) for part in (begun[:second], begun[second:]))
    assert head + text_of(out) == text


def test_long_streams_are_kept_as_words() -> None:
    pieces = [f"word{at} " for at in range(5 * FRESH_BLOCKS)]
    assert sent(*pieces).text == "".join(pieces)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0}]},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"refusal": "no"},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_what_is_no_plain_text_is_not_continued(delta: dict[str, Any]) -> None:
    found = sent("one ")
    found.add(event(delta))
    assert found.text is None


def test_what_is_finished_is_not_continued() -> None:
    found = sent("one ")
    found.add(event({}, finish="stop"))
    assert found.text is None


@pytest.mark.parametrize(
    ("given_", "may"),
    [
        ({}, True),
        ({"max_tokens": 5, "stop": "x"}, True),
        ({"n": 2}, False),
        ({"logprobs": True}, False),
        ({"response_format": {"type": "json_object"}}, False),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, False),
    ],
)
def test_what_must_come_from_one_head_is_not_spliced(given_: dict[str, Any], may: bool) -> None:
    assert may_be_continued(request(**given_)) is may


def test_the_continuation_looks_like_the_same_stream() -> None:
    found = sent("Hello ")
    assert found.text == "Hello "
    splice = Splice(found, request(), "Hello ", 2, " ")
    assert splice.change(event({"role": "assistant", "content": ""}, id_="two")) == b"", "the role was told"
    out = splice.change(
        event({"content": " world"}, id_="two") + event({}, id_="two", finish="stop") + b"data: [DONE]\n\n"
    )
    assert text_of(out) == "world"
    assert b'"two"' not in out
    assert out.endswith(b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    last = json.loads(splice.change(event(id_="two", usage=usage))[6:])
    assert last["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_the_caller_pays_the_prompt_once_and_the_whole_answer() -> None:
    reported = Usage(TokenClasses(input=100, cached_input=20, output=30, request=1), 120, 30)
    paid = charged(reported, 40)
    assert paid.tokens == TokenClasses(input=60, cached_input=20, output=70, request=1)
    assert (paid.prompt, paid.completion) == (80, 70)
    assert charged(reported, 0) == reported
    nothing_left = charged(Usage(TokenClasses(input=10, output=1, request=1), 10, 1), 40)
    assert (nothing_left.tokens.input, nothing_left.prompt) == (0, 0)


def test_the_cap_is_what_is_left_of_it() -> None:
    made = continued(request(max_tokens=10), "one two", 4)
    assert made is not None
    assert bytes(made[0].given["max_tokens"]) == b"6"
    assert continued(request(max_tokens=10), "one two", 10) is None


WORDS = st.text("ab \n", min_size=0, max_size=14)


def first_stop(text: str, stops: list[str]) -> tuple[int, int] | None:
    """Where the stop sequence that is complete first begins and ends."""
    found = [(text.index(one) + len(one), text.index(one)) for one in stops if one in text]
    return (min(found)[1], min(found)[0]) if found else None


@given(WORDS, st.lists(st.text("ab \n", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_a_stop_sequence_holds_across_the_seam_wherever_the_cut_is(text: str, stops: list[str], data: Any) -> None:
    """The first engine tells every letter at once; the second looks for stops only in what it writes itself."""
    # When one begins where another ends, nobody says which one ended an answer: its letters are not told.
    assume(not any(one in other for one in stops for other in stops if one is not other))
    assume(not any(one.endswith(other[:k]) for one in stops for other in stops for k in range(1, len(other))))
    first = first_stop(text, stops)
    at = data.draw(st.integers(0, len(text) if first is None else first[1] - 1), "the cut")
    pieces = data.draw(st.integers(1, 5), "letters in a chunk")
    head = text[:at]
    asked = request(stop=stops)
    made = continued(asked, head, 1)
    if made is None:
        return
    splice = Splice(sent(*head), asked, head, 1, made[1])
    written = made[1] + text[at:]
    own = first_stop(written, stops)
    if own is not None:
        written = written[: own[0]]
    out = head
    for begin in range(0, len(written), pieces):
        out += text_of(splice.change(event({"content": written[begin : begin + pieces]}, id_="two")))
    last = splice.change(event({}, id_="two", finish="stop"))
    out += text_of(last)
    assert splice.stopped or b'"finish_reason":"stop"' in last
    if first is None:
        assert out == text
        assert not splice.stopped
    elif first[0] >= at:
        assert out == text[: first[0]]
    else:
        assert out == head, "the beginning of the stop sequence has been told already"


def test_a_stop_sequence_at_the_seam_ends_the_answer_and_what_comes_after_it_is_not_told() -> None:
    splice = Splice(sent("Go on, EN"), request(stop="END"), "Go on, EN", 3, "")
    out = splice.change(event({"content": "D of"}, id_="two") + event({"content": " story"}, id_="two"))
    assert splice.stopped
    assert out.count(b"data: ") == 1
    assert b'"delta":{}' in out
    assert b'"finish_reason":"stop"' in out
    assert splice.change(event({}, id_="two", finish="length")) == b""
    reported = Usage(TokenClasses(input=20, output=9, request=1), 20, 9)
    assert charged(reported, 3, stopped=True).tokens == TokenClasses(input=17, output=3, request=1)
