"""Reads a request of Gemini's API: what is asked of which model stands in its path."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from fairlead.doors.gemini.credential import is_events, passed_on
from fairlead.errors import InvalidRequest, NotFound
from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.wire.gemini.request import COUNT, GENERATE, STREAM, GeminiRequest, parse_gemini
from fairlead.wire.native import NativeRequest, NativeTemplate

ACTIONS: Final = frozenset({GENERATE, STREAM, COUNT})
LONGEST_NAME: Final = 256
_BEFORE: Final = "/models/"


def read_gemini(request: Request) -> NativeRequest:
    """What stands around the contents may be known from the request before. Raises CallerError."""
    known = request.known
    if known is not None:
        template = known.template
        if isinstance(template, NativeTemplate):
            again = template.again(request.body)
            if again is not None:
                return again
    made = _read(request)
    if known is not None and made.members.get("contents") is made.fields.get("contents"):  # not that of a count
        known.template = NativeTemplate.of(made, "contents")
    return made


def _read(request: Request) -> GeminiRequest:
    _, _, named = request.path.partition(_BEFORE)
    model, _, action = named.rpartition(":")
    if action not in ACTIONS:
        raise NotFound(f"There is no {request.path} here.")
    model = unquote(model).removeprefix("models/")
    if not 0 < len(model) <= LONGEST_NAME:
        raise InvalidRequest("The path needs the id of a model.", param="model")
    decode_body(request)
    query = request.query
    return parse_gemini(request.body, model, action, passed_on(query), is_array=not is_events(query))
