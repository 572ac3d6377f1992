"""The input of a stored response as OpenAI lists it: in pages, each item with an id, messages with parts.

https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import InvalidRequest
from fairlead.wire.stored import StoredResponse

USUAL_PAGE, LONGEST_PAGE = 20, 100
ORDERS: Final = ("asc", "desc")
# How ids begin, by the type of an item.
PREFIXES: Final = {
    "message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fco",
    "custom_tool_call": "ctc", "custom_tool_call_output": "ctco",
}  # fmt: skip
MESSAGE: Final = "message"


class _Known(Struct):
    """What an id depends on; the members may have any value."""

    id: Any = None
    type: Any = None


_items: Final = msgspec.json.Decoder(list[Raw])
_known: Final = msgspec.json.Decoder(_Known)
_members: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.encode


def page_of(chain: Sequence[StoredResponse], query: str) -> bytes:
    """A page of the input of `chain`, the first response first. Raises InvalidRequest."""
    given = parse_qs(query)
    limit = _limit(given.get("limit", [""])[0])
    order = given.get("order", ["desc"])[0]
    if order not in ORDERS:
        raise InvalidRequest("order must be asc or desc.", param="order")
    items = list(_numbered(chain))
    if order == "desc":
        items.reverse()
    begin = 0
    if after := given.get("after", [""])[0]:
        begin = _behind([name for name, _ in items], after)
    shown = items[begin : begin + limit]
    return _encode(
        {
            "object": "list",
            "data": [_shown(name, raw) for name, raw in shown],
            "first_id": shown[0][0] if shown else None,
            "last_id": shown[-1][0] if shown else None,
            "has_more": begin + limit < len(items),
        }
    )


def _numbered(chain: Sequence[StoredResponse]) -> Iterator[tuple[str, Raw]]:
    """Each item with its id: the caller's, or the same one whenever it is listed."""
    for one in chain:
        for at, raw in enumerate(_items.decode(one.items)):
            known = _known.decode(raw)
            if isinstance(known.id, str) and known.id:
                yield known.id, raw
            else:
                kind = PREFIXES.get(known.type or MESSAGE, "item") if isinstance(known.type or "", str) else "item"
                yield f"{kind}_{sha256(f'{one.id} {at}'.encode()).hexdigest()[:48]}", raw


def _shown(name: str, raw: Raw) -> dict[str, Any]:
    item = _members.decode(raw)
    item.setdefault("type", MESSAGE)
    item["id"] = name
    content = item.get("content")
    if item["type"] == MESSAGE:
        item.setdefault("status", "completed")
        if isinstance(content, str):
            kind = "output_text" if item.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": kind, "text": content}]
    return item


def _limit(text: str) -> int:
    if not text:
        return USUAL_PAGE
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= LONGEST_PAGE:
        raise InvalidRequest(f"limit must be a whole number from 1 to {LONGEST_PAGE}.", param="limit")
    return int(text)


def _behind(ids: Sequence[str], wanted: str) -> int:
    try:
        return ids.index(wanted) + 1
    except ValueError:
        raise InvalidRequest("after must be the id of an item in the list.", param="after") from None
