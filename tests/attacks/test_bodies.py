"""Bodies that cost more than their bytes: none holds the event loop, in reading it or in writing it for a provider.
Malformed ones: each is a 400 that names what is wrong.

The bounds are asserted by count, and the CPU time by how it grows: four times the body may cost eight times as much,
and whatever costs less than FLOOR_SECONDS may grow as it likes.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import itertools
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import provider, serving
from tests.providers.recorded import adapter

from fairlead.errors import FairleadError, InvalidRequest
from fairlead.operations.chat.operation import needs_of
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.testing import ScriptedUpstream
from fairlead.tokens import count_chat
from fairlead.wire import bounds
from fairlead.wire.chat import parse_chat
from fairlead.wire.fast_parse import USUAL, FastParser

SMALL, LARGE = 65_536, 262_144
FLOOR_SECONDS = 0.2
TRIES = 4
# As many as a body has that is read without an outline (`wire/outline.py`, which refuses longer ones of this kind).
MANY_BYTES = 1_200_000

MESSAGE = b'"messages":[{"role":"user","content":"x"}]'
TOOL = b'"tools":[{"type":"function","function":{"name":"f","parameters":%b}}]'


def body(members: bytes, messages: bytes = MESSAGE) -> bytes:
    return b'{"model":"m",' + messages + (b"," + members if members else b"") + b"}"


def said(messages: bytes) -> bytes:
    return body(b"", b'"messages":[%b]' % messages)


def user(content: bytes) -> bytes:
    return said(b'{"role":"user","content":%b}' % content)


def fill(size: int, item: bytes | Callable[[int], bytes]) -> bytes:
    """Items with commas between them, `size` bytes of them."""
    if isinstance(item, bytes):
        return b",".join([item] * (size // (len(item) + 1)))
    found: list[bytes] = []
    length = at = 0
    while length < size:
        found.append(item(at))
        length += len(found[-1]) + 1
        at += 1
    return b",".join(found)


def names(size: int) -> bytes:
    return fill(size, lambda at: b'"k%x":1' % at)


def escaped_names(size: int) -> bytes:
    return fill(size, lambda at: b'\\"k%x\\":1' % at)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "names": lambda n: body(names(n)),
    "names and white space": lambda n: body(fill(n, lambda at: b'"k%x" : 1' % at)),
    "one name": lambda n: body(fill(n, b'"k":1')),
    "known names": lambda n: body(fill(n, b'"user":"u"')),
    "escaped names": lambda n: body(fill(n, lambda at: b'"\\u006b%x":1' % at)),
    "long names": lambda n: body(fill(n, lambda at: b'"%x%b":1' % (at, b"k" * 1000))),
    "one long name": lambda n: body(b'"%b":1' % (b"k" * n)),
    "long values": lambda n: body(fill(n, lambda at: b'"k%x": "%b"' % (at, b"v" * 300))),
    "the last name twice": lambda n: body(names(n) + b',"z":1,"z":2'),
    "strict, the last name twice": lambda n: body(b'"fairlead":{"strict":true},"metadata":{%b,"z":"1","z":"1"}' % names(n)),
    "strict, twice in a part": lambda n: body(
        b'"fairlead":{"strict":true}',
        b'"messages":[{"role":"user","content":[{"type":"text","text":"x",%b,"z":1,"z":2}]}]' % names(n - 1000),
    ),
    "deep": lambda n: body(b'"k":' + b"[" * (n // 2) + b"]" * (n // 2)),
    "deep and wide": lambda n: body(b'"k":[' + fill(n, b"[" * 200 + b"]" * 200) + b"]"),
    "digits": lambda n: body(b'"seed":' + b"1" * n),
    "digits of a fraction": lambda n: body(b'"temperature":0.' + b"1" * n),
    "white space": lambda n: body(b" " * n + b'"user":"u"'),
    "messages": lambda n: said(fill(n, b'{"role":"user","content":""}')),
    "turns": lambda n: said(fill(n, lambda at: b'{"role":"%b","content":"a"}' % (b"user", b"assistant")[at % 2 : at % 2 + 1])),
    "messages and white space": lambda n: said(fill(n, b'{"role": "user","content":""}')),
    "names in a message": lambda n: said(b'{"role":"user","content":"x",%b}' % names(n)),
    "names twice in a message": lambda n: said(b'{"role":"user","content":"x",%b,"z":1,"z":2}' % names(n)),
    "tool calls": lambda n: said(
        b'{"role":"assistant","tool_calls":[%b]}' % fill(n, b'{"id":"a","function":{"name":"f","arguments":""}}')
    ),
    "arguments": lambda n: said(
        b'{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{%b}"}}]}' % escaped_names(n)
    ),
    "tool results": lambda n: said(fill(n, lambda at: b'{"role":"tool","tool_call_id":"a.%x","content":"1"}' % at)),
    "reasoning details": lambda n: said(
        b'{"role":"assistant","content":"x","reasoning_details":[%b]}' % fill(n, b'{"data":"a"}')
    ),
    "parts": lambda n: user(b"[%b]" % fill(n, b'{"type":"text","text":"a"}')),
    "names in a part": lambda n: user(b'[{"type":"text","text":"a",%b}]' % names(n)),
    "images": lambda n: user(
        b"[%b]" % fill(n, b'{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}')
    ),
    "one image": lambda n: user(
        b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]' % (b"A" * n)
    ),
    "names in an image": lambda n: user(
        b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA", %b}}]' % names(n)
    ),
    "tools": lambda n: body(b'"tools":[%b]' % fill(n, b'{"type":"function","function":{"name":"f"}}')),
    "tool schema": lambda n: body(TOOL % (b"{%b}" % names(n))),
    "deep tool schema": lambda n: body(TOOL % (b'{"a":[%b]}' % fill(n, b"[" * 100 + b"]" * 100))),
    "logit_bias": lambda n: body(b'"logit_bias":{%b}' % fill(n, lambda at: b'"%d":1' % at)),
    "metadata": lambda n: body(b'"metadata":{%b}' % fill(n, lambda at: b'"%x":""' % at)),
    "stop": lambda n: body(b'"stop":[%b]' % fill(n, b'"a"')),
    "models": lambda n: body(b'"models":[%b]' % fill(n, b'"a"')),
    "provider": lambda n: body(b'"provider":{"order":[%b]}' % fill(n, b'"a"')),
    "prediction": lambda n: body(b'"prediction":{%b}' % names(n)),
    "schema": lambda n: body(
        b'"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{%b}}}' % names(n)
    ),
    "schema as text": lambda n: body(b'"structured_outputs":{"json":"{%b}"}' % escaped_names(n)),
    "choice": lambda n: body(b'"structured_outputs":{"choice":[%b]}' % fill(n, b'"a"')),
    "one choice": lambda n: body(b'"structured_outputs":{"choice":["%b"]}' % (b"." * n)),
    "not UTF-8 at the end": lambda n: user(b'"%b\xff"' % (b"\xc3\xa4" * (n // 2))),
    "surrogates": lambda n: said(b'{"role":"assistant","content":"%b"}' % (b"\\ud83d\\ude00" * (n // 12))),
    "half surrogates": lambda n: said(b'{"role":"assistant","content":"%b"}' % (b"\\ud83d" * (n // 6))),
    "brackets": lambda n: user(b'"%b"' % (b"[" * n)),
    "nearly control tokens": lambda n: user(b'"%b<s>"' % (b"[/TOOL_CALL" * (n // 11))),
    "control tokens": lambda n: user(b'"%b"' % (b"<s>" * (n // 3))),
    "control tokens in escapes": lambda n: user(b'"%b"' % (b"<\\/s>" * (n // 5))),
    "digits beside control tokens": lambda n: said(b'{"role":"user","content":"<\\/s>","n":%b}' % (b"1" * n)),
    "escapes": lambda n: user(b'"%b"' % (b"\\/" * (n // 2))),
}  # fmt: skip


def adapters() -> list[Any]:
    found: list[Any] = [OpenAIChat(row, "public", "vendor") for row in DIALECTS.values() if row.speaks == "openai"]
    found.append(adapter("anthropic", "claude-sonnet-4-5"))
    found.append(adapter("gemini", "gemini-3-pro"))
    found.append(adapter("bedrock", "anthropic.claude-sonnet-4-5"))
    return found


ADAPTERS = adapters()


def seconds(text: bytes) -> float:
    """CPU time of reading a body and of the slowest adapter with it."""
    began = time.thread_time()
    try:
        parse_chat(text)
    except FairleadError:
        return time.thread_time() - began
    read = time.thread_time() - began
    slowest = 0.0
    for one in ADAPTERS:
        request = parse_chat(text)
        began = time.thread_time()
        try:
            one.to_vendor(request)
        except FairleadError:
            pass
        slowest = max(slowest, time.thread_time() - began)
    return read + slowest


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_a_body_costs_more_than_in_proportion_to_its_length(shape: str) -> None:
    small, large = SHAPES[shape](SMALL), SHAPES[shape](LARGE)
    tries: list[tuple[float, float]] = []
    for _ in range(TRIES):
        tries.append((seconds(small), seconds(large)))
        if tries[-1][1] <= max(FLOOR_SECONDS, 8 * tries[-1][0]):
            return
    raise AssertionError(tries)


def refused(text: bytes, param: str | None, match: str) -> None:
    with pytest.raises(InvalidRequest, match=match) as caught:
        parse_chat(text)
    assert caught.value.param == param


def test_members_of_a_body_are_bounded_in_number_and_length() -> None:
    def with_members(count: int) -> bytes:
        return body(b",".join(b'"k%d":1' % at for at in range(count - 2)))

    assert len(parse_chat(with_members(bounds.MOST_MEMBERS)).unknown) == bounds.MOST_MEMBERS - 2
    refused(with_members(bounds.MOST_MEMBERS + 1), None, "more than 256 members")
    name = b"k" * bounds.LONGEST_NAME
    assert parse_chat(body(b'"%b":1' % name)).unknown == (name.decode(),)
    refused(body(b'"%bk":1' % name), "k" * 64, "longer than 256")


def test_messages_parts_and_calls_are_bounded_in_number() -> None:
    plain, spaced = b'{"role":"user","content":"x"}', b'{"role": "user","content":"x"}'
    for message in (plain, spaced):
        assert parse_chat(said(b",".join([message] * bounds.MOST_MESSAGES))).model == "m"
        refused(said(b",".join([message] * (bounds.MOST_MESSAGES + 1))), "messages", "more than 4,096 messages")
    part = b'{"type":"text","text":"a"}'
    assert parse_chat(user(b"[%b]" % b",".join([part] * bounds.MOST_PARTS))).model == "m"
    two = [b'{"role":"user","content":[%b]}' % b",".join([part] * count) for count in (bounds.MOST_PARTS, 1)]
    refused(said(b",".join(two)), "messages[1].content", "more than 4,096 parts")
    call = b'{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}'
    calling = b'{"role":"assistant","content":null,"tool_calls":[%b]}'
    assert parse_chat(said(calling % b",".join([call] * bounds.MOST_TOOL_CALLS))).has_tool_history
    refused(
        said(calling % b",".join([call] * (bounds.MOST_TOOL_CALLS + 1))), "messages[0]", "more than 4,096 tool calls"
    )
    crowded = b'{"role":"user","content":"x",%b}' % b",".join(
        b'"k%d":1' % at for at in range(bounds.MOST_MESSAGE_MEMBERS)
    )
    refused(said(crowded), "messages", "more than 64 members")
    details = b'{"role":"assistant","content":"x","reasoning_details":[%b]}'
    many = parse_chat(said(details % b",".join([b'{"data":"a"}'] * (bounds.MOST_REASONING_DETAILS + 1))))
    with pytest.raises(InvalidRequest, match="reasoning_details"):
        ADAPTERS[-1].to_vendor(many)


def test_parameters_are_bounded_in_length() -> None:
    text = b"u" * (bounds.LONGEST_PARAMETER - 2)
    assert parse_chat(body(b'"user":"%b"' % text)).given
    refused(body(b'"user":"%bu"' % text), "user", "longer than 65,536 bytes")
    prediction = b"u" * bounds.LONGEST_PREDICTION
    refused(body(b'"prediction":{"type":"content","content":"%b"}' % prediction), "prediction", "longer than")
    refused(body(b'"structured_outputs":{"regex":"%b"}' % prediction), "structured_outputs", "longer than")
    choices = b",".join([b'"a"'] * (bounds.MOST_ALTERNATIVES + 1))
    refused(body(b'"structured_outputs":{"choice":[%b]}' % choices), "structured_outputs", "at most|length <=")
    assert parse_chat(body(TOOL % (b'{"description":"%b"}' % (b"d" * 2_000_000)))).given


def test_control_tokens_for_llamacpp_are_bounded_in_number() -> None:
    (llamacpp,) = [one for one in ADAPTERS if isinstance(one, OpenAIChat) and one._parses_control_tokens]
    for token in (b"<s>", b"[INST]"):
        llamacpp.to_vendor(parse_chat(user(b'"%b"' % (token * (bounds.MOST_CONTROL_TOKENS - 1)))))
        with pytest.raises(InvalidRequest, match="32,768 or more control tokens"):
            llamacpp.to_vendor(parse_chat(user(b'"%b"' % (token * bounds.MOST_CONTROL_TOKENS))))


@pytest.mark.parametrize("layout", ["body", "message"])
def test_unknown_names_by_the_million_take_no_memory(layout: str) -> None:
    many = names(MANY_BYTES)
    text = body(many) if layout == "body" else said(b'{"role":"user","content":"x",%b}' % many)
    tracemalloc.start()
    try:
        refused(text, None if layout == "body" else "messages", "more than 256 members|too many")
        assert tracemalloc.get_traced_memory()[1] < 2 * len(text)
    finally:
        tracemalloc.stop()


CROWDED: dict[str, tuple[bytes, str]] = {
    "tools": (body(b'"tools":[%b]' % fill(MANY_BYTES, b"1")), "tools must be a list of up to 128 functions"),
    "empty tools": (body(b'"tools":[%b]' % fill(MANY_BYTES, b"{}")), "tools must be"),
    "whole tools": (
        body(b'"tools":[%b]' % fill(MANY_BYTES, b'{"type":"function","function":{"name":"f"}}')), "tools must be",
    ),
    "content": (user(b"[%b]" % fill(MANY_BYTES, b"1")), r"content\[0\] is not a valid part"),
    "empty parts": (user(b"[%b]" % fill(MANY_BYTES, b"{}")), r"content\[0\] is not a valid part"),
    "short parts": (user(b"[%b]" % fill(MANY_BYTES, b'{"type":""}')), "more than 4,096 parts"),
    "names in an image": (
        user(b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA",%b}}]' % names(MANY_BYTES)),
        "more than 64 members",
    ),
    "names in a part": (user(b'[{"type":"image_url",%b}]' % names(MANY_BYTES)), "more than 64 members"),
}  # fmt: skip


@pytest.mark.parametrize("shape", CROWDED)
def test_long_lists_and_objects_are_counted_before_they_take_memory(shape: str) -> None:
    text, match = CROWDED[shape]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match=match):
            parse_chat(text)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(text)
    finally:
        tracemalloc.stop()


def test_reasoning_details_are_counted_before_they_take_memory() -> None:
    text = said(b'{"role":"assistant","content":"x","reasoning_details":[%b]}' % fill(MANY_BYTES, b"{}"))
    request = parse_chat(text)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="reasoning_details"):
            ADAPTERS[-1].to_vendor(request)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("written", [b'{"role":"user","content":""}', b'{"role": "user","content":""}'])
def test_messages_by_the_million_are_refused_in_the_first_pass(written: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than 4,096 messages"):
        FastParser(USUAL).read(said(fill(4_000_000, written)))


STYLES: dict[str, dict[str, Any]] = {
    "default": {}, "compact": {"separators": (",", ":")}, "indent": {"indent": 2}, "tabs": {"indent": "\t"},
    "spaced": {"separators": (" , ", " : ")},
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [100, 5_000, 60_000, 700_000, 3_000_000])
def test_a_long_member_that_the_api_does_not_have_is_taken(style: str, size: int) -> None:
    documents = [{"title": f"Chapter {at}", "text": "word " * 20} for at in range(size // 130 + 1)]
    members: dict[str, Any] = {
        "model": "m", "messages": [{"role": "user", "content": "x"}], "documents": documents, "temperature": 0.5,
        "größe": "x" * (size // 10),
    }  # fmt: skip
    for order in (list(members), list(reversed(members)), ["documents", "model", "messages", "größe"]):
        request = parse_chat(json.dumps({name: members[name] for name in order}, **STYLES[style]).encode())
        assert json.loads(bytes(request.given["documents"])) == documents
        assert set(request.unknown) == {"documents", "größe"}
    twice = json.dumps(members, **STYLES[style])[:-1] + ',"documents":[]}'
    with pytest.raises(InvalidRequest, match="twice|repeats"):
        parse_chat(twice.encode())


# Everything that a request may have; each value in it is replaced by each of WRONG.
REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s", "name": "n"},
        {"role": "user", "content": [
            {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ]},
        {"role": "assistant", "content": [{"type": "text", "text": "t"}, {"type": "refusal", "refusal": "no"}],
         "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s", "data": "d"}],
         "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"},
                         "extra_content": {"google": {"thought_signature": "s"}}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "{\"a\": 1}"}]},
        {"role": "assistant", "content": "Sure"},
    ],
    "tools": [{"type": "function", "function": {
        "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {
        "name": "a", "description": "d", "schema": {"type": "object"}, "strict": True}},
    "stop": ["a"], "logit_bias": {"1": 1}, "logprobs": True, "top_logprobs": 1, "metadata": {"a": "b"}, "n": 1,
    "max_tokens": 5, "seed": 1, "temperature": 1, "top_p": 1, "top_k": 1, "min_p": 0, "user": "u",
    "safety_identifier": "s", "reasoning_effort": "low", "prediction": {"type": "content", "content": "c"},
    "stream": False, "models": ["m"], "provider": {"order": ["a"], "max_price": {"prompt": 1}},
    "fairlead": {"parameters": False, "emulate": True}, "unheard_of": [{"a": [1]}],
}  # fmt: skip
CONSTRAINTS: list[dict[str, Any]] = [
    {"json": {"type": "object"}}, {"json": "{}"}, {"regex": "a+"}, {"choice": ["a"]}, {"grammar": "root"},
    {"json_object": True}, {"structural_tag": "t"},
]  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, 5, -1.5, 10**30, True, "", "x", "data:,", [], [5], [None], [[]], {}, {"a": 5}, {"type": 5}, {"type": "x"},
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in it."""
    if path:
        yield path
    for key, inside in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from paths(inside, (*path, key))


