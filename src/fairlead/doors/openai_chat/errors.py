"""Errors in a stream of chat completions."""

from __future__ import annotations

import time
from typing import Final

from fairlead.doors.openai_errors import error_body
from fairlead.errors import FairleadError

_CHUNK: Final = b',"id":"","object":"chat.completion.chunk","created":%d,"model":""'
_LAST_CHOICE: Final = b',"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}'


def error_event(error: FairleadError) -> bytes:
    """The end of a stream that has begun, and ends for this reason; no `[DONE]` follows. Twice: with a choice, as
    OpenRouter writes it, for clients that look for a finish reason; and bare, as OpenAI does, because the AI SDK
    (`@ai-sdk/openai`) takes whatever has choices for a chunk and never sees the error in it. Below `/api/v1` only as
    OpenRouter does: its SDK takes no event that is not a whole chunk."""
    body = error_body(error)
    if error.numbered:
        return b"data: %b%b%b\n\n" % (body[:-1], _CHUNK % int(time.time()), _LAST_CHOICE)
    return b"data: %b%b\n\ndata: %b\n\n" % (body[:-1], _LAST_CHOICE, body)
