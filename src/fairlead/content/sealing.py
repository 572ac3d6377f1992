"""Content as it is stored: compressed, and sealed with the key that is kept outside of the database."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from fairlead.content.conversation import Conversation
from fairlead.providers.sealed import SealKey

LEVEL: Final = 6
# What a stored conversation may expand to. What is kept of a call is bounded (`conversation.py`) to less than that.
MOST_EXPANDED: Final = 8_388_608

_decoder: Final = msgspec.json.Decoder(Conversation)


def sealed_content(key: SealKey, account_id: str, call_id: str, conversation: Conversation) -> tuple[bytes, bytes]:
    """(nonce, what to store). Moved to another row, it cannot be opened."""
    return key.seal(_name(account_id, call_id), zlib.compress(msgspec.json.encode(conversation), LEVEL))


def opened_content(key: SealKey, account_id: str, call_id: str, nonce: bytes, body: bytes) -> Conversation | None:
    """None for what was not sealed with this key for this call, or is damaged."""
    data = key.opened(_name(account_id, call_id), nonce, body)
    if data is None:
        return None
    expander = zlib.decompressobj()
    try:
        text = expander.decompress(data, MOST_EXPANDED)
        if expander.unconsumed_tail or not expander.eof:
            return None
        return _decoder.decode(text)
    except (zlib.error, msgspec.DecodeError):
        return None


def _name(account_id: str, call_id: str) -> str:
    return f"content/{account_id}/{call_id}"
