"""Speech as the middle knows it: a text becomes sound, and its characters are charged."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from fairlead.routing.demand import Batch, Demand
from fairlead.routing.prompt import CountedPrompt
from fairlead.tokens import Counted
from fairlead.wire.apis import SPEECH as NAME
from fairlead.wire.speech import SpeechRequest, parse_speech


class Speech:
    """Its payload is a `SpeechRequest`. What other operations count in tokens are characters here."""

    name: Final = NAME
    modes: Final = frozenset({"speech"})

    def demand(self, payload: SpeechRequest) -> Demand:
        return Demand(
            self, payload, payload.model, 0, 0, 0, payload.characters, 0, 1, True, payload.strict, False, False,
            payload.fallbacks, payload.preferences, Batch(payload.characters),
        )  # fmt: skip

    def affinity(self, payload: SpeechRequest) -> int:
        return hash(payload.text) or 1

    def media_tokens(self, _payload: SpeechRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: SpeechRequest, _family: str | None, _whole: bool) -> Counted:
        return Counted(payload.characters, "counted")

    def kept(self, payload: SpeechRequest) -> CountedPrompt:
        most = payload.characters
        return CountedPrompt(most, most, most, partial(self._counted, most))

    def _counted(self, characters: int, _family: str | None) -> Counted:
        return Counted(characters, "counted")

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> SpeechRequest:
        return parse_speech(msgspec.json.encode({"model": model, "input": "OK", "voice": "alloy"}))


TEXT_TO_SPEECH: Final = Speech()
