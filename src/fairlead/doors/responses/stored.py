"""A request that continues a stored response, and whose own response is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from fairlead.doors.responses.request import ResponsesRequest, items_of
from fairlead.doors.responses.shapes import FALSE, Keep
from fairlead.doors.responses.writer import without_output
from fairlead.errors import InvalidRequest
from fairlead.wire.answer import AnswerContext
from fairlead.wire.bounds import MOST_ITEMS
from fairlead.wire.stored import Archive, Pending, StoredResponse

_encode: Final = msgspec.json.encode
_string: Final = msgspec.json.Decoder(str)


class _Stored(Struct):
    id: str = ""
    output: list[Raw] = []


_stored: Final = msgspec.json.Decoder(_Stored)
_items: Final = msgspec.json.Decoder(list[Raw])


async def recalled(payload: ResponsesRequest, account_id: str, archive: Archive) -> ResponsesRequest:
    """The request with the conversation that it continues. Raises NotFound, InvalidRequest."""
    given = payload.given
    previous = _string.decode(given["previous_response_id"]) if "previous_response_id" in given else ""
    history: list[Raw] = []
    if previous:
        for one in await archive.chain(account_id, previous):
            history += _items.decode(one.items)
            history += _stored.decode(one.body).output
        if len(history) > MOST_ITEMS:
            raise InvalidRequest(
                f"The conversation of previous_response_id has more than {MOST_ITEMS:,} items.",
                param="previous_response_id",
            )
    keep: Keep | None = None
    if given.get("store") != FALSE:
        store = archive.finish if payload.background else archive.keep
        keep = partial(_keep, store, account_id, previous, _encode(items_of(payload.input)))
    return payload.with_history(history, keep)


def _keep(
    store: Callable[[str, StoredResponse], None], account_id: str, previous: str, items: bytes, body: bytes
) -> None:
    store(account_id, StoredResponse(_stored.decode(body).id, previous, items, body))


def pending(payload: ResponsesRequest) -> Pending:
    """Of a request in the background: the response that its caller gets now."""
    given = payload.given
    previous = _string.decode(given["previous_response_id"]) if "previous_response_id" in given else ""
    document = partial(without_output, AnswerContext(payload.model, int(time.time()), echo=payload.echo))
    items = _encode(items_of(payload.input))
    return Pending(StoredResponse(payload.response_id, previous, items, document("queued", None)), document)
