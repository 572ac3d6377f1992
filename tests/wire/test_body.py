"""A body keeps its bytes where nothing is changed."""

from __future__ import annotations

import json

import pytest

from fairlead.errors import InvalidRequest
from fairlead.wire.body import members_of, with_members

BODIES = [
    b'{"model":"a","input":"hi","provider":{"only":["x"]}}',
    b'{ "provider" : {"model": "inner"} ,\n\t"model" :"a" , "input": [ 1, 2 ]\r\n}  ',
    b'{"provider":1,"input":"{\\"model\\": \\"a\\"}","model":"a"}',
    b'\n {"input":"\xc3\xa4","model":"\\u0061","provider":[]}\n',
]


@pytest.mark.parametrize("body", BODIES)
def test_a_value_is_replaced_where_it_stands_and_everything_else_keeps_its_bytes(body: bytes) -> None:
    fields = members_of(body)
    changed = with_members(body, fields, {"model": b'"b"'})
    assert json.loads(changed) == {**json.loads(body), "model": "b"}
    before, _, after = changed.partition(b'"b"')
    assert body.startswith(before)
    assert body.endswith(after)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("gone", [("provider",), ("provider", "input"), ("provider", "input", "model")])
def test_members_are_left_out_and_added(body: bytes, gone: tuple[str, ...]) -> None:
    fields = members_of(body)
    expected = {name: value for name, value in json.loads(body).items() if name not in gone}
    assert json.loads(with_members(body, fields, dict.fromkeys(gone))) == expected
    added = with_members(body, fields, {**dict.fromkeys(gone), "max": b"5"})
    assert json.loads(added) == {**expected, "max": 5}


def test_an_empty_object() -> None:
    assert with_members(b" { } ", members_of(b" { } "), {"a": b"1"}) == b' {"a":1} '
    assert with_members(b"{}", {}, {"a": b"1"}) == b'{"a":1}'


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"{", b'{"a":1}x', b'{"a":1,"a":2}', b"\xff", b'{"a":' + b"[" * 100_000, b"nul"],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        members_of(body)


def test_many_members_and_long_names_are_refused() -> None:
    for body in (
        b"{" + b",".join(b'"%d":1' % at for at in range(300)) + b"}",
        b'{"' + b"n" * 300 + b'":1}',
        b'{"a":"' + b"x" * 70_000 + b'","b":1,"b":2}',
    ):
        with pytest.raises(InvalidRequest):
            members_of(body)