def malformed() -> Iterator[tuple[str, bytes]]:
    """Requests with one wrong value, and where it is."""
    requests = [REQUEST]
    without = {name: value for name, value in REQUEST.items() if name not in ("messages", "response_format")}
    hello = [{"role": "user", "content": "x"}]
    requests += [{**without, "messages": hello, "structured_outputs": one} for one in CONSTRAINTS]
    for request in requests:
        for path in paths(request):
            if request is not REQUEST and path[0] != "structured_outputs":
                continue
            for wrong in WRONG:
                changed = copy.deepcopy(request)
                at: Any = changed
                for step in path[:-1]:
                    at = at[step]
                at[path[-1]] = wrong
                yield f"{path} = {wrong!r}", json.dumps(changed).encode()


def test_a_malformed_value_is_refused_with_its_place_or_harms_no_adapter() -> None:
    refusals: list[tuple[str, str | None]] = []
    for what, text in malformed():
        try:
            request = parse_chat(text)
        except InvalidRequest as error:
            refusals.append((what, error.param))
            continue
        needs_of(request)
        for one in ADAPTERS:
            try:
                one.to_vendor(request.copy())
            except InvalidRequest as error:
                refusals.append((what, error.param))
    assert [what for what, param in refusals if not param] == []
    assert len(refusals) > 500


