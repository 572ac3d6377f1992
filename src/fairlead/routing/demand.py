"""What a call wants, as far as the middle may know: planning, limits, holds, hedging and retries. And what it knows of
an operation and of its payload: an operation makes the demand, and the demand refers to its operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from fairlead.routing.prompt import Prompt
from fairlead.tokens import Counted
from fairlead.wire.notes import CallNotes
from fairlead.wire.preferences import Preferences
from fairlead.wire.traceparent import TraceContext


class Payload(Protocol):
    """A checked request as its operation knows it; upstream dialects write it in their words. `trace`: what its
    attempts are children of, where traces are exported. `api`: in which the caller wrote it and reads the answer
    (`wire/apis.py`)."""

    trace: TraceContext | None

    @property
    def api(self) -> str: ...

    @property
    def names(self) -> Iterable[str]:
        """Of its parameters, as the caller wrote them."""

    @property
    def reports(self) -> bool:
        """The answer is to say what became of each parameter."""

    @property
    def include_usage(self) -> bool:
        """A stream is to end with its usage."""

    @property
    def cap(self) -> int:
        """The most tokens of an answer, 0: none is given."""

    @property
    def cap_name(self) -> str:
        """The parameter that its cap has, or would have."""

    def with_cap(self, tokens: int) -> Payload:
        """The same request for an answer no longer than this."""

    def release(self) -> None:
        """Drops the caller's bytes, once they will not be sent again."""


class Operation(Protocol):
    """What callers can ask for: the one that knows what is in a payload. `family`: of tokenizers; None: not known."""

    @property
    def name(self) -> str: ...

    @property
    def modes(self) -> frozenset[str]:
        """Of the models that serve it (`wire/vocabulary.py`)."""

    def demand(self, payload: Any) -> Demand: ...

    def affinity(self, payload: Any) -> int:
        """A number for the conversation of a request, so that it goes back where it is cached. Not 0."""

    def media_tokens(self, payload: Any, image_tokens: int) -> int:
        """The most tokens of what is not text; `image_tokens`: of one image."""

    def count(self, payload: Any, family: str | None, whole: bool) -> Counted:
        """The tokens of a prompt: of all that may come into it, or of the conversation alone. Slow: in a thread."""

    def kept(self, payload: Any) -> Prompt:
        """What is kept of a prompt while it is answered."""

    def is_empty(self, text: str) -> bool:
        """Whether an answer is charged nothing that has delivered this text, and no tokens by its provider's word."""

    def probe(self, model: str) -> Any:
        """The payload of the smallest call."""


class Batch:
    """A request with several inputs, each of which has the whole context for itself. `requests`: how many its price
    counts at most (`request` of a sheet); `words`: it asks for some, which have a cap."""

    __slots__ = ("inputs", "requests", "words")

    def __init__(self, inputs: int, requests: int = 1, words: bool = False) -> None:
        self.inputs = inputs
        self.requests = requests
        self.words = words


class Demand:
    """Computed once, where a request is read, and never changed: `called` and `carrying` make another one.

    `payload` is what is sent upstream; only `operation` knows what is in it. `api`: the payload's. `model` and
    `fallbacks`: ids of models, or other names of them until `called`. `needs`: capabilities and parameters, as bits
    of `routing/needs.py`; `media`: bits of `wire/media.py`, 0: text alone. `text_bytes`: of the conversation
    itself; `prompt_bytes`: of everything that may come into the prompt. `cap`: the most tokens of an answer, 0:
    none was given; `choices`: how many answers. `formatted`: the answer is to be JSON. `notes`: what its record has
    beside the bill; None: nothing. `batch`: None: it has one prompt.
    """

    __slots__ = (
        "api", "batch", "cap", "choices", "emulate", "fallbacks", "formatted", "media", "model", "needs", "notes",
        "operation", "payload", "preferences", "prompt_bytes", "stream", "strict", "text_bytes",
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
        batch: Batch | None = None,
    ) -> None:
        self.operation = operation
        self.payload: Any = payload
        self.api: str = payload.api
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
        self.batch = batch
        self.notes: CallNotes | None = None

    def noted(self, notes: CallNotes | None) -> Demand:
        """Itself, with these notes."""
        self.notes = notes
        return self

    def called(self, model: str, fallbacks: tuple[str, ...], preferences: Preferences | None) -> Demand:
        """The same for these models."""
        return Demand(
            self.operation, self.payload, model, self.needs, self.media, self.text_bytes, self.prompt_bytes, self.cap,
            self.choices, self.stream, self.strict, self.emulate, self.formatted, fallbacks, preferences,
            self.batch,
        ).noted(self.notes)  # fmt: skip

    def capped(self, tokens: int) -> Demand:
        """The same for an answer no longer than this."""
        return Demand(
            self.operation, self.payload.with_cap(tokens), self.model, self.needs, self.media, self.text_bytes,
            self.prompt_bytes, tokens, self.choices, self.stream, self.strict, self.emulate, self.formatted,
            self.fallbacks, self.preferences, self.batch,
        ).noted(self.notes)  # fmt: skip

    def carrying(self, payload: Payload) -> Demand:
        """The same for a payload that was rewritten here."""
        return self.operation.demand(payload).called(self.model, self.fallbacks, self.preferences).noted(self.notes)

    def carried_by(self, operation: Operation, payload: Any) -> Demand:
        """The same demand of an operation that has a payload of its own for it."""
        return Demand(
            operation, payload, self.model, self.needs, self.media, self.text_bytes, self.prompt_bytes, self.cap,
            self.choices, self.stream, self.strict, self.emulate, self.formatted, self.fallbacks, self.preferences,
            self.batch,
        ).noted(self.notes)  # fmt: skip
