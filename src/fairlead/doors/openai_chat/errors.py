"""Errors in a stream of chat completions."""

from __future__ import annotations

from typing import Final

from fairlead.doors.openai_errors import error_body
from fairlead.errors import FairleadError

_LAST_CHOICE: Final = b',"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}'


def error_event(error: FairleadError) -> bytes:
    """The same as the last event of a stream that has begun, which ends for this reason; no `[DONE]` follows it."""
    return b"data: %b%b\n\n" % (error_body(error)[:-1], _LAST_CHOICE)
