"""Decoding parts of a Messages request, with errors as Anthropic writes them."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest

# The first bytes of JSON values.
STRING: Final = 0x22
LIST: Final = 0x5B
OBJECT: Final = 0x7B
_byte: Final = struct.Struct("B").unpack_from  # cheaper than a memoryview of it


def first_byte(raw: Raw) -> int:
    found: int = _byte(raw)[0]
    return found


def decoded(decoder: msgspec.json.Decoder[Any], raw: Raw, where: str) -> Any:
    """Raises InvalidRequest with the place of what is wrong, as Anthropic writes it (`messages.0.role`)."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise refusal(error, where) from None


def refusal(error: Exception, where: str) -> InvalidRequest:
    """The same for an error of msgspec's; made here, so that no place is written down before something is wrong."""
    param = where.partition(".")[0]
    if isinstance(error, RecursionError):
        return InvalidRequest(f"{where}: nested too deeply.", param=param)
    sentence, _, path = str(error).partition(" - at `$")
    place = where + path.rstrip("`").replace("[", ".").replace("]", "")
    return InvalidRequest(f"{place}: {sentence[:200]}.", param=param)
