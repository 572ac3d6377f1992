"""What a caller may send: everything valid passes untouched, everything else is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.wire.chat import MOST_STOPS, PARAMETERS, parse_chat

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


def test_images_come_as_data_and_never_as_addresses() -> None:
    def message(*parts: Any, role: str = "user") -> bytes:
        return body(messages=[{"role": role, "content": list(parts)}])

    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}
    assert parse_chat(message({"type": "text", "text": "what?"}, image)).has_images
    for url in (
        "http://127.0.0.1/x",
        "https://a/b.png",
        "file:///etc/passwd",
        "data:text/html;base64,AAAA",
        "data:image/png;base64,",
    ):
        with pytest.raises(UnsupportedContent):
            parse_chat(message({"type": "image_url", "image_url": {"url": url}}))
    with pytest.raises(UnsupportedContent):
        parse_chat(message(image, role="system"))
    with pytest.raises(UnsupportedContent):
        parse_chat(message({"type": "input_audio", "input_audio": {}}))
    twice = message(image).replace(b'{"url": ', b'{"url": "http://169.254.169.254/", "url": ')
    with pytest.raises(InvalidRequest):
        parse_chat(twice)
    hidden = message(image).replace(b'{"url": ', b'{"\\u0075rl": "http://169.254.169.254/", "url": ')
    with pytest.raises(InvalidRequest):
        parse_chat(hidden)


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
