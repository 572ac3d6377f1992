"""Errors as Google's APIs write them (`wire/gemini/framing.py`)."""

from __future__ import annotations

from fairlead.errors import FairleadError
from fairlead.wire.gemini.framing import Framing, error_document
from fairlead.wire.heads import JSON_HEAD


def error_head(error: FairleadError) -> bytes:
    return JSON_HEAD + b"www-authenticate: Bearer\r\n" if error.status == 401 else JSON_HEAD


def error_body(error: FairleadError) -> bytes:
    return error_document(error)


def error_event(error: FairleadError) -> bytes:
    """The same as the last event of a stream that has begun."""
    return Framing(is_array=False).failed(error)
