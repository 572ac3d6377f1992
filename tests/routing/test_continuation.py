"""The seam of a stream that goes on elsewhere: no character twice, none lost, the prompt paid once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.routing.continuation import FRESH_BLOCKS, Sent, Splice, charged, continued, may_be_continued
from fairlead.wire.usage import TokenClasses, Usage

from .support import request


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
