"""Reads a Messages request: its body, decompressed, and what goes on with it to a provider of the same API."""

from __future__ import annotations

from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.wire.messages.request import MessagesRequest, parse_messages
from fairlead.wire.native import NativeRequest, NativeTemplate

# Of headers that go on as they came, how their names begin.
FORWARDED = b"anthropic-"


def read_messages(request: Request) -> NativeRequest:
    """What stands around the messages may be known from the request before. Raises CallerError."""
    known = request.known
    if known is not None:
        template = known.template
        if isinstance(template, NativeTemplate):
            again = template.again(request.body)
            if again is not None:
                return again
    made = _read(request)
    if known is not None:
        known.template = NativeTemplate.of(made, "messages")
    return made


def _read(request: Request) -> MessagesRequest:
    decode_body(request)
    lines = [b"%b: %b\r\n" % (name, value) for name, value in request.headers if name.startswith(FORWARDED)]
    return parse_messages(request.body, request.query, b"".join(lines))
