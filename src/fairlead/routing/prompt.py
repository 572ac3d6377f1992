"""What is kept of a prompt while it is answered, to count it when the provider does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fairlead.errors import CallerError
from fairlead.tokens import Counted

# What a provider's template and its own words may add to a prompt: Anthropic's for tools are about 700 tokens.
TEMPLATE_TOKENS: Final = 4_096


class Prompt:
    """How long it was in bytes, from which its tokens are estimated; an operation may keep more. `most`: the tokens
    that it can come to; `cap`: those of each of `choices` answers; 0: none was given. `inputs`: how many parts of it
    have the whole context each."""

    __slots__ = ("cap", "choices", "inputs", "length", "most")

    def __init__(self, length: int, most: int, cap: int, choices: int, inputs: int = 1) -> None:
        self.length = length
        self.most = most
        self.cap = cap
        self.choices = choices
        self.inputs = inputs

    def count(self, family: str | None) -> Counted:  # noqa: ARG002 - what is kept longer needs it
        """Its tokens. Slow: in a thread."""
        return Counted(-(-self.length // 4), "estimated")


class DeferredPrompt(Prompt):
    """The prompt of a short request that is translated only when its tokens are counted: `translated` does it, and may
    raise CallerError for what only the request's own provider takes."""

    __slots__ = ("translated",)

    def __init__(self, length: int, most: int, cap: int, translated: Callable[[], Prompt]) -> None:
        super().__init__(length, most, cap, 1)
        self.translated = translated

    def count(self, family: str | None) -> Counted:
        try:
            return self.translated().count(family)
        except (CallerError, msgspec.DecodeError, RecursionError):
            return super().count(family)


class CountedPrompt(Prompt):
    """The prompt of an operation other than chat, whose own function counts it. `requests`: what its price
    counts beside the tokens."""

    __slots__ = ("counter", "requests")

    def __init__(
        self,
        length: int,
        most: int,
        inputs: int,
        counter: Callable[[str | None], Counted],
        requests: int = 1,
        cap: int = 0,
        choices: int = 1,
    ) -> None:
        super().__init__(length, most, cap, choices, inputs)
        self.counter = counter
        self.requests = requests

    def count(self, family: str | None) -> Counted:
        return self.counter(family)
