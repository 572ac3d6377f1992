"""Models as Anthropic's API lists them: https://docs.claude.com/en/api/models-list"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from fairlead.errors import InvalidRequest
from fairlead.wire.models import ModelEntry

USUAL_PAGE, LONGEST_PAGE = 20, 1_000
_encode: Final = msgspec.json.encode


class _Id(Struct):
    id: str


_id: Final = msgspec.json.Decoder(_Id)


class AnthropicModels:
    """A `ModelShape`."""

    __slots__ = ()
    path: Final = ""
    headers: Final = (b"anthropic-version", b"x-api-key")

    def one(self, entry: ModelEntry) -> bytes:
        model: dict[str, Any] = {
            "type": "model", "id": entry.id, "display_name": entry.name,
            "created_at": datetime.fromtimestamp(entry.created, UTC).isoformat().replace("+00:00", "Z"),
        }  # fmt: skip
        if entry.context_length is not None:
            model["max_input_tokens"] = entry.context_length
        if entry.max_output_tokens is not None:
            model["max_tokens"] = entry.max_output_tokens
        return _encode(model)

    def listed(self, entries: Sequence[bytes], query: str) -> bytes:
        """A page of them. Raises InvalidRequest for a page that there is not."""
        given = parse_qs(query)
        limit = _limit(given.get("limit", [""])[0])
        ids = [_id.decode(entry).id for entry in entries]
        begin, end = 0, len(entries)
        if after := given.get("after_id", [""])[0]:
            begin = _place(ids, after, "after_id") + 1
        if before := given.get("before_id", [""])[0]:
            end = _place(ids, before, "before_id")
            begin = max(begin, end - limit)
            more = begin > 0
        else:
            more = begin + limit < end
        shown, names = entries[begin:end][:limit], ids[begin:end][:limit]
        first, last = (names[0], names[-1]) if names else (None, None)
        return b'{"data":[%b],"has_more":%b,"first_id":%b,"last_id":%b}' % (
            b",".join(shown), b"true" if more else b"false", _encode(first), _encode(last),
        )  # fmt: skip


def _limit(text: str) -> int:
    if not text:
        return USUAL_PAGE
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= LONGEST_PAGE:
        raise InvalidRequest(f"limit must be a whole number from 1 to {LONGEST_PAGE:,}.", param="limit")
    return int(text)


def _place(ids: Sequence[str], wanted: str, name: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise InvalidRequest(f"{name} must be the id of a model in the list.", param=name) from None


ANTHROPIC_MODELS: Final = AnthropicModels()
