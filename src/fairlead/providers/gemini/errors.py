"""Errors inside an answer of Gemini's."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError
from fairlead.providers.failures import upstream_error


class _Code(Struct):
    code: int = 500


def failure(error: Raw) -> FairleadError:
    try:
        status = msgspec.json.decode(error, type=_Code).code
    except msgspec.DecodeError:
        status = 500
    return upstream_error(status, (), b'{"error":%b}' % bytes(error))
