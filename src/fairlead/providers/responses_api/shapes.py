"""What is decoded of a provider's responses and of their events: as little as must be known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import UpstreamInvalid
from fairlead.wire.chat_shapes import NULL


class Failure(Struct, gc=False):
    code: str | int | None = None
    message: str = ""
    type: str | None = None
    param: str | None = None


class Annotation(Struct, gc=False):
    type: str = ""
    url: str = ""
    title: str = ""
    start_index: int | None = None
    end_index: int | None = None


class Part(Struct, gc=False):
    """Of a message's content, or of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None
    logprobs: list[Raw] | None = None


class Item(Struct, gc=False):
    """One output item, whatever its type."""

    type: str = ""
    id: str = ""
    call_id: str = ""
    name: str = ""
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    result: str | None = None


class Details(Struct, gc=False):
    reason: str | None = None


class Response(Struct, gc=False):
    """A response, or what an event tells of it."""

    id: str = ""
    created_at: float = 0
    status: str | None = None
    model: Raw = NULL
    output: list[Raw] = []
    usage: Raw = NULL
    error: Failure | None = None
    incomplete_details: Details | None = None
    service_tier: Raw = NULL


class SaidPart(Struct, gc=False):
    type: str = ""
    text: Raw = NULL
    annotations: Raw = NULL
    logprobs: Raw = NULL


class SaidItem(Struct, gc=False):
    type: str = ""
    content: list[SaidPart] | None = None
    summary: Raw = NULL
    encrypted_content: Raw = NULL


class SaidResponse(Struct, gc=False):
    """A whole response, to find out whether it is one text and nothing else."""

    output: list[SaidItem] = []
    id: str = ""
    created_at: float = 0
    status: str | None = None
    usage: Raw = NULL
    error: Raw = NULL
    service_tier: Raw = NULL


class Event(Struct, gc=False):
    """`delta` and `item` have more than one shape."""

    type: str = ""
    delta: Raw = NULL
    item: Raw = NULL
    response: Raw = NULL
    error: Raw = NULL
    sequence_number: int | None = None
    output_index: int = 0
    content_index: int | None = None
    summary_index: int | None = None
    logprobs: list[Raw] | None = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None


class Delta(Struct, gc=False):
    """An event as most are: a few more words."""

    type: str = ""
    delta: str = ""
    sequence_number: int = -1
    output_index: int = 0


DELTA = msgspec.json.Decoder(Delta)
EVENT = msgspec.json.Decoder(Event)
ITEM = msgspec.json.Decoder(Item)
RESPONSE = msgspec.json.Decoder(Response)
SAID = msgspec.json.Decoder(SaidResponse)
FAILURE = msgspec.json.Decoder(Failure)
TEXT = msgspec.json.Decoder(str)


def inside(decoder: msgspec.json.Decoder[Any], raw: Raw, what: str) -> Any:
    """A part of a document whose encoding has been checked. Raises UpstreamInvalid."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamInvalid(f"The provider sent {what} that breaks its protocol.") from None


class NativeCall(Struct, frozen=True):
    """A `Call` with the caller's own body. `keep` takes the complete response, to be stored; `changes`: members of the
    response that are not the provider's (JSON)."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    path: bytes | None = None
    headers: bytes = b""
    bare: bool = False
    keep: Callable[[bytes], None] | None = None
    changes: Mapping[str, bytes] = {}
