"""`POST /v1/moderations`: what a caller may send, and what comes back. Source: OpenAI's API reference; Mistral's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.errors import InvalidRequest, UpstreamInvalid
from fairlead.wire import media
from fairlead.wire.apis import MODERATIONS
from fairlead.wire.body import members_of
from fairlead.wire.bounds import MOST_INPUTS, MOST_PARTS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.counting import Item, TooMany, counted_texts, decode_counted
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.media import check_media
from fairlead.wire.operation_request import TEXT, OperationRequest, Rules, required
from fairlead.wire.usage import Usage

PARAMETERS: Final[Rules] = {"user": TEXT}
# What OpenAI takes when none is named.
DEFAULT_MODEL: Final = Raw(b'"omni-moderation-latest"')
MOST_CATEGORIES: Final = 256
_WANTED: Final = f"a text, or a list of up to {MOST_INPUTS:,} texts, or of text and image_url parts"
_encode: Final = msgspec.json.encode
_string: Final = msgspec.json.Decoder(str)


class _Part(Item, gc=False):
    type: str = ""
    text: str | None = None
    image_url: Raw = NULL


_parts: Final = msgspec.json.Decoder(list[_Part])


class ModerationRequest(OperationRequest):
    """`inputs`: the texts that have a result each, or one for all parts; `texts`: everything that is text; `media`: as
    bits of `wire/media.py`; `images`: how many."""

    api = MODERATIONS

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        if "models" not in fields:
            fields.setdefault("model", DEFAULT_MODEL)
        super().__init__(fields, PARAMETERS, body, ("input",))
        found = _inputs(required(fields, "input"))
        self.media = 0
        self.images = 0
        self.texts: list[str] = []
        if isinstance(found, str):
            self.texts, self.results = [found], 1
            self.input = Raw(_encode(found))
        elif isinstance(found[0], str):
            self.texts, self.results = found, len(found)
            self.input = Raw(_encode(found))
        else:
            self.results = 1
            self.input = Raw(_encode([self._part(part, at) for at, part in enumerate(found)]))

    def _part(self, part: _Part, at: int) -> dict[str, Any]:
        """As it is sent: nothing but what was looked at."""
        here = f"input[{at}]"
        if part.type == "text" and part.text is not None:
            self.texts.append(part.text)
            return {"type": "text", "text": part.text}
        if part.type != "image_url" or part.image_url == NULL:
            raise InvalidRequest(f"{here} must be a part of type text or image_url.", param=here)
        sent = {"type": "image_url", "image_url": part.image_url}
        self.media |= media.IMAGE | check_media(Raw(_encode(sent)), "image_url", "user", here)
        self.images += 1
        return sent


def parse_moderation(body: bytes) -> ModerationRequest:
    """Raises InvalidRequest, or UnsupportedContent for an image that nobody takes."""
    return ModerationRequest(body)


def _inputs(raw: Raw) -> Any:
    """A text, texts, or parts."""
    start = bytes(memoryview(raw)[:64]).lstrip(b"[ \t\r\n")[:1]
    most = MOST_PARTS if start == b"{" else MOST_INPUTS
    found: Any
    try:
        if memoryview(raw)[0] == 0x22:
            return _string.decode(raw)
        found = decode_counted(_parts, raw, most) if start == b"{" else counted_texts(raw, most)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"input must be {_WANTED}.", param="input") from None
    except TooMany:
        raise InvalidRequest(f"input has more than {most:,} entries.", param="input") from None
    if not found:
        raise InvalidRequest("input must not be empty.", param="input")
    return found


_Category = Annotated[str, Meta(max_length=256)]


class Verdict(Struct):
    """One result. Mistral's has no `flagged`: it is when a category is."""

    categories: Annotated[dict[_Category, bool | None], Meta(min_length=1, max_length=MOST_CATEGORIES)]
    category_scores: Annotated[dict[_Category, float | None], Meta(max_length=MOST_CATEGORIES)]
    flagged: bool | None = None
    category_applied_input_types: Annotated[dict[_Category, list[str] | None], Meta(max_length=256)] | None = None


class ModerationAnswer:
    """An `Answer`."""

    head: Final = JSON_HEAD
    choices: Final = 1

    def __init__(self, model: bytes, identity: str, verdicts: Sequence[Verdict], usage: Usage | None) -> None:
        self._model = model
        self._identity = identity
        self._verdicts = verdicts
        self.usage = usage

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        usage = counted or self.usage
        tokens = 0 if usage is None else usage.prompt
        results = []
        for one in self._verdicts:
            flagged = any(one.categories.values()) if one.flagged is None else one.flagged
            result: dict[str, Any] = {"flagged": flagged, "categories": one.categories}
            result["category_scores"] = one.category_scores
            if one.category_applied_input_types is not None:
                result["category_applied_input_types"] = one.category_applied_input_types
            results.append(result)
        return b'{"id":%b,"model":%b,"results":%b,"usage":{"prompt_tokens":%d,"total_tokens":%d%b}}' % (
            _encode(self._identity), self._model, _encode(results), tokens, tokens, members,
        )  # fmt: skip


def checked_verdicts(found: Sequence[Verdict], request: ModerationRequest) -> Sequence[Verdict]:
    """Raises UpstreamInvalid when there is not one for each input: what nobody has looked at would pass as harmless."""
    if len(found) != request.results:
        raise UpstreamInvalid(f"The provider sent {len(found)} results for {request.results} inputs.")
    return found


# For /openapi.json.
SCHEMAS: Final[Mapping[str, Any]] = {
    "ModerationRequest": {
        "type": "object",
        "required": ["input"],
        "properties": {
            "model": {"type": "string", "default": "omni-moderation-latest"},
            "input": {
                "description": "A text, a list of texts, or parts of type text and image_url.",
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}],
            },
        },
        "additionalProperties": True,
    },
    "Moderation": {
        "type": "object",
        "required": ["id", "model", "results"],
        "properties": {
            "id": {"type": "string"},
            "model": {"type": "string"},
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["flagged", "categories", "category_scores"],
                    "properties": {
                        "flagged": {"type": "boolean"},
                        "categories": {"type": "object", "additionalProperties": {"type": ["boolean", "null"]}},
                        "category_scores": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
                    },
                },
            },
            "usage": {"$ref": "#/components/schemas/Usage"},
        },
        "additionalProperties": True,
    },
}
