"""Reads a Messages request: its body, decompressed, and what goes on with it to a provider of the same API."""

from __future__ import annotations

from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.wire.messages.request import MessagesRequest, parse_messages
from fairlead.wire.native import NativeRequest, NativeTemplate

# Of headers that go on as they came, how their names begin.
FORWARDED = b"anthropic-"
# How keys made here begin: none goes on to a provider.
KEYS = "sk-fl-"


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
    query = request.query
    if KEYS in query:  # a key of ours, at a place where this API has none
        query = "&".join([part for part in query.split("&") if KEYS not in part])
    return parse_messages(request.body, query, b"".join(lines))
