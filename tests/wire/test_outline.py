"""Long bodies are read through their outline: the request is the same as without it, and no step does much."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire import bounds, outline
from fairlead.wire.chat import _check_utf8, _parse, parse_chat
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.outline import LONG_BODY_BYTES, MARK, Outline, complete

LONG = "word " * 300_000
SEEN = (
    "cap", "choices", "emulate", "fallbacks", "has_tool_history", "include_usage", "media", "model", "other_bytes",
    "preferences", "prefill", "reports", "stream", "strict", "unknown",
)  # fmt: skip
USER = [{"role": "user", "content": "x"}]


def seen(request: ChatRequest) -> dict[str, Any]:
    found = {name: getattr(request, name) for name in SEEN}
    found["messages"] = bytes(request.messages)
    found["given"] = {name: bytes(raw) for name, raw in request.given.items()}
    return found


def directly(body: bytes) -> ChatRequest:
    """Without an outline, as a short body is read."""
    _check_utf8(body, 0)
    return _parse(body)


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2_000_000}}
ASKED: dict[str, dict[str, Any]] = {
    "a text": {"messages": [{"role": "user", "content": LONG}]},
    "many texts": {"messages": [{"role": "user", "content": f"{at} " + "y" * 5_000} for at in range(400)]},
    "a picture": {"messages": [{"role": "user", "content": [{"type": "text", "text": LONG}, PICTURE]}]},
    "a prefill": {"messages": [*USER, {"role": "assistant", "content": "It begins: " + LONG}]},
    "a prefill of parts": {"messages": [*USER, {"role": "assistant", "content": [{"type": "text", "text": LONG}]}]},
    "documents": {"messages": USER, "documents": [{"text": LONG}, "a", LONG], "n": 2},
    "tools": {"messages": USER, "tools": [{"type": "function", "function": {"name": "f", "description": LONG, "parameters": {"x": LONG}}}]},
    "a schema": {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": LONG}}}},
    "tool calls": {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": LONG})}}]}, {"role": "tool", "tool_call_id": "a", "content": LONG}]},
    "a prediction": {"messages": [{"role": "user", "content": LONG}], "prediction": {"type": "content", "content": "p" * 900_000}},
    "names": {"messages": [{"role": "user", "content": LONG, "name": "z" * 5_000}]},
    "a file": {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64," + "B" * 2_000_000, "filename": "f" * 900}}]}]},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("compact", [True, False], ids=["compact", "spaced"])
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "utf8"])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_request_is_the_same_with_an_outline(asked: dict[str, Any], compact: bool, ascii_only: bool) -> None:
    separators = (",", ":") if compact else None
    text = json.dumps({"model": "m", **asked}, ensure_ascii=ascii_only, separators=separators)
    body = text.replace("word", r"w\u00f6\\\"\ud83d\ude00" if ascii_only else "wörd 😀").encode()
    assert len(body) > LONG_BODY_BYTES
    request = parse_chat(body)
    assert seen(request) == seen(directly(body))
    assert request.outline is not None
    assert len(request.outline) < 600_000
    assert MARK not in bytes(request.messages)


def test_any_cut_is_found_again_whatever_stands_around_it() -> None:
    chance = random.Random(5)
    letters = ["a", "ö", "😀", r"\n", r"\\", r"\"", r"\u00e9", r"\ud83d\ude00", "\\\\" * 9, "h"]
    for _ in range(200):
        strings = ["".join(chance.choices(letters, k=chance.randint(0, 9_000))) for _ in range(chance.randint(1, 6))]
        if chance.random() < 0.3:
            strings[0] = chance.choice(["http://x/", "Hello ", r"\u0068ttp://"]) + strings[0]
        members = [f'"k{at}":{chance.choice(["", " "])}"{text}"'.encode() for at, text in enumerate(strings)]
        body = b"{" + b",".join(members) + b',"z":[1,null]}'
        made = complete(body)
        found = outline.msgspec.json.decode(made.text, type=dict[str, Raw])
        assert {name: bytes(made.whole(raw)) for name, raw in found.items()} == {
            **{f"k{at}": f'"{text}"'.encode() for at, text in enumerate(strings)},
            "z": b"[1,null]",
        }
        assert {name: made.length(raw) for name, raw in found.items()} == {
            name: len(made.whole(raw)) for name, raw in found.items()
        }


LONG_BYTES = LONG.encode()
BROKEN = {
    "a control character": LONG_BYTES + b"\x01" + LONG_BYTES,
    "a line break": LONG_BYTES + b"\n",
    "no escape": LONG_BYTES + rb"\x" + LONG_BYTES,
    "half of an escape": LONG_BYTES + rb"\u12" + b'"' + LONG_BYTES,
    "not UTF-8": LONG_BYTES + b"\xff" + LONG_BYTES,
    "half of a character": LONG_BYTES + b"\xc3",
    "a surrogate in UTF-8": LONG_BYTES + b"\xed\xa0\x80",
    "no end": LONG_BYTES + b"\\",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_cut_is_checked_all_the_same(text: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % text
    for read in (parse_chat, directly):
        with pytest.raises(InvalidRequest, match=r"not valid (JSON|UTF-8)"):
            read(body)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter": ({"user": "u" * 2_000_000}, "user is longer than 65,536 bytes"),
    "a prediction": ({"prediction": {"content": "u" * 2_000_000}}, "prediction is longer than 1,048,576 bytes"),
    "an unknown member of a message": ({"messages": [{"role": "user", "content": "x", "y": LONG}]}, "too many unknown members"),
    "an address": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/" + LONG}}]}]}, "image_url.url"),
    "a member's name": ({LONG: 1}, "longer than 256 characters"),
    "a role": ({"messages": [{"role": LONG, "content": "x"}]}, "role"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "sentence"), WRONG.values(), ids=WRONG)
def test_bounds_count_what_is_cut(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        parse_chat(json.dumps({"model": "m", "messages": USER, **asked}).encode())


def test_a_long_body_of_anything_but_long_strings_is_refused_before_it_is_decoded() -> None:
    for item in (b"1", b'"a"', b"{}", b'{"role":"user","content":"x"}', b" "):
        body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":[%b]}' % b",".join(
            [item] * (bounds.MOST_STRUCTURE_BYTES * 4 // (len(item) + 1))
        )
        with pytest.raises(InvalidRequest, match="2,097,152 bytes of members, numbers and white space"):
            parse_chat(body)
    strings = b",".join([b'"' + b"s" * 1_500 + b'"'] * 9_000)
    with pytest.raises(InvalidRequest, match="8,388,608 bytes besides its long strings"):
        parse_chat(b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":[%b]}' % strings)


def test_a_step_looks_at_a_bounded_part_of_a_body() -> None:
    text = b"word \\n" * 3_000_000
    made = Outline(b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % text)
    steps = 0
    while not made.step():
        steps += 1
    assert steps > len(text) // (2 * outline.STEP_BYTES)
