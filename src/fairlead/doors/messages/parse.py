"""Reads a Messages request: its body, decompressed, and what goes on with it to a provider of the same API."""

from __future__ import annotations

from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.wire.messages.request import MessagesRequest, parse_messages

# Of headers that go on as they came, how their names begin.
FORWARDED = b"anthropic-"


def read_messages(request: Request) -> MessagesRequest:
    """Raises CallerError."""
    decode_body(request)
    lines = [b"%b: %b\r\n" % (name, value) for name, value in request.headers if name.startswith(FORWARDED)]
    return parse_messages(request.body, request.query, b"".join(lines))
