"""Errors inside an answer of Gemini's."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import FairleadError
from fairlead.providers.failures import upstream_error


class _Code(Struct):
    code: int = 500


def code_of(error: Raw) -> int:
    """The status that an error names; 0: none."""
    try:
        code = msgspec.json.decode(error, type=_Code).code
    except msgspec.DecodeError:
        return 0
    return code if 400 <= code < 600 else 0


def failure(error: Raw) -> FairleadError:
    return upstream_error(code_of(error) or 500, (), b'{"error":%b}' % bytes(error))
