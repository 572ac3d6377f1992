"""A head that was seen before is not parsed again; a request is never read otherwise for it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.request import KnownHead, Request

HEAD = b"POST /v1/x?a=1 HTTP/1.1\r\nhost: h\r\nContent-Length: 3\r\nauthorization: Bearer k\r\n\r\n"


def known(head: bytes = HEAD, body: bytes = b"abc") -> KnownHead | None:
    lines = head.split(b"\r\n")[1:-2]
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    return KnownHead.learn(head, Request("POST", b"/v1/x?a=1", headers, body, "1.1"))


def test_the_same_head_with_another_length_is_the_same_request_with_another_body() -> None:
    seen = known()
    assert seen is not None
    assert seen.body_at(HEAD + b"abc") == len(HEAD)
    longer = HEAD.replace(b": 3", b": 12") + b"hello, world"
    at = seen.body_at(longer)
    again = seen.again(longer, at, None, False)
    assert again.block[again.at :] == b"hello, world"
    assert (again.method, again.path, again.query) == ("POST", "/v1/x", "a=1")
    assert again.header(b"content-length") == b"12"
    assert again.header(b"authorization") == b"Bearer k"
    assert again.body == again.body == b"hello, world"
    assert again.header(b"content-length") == b"12"


def test_what_is_not_exactly_one_whole_message_is_left_to_the_parser() -> None:
    seen = known()
    assert seen is not None
    for data in (
        HEAD + b"ab",
        HEAD + b"abcd",
        HEAD[:-1],
        HEAD.replace(b": 3", b": +3") + b"abc",
        HEAD.replace(b": 3", b":  3") + b"abc",
        HEAD.replace(b": 3", b": 3 ") + b"abc",
        HEAD.replace(b": 3", b": ") + b"",
        HEAD.replace(b": 3", b": 00000000003") + b"abc",
        HEAD.replace(b": 3", b": \xb2") + b"ab",
        HEAD.replace(b"Bearer k", b"Bearer K") + b"abc",
        HEAD.replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n") + b"abc",
        b"",
    ):
        assert seen.body_at(data) == -1, data


def test_heads_that_decide_more_than_a_length_are_not_learned() -> None:
    for line in (b"transfer-encoding: chunked", b"expect: 100-continue", b"upgrade: h2c", b"connection: close"):
        assert known(HEAD.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")) is None
    assert known(HEAD.replace(b"Content-Length: 3\r\n", b"")) is None
    assert known(HEAD.replace(b"host: h", b"content-length: 3")) is None
    assert known(HEAD.replace(b"Content-Length: 3", b"Content-Length:3")) is None


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_one_changed_byte_of_the_head_is_never_overlooked(data: st.DataObject) -> None:
    seen = known()
    assert seen is not None
    at = data.draw(st.integers(0, len(HEAD) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = HEAD[:at] + bytes([byte]) + HEAD[at + 1 :]
    digits = HEAD.index(b": 3") + 2
    if changed != HEAD and at != digits:
        assert seen.body_at(changed + b"abc") == -1
