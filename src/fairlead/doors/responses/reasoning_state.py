"""What a provider must get back of its reasoning, in the `encrypted_content` of a reasoning item.

A provider of this API has one of its own. Another provider's (Anthropic's signature, Gemini's) is wrapped, with its
format, so that only the provider that made it gets it back.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Struct

# The format of what providers of this API encrypt themselves.
OWN_FORMAT: Final = "openai-responses-v1"
# Gemini's signature of one call.
GEMINI_FORMAT: Final = "google-gemini-v1"
# Words of reasoning that no provider has signed: any that takes reasoning back may have them.
WORDS: Final = "fairlead-words-v1"
# How a wrapped one begins; what follows is JSON in base64.
MARK: Final = "flr1."


# How the ids of reasoning items begin that were made here: a provider of this API would look for such an item in vain
# ("Item with id 'rs_...' not found").
ITEM: Final = "rs_flr"


class Wrapped(Struct, frozen=True, omit_defaults=True):
    """The members of a `ReasoningState`. `call`: the id of the call that a signature belongs to."""

    format: str
    text: str = ""
    signature: str = ""
    data: str = ""
    call: str = ""


_decoder: Final = msgspec.json.Decoder(Wrapped)


def is_foreign(item_id: str | None, encrypted: str | None) -> bool:
    """Whether a provider of this API could do nothing with a reasoning item."""
    if encrypted is None:
        return item_id is not None and item_id.startswith(ITEM)
    return encrypted.startswith(MARK)


def wrapped(state: Wrapped) -> str:
    if state.format == OWN_FORMAT:
        return state.data
    return MARK + base64.b64encode(msgspec.json.encode(state)).decode()


def unwrapped(encrypted: str) -> Wrapped | None:
    """None: what has our mark and is damaged, which nobody could use."""
    if not encrypted.startswith(MARK):
        return Wrapped(OWN_FORMAT, data=encrypted)
    try:
        return _decoder.decode(base64.b64decode(encrypted[len(MARK) :], validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
