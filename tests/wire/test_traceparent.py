"""A caller's `traceparent` is read as its standard has it, and what is none is not taken for one."""

from __future__ import annotations

import pytest

from fairlead.wire.traceparent import TraceContext, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_a_trace_its_span_and_whether_it_is_recorded(flags: str, sampled: bool) -> None:
    found = parse_traceparent(f" 00-{TRACE}-{SPAN}-{flags} ".encode())
    assert found == TraceContext(int(TRACE, 16), int(SPAN, 16), sampled)


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-comes".encode()) is not None
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-01-what-comes".encode()) is None


@pytest.mark.parametrize(
    "header",
    [
        "", "nonsense", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-1",
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_new_trace(header: str) -> None:
    assert parse_traceparent(header.encode()) is None
