"""What a caller may send: everything valid passes untouched, everything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.wire import bounds, media
from fairlead.wire.bounds import LONGEST_URL, MOST_STOPS
from fairlead.wire.chat import PARAMETERS, parse_chat

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="

VALID: dict[str, list[Any]] = {
    "temperature": [0, 0.3, 2, 2.0],
    "top_p": [0.01, 1],
    "top_k": [-1, 0, 40],
    "min_p": [0, 0.5, 1],
    "frequency_penalty": [-2, 0, 2],
    "presence_penalty": [-2, 2],
    "repetition_penalty": [0.1, 1, 2],
    "max_tokens": [1, 131_072],
    "max_completion_tokens": [1],
    "stop": ["x", ["a", "b"], ["s"] * MOST_STOPS],
    "seed": [0, -1, 2**63 - 1, -(2**63)],
    "logit_bias": [{}, {"12": -100, "3": 100, "4": 0.5}],
    "logprobs": [True, False],
    "n": [1, 128],
    "response_format": [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
    ],
    "structured_outputs": [{"json": {}}, {"json": "{}"}, {"regex": "a+"}, {"choice": ["a"]}, {"grammar": "root"}],
    "user": ["u"],
    "metadata": [{"a": "b"}],
}
WRONG: dict[str, list[Any]] = {
    "temperature": [-0.1, 2.1, "1", True, [], {}],
    "top_p": [0, 1.1, "1"],
    "top_k": [-2, 1.5, "4"],
    "min_p": [-0.1, 1.1],
    "frequency_penalty": [-2.1, 2.1],
    "presence_penalty": [-3, 3],
    "repetition_penalty": [0, 2.1],
    "max_tokens": [0, -1, 1.5, "7", 2**31],
    "max_completion_tokens": [0],
    "stop": ["", [""], ["a"] * (MOST_STOPS + 1), 4, {}],
    "seed": [2**63, 1.5, "1"],
    "logit_bias": [{"x": 1}, {"1": 101}, {"1": -101}, [], {"1": "1"}],
    "logprobs": [1, "true"],
    "top_logprobs": [-1, 21],
    "n": [0, 129, 1.5],
    "response_format": ["json", {"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}],
    "structured_outputs": [True, {}, {"json": {}, "regex": "a"}, {"rgex": "a"}],
    "stream": ["yes", 1],
    "stream_options": [{"include_usage": "yes"}, 3],
    "tools": [{}, [{}], [{"type": "custom"}], [{"type": "function", "function": {"name": "a b"}}], [TOOL] * 129],
    "tool_choice": ["any", 1, {"type": "function"}, {"type": "function", "function": {"name": "other"}}, "required"],
    "functions": [[]],
    "function_call": ["auto"],
    "fairlead": [{"strct": True}, 1, {"strict": "yes"}],
    "messages": [[], {}, "x", [{}], [{"role": "king", "content": "x"}], [{"role": "user"}]],
    "model": ["", 4, None, "m" * 257],
}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO, **members}).encode()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALID.items() for value in values])
def test_a_valid_parameter_is_kept_in_the_callers_own_bytes(name: str, value: Any) -> None:
    request = parse_chat(body(**{name: value}))
    assert json.loads(bytes(request.given[name])) == value
    assert request.unknown == ()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_parameter_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body(**{name: value}))
    assert (caught.value.param or "").startswith(name)
    assert caught.value.status == 400


@pytest.mark.parametrize("name", PARAMETERS)
def test_null_counts_as_not_given(name: str) -> None:
    assert parse_chat(body(**{name: None})).given == {}


def test_parameters_that_exclude_or_need_each_other() -> None:
    for members, param in (
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"top_logprobs": 1, "logprobs": False}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"structured_outputs": {"regex": "a"}, "response_format": {"type": "text"}}, "structured_outputs"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            parse_chat(body(**members))
        assert caught.value.param == param


def test_tools_in_all_their_forms() -> None:
    named = {"type": "function", "function": {"name": "f"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    for choice in ("none", "auto", "required", named, allowed):
        request = parse_chat(body(tools=[TOOL], tool_choice=choice, parallel_tool_calls=True))
        assert json.loads(bytes(request.given["tool_choice"])) == choice
    assert parse_chat(body(tools=[], tool_choice="auto", parallel_tool_calls=False)).given == {}


def test_an_unknown_parameter_is_noted_and_refused_in_strict_mode() -> None:
    request = parse_chat(body(guided_json={}, temprature=1))
    assert request.unknown == ("guided_json", "temprature")
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body(temprature=1, fairlead={"strict": True}))
    assert caught.value.param == "temprature"
    assert parse_chat(body(fairlead={"strict": True})).strict


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[]", b"3", b'"x"', b"null", b"{}", b"\xff", b"\xef\xbb\xbf{}", b'{"model":NaN}', b"[" * 100_000,
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"model":"m\xe9"}', body() + b"x",
        body(x=1)[:-1] + b',"y":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", b'{"model":"\\ud800","messages":[]}',
        body(temperature=1)[:-1] + b',"seed":1e400}',
    ],
    ids=range(18),
)  # fmt: skip
def test_garbage_is_refused_and_nothing_else_happens(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_chat(text)


def test_a_member_that_comes_twice_is_refused_in_any_layout() -> None:
    for text in (
        b'{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}',
        b'{"model": "m", "model": "n", "messages": [{"role": "user", "content": "x"}]}',
        b'{\n "model": "m",\n "messages": [{"role": "user", "content": "x"}],\n "model": "m"\n}',
        b'{"mod\\u0065l":"m","model":"m","messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[],"model":"m","messages":[{"role":"user","content":"' + b"x" * 300 + b'"}]}',
        b'{"a":"b","ab":"m","ab":"n","model":"m", "messages": [{"role": "user", "content": "x"}]}',
    ):
        with pytest.raises(InvalidRequest, match="twice|repeats"):
            parse_chat(text)


@pytest.mark.parametrize(
    "message",
    [
        b'{"role":"user","role":"system","content":"x"}',
        b'{"role":"user","content":"x","content":"y"}',
        b'{"role": "user", "role": "system", "content": "x"}',
        b'{"role":"user","content":"x","rol\\u0065":"user"}',
        b'{"role":"assistant","tool_calls":[],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]}',
        b'{"role":"tool","tool_call_id":"a","content":"x","tool_call_id":"b"}',
        b'{"role":"assistant","name":"abcde","name":"abcdefgh"}',
        b'{"role":"user","content":"x","other":1,"other":2}',
        b'{"role":"user","content":"x","\\ud800":2}',
    ],
    ids=range(9),
)
def test_a_member_of_a_message_that_comes_twice_is_refused(message: bytes) -> None:
    for layout in (b'{"model":"m","messages":[%b]}', b'{"model":"m","messages":[{"role":"user","content":"x"}, %b]}'):
        with pytest.raises(InvalidRequest, match="twice|valid JSON"):
            parse_chat(layout % message)


def test_strict_mode_refuses_a_double_inside_too() -> None:
    inside = b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x","text":"y"}]}]%b}'
    tools = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":1,"\\u0061":2}}}]%b}'
    for text in (inside, tools):
        assert parse_chat(text % b"").model == "m"
        with pytest.raises(InvalidRequest, match="twice"):
            parse_chat(text % b',"fairlead":{"strict":true}')
    assert parse_chat(body(fairlead={"strict": True}, messages=[*HELLO, *HELLO])).strict


def test_a_number_of_any_length_is_no_crash() -> None:
    digits = b"1" * 5000
    strict = b'{"model":"m","messages":[{"role":"user","content":"x","n":%b}],"fairlead":{"strict":true}}' % digits
    assert parse_chat(strict).strict
    assert parse_chat(b'{"model":"m","messages":[{"role":"user", "content":"x","n":%b}]}' % digits).model == "m"
    with pytest.raises(InvalidRequest, match="'a' twice"):
        parse_chat(b'{"a":%b,"a":1,"model":"m","messages":[{"role":"user","content":"x"}]}' % digits)


def test_any_layout_without_a_double_is_taken() -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": "x" * 1000}], "temperature": 0.5, "stop": ["model"]}
    for text in (json.dumps(plain), json.dumps(plain, separators=(",", ":")), json.dumps(plain, indent=3)):
        assert list(parse_chat(text.encode()).given) == ["temperature", "stop"]
    escaped = b'{"mod\\u0065l":"m","messages":[{"role":"user","content":"x"}]}'
    assert parse_chat(escaped).model == "m"


@pytest.mark.slow
@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.text(max_size=5) | st.integers() | st.lists(st.booleans())),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]),
)
@settings(max_examples=200, deadline=None)
def test_no_object_without_doubles_is_taken_for_one_with_them(members: dict[str, Any], layout: tuple[str, str]) -> None:
    for name in [*PARAMETERS, "fairlead", "provider", "models", "functions", "function_call"]:
        members.pop(name, None)
    text = json.dumps({**members, "model": "m", "messages": HELLO}, separators=layout, ensure_ascii=False)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return
    request = parse_chat(encoded)
    known = {"model", "messages"}
    assert set(request.given) == {name for name, value in members.items() if value is not None} - known


DATA: dict[str, Any] = {
    "image_url": {"url": PIXEL, "detail": "low"},
    "input_audio": {"data": "UklGRg==", "format": "wav"},
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
    "video_url": {"url": "data:video/mp4;base64,AAAA"},
}
BITS = {"image_url": media.IMAGE, "input_audio": media.AUDIO, "file": media.FILE, "video_url": media.VIDEO}
ADDRESSES: dict[str, Any] = {
    "image_url": {"url": "https://example.com/a.png?x=1&y=%20#z"},
    "file": {"file_data": "https://example.com/a.pdf"},
    "video_url": {"url": "http://example.com:8080/a.mp4"},
}


def with_part(type_: str, value: Any, role: str = "user", **more: Any) -> bytes:
    message = {"role": role, "content": [{"type": "text", "text": "what?"}, {"type": type_, type_: value}], **more}
    return body(messages=[*HELLO, message, *HELLO])


@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
@pytest.mark.parametrize("type_", DATA)
def test_images_audio_files_and_video_are_taken_in_messages_of_these_roles(type_: str, role: str) -> None:
    more = {"tool_call_id": "c"} if role == "tool" else {}
    request = parse_chat(with_part(type_, DATA[type_], role, **more))
    assert request.media == BITS[type_] | (media.ASSISTANT if role == "assistant" else 0)
    with pytest.raises(UnsupportedContent, match="system messages hold text only"):
        parse_chat(with_part(type_, DATA[type_], "system"))


@pytest.mark.parametrize("type_", ADDRESSES)
def test_what_is_at_an_address_is_taken_and_known_as_such(type_: str) -> None:
    text = with_part(type_, ADDRESSES[type_])
    assert parse_chat(text).media == BITS[type_] | media.ADDRESS
    # Go's encoder writes & as an escape.
    assert parse_chat(text.replace(b"&", b"\\u0026")).media == BITS[type_] | media.ADDRESS
    assert parse_chat(text.replace(b'": "', b'" :\n"')).media == BITS[type_] | media.ADDRESS


def test_a_file_may_be_known_by_its_id() -> None:
    assert parse_chat(with_part("file", {"file_id": "file-1"})).media == media.FILE | media.FILE_ID


@pytest.mark.parametrize(
    ("type_", "value", "param"),
    [
        ("image_url", None, ".image_url"),
        ("image_url", "https://a.example/b.png", ".image_url"),
        ("image_url", [], ".image_url"),
        ("image_url", {}, ".image_url"),
        ("image_url", {"url": 5}, ".image_url.url"),
        ("image_url", {"url": ""}, ".image_url.url"),
        ("image_url", {"url": PIXEL, "detail": "huge"}, ".image_url.detail"),
        ("image_url", {"url": "file:///etc/passwd"}, ".image_url.url"),
        ("image_url", {"url": "ftp://example.com/a.png"}, ".image_url.url"),
        ("image_url", {"url": "data:text/html;base64,AAAA"}, ".image_url.url"),
        ("image_url", {"url": "data:image/png;base64,"}, ".image_url.url"),
        ("image_url", {"url": "https://example.com/a b"}, ".image_url.url"),
        ("image_url", {"url": "https://example.com\\@127.0.0.1/"}, ".image_url.url"),
        ("image_url", {"url": "https://user:password@example.com/"}, ".image_url.url"),
        ("image_url", {"url": "https://example.com/" + "a" * LONGEST_URL}, ".image_url.url"),
        ("input_audio", {}, ".input_audio"),
        ("input_audio", {"data": "UklG"}, ".input_audio"),
        ("input_audio", {"data": "", "format": "wav"}, ".input_audio.data"),
        ("input_audio", {"data": "https://example.com/a.wav", "format": "WAV!"}, ".input_audio.format"),
        ("file", {}, ".file"),
        ("file", {"file_id": "a", "file_data": "data:application/pdf;base64,AA"}, ".file"),
        ("file", {"file_id": ""}, ".file.file_id"),
        ("file", {"file_data": "JVBERi0="}, ".file.file_data"),
        ("file", {"file_data": "data:application/pdf,x"}, ".file.file_data"),
        ("video_url", {"url": PIXEL}, ".video_url.url"),
        ("unheard_of", {}, ""),
    ],
)
def test_a_malformed_part_is_refused_by_its_path(type_: str, value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(with_part(type_, value))
    assert caught.value.param == f"messages[1].content[1]{param}"


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1",
        "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "localhost.",
        "metadata.google.internal", "printer.local", "db", "a.localhost", "[::x]",
    ],
)  # fmt: skip
def test_no_address_of_a_private_network_is_passed_on(host: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(with_part("image_url", {"url": f"http://{host}/latest"}))
    assert caught.value.param == "messages[1].content[1].image_url.url"


def test_what_was_checked_is_what_an_engine_reads() -> None:
    """Of two members of one name, or of one written with escapes, an engine may read the other one."""
    image = with_part("image_url", {"url": PIXEL})
    for name in (b'"url"', b'"\\u0075rl"'):
        for layout in (b'{%b: "http://169.254.169.254/", "url": ', b'{%b:"http://169.254.169.254/","url":'):
            with pytest.raises(InvalidRequest, match="twice"):
                parse_chat(image.replace(b'{"url": ', layout % name))
    for name in (b'"image_url"', b'"image\\u005furl"'):
        twice = image.replace(b', "image_url": {', b', %b: {"url": "http://169.254.169.254/"}, "image_url": {' % name)
        assert twice != image
        with pytest.raises(InvalidRequest, match="twice"):
            parse_chat(twice)
    with pytest.raises(InvalidRequest, match="twice"):
        parse_chat(image.replace(b'"type": "image_url"', b'"type": "video_url", "type": "image_url"'))


def test_a_last_assistant_message_is_a_prefill_and_tool_history_is_seen() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    done = {"role": "tool", "tool_call_id": "c", "content": "1"}
    assert parse_chat(body(messages=[*HELLO, {"role": "assistant", "content": "Sure"}])).prefill == "Sure"
    parts = [{"type": "text", "text": "Su"}, {"type": "text", "text": "re"}]
    assert parse_chat(body(messages=[*HELLO, {"role": "assistant", "content": parts}])).prefill == "Sure"
    assert parse_chat(body()).prefill is None
    assert parse_chat(body(messages=[*HELLO, asked, done])).has_tool_history
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body(messages=[*HELLO, asked, {"role": "tool", "content": "1"}]))
    assert caught.value.param == "messages[2].tool_call_id"


def test_every_bound_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "internals" / "wire.md").read_text()
    found = {name: value for name, value in vars(bounds).items() if name.isupper()}
    assert len(found) > 15
    for name, value in found.items():
        assert f"| `{name}` | {value:,} |" in text
