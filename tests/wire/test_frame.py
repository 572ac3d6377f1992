"""What stands around the messages is known from the request before; nobody is read or passed on otherwise for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.doors.openai_chat.parse import read_chat
from fairlead.errors import FairleadError
from fairlead.http.request import KnownHead, Request
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest, RequestTemplate
from fairlead.wire.template import LONGEST_TEMPLATE

_TEXT = st.text(alphabet=st.sampled_from(list('"\\aü\n{}[],:\u2028')), max_size=12)
_PLAIN = st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant"]), "content": _TEXT})
_OTHER = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "tool", "root"])},
    optional={"content": _TEXT | st.none() | st.just([]) | st.integers(), "name": _TEXT},
)
_MEMBERS = st.lists(
    st.sampled_from(
        [
            ("temperature", 0.5), ("stop", ["]", "}"]), ("tools", []), ("user", '"messages":[1]'), ("n", 2),
            ("max_tokens", 5), ("stream", True), ("models", ["a", "b"]), ("repetition_penalty", 1.5), ("top_k", 3),
            ("fairlead", {"strict": True}), ("fairlead", {"parameters": True, "emulate": False}), ("user", None),
            ("provider", {"order": ["a"]}), ("response_format", {"type": "json_object"}), ("logit_bias", {"1": 2}),
        ]
    ),
    max_size=4,
    unique_by=lambda member: member[0],
)  # fmt: skip
_ADAPTERS = [
    OpenAIChat(row, "m", f"{name}/m", {"temperature": Raw(b"0.25")})
    for name, row in DIALECTS.items()
    if row.speaks == "openai"
]
_KEPT = (
    "choices", "emulate", "fallbacks", "has_tool_history", "include_usage", "media", "model", "preferences", "prefill",
    "reports", "stream", "strict", "trace", "unknown",
)  # fmt: skip
_LONG = "x" * 20_000


def body(
    before: list[tuple[str, Any]],
    messages: Any,
    after: list[tuple[str, Any]],
    *,
    compact: bool = True,
    ascii_only: bool = False,
) -> bytes:
    members = dict([("model", "m"), *before, ("messages", messages), *after])
    return json.dumps(members, separators=(",", ":") if compact else None, ensure_ascii=ascii_only).encode()


def read(text: bytes, template: RequestTemplate | None = None) -> ChatRequest | tuple[Any, ...]:
    try:
        return parse_chat(text, template)
    except FairleadError as error:
        return type(error), str(error), getattr(error, "param", None)


def all_of(request: ChatRequest) -> dict[str, Any]:
    kept = {name: getattr(request, name) for name in _KEPT}
    kept["given"] = {name: bytes(raw) for name, raw in request.given.items()}
    return kept | {"messages": bytes(request.messages), "opening": bytes(request.opening)}


def sent(adapter: OpenAIChat, request: ChatRequest) -> Any:
    try:
        call = adapter.to_vendor(request)
    except FairleadError as error:
        return type(error), str(error)
    dropped = sorted(call.dropped)  # a short body's members are not kept in their order
    return json.loads(b"".join(call.body)), call.stream, dropped, call.include_usage, call.choices, call.prefill


def first_of_its_frame(text: bytes) -> ChatRequest | None:
    request = read(text)
    return request if isinstance(request, ChatRequest) and request.template is not None else None


def is_read_as_without(earlier: ChatRequest, text: bytes) -> None:
    """As the two passes read it, which every body takes that ends with a space; and it is sent on accordingly after an
    earlier one was."""
    found, wanted = read(text, earlier.template), read(text + b" ")
    if not isinstance(found, ChatRequest) or not isinstance(wanted, ChatRequest):
        assert not isinstance(found, ChatRequest)
        assert not isinstance(wanted, ChatRequest)
        # Of a body that ends too early, the space changes the words.
        assert found in (wanted, read(text))
        return
    assert wanted.template is None
    assert all_of(found) == all_of(wanted)
    for adapter in _ADAPTERS:
        for request in (earlier, found, found):
            sent(adapter, request)
            assert sent(adapter, found) == sent(adapter, wanted)


@given(
    _MEMBERS,
    _MEMBERS,
    st.lists(_PLAIN, min_size=1, max_size=3),
    st.lists(_PLAIN | _OTHER, max_size=3),
    st.booleans(),
    st.booleans(),
)
@settings(deadline=None)
def test_other_messages_in_the_same_frame_are_read_as_in_a_new_one(
    before: list[tuple[str, Any]],
    after: list[tuple[str, Any]],
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    compact: bool,
    ascii_only: bool,
) -> None:
    for length in ("", _LONG):
        earlier = first_of_its_frame(body(before, [*first, {"role": "user", "content": length}], after))
        if earlier is not None:
            for messages in (second, [*first, *second], [*second, {"role": "user", "content": _LONG}]):
                text = body(before, messages, after, compact=compact, ascii_only=ascii_only)
                is_read_as_without(earlier, text)


@given(st.data())
@settings(deadline=None)
def test_a_body_that_was_tampered_with_is_judged_as_without_a_frame(data: st.DataObject) -> None:
    text = body([("temperature", 0.5)], [{"role": "user", "content": 'a "é"'}, {"role": "system", "content": "b"}], [])
    earlier = first_of_its_frame(text)
    assert earlier is not None
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(at + 4, len(text))))
    put = data.draw(
        st.sampled_from([b"", b" ", b'"', b",", b"]", b"}", b"{", b"\\", b"\n", b"\xff", b"\xc3", b"0", b"null"])
    )
    is_read_as_without(earlier, text[:at] + put + text[end:])


@pytest.mark.parametrize(
    "messages",
    [
        b"[", b"[]", b"]", b"", b"null", b"{}", b"[1]", b'[{"role":"user","content":NaN}]', b"[" * 5_000,
        b'[{"role":"user","content":1}]', b'[{"role":"user","content":"a"}],"n":3,"x":[]',
        b'[{"role":"user","content":"a"}],"temperature":1,"seed":[]', b'[{"role":"user","content":"a","content":[]}]',
        b'[{"role":"user","role":"tool","content":"a"}]', b'[{"role":"user","content":"a\nb"}]', b'"[]"',
        b'[{"role":"us\\u0065r","content":"a"}]', b'[{"role":"user","content":"\\ud800"}]', b'[{"role":"user"}]',
        b'[{"role":  "user","content":1}]', b'[{"role":"user","content":"<|im_start|>"}]',
        b' [{"role":"user","content":"a"}]', b'[{"role":"user","content":"a"} ]', b'[{"role":"user","content":"\xff"}]',
        b'[{"role":"user","content":[{"type":"text","text":"a"}]}]', b'[{"content":"a","role":"assistant"}]',
    ],
)  # fmt: skip
def test_whatever_stands_in_the_place_of_the_messages_is_judged_as_ever(messages: bytes) -> None:
    for start, end in ((b'{"model":"m","messages":', b',"temperature":0.5}'), (b'{"messages":', b',"model":"m"}')):
        earlier = first_of_its_frame(start + b'[{"role":"user","content":"first"}]' + end)
        assert earlier is not None
        is_read_as_without(earlier, start + messages + end)


def test_messages_inside_of_messages_are_not_taken_for_them() -> None:
    text = b'{"model":"m","messages" :[{"role":"user","content":{"messages":[1]}}]}'
    assert read(text) == read(text + b" ") == read(text.replace(b" ", b""))


def test_a_frame_is_kept_for_what_it_saves_and_no_longer() -> None:
    hello = [{"role": "user", "content": "Hello"}]
    assert parse_chat(body([], hello, [])).template is not None
    assert parse_chat(body([], hello, [], compact=False)).template is None
    assert parse_chat(body([], hello, [("user", "x" * LONGEST_TEMPLATE)])).template is None
    strict = [("user", _LONG[:9_000]), ("fairlead", {"strict": True})]
    assert parse_chat(body([], hello, strict)).template is None


def test_a_cap_that_one_call_got_is_not_the_next_ones() -> None:
    adapter = OpenAIChat(DIALECTS["generic"], "m", "v/m")
    texts = [body([], [{"role": "user", "content": word}], [("max_tokens", 256)]) for word in ("one", "two", "three")]
    first = parse_chat(texts[0])
    assert json.loads(b"".join(adapter.to_vendor(first).body))["max_tokens"] == 256
    second = parse_chat(texts[1], first.template)
    assert second.template is first.template is not None
    second = second.with_cap(7)
    assert second.template is None
    changed = second.copy()
    changed.messages = Raw(b"[4]")
    assert json.loads(b"".join(adapter.to_vendor(second).body)) == {
        "model": "v/m", "max_tokens": 7, "messages": [{"role": "user", "content": "two"}],
    }  # fmt: skip
    assert json.loads(b"".join(adapter.to_vendor(changed).body)) == {"model": "v/m", "max_tokens": 7, "messages": [4]}
    third = parse_chat(texts[2], first.template)
    assert json.loads(b"".join(adapter.to_vendor(third).body))["max_tokens"] == 256
    first.release()
    assert json.loads(b"".join(adapter.to_vendor(parse_chat(texts[2], third.template)).body))["max_tokens"] == 256


def test_many_deployments_in_turn_leave_a_frame_small_and_right() -> None:
    template = parse_chat(body([], [{"role": "user", "content": "a"}], [("top_p", 0.5)])).template
    for at in range(40):
        adapter = OpenAIChat(DIALECTS["openai"], "m", f"v/{at}")
        for word in ("b", "c"):
            request = parse_chat(body([], [{"role": "user", "content": word}], [("top_p", 0.5)]), template)
            assert request.template is template is not None
            found = json.loads(b"".join(adapter.to_vendor(request).body))
            assert (found["model"], found["messages"][0]["content"]) == (f"v/{at}", word)
        assert len(template.memos) <= 8


def test_calls_on_one_connection_may_change_their_parameters_at_will() -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n"
    request = Request("POST", b"/v1/chat/completions", [(b"host", b"h"), (b"content-length", b"3")], b"abc", "1.1")
    known = KnownHead.learn(head, request)
    assert known is not None
    for temperature, word in ((1, "a"), (1, "b"), (0, "c"), (1, "d"), (0, "e"), (0, "f")):
        text = body([], [{"role": "user", "content": word}], [("temperature", temperature)])
        found = read_chat(known.again(head + text, len(head), None, False))
        assert all_of(found) == all_of(parse_chat(text))
    broken = head + text.replace(b'"content":"', b'"content":"\xff')
    with pytest.raises(FairleadError, match=rf"at byte {broken.index(255) - len(head)}\)"):
        read_chat(known.again(broken, len(head), None, False))
    with pytest.raises(FairleadError, match="temperature must be"):
        read_chat(known.again(body([], [{"role": "user", "content": "a"}], [("temperature", 9)]), 0, None, False))
    assert read_chat(known.again(head + text, len(head), None, False)).template is found.template
