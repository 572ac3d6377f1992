"""Images as the middle knows them: made of a text, or of a text and other images."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from fairlead.routing.demand import Batch, Demand
from fairlead.routing.prompt import CountedPrompt
from fairlead.tokens import Counted
from fairlead.wire.apis import IMAGES as NAME
from fairlead.wire.images import ImageRequest, parse_images

# OpenAI's largest image in high quality is 6,240 tokens: https://platform.openai.com/docs/guides/image-generation
MOST_TOKENS: Final = 8_192
# What a model may write around the prompt.
TEMPLATE_TOKENS: Final = 512


class Images:
    """Its payload is an `ImageRequest`."""

    name: Final = NAME
    modes: Final = frozenset({"image"})

    def demand(self, payload: ImageRequest) -> Demand:
        batch = Batch(payload.images, payload.images * payload.units)
        return Demand(
            self, payload, payload.model, 0, 0, len(payload.prompt), self._most(payload), payload.images * MOST_TOKENS,
            1, False, payload.strict, False, False, payload.fallbacks, payload.preferences, batch,
        )  # fmt: skip

    def _most(self, payload: ImageRequest) -> int:
        return len(payload.prompt) + TEMPLATE_TOKENS

    def affinity(self, payload: ImageRequest) -> int:
        return hash(bytes(payload.prompt)) or 1

    def media_tokens(self, _payload: ImageRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: ImageRequest, _family: str | None, _whole: bool) -> Counted:
        return Counted(-(-len(payload.prompt) // 4), "estimated")

    def kept(self, payload: ImageRequest) -> CountedPrompt:
        requests = payload.images * payload.units
        return CountedPrompt(
            len(payload.prompt), self._most(payload), payload.images, partial(self._counted, len(payload.prompt)),
            requests,
        )  # fmt: skip

    def _counted(self, length: int, _family: str | None) -> Counted:
        return Counted(-(-length // 4), "estimated")

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> ImageRequest:
        return parse_images(msgspec.json.encode({"model": model, "prompt": "A dot"}))


DRAW: Final = Images()
