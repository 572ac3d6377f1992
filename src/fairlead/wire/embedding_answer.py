"""Vectors of embeddings as OpenAI writes them: checked, in the order of their inputs, as numbers or as base64 of 32-bit
floats, whichever the caller wants and the provider sends."""

from __future__ import annotations

import binascii
import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.errors import UpstreamInvalid
from fairlead.wire.bounds import MOST_INPUTS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import Usage

_encode: Final = msgspec.json.encode
FLOAT_BYTES: Final = 4


class Vector(Struct):
    embedding: Raw
    index: Annotated[int, Meta(ge=0, lt=MOST_INPUTS)] | None = None


class Vectors(Struct):
    data: Annotated[list[Vector], Meta(max_length=MOST_INPUTS)] = []
    usage: Raw = NULL
    error: Raw = NULL


_numbers: Final = msgspec.json.Decoder(list[float])
_base64: Final = msgspec.json.Decoder(str)


class EmbeddingsAnswer:
    """An `Answer`, and a `MadeAnswer` where it was joined. `vectors`: as they are written for the caller."""

    head: Final = JSON_HEAD
    choices: Final = 1
    stream_head: Final = b""

    def __init__(self, model: bytes, vectors: Sequence[bytes], usage: Usage | None) -> None:
        self.model = model
        self.vectors = vectors
        self.usage = usage

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        usage = counted or self.usage
        pieces = [b'{"object":"list","data":[']
        for at, vector in enumerate(self.vectors):
            pieces.append(b'%b{"object":"embedding","index":%d,"embedding":%b}' % (b"," if at else b"", at, vector))
        pieces.append(b'],"model":%b,"usage":{' % self.model)
        if usage is not None:
            pieces.append(b'"prompt_tokens":%d,"total_tokens":%d' % (usage.prompt, usage.prompt))
            pieces.append(members)
        pieces.append(b"}}")
        return b"".join(pieces)

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        raise NotImplementedError("embeddings are not streamed")


def joined(answers: Sequence[EmbeddingsAnswer], usage: Usage | None) -> EmbeddingsAnswer:
    """The answers to the parts of a batch as one."""
    model = answers[0].model if answers else b"null"
    return EmbeddingsAnswer(model, [vector for answer in answers for vector in answer.vectors], usage)


def in_order(vectors: Sequence[Vector], inputs: int) -> list[Raw]:
    """One for each input, by their indices; where none has one, as they came. Raises UpstreamInvalid when there is not
    exactly one."""
    if len(vectors) != inputs:
        raise UpstreamInvalid(f"The provider sent {len(vectors)} vectors for {inputs} inputs.")
    if all(vector.index is None for vector in vectors):
        return [vector.embedding for vector in vectors]
    found = {vector.index: vector.embedding for vector in vectors}
    try:
        return [found[at] for at in range(inputs)]
    except KeyError:
        raise UpstreamInvalid("The provider's vectors do not have the indices of the inputs.") from None


def written(vectors: Sequence[Raw], encoding: str, dimensions: int | None) -> list[bytes]:
    """The vectors as the caller wants them. Raises UpstreamInvalid for what is no vector of finite numbers, and when
    lengths differ among them, or from what was asked for."""
    lengths: set[int] = set()
    found = [_written(raw, encoding, lengths) for raw in vectors]
    if len(lengths) > 1 or 0 in lengths:
        raise UpstreamInvalid("The provider's vectors are empty or differ in length.")
    if dimensions is not None and lengths and lengths != {dimensions}:
        raise UpstreamInvalid(
            f"The provider's vectors have {lengths.pop()} dimensions, not the {dimensions} that were requested."
        )
    return found


def _written(raw: Raw, encoding: str, lengths: set[int]) -> bytes:
    """A sum is finite exactly when each number of it is: floats of 32 bits do not overflow a sum of 64."""
    if memoryview(raw)[0] == 0x22:
        floats = _floats(raw)
        if not math.isfinite(sum(floats)):
            raise UpstreamInvalid("The provider sent a vector with numbers that are not finite.")
        lengths.add(len(floats))
        return bytes(raw) if encoding == "base64" else _encode(floats.tolist())
    try:
        numbers = _numbers.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamInvalid("The provider sent a vector that is not a list of numbers.") from None
    lengths.add(len(numbers))
    if encoding != "base64":
        return bytes(raw)
    try:
        packed = array("f", numbers)
    except OverflowError:
        raise UpstreamInvalid("The provider sent a vector with numbers that are not finite.") from None
    if not math.isfinite(sum(packed)):
        raise UpstreamInvalid("The provider sent a vector with numbers that are not finite.")
    return b'"%b"' % b64encode(_little(packed).tobytes())


def _floats(raw: Raw) -> array[float]:
    try:
        packed = b64decode(_base64.decode(raw), validate=True)
        if len(packed) % FLOAT_BYTES:
            raise ValueError
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise UpstreamInvalid("The provider sent a vector that is not 32-bit floats in base64.") from None
    floats = array("f")
    floats.frombytes(packed)
    return _little(floats)


def _little(floats: array[float]) -> array[float]:
    """Base64 is of little-endian floats everywhere."""
    if sys.byteorder == "big":
        floats.byteswap()
    return floats
