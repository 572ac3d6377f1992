"""A long prompt is read in one pass only where the two passes would find the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.wire import chat
from fairlead.wire.fast_parse import FastParse

_TEXT = st.text(alphabet=st.sampled_from(list('"\\aü\n{}[],:\u2028')), max_size=12)
_ROLE = st.sampled_from(["user", "system", "developer", "assistant", "tool", "root"])
_MESSAGE = st.fixed_dictionaries(
    {"role": _ROLE}, optional={"content": _TEXT | st.none() | st.just([]) | st.integers(), "name": _TEXT}
) | st.fixed_dictionaries({"role": st.just("user"), "content": _TEXT})
_MEMBER = st.sampled_from(
    [
        ("model", "m"), ("temperature", 0.5), ("stop", ["]", "}"]), ("tools", []), ("user", '"messages":[1]'), ("n", None),
        ("max_tokens", 5), ("stop", '"messages":['), ("stream_options", {"include_usage": True}),
        ("stream_options", {"messages": [1], "include_usage": True}), ("models", ["a", "b"]), ("metadata", {"messages": "[]"}), ("unknown", [1]), ("unknown", '"'), ("functions", []),
    ]
)  # fmt: skip


def written(members: list[tuple[str, Any]], separators: tuple[str, str], ascii_only: bool) -> bytes:
    """JSON that may have a member twice, which a dictionary has not."""
    comma, colon = separators
    inside = comma.join(
        json.dumps(name) + colon + json.dumps(value, separators=separators, ensure_ascii=ascii_only)
        for name, value in members
    )
    return f"{{{inside}}}".encode()


@given(
    st.lists(_MESSAGE, min_size=1, max_size=4),
    st.lists(_MEMBER, max_size=5),
    st.lists(_MESSAGE, max_size=2),
    st.integers(0, 5),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
)
@example([{"role": "user", "content": "a"}], [("model", "m"), ("user", "x")], [], 1, (",", ":"), False)
@example([{"content": "a", "role": "user"}], [("model", "m")], [], 0, (",", ":"), False)
@example([{"role": "user", "content": [{"content": '"'}]}], [("model", "m")], [], 0, (",", ":"), False)
# The first messages are as long as what the second ones lack.
@example([{"role": "assistant"}], [("model", "m")], [{"role": "user", "content": "x"}], 0, (",", ":"), False)
def test_one_pass_finds_what_two_find(
    messages: list[dict[str, Any]],
    members: list[tuple[str, Any]],
    earlier: list[dict[str, Any]],
    at: int,
    separators: tuple[str, str],
    ascii_only: bool,
) -> None:
    everything = [*members[:at], ("messages", messages), *members[at:]]
    if earlier:
        everything.insert(0, ("messages", earlier))
    body = written(everything, separators, ascii_only)
    for once in (chat._once.read(body), chat._usual.read(body)):
        if once is not None:
            as_two_passes_find_it(once, body, everything)
            assert separators == (",", ":")


def as_two_passes_find_it(once: FastParse, body: bytes, everything: list[tuple[str, Any]]) -> None:
    assert len({name for name, _ in everything}) == len(everything), "a member that comes twice is not taken"
    fields = chat._split(body)
    assert set(once.fields) == set(fields)
    assert {name: bytes(raw) for name, raw in once.fields.items()} == {n: bytes(raw) for n, raw in fields.items()}
    media, has_tools, prefill, opening = chat._check_messages(fields["messages"])
    assert (media, has_tools) == (0, False)
    assert (once.prefill, bytes(once.opening)) == (prefill, bytes(opening))


def test_what_sdks_send_is_read_in_one_pass() -> None:
    texts = ['quotes "so" and\nlines, 20°', "an answer", "the end"]
    roles = ["system", "user", "user"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    for members in (
        {"messages": messages, "model": "m", "stream": True, "stream_options": {"include_usage": True}},
        {"model": "m", "temperature": 1, "messages": messages},
    ):
        body = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
        for once in (chat._once.read(body), chat._usual.read(body)):
            assert once is not None
            assert json.loads(bytes(once.fields["messages"])) == messages


def test_a_long_body_is_judged_as_a_short_one() -> None:
    long = "x" * 20_000
    good = {"model": "m", "messages": [{"role": "user", "content": long}], "temperature": 0.5}
    assert bytes(chat.parse_chat(json.dumps(good, separators=(",", ":")).encode()).given["temperature"]) == b"0.5"
    wrong = {
        "temperature": good | {"temperature": 7},
        "functions": good | {"functions": []},
        "messages": good | {"messages": []},
        "messages[0].tool_calls": good | {"messages": [{"role": "user", "content": long, "tool_calls": [1]}]},
        "messages[0].content[0].image_url": good
        | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a"}}]}]},
        "model": good | {"model": 5},
    }
    for param, members in wrong.items():
        for pad in ("", " " * 9_000):
            body = json.dumps(members, separators=(",", ":")).encode() + pad.encode()
            with pytest.raises((InvalidRequest, UnsupportedContent)) as refused:
                chat.parse_chat(body)
            assert refused.value.param is not None
            assert refused.value.param.startswith(param)


@pytest.mark.parametrize("at", [0, 1, 65_534, 65_535, 65_536, 70_000])
def test_a_byte_that_is_no_utf8_is_found_where_it_is(at: int) -> None:
    text = ("é" * 40_000).encode()
    start = b'{"model":"m","messages":[{"role":"user","content":"'
    end = b'"}]}'
    assert chat.parse_chat(start + text + end)
    broken = text[: at // 2 * 2] + b"\xff" + text[at // 2 * 2 :]
    with pytest.raises(InvalidRequest, match=rf"at byte {len(start) + at // 2 * 2}\)"):
        chat.parse_chat(start + broken + end)
    with pytest.raises(InvalidRequest, match="not valid UTF-8"):
        chat.parse_chat(start + text + end + b"\xc3")
