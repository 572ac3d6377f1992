"""Events in any pieces, and what a long one costs."""

from __future__ import annotations

import pytest

from fairlead.errors import UpstreamInvalid
from fairlead.providers.sse import MAX_EVENT_BYTES, EventReader

STREAM = b": a comment\n\ndata: one\n\nevent: x\ndata: two\ndata: three\n\n\n\ndata: four\r\n\r\ndata: \xc3\xa9\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, len(STREAM)])
def test_events_come_whole_in_whatever_pieces_they_arrive(size: int) -> None:
    reader = EventReader()
    found = [event for at in range(0, len(STREAM), size) for event in reader.feed(STREAM[at : at + size])]
    assert found == [b"one", b"two\nthree", b"four", b"\xc3\xa9"]


@pytest.mark.timeout(120)  # put together anew with every block, it would take minutes
def test_a_giant_event_in_small_pieces_costs_no_more_than_its_bytes() -> None:
    reader, block = EventReader(), b"a" * 256
    count = (MAX_EVENT_BYTES - 1024) // len(block)
    assert reader.feed(b"data: ") == []
    for _ in range(count):
        assert reader.feed(block) == []
    assert reader.feed(b"\n\n") == [block * count]
    assert reader.feed(b"data: next\n\n") == [b"next"]


def test_an_event_beyond_the_bound_is_refused() -> None:
    reader = EventReader()
    reader.feed(b"data: ")
    with pytest.raises(UpstreamInvalid):
        for _ in range(MAX_EVENT_BYTES // 65_536 + 1):
            reader.feed(b"a" * 65_536)