def test_a_malformed_request_is_never_an_error_of_the_service(tmp_path: Path) -> None:
    models = """
[[models]]
id = "m"
[[models.deployments]]
provider = "mock"
upstream_model = "theirs"
price = "free"
"""
    answers: Counter[int] = Counter()
    with (
        ScriptedUpstream() as upstream,
        serving(tmp_path, provider(upstream.url, dialect="generic") + models) as served,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        with contextlib.closing(connection):
            for what, text in itertools.islice(malformed(), 0, None, 5):  # 5: prime to WRONG, all of it comes
                connection.request("POST", "/v1/chat/completions", text, {"authorization": f"Bearer {served.key}"})
                answer = connection.getresponse()
                status, document = (
                    answer.status,
                    json.loads(answer.read() or b"null") if answer.status != 200 else answer.read(),
                )
                answers[status] += 1
                # No such model (404), or no such provider among the preferences (404): `model`, `models`, `provider`.
                assert status in (200, 400, 404), f"{what}: {status} {document}"
                if status == 400:
                    assert document["error"]["param"], f"{what}: {document}"
    assert answers[400] > 100


@pytest.mark.parametrize("number", [b"1" * 5000, b"-" + b"1" * 5000, b"1e999", b"1" * 5000 + b".5"])
def test_numbers_that_nothing_can_hold_are_counted_as_text(number: bytes) -> None:
    content = b'[{"role":"user","content":[{"type":"text","text":"x","n":%b}]}]' % number
    tools = b'[{"type":"function","function":{"name":"f","parameters":{"maximum":%b}}}]' % number
    request = parse_chat(b'{"model":"m","messages":%b,"tools":%b}' % (content, tools))
    counted = count_chat("o200k_base", request.messages, request.given["tools"])
    assert counted.tokens >= len(number) // 20


@pytest.mark.parametrize("text", [b"\\ud800", b"\\ud800 x", b"\\udc00", b"\\ud800\\u0041", b"\\q", b"\\u12"])
def test_half_a_character_is_refused_at_the_door(text: bytes) -> None:
    for content in (b'"%b"' % text, b'[{"type":"text","text":"x","other":"%b"}]' % text):
        with pytest.raises(InvalidRequest):
            parse_chat(user(content))


@pytest.mark.parametrize("depth", [100, 300, 450, 900, 990])
def test_tools_of_any_depth_are_counted_and_translated_or_refused(depth: int) -> None:
    schema = b'{"a":%b1%b}' % (b"[" * depth, b"]" * depth)
    try:
        request = parse_chat(body(TOOL % schema))
    except InvalidRequest:
        return
    assert count_chat("o200k_base", request.messages, request.given["tools"]).tokens > depth // 10
    for one in ADAPTERS:
        one.to_vendor(request.copy())
