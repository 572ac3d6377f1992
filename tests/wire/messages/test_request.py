"""What of a Messages request is checked before anybody else reads it."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import MOST_BLOCKS
from fairlead.wire.messages.request import parse_messages

HI = {"role": "user", "content": "Hi"}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [HI], **members}).encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no body"),
        (b"[]", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "UTF-8"),
        (b'{"model":"a","model":"b","messages":[]}', "'model' twice"),
        (rb'{"model":"a","mod\u0065l":"b","messages":[]}', "'model' twice"),
        (b'{"messages":[]}', "model: Field required"),
        (b'{"model":3,"messages":[]}', "model: must be"),
        (b'{"model":"m"}', "messages: Field required"),
        (body(messages=[]), "messages"),
        (body(messages="Hi"), "messages"),
        (body(messages=[1]), r"messages\.0"),
        (body(messages=[{"role": "tool", "content": ""}]), r"messages\.0\.role"),
        (body(messages=[{"role": "user", "content": 7}]), r"messages\.0\.content"),
        (body(messages=[{"role": "user", "content": [7]}]), r"messages\.0\.content\.0"),
        (body(messages=[{"role": "user", "content": [{"type": "image", "source": 1}]}]), r"messages\.0\.content"),
        (body(stream="yes"), "stream: must be"),
        (body(max_tokens=-1), "max_tokens: must be"),
        (body(max_tokens="9"), "max_tokens: must be"),
        (body(tools=7), "tools"),
        (body(fairlead={"stirct": True}), "fairlead"),
        (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply|messages"),
    ],
)
def test_nonsense_is_refused_with_its_place(text: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_messages(text)


def test_blocks_are_counted_before_they_are_objects() -> None:
    content = b'[{"type":"text"}' + b',{"type":"text"}' * MOST_BLOCKS + b"]"
    with pytest.raises(InvalidRequest, match="content blocks"):
        parse_messages(b'{"model":"m","messages":[{"role":"user","content":%b}]}' % content)


def test_images_are_found_wherever_they_stand() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    text = body(
        messages=[{"role": "user", "content": [image, {"type": "tool_result", "tool_use_id": "t", "content": [image]}]}]
    )
    hidden = text.replace(b'"type": "image"', rb'"type": "\u0069mage"')
    assert parse_messages(text).contents.images == parse_messages(hidden).contents.images == 2


def test_what_the_provider_adds_to_the_prompt_is_known() -> None:
    assert not parse_messages(body(tools=[{"name": "a", "input_schema": {}}])).needs_provider
    assert parse_messages(body(tools=[{"type": "web_search_20250305", "name": "web_search"}])).needs_provider
    assert parse_messages(body(thread={"type": "create"})).needs_provider
    file = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    assert parse_messages(body(messages=[{"role": "user", "content": [file]}])).needs_provider


def test_models_to_fall_back_on() -> None:
    request = parse_messages(body(models=["m", "n"], provider={"order": ["a"]}, fairlead={"strict": True}))
    assert (request.model, request.fallbacks, request.strict) == ("m", ("n",), True)
    assert list(request.names) == ["max_tokens"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"model":"m","messages":[' + b'{"role":"user","content":""},' * 400_000 + b'{"role":"user","content":""}]}', "messages: must have at most"),
        (b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[' + b"{}," * 400_000 + b"{}]}", "tools: must have at most"),
    ],
)  # fmt: skip
def test_long_lists_are_counted_before_they_are_decoded(text: bytes, words: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match=words):
            parse_messages(text)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"messages": [HI] * 5_000}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 5_000}]}, "content blocks"),
        ({"tools": [{"name": "a", "input_schema": {}}] * 129}, "tools"),
    ],
)
def test_more_than_other_providers_take_is_passed_on_and_not_translated(members: dict[str, Any], words: str) -> None:
    request = parse_messages(body(**members))
    with pytest.raises(InvalidRequest, match=f"more than .* {words}"):
        request.neutral()
