"""The header `traceparent`: the trace that a caller's request belongs to. https://www.w3.org/TR/trace-context/"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class TraceContext(NamedTuple):
    """A span that others are children of. `sampled`: it is recorded, and so are they."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(header: bytes) -> TraceContext | None:
    """None for what is no traceparent: then, by the standard, a new trace begins."""
    found = _FORM.fullmatch(header.strip())
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED))
