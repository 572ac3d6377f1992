"""Completions of a text as the middle knows them."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from fairlead.operations.embeddings import counted
from fairlead.routing.demand import Batch, Demand
from fairlead.routing.prompt import CountedPrompt, Prompt
from fairlead.tokens import Counted
from fairlead.wire.apis import COMPLETIONS as NAME
from fairlead.wire.completions import CompletionsRequest, parse_completions
from fairlead.wire.inputs import Inputs

# What a model puts around a text: its beginning, and the marks of a suffix.
TEMPLATE_TOKENS: Final = 16
# As of chat: a longer prompt is not kept while its answer is streamed.
KEPT_PROMPT_BYTES: Final = 16_384
OPENING_BYTES: Final = 4_096


class Completions:
    """Its payload is a `CompletionsRequest`. `charges_nothing_said`: the prompt is charged although nothing was written
    behind it."""

    name: Final = NAME
    modes: Final = frozenset({"chat"})

    def __init__(self, *, charges_nothing_said: bool = False) -> None:
        self._charges_nothing_said = charges_nothing_said

    def demand(self, payload: CompletionsRequest) -> Demand:
        prompts = payload.prompts
        count = len(prompts)
        longest = prompts.longest_bytes + payload.suffix_bytes
        return Demand(
            ECHOED if payload.echo else COMPLETIONS, payload, payload.model, 0, 0, longest, _most_tokens(payload),
            payload.cap, payload.choices, payload.stream, payload.strict, False, False, payload.fallbacks,
            payload.preferences, Batch(count, words=True) if count > 1 else None,
        )  # fmt: skip

    def affinity(self, payload: CompletionsRequest) -> int:
        return hash(bytes(memoryview(payload.prompts.raw)[:OPENING_BYTES])) or 1

    def media_tokens(self, _payload: CompletionsRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: CompletionsRequest, family: str | None, whole: bool) -> Counted:
        return _count(payload.prompts, payload.suffix_bytes, family, whole=whole)

    def kept(self, payload: CompletionsRequest) -> Prompt:
        prompts, most = payload.prompts, _most_tokens(payload)
        length, count = len(prompts.raw) + payload.suffix_bytes, len(prompts)
        if length > KEPT_PROMPT_BYTES and prompts.tokens is None:
            return Prompt(length, most, payload.cap, payload.choices, count)
        counter = partial(_count, prompts, payload.suffix_bytes)
        return CountedPrompt(length, most, count, counter, 1, payload.cap, payload.choices)

    def is_empty(self, text: str) -> bool:
        return not text and not self._charges_nothing_said

    def probe(self, model: str) -> CompletionsRequest:
        return parse_completions(msgspec.json.encode({"model": model, "prompt": "OK", "max_tokens": 1}))


COMPLETIONS: Final = Completions()
# Whose answers begin with the prompt, and say how likely it was: that is what they are asked for.
ECHOED: Final = Completions(charges_nothing_said=True)


def _most_tokens(payload: CompletionsRequest) -> int:
    count = len(payload.prompts)
    return payload.prompts.most_tokens + (payload.suffix_bytes + TEMPLATE_TOKENS) * count


def _count(prompts: Inputs, suffix_bytes: int, family: str | None, *, whole: bool = True) -> Counted:
    found = counted(prompts, family)
    exact = not suffix_bytes and all(one.provenance == "counted" for one in found)
    tokens = [one.tokens + suffix_bytes // 4 for one in found]
    return Counted(sum(tokens) if whole else max(tokens, default=0), "counted" if exact else "estimated")
