"""Texts and tokens that stand in a member alone or in a list, as `input` of embeddings and `prompt` of completions do:
a string, a list of strings, a list of tokens, or a list of such lists. Counted before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import MOST_INPUT_TOKENS, MOST_INPUTS
from fairlead.wire.counting import TooMany, counted_texts

_Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_string: Final = msgspec.json.Decoder(str)
_tokens: Final = msgspec.json.Decoder(list[_Token])
_token_lists: Final = msgspec.json.Decoder(list[list[_Token]])
WANTED: Final = f"a string, a list of strings, a list of tokens, or a list of such lists, of up to {MOST_INPUTS:,}"


class Inputs:
    """`texts` or `tokens` of each, never both; `raw`: the member as the caller wrote it. A single one may have been no
    list (`alone`)."""

    __slots__ = ("alone", "raw", "texts", "tokens")

    def __init__(self, raw: Raw, texts: Sequence[str] | None, tokens: Sequence[list[int]] | None, alone: bool) -> None:
        self.raw = raw
        self.texts = texts
        self.tokens = tokens
        self.alone = alone

    def __len__(self) -> int:
        return len(self.texts if self.texts is not None else self.tokens or ())

    def part(self, begin: int, end: int) -> Inputs:
        """Those from `begin` up to `end`, as a list."""
        texts = None if self.texts is None else self.texts[begin:end]
        tokens = None if self.tokens is None else self.tokens[begin:end]
        return Inputs(Raw(msgspec.json.encode(tokens if texts is None else texts)), texts, tokens, alone=False)

    @property
    def most_tokens(self) -> int:
        """How many tokens all of them can have at most: a text never has more than bytes."""
        if self.tokens is not None:
            return sum(map(len, self.tokens))
        return len(self.raw)

    @property
    def longest_bytes(self) -> int:
        """The bytes of the longest one; of tokens about as many as their text would have."""
        if self.tokens is not None:
            return 4 * max(map(len, self.tokens))
        return max(len(text) if text.isascii() else len(text.encode()) for text in self.texts or ("",))


def read_inputs(name: str, raw: Raw) -> Inputs:
    """The member of this name. Raises InvalidRequest."""
    try:
        found = _read(raw)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{name} must be {WANTED}.", param=name) from None
    except TooMany:
        raise InvalidRequest(f"{name} has more than {MOST_INPUTS:,} inputs.", param=name) from None
    if not found or (found.tokens is not None and not all(found.tokens)):
        raise InvalidRequest(f"{name} must not be empty.", param=name)
    return found


def _read(raw: Raw) -> Inputs:
    body = bytes(raw)
    if body[:1] == b'"':
        return Inputs(raw, [_string.decode(raw)], None, alone=True)
    inside = body[1:64].lstrip(b" \t\r\n")[:1]
    if body[:1] != b"[" or inside == b'"':
        return Inputs(raw, counted_texts(raw, MOST_INPUTS), None, alone=False)
    # Numbers alone, if it is what it should be: a comma is then a comma.
    if body.count(b",") >= MOST_INPUT_TOKENS:
        raise InvalidRequest(f"The input has more than {MOST_INPUT_TOKENS:,} tokens.", param="input")
    if inside != b"[":
        tokens: list[int] = _tokens.decode(raw)
        return Inputs(raw, None, [tokens] if tokens else [], alone=True)
    if body.count(b"[") > MOST_INPUTS + 1:
        raise TooMany
    found: list[list[int]] = _token_lists.decode(raw)
    return Inputs(raw, None, found, alone=False)
