"""What an answer used when its provider does not say: counted by the tokenizer of the model, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from fairlead.routing.ceiling import Ceiling
from fairlead.routing.demand import Demand
from fairlead.routing.prompt import CountedPrompt, Prompt
from fairlead.routing.upstream import Servable, Upstream
from fairlead.tokens import count_text
from fairlead.wire.usage import TokenClasses, Usage

# What an engine's template may add to a prompt that was counted; and one token in 32.
SPARE_TOKENS = 32


class Count(NamedTuple):
    usage: Usage
    state: Literal["counted", "estimated"]
    prompt_state: str  # where it differs


async def counted_ceiling(ceiling: Ceiling, servable: Servable, demand: Demand) -> Ceiling:
    """The ceiling with the prompt counted by the tokenizers of all deployments, and something to spare for templates
    that add to it; as it was where one of them is not known."""
    families = {upstream.family for upstream in servable.upstreams}
    if None in families or demand.media:
        return ceiling
    beside = max(0, ceiling.prompt - demand.prompt_bytes)  # what emulation may add

    def work() -> int:
        found = [demand.operation.count(demand.payload, family, True) for family in families]
        return max(one.tokens if one.provenance == "counted" else ceiling.prompt for one in found)

    tokens = await asyncio.get_running_loop().run_in_executor(None, work)
    return ceiling.with_prompt(tokens + beside + SPARE_TOKENS + tokens // 32)


async def counted_when_close(offers: Sequence[Servable], demand: Demand) -> int | None:
    """The tokens of a prompt whose length alone does not say whether it fits everywhere; None when that is not worth
    counting, or cannot be counted."""
    estimated = demand.text_bytes // 4
    close = [
        upstream
        for offer in offers
        for upstream in offer.upstreams
        if upstream.context is not None
        and estimated * 3 + (upstream.output or 0) >= upstream.context
        and estimated <= upstream.context * 4  # beyond it does not fit anyway (`plan.BYTES_PER_TOKEN`)
    ]
    if not close or close[0].family is None:
        return None
    counting = partial(demand.operation.count, demand.payload, close[0].family, False)
    counted = await asyncio.get_running_loop().run_in_executor(None, counting)
    return counted.tokens if counted.provenance == "counted" else None


async def count(upstream: Upstream, prompt: Prompt, text: str, calls: int = 1) -> Count:
    """The usage of as many calls with this prompt, whose answers together were `text`. An answer never counts for more
    than its cap: what a provider sends beyond it, the caller has not asked for."""
    most = (prompt.cap or upstream.most_output) * max(prompt.choices, calls)
    return await asyncio.get_running_loop().run_in_executor(None, _count, upstream.family, prompt, text, calls, most)


def _count(family: str | None, prompt: Prompt, text: str, calls: int, most: int) -> Count:
    given = prompt.count(family)
    made = count_text(family, text)
    asked, output = given.tokens * calls, min(made.tokens, most)
    requests = prompt.requests if isinstance(prompt, CountedPrompt) else calls
    usage = Usage(TokenClasses(asked, output=output, request=requests), asked, output)
    return Count(usage, made.provenance, "" if given.provenance == made.provenance else given.provenance)
