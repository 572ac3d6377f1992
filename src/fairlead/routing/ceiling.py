"""The most that a call can come to, before it is made: what has to be there to pay for it. Pure.

A tokenizer never makes more tokens than a text has bytes, so the bytes of a prompt, with the JSON around its messages
standing for the template around them, are a safe bound that costs nothing to know.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.routing.upstream import Servable
from fairlead.wire.chat import ChatRequest

# The cap of an answer when neither the caller nor the catalogue names one.
UNKNOWN_OUTPUT_TOKENS: Final = 16_384
# What is shrunk further than this helps nobody: such a call is refused.
LEAST_OUTPUT_TOKENS: Final = 256
_CAPS: Final = ("max_tokens", "max_completion_tokens")
_number: Final = msgspec.json.Decoder(int)


class Ceiling:
    """Tokens at most: of the prompt, and of each of `choices` answers. `named`: the caller gave the cap;
    `known`: the caller or the catalogue did."""

    __slots__ = ("choices", "known", "named", "output", "prompt")

    def __init__(self, prompt: int, output: int, choices: int, named: bool, known: bool) -> None:
        self.prompt = prompt
        self.output = output
        self.choices = choices
        self.named = named
        self.known = known

    def with_prompt(self, tokens: int) -> Ceiling:
        return Ceiling(min(self.prompt, tokens), self.output, self.choices, self.named, self.known)

    def picodollars(self, servable: Servable, output: int | None = None) -> int:
        """What the dearest deployment may charge, with this cap or another one."""
        tokens = (self.output if output is None else output) * self.choices
        upstreams = servable.upstreams
        if len(upstreams) == 1:
            return upstreams[0].deployment.sheet.ceiling(self.prompt, tokens)
        return max(upstream.deployment.sheet.ceiling(self.prompt, tokens) for upstream in upstreams)

    def output_that_fits(self, servable: Servable, picodollars: int) -> int:
        """The largest cap that an amount pays for everywhere; 0 or less when none does."""
        fits = min(
            upstream.deployment.sheet.output_that_fits(self.prompt, picodollars) for upstream in servable.upstreams
        )
        return min(self.output, fits // self.choices)


def ceiling_of(servable: Servable, request: ChatRequest) -> Ceiling:
    tools = request.given.get("tools")
    prompt = len(request.messages) + (len(tools) if tools is not None else 0)
    if servable.context is not None:
        prompt = min(prompt, servable.context)
    output = servable.output
    known = output is not None
    named = False
    for name in _CAPS:
        raw = request.given.get(name)
        if raw is not None:
            wanted = _number.decode(raw)
            output = wanted if output is None else min(wanted, output)
            named = known = True
    return Ceiling(prompt, output or UNKNOWN_OUTPUT_TOKENS, request.choices, named, known)


def named_cap(request: ChatRequest) -> int | None:
    """The cap of an answer that the caller gave."""
    for name in _CAPS:
        raw = request.given.get(name)
        if raw is not None:
            return _number.decode(raw)
    return None


def tokens_foreseen(request: ChatRequest) -> int:
    """About how many tokens a call will use, for limits on tokens: a quarter of its bytes, and its cap when it has one.
    The real number takes its place when the call has ended."""
    for name in _CAPS:
        if name in request.given:
            return len(request.messages) // 4 + _number.decode(request.given[name])
    return len(request.messages) // 4


def cap_name(request: ChatRequest) -> str:
    """Which of the two names for a cap this request has, or is to have."""
    return next((name for name in _CAPS if name in request.given), _CAPS[0])


def cap(request: ChatRequest, output: int) -> None:
    """Makes the answer no longer than this, whatever the caller or the provider would have it."""
    request.given = {**request.given, cap_name(request): Raw(b"%d" % output)}
