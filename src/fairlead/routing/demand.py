"""What a call wants, as far as the middle may know: planning, limits, holds, hedging and retries."""

from __future__ import annotations

from typing import Any

from fairlead.routing.protocols import Operation, Payload
from fairlead.wire.preferences import Preferences


class Demand:
    """Computed once, where a request is read, and never changed: `called` and `carrying` make another one.

    `payload` is what is sent upstream; only `operation` knows what is in it. `model` and `fallbacks`: ids of models, or
    other names of them until `called`. `needs`: capabilities and parameters, as bits of `routing/needs.py`; `media`:
    bits of `wire/media.py`, 0: text alone. `text_bytes`: of the conversation itself; `prompt_bytes`: of everything that
    may come into the prompt. `cap`: the most tokens of an answer, 0: none was given; `choices`: how many answers.
    `formatted`: the answer is to be JSON.
    """

    __slots__ = (
        "cap", "choices", "emulate", "fallbacks", "formatted", "media", "model", "needs", "operation", "payload",
        "preferences", "prompt_bytes", "stream", "strict", "text_bytes",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        payload: Any,
        model: str,
        needs: int,
        media: int,
        text_bytes: int,
        prompt_bytes: int,
        cap: int,
        choices: int,
        stream: bool,
        strict: bool,
        emulate: bool,
        formatted: bool,
        fallbacks: tuple[str, ...],
        preferences: Preferences | None,
    ) -> None:
        self.operation = operation
        self.payload: Any = payload
        self.model = model
        self.needs = needs
        self.media = media
        self.text_bytes = text_bytes
        self.prompt_bytes = prompt_bytes
        self.cap = cap
        self.choices = choices
        self.stream = stream
        self.strict = strict
        self.emulate = emulate
        self.formatted = formatted
        self.fallbacks = fallbacks
        self.preferences = preferences

    def called(self, model: str, fallbacks: tuple[str, ...], preferences: Preferences | None) -> Demand:
        """The same for these models."""
        return Demand(
            self.operation, self.payload, model, self.needs, self.media, self.text_bytes, self.prompt_bytes, self.cap,
            self.choices, self.stream, self.strict, self.emulate, self.formatted, fallbacks, preferences,
        )  # fmt: skip

    def capped(self, tokens: int) -> Demand:
        """The same for an answer no longer than this."""
        return Demand(
            self.operation, self.payload.with_cap(tokens), self.model, self.needs, self.media, self.text_bytes,
            self.prompt_bytes, tokens, self.choices, self.stream, self.strict, self.emulate, self.formatted,
            self.fallbacks, self.preferences,
        )  # fmt: skip

    def carrying(self, payload: Payload) -> Demand:
        """The same for a payload that was rewritten here."""
        return self.operation.demand(payload).called(self.model, self.fallbacks, self.preferences)
