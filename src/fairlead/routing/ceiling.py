"""The most that a call can come to, before it is made: what has to be there to pay for it. Pure.

A tokenizer never makes more tokens than a text has bytes, so the bytes of everything that is sent on, with the JSON
around it standing for the template around it, are a safe bound that costs nothing to know. Which members a provider
puts into its prompt is not known here: all of them count, except numbers and flags (`chat_request.NOT_IN_PROMPT`).
Images, sound and files are not bounded by their bytes: `media_tokens` has the most that a provider counts for one.
"""

from __future__ import annotations

from typing import Final

from fairlead.routing.demand import Demand
from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA
from fairlead.routing.upstream import Servable

# The cap of an answer when neither the caller nor the catalogue names one.
UNKNOWN_OUTPUT_TOKENS: Final = 16_384
# What is shrunk further than this helps nobody: such a call is refused.
LEAST_OUTPUT_TOKENS: Final = 256
# The words that emulation puts around a schema, and more than that.
EMULATION_BYTES: Final = 1_024
_CHOICES: Final = CHOICES
_JSON: Final = JSON_OBJECT | JSON_SCHEMA


class Ceiling:
    """Tokens at most: of the prompt, and of each of `choices` answers. `calls`: how many times the prompt is sent and
    billed, each time for its part of the answers. `named`: the caller gave the cap; `known`: the caller or the
    catalogue did. `requests`: how many the price counts of one call."""

    __slots__ = ("calls", "choices", "known", "named", "output", "prompt", "requests")

    def __init__(
        self, prompt: int, output: int, choices: int, named: bool, known: bool, calls: int = 1, requests: int = 1
    ) -> None:
        self.prompt = prompt
        self.output = output
        self.choices = choices
        self.named = named
        self.known = known
        self.calls = calls
        self.requests = requests

    def with_prompt(self, tokens: int) -> Ceiling:
        return Ceiling(
            min(self.prompt, tokens), self.output, self.choices, self.named, self.known, self.calls, self.requests
        )

    def picodollars(self, servable: Servable, output: int | None = None) -> int:
        """What the most expensive deployment may charge, with this cap or another one."""
        calls = self.calls
        tokens = self.output if output is None else output
        if self.choices > 1:
            tokens *= self.choices
        if calls > 1:
            tokens = -(-tokens // calls)
        upstreams = servable.upstreams
        if len(upstreams) == 1:
            most = upstreams[0].deployment.sheet.ceiling(self.prompt, tokens, self.requests)
        else:
            most = max(upstream.deployment.sheet.ceiling(self.prompt, tokens, self.requests) for upstream in upstreams)
        return most if calls == 1 else most * calls

    def output_that_fits(self, servable: Servable, picodollars: int) -> int:
        """The largest cap that an amount pays for everywhere; 0 or less when none does."""
        calls = self.calls
        fits = min(
            upstream.deployment.sheet.output_that_fits(self.prompt, picodollars // calls)
            for upstream in servable.upstreams
        )
        return min(self.output, fits * calls // self.choices)


def ceiling_of(servable: Servable, demand: Demand) -> Ceiling:
    prompt = demand.prompt_bytes
    choices = demand.choices
    if demand.media:
        prompt += demand.operation.media_tokens(demand.payload, servable.image_tokens)
    batch = demand.batch
    inputs = 1
    if batch is not None:
        inputs = batch.inputs
        if not batch.words:
            if servable.context is not None:
                prompt = min(prompt, servable.context * inputs)
            return Ceiling(prompt, demand.cap, 1, True, True, 1, batch.requests)
    calls = calls_foreseen(servable, demand) if choices > 1 else 1
    if demand.formatted and demand.emulate and _lacks(servable, _JSON):
        prompt += EMULATION_BYTES
    if servable.context is not None:
        prompt = min(prompt, servable.context * inputs)
    output = servable.output
    cap = demand.cap
    if cap:
        return Ceiling(prompt, cap if output is None else min(cap, output), choices, True, True, calls)
    return Ceiling(prompt, output or UNKNOWN_OUTPUT_TOKENS, choices, False, output is not None, calls)


def _lacks(servable: Servable, capability: int) -> bool:
    """Whether some deployment would need it emulated."""
    return any(upstream.lacks & capability for upstream in servable.upstreams)


def calls_foreseen(servable: Servable, demand: Demand) -> int:
    """How many calls of a provider this one may become: one for each choice where a deployment lacks `n`, or a schema,
    because each answer is checked by itself."""
    if demand.choices == 1 or not demand.emulate:
        return 1
    by_schema = demand.formatted and _lacks(servable, _JSON)
    return demand.choices if by_schema or _lacks(servable, _CHOICES) else 1


def tokens_foreseen(demand: Demand, calls: int = 1) -> int:
    """About how many tokens a call will use, for limits on tokens: a quarter of its bytes for each of its calls of a
    provider, and its cap for each choice when it has one. The real number takes its place when the call has ended."""
    return demand.prompt_bytes // 4 * calls + demand.cap * demand.choices
