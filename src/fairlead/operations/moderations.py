"""Moderations as the middle knows them."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from fairlead.routing.demand import Batch, Demand
from fairlead.routing.media_tokens import MOST_IMAGE_TOKENS_OF
from fairlead.routing.needs import MEDIA_NEEDS
from fairlead.routing.prompt import CountedPrompt
from fairlead.tokens import Counted, count_text
from fairlead.wire.apis import MODERATIONS as NAME
from fairlead.wire.moderations import ModerationRequest, parse_moderation

# What a model reads beside an input: the categories that it is to judge.
TEMPLATE_TOKENS: Final = 512


class Moderations:
    """Its payload is a `ModerationRequest`."""

    name: Final = NAME
    modes: Final = frozenset({"moderation"})

    def demand(self, payload: ModerationRequest) -> Demand:
        needs = 0
        for bit, need in MEDIA_NEEDS.items():
            if payload.media & bit:
                needs |= need
        longest = max((len(text.encode()) for text in payload.texts), default=0)
        return Demand(
            self, payload, payload.model, needs, payload.media, longest, _text_tokens(payload), 0, 1, False,
            payload.strict, False, False, payload.fallbacks, payload.preferences, Batch(payload.results),
        )  # fmt: skip

    def affinity(self, payload: ModerationRequest) -> int:
        return hash(payload.texts[0] if payload.texts else "") or 1

    def media_tokens(self, payload: ModerationRequest, image_tokens: int) -> int:
        return payload.images * image_tokens

    def count(self, payload: ModerationRequest, family: str | None, whole: bool) -> Counted:
        found = [count_text(family, text) for text in payload.texts]
        exact = not payload.images and all(one.provenance == "counted" for one in found)
        tokens = [one.tokens for one in found]
        return Counted(sum(tokens) if whole else max(tokens, default=0), "counted" if exact else "estimated")

    def kept(self, payload: ModerationRequest) -> CountedPrompt:
        most = _text_tokens(payload) + self.media_tokens(payload, max(MOST_IMAGE_TOKENS_OF.values()))
        return CountedPrompt(most, most, payload.results, partial(self._counted, payload))

    def _counted(self, payload: ModerationRequest, family: str | None) -> Counted:
        return self.count(payload, family, True)

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> ModerationRequest:
        return parse_moderation(msgspec.json.encode({"model": model, "input": "OK"}))


MODERATIONS: Final = Moderations()


def _text_tokens(payload: ModerationRequest) -> int:
    return sum(len(text.encode()) for text in payload.texts) + TEMPLATE_TOKENS * payload.results
