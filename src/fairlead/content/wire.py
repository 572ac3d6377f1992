"""What was collected of a call, as it went over the wire, made into what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from fairlead.content.collector import Collected
from fairlead.content.conversation import Conversation, Reader, Turn, assembled
from fairlead.content.redaction import Redactor

GENERATION_ID: Final = re.compile(rb"\r\nx-fairlead-generation-id: (gen_[0-9A-Za-z]{1,60})\r\n", re.IGNORECASE)
_TYPE: Final = re.compile(rb"\r\ncontent-type: ([^\r;]{1,100})", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: chunked\r\n", re.IGNORECASE)
_DENIED: Final = frozenset({"deny"})


class Answered(NamedTuple):
    """An answer without its framing. `whole`: its last byte was sent."""

    call_id: str
    media: str
    body: bytes
    whole: bool


class LeftOut(Exception):
    """The request asks in its body not to be kept."""


def answered(pieces: list[bytes]) -> Answered | None:
    """None for an answer that names no call: nothing was admitted, and there is no record that it belongs to."""
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    head += b"\r\n"
    named = GENERATION_ID.search(head)
    if named is None:
        return None
    media = _TYPE.search(head)
    whole = True
    if _CHUNKED.search(head):
        body, whole = _dechunked(body)
    return Answered(named[1].decode(), "" if media is None else media[1].decode("latin-1").strip().lower(), body, whole)


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    pieces: list[bytes] = []
    at = 0
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            return b"".join(pieces), False
        size = int(data[at:line], 16)
        if not size:
            return b"".join(pieces), True
        pieces.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2


def conversation_of(call: Collected, found: Answered) -> Conversation:
    """What is kept of a call, redacted. Raises LeftOut."""
    redactor = Redactor(call.rule.detectors, call.rule.patterns)
    reader = Reader(redactor, media=call.rule.media)
    made = Conversation(
        tools=[], parameters={}, request_bytes=call.request_bytes, answer_bytes=len(found.body),
        why_no_request=call.why_no_request, why_no_answer=call.why_no_answer, whole=found.whole,
    )  # fmt: skip
    if call.body is not None:
        body = _json(call.body)
        if _asks_not_to_be_kept(body, store_false=call.rule.store_false):
            raise LeftOut
        if body is None:
            made.request = [Turn("user", [reader.file(call.body, "")])]
        else:
            reader.request(body, made)
    if not call.why_no_answer:
        _answer(found, reader, made)
    made.redacted = redactor.counts
    return made


def _asks_not_to_be_kept(body: Any, *, store_false: bool) -> bool:
    """`"store": false` as OpenAI means it, and what OpenRouter calls data collection."""
    if not isinstance(body, dict):
        return False
    if store_false and body.get("store") is False:
        return True
    provider = body.get("provider")
    return isinstance(provider, dict) and (provider.get("data_collection") in _DENIED or provider.get("zdr") is True)


def _answer(found: Answered, reader: Reader, made: Conversation) -> None:
    if found.media == "text/event-stream":
        document, ended = assembled(_events(found.body))
        made.whole = made.whole and ended
        reader.answer(document, made)
        return
    document = _json(found.body)
    if isinstance(document, list):  # Gemini streams without events
        document, ended = assembled(document)
        made.whole = made.whole and ended
    if document is None:
        made.answer = [Turn("assistant", [reader.file(found.body, found.media)])]
    else:
        reader.answer(document, made)


def _events(body: bytes) -> Iterator[Any]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield _json(line[5:].strip())


def _json(data: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
