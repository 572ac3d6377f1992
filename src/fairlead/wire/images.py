"""`POST /v1/images/generations` and `/edits`: what a caller may send, and what comes back. Source: OpenAI's API
reference.

Images are charged by units where a provider reports no tokens: one for each image of up to 1,048,576 pixels (1024 x
1024), two for up to twice as many, and so on; twice as many of quality `hd`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.errors import InvalidRequest, UpstreamInvalid
from fairlead.wire.apis import IMAGES
from fairlead.wire.body import checked, members_of
from fairlead.wire.bounds import LONGEST_SPEECH, MOST_IMAGES
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.operation_request import FLAG, TEXT, OperationRequest, Rules, required, rule
from fairlead.wire.usage import Usage
from fairlead.wire.usage_shapes import Count, TokenClasses

UNIT_PIXELS: Final = 1_048_576
# Of a size that is not named, and the longest side of one that is.
USUAL_UNITS: Final = 2
LONGEST_SIDE: Final = 8_192
DEAR_QUALITIES: Final = frozenset({"hd"})
PARAMETERS: Final[Rules] = {
    "background": TEXT,
    "input_fidelity": TEXT,
    "moderation": TEXT,
    "n": rule(Annotated[int, Meta(ge=1, le=MOST_IMAGES)], f"a whole number from 1 to {MOST_IMAGES}"),
    "output_compression": rule(Annotated[int, Meta(ge=0, le=100)], "a whole number from 0 to 100"),
    "output_format": TEXT,
    "partial_images": rule(Annotated[int, Meta(ge=0, le=3)], "a whole number from 0 to 3"),
    "quality": TEXT,
    "response_format": TEXT,
    "size": TEXT,
    "stream": FLAG,
    "style": TEXT,
    "user": TEXT,
}
_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
_text: Final = msgspec.json.Decoder(Annotated[str, Meta(min_length=1)])
_encode: Final = msgspec.json.encode


class _Details(Struct, gc=False):
    text_tokens: Count = 0
    image_tokens: Count = 0


class _Usage(Struct, gc=False):
    input_tokens: Count = 0
    output_tokens: Count = 0
    total_tokens: Count | None = None
    input_tokens_details: _Details | None = None


class _Answer(Struct):
    data: Annotated[list[Raw], Meta(max_length=MOST_IMAGES)] = []
    usage: Raw = NULL
    error: Raw = NULL


_answer: Final = msgspec.json.Decoder(_Answer)
_usage: Final = msgspec.json.Decoder(_Usage)
_members: Final = msgspec.json.Decoder(dict[str, Raw])


class ImageRequest(OperationRequest):
    """`images`: how many are asked for; `units`: what one of them counts."""

    api = IMAGES

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        super().__init__(fields, PARAMETERS, body, ("prompt",))
        self.prompt = required(fields, "prompt")
        checked("prompt", _text, self.prompt, "a text", LONGEST_SPEECH)
        self.size_up(self.values)

    def size_up(self, values: dict[str, Any]) -> None:
        """Raises InvalidRequest."""
        if values.get("stream"):
            raise InvalidRequest("stream: images are not streamed here.", param="stream")
        self.images: int = values.get("n") or 1
        self.units = units_of(values.get("size"), values.get("quality"))


def units_of(size: str | None, quality: str | None) -> int:
    """Of one image. Raises InvalidRequest for a size that is none."""
    units = USUAL_UNITS
    if size is not None and size != "auto":
        found = _SIZE.fullmatch(size)
        if found is None or not 0 < max(int(found[1]), int(found[2])) <= LONGEST_SIDE:
            raise InvalidRequest("size must be 'auto' or a size such as '1024x1024'.", param="size")
        units = max(1, -(-int(found[1]) * int(found[2]) // UNIT_PIXELS))
    elif size is None:
        units = 1
    return units * 2 if quality in DEAR_QUALITIES else units


def parse_images(body: bytes) -> ImageRequest:
    """Raises InvalidRequest."""
    return ImageRequest(body)


class ImageAnswer:
    """A provider's document, to which the cost is added where it has usage. `images`: how many there are."""

    head: Final = JSON_HEAD

    def __init__(self, body: bytes, images: int, raw: Raw, usage: Usage) -> None:
        self._body = body
        self._raw = raw
        self.choices = images
        self.usage = usage

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        del counted
        text = bytes(self._raw)
        if self._raw == NULL or len(text) < 3:
            return self._body
        end = self._body.rfind(text) + len(text) - 1
        return b"".join((self._body[:end], members, self._body[end:]))


def image_answer(body: bytes, units: int) -> ImageAnswer:
    """`units`: what each image counts. Raises UpstreamInvalid for what is no list of images."""
    try:
        answer = _answer.decode(body)
        given = _usage.decode(answer.usage) if answer.usage != NULL else _Usage()
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamInvalid("The provider's answer is not a list of images.") from None
    if not answer.data or answer.error != NULL:
        raise UpstreamInvalid("The provider's answer has no images.")
    seen = given.input_tokens_details.image_tokens if given.input_tokens_details is not None else 0
    seen = min(seen, given.input_tokens)
    tokens = TokenClasses(
        input=given.input_tokens - seen, image=seen, output=given.output_tokens, request=units * len(answer.data)
    )
    total = given.total_tokens
    balanced = total is None or total == given.input_tokens + given.output_tokens
    usage = Usage(tokens, given.input_tokens, given.output_tokens, balanced)
    return ImageAnswer(body, len(answer.data), answer.usage, usage)
