"""Events that are passed on as they came, in whatever pieces they come and however their lines end."""

from __future__ import annotations

import pytest

from fairlead.providers.frames import FrameReader, payload_of


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", range(1, 9))
def test_events_are_whole_whatever_the_pieces(end: bytes, size: int) -> None:
    lines = [b"event: a", b"data: 1", b"", b": comment", b"", b"data: 2", b""]
    data = b"".join([line + end for line in lines])
    made = FrameReader()
    found = [event for at in range(0, len(data), size) for event in made.feed(data[at : at + size])]
    if end == b"\r":  # the last one may be the beginning of "\r\n"
        found += made.feed(b"")
    assert b"".join(found) == data
    assert len(found) == 3


@pytest.mark.parametrize(
    ("frame", "payload"),
    [
        (b"data: 1\n\n", b"1"), (b"event: a\ndata: 1\n\n", b"1"), (b"data:1\n\n", b"1"), (b": x\n\n", b""),
        (b"data: 1\ndata: 2\n\n", b"1\n2"), (b"event: a\r\ndata: 1\r\n\r\n", b"1"), (b"event: a\ndata: 1\nid: 5\n\n", b"1"),
        (b"\n\n", b""), (b"data: 1\ndata:2\n\n", b"1\n2"), (b"event: a\ndata: 1\ndata: 2\n\n", b"1\n2"), (b"data: 1", b"1"), (b"data: \n\n", b""),
    ],
)  # fmt: skip
def test_the_payload(frame: bytes, payload: bytes) -> None:
    assert payload_of(frame) == payload
