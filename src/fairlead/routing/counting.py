"""What an answer used when its provider does not say: counted by the tokenizer of the model, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from fairlead.routing.ceiling import Ceiling
from fairlead.routing.prompt import Prompt
from fairlead.routing.upstream import Servable, Upstream
from fairlead.tokens import Counted, count_chat, count_text
from fairlead.wire.chat import ChatRequest
from fairlead.wire.chat_request import NOT_IN_PROMPT
from fairlead.wire.usage import TokenClasses, Usage

# What an engine's template may add to a prompt that was counted; and one token in 32.
SPARE_TOKENS = 32
# What beside the messages is charged for as a part of the prompt when nobody reports how long it was.
COUNTED = ("tools", "documents", "response_format")


class Count(NamedTuple):
    usage: Usage
    state: Literal["counted", "estimated"]
    prompt_state: str  # where it differs


async def counted_ceiling(ceiling: Ceiling, servable: Servable, request: ChatRequest) -> Ceiling:
    """The ceiling with the prompt counted by the tokenizers of all deployments, and something to spare for templates
    that add to it; as it was where one of them is not known."""
    families = {upstream.family for upstream in servable.upstreams}
    if None in families or request.media:
        return ceiling
    members = [name for name in request.given if name not in NOT_IN_PROMPT]
    beside = max(0, ceiling.prompt - len(request.messages) - request.other_bytes)  # what emulation may add

    def work() -> int:
        found = [count_prompt(family, request.messages, request.given, members) for family in families]
        return max(one.tokens if one.provenance == "counted" else ceiling.prompt for one in found)

    tokens = await asyncio.get_running_loop().run_in_executor(None, work)
    return ceiling.with_prompt(tokens + beside + SPARE_TOKENS + tokens // 32)


def count_prompt(family: str | None, messages: bytes, given: Mapping[str, Raw] | None, names: Iterable[str]) -> Counted:
    """The tokens of a prompt with these members of its request: `tools` as a template writes them, the others as they
    are. Raises msgspec.DecodeError and RecursionError."""
    if given is None:
        return count_chat(family, messages)
    chat = count_chat(family, messages, given.get("tools"))
    tokens, exact = chat.tokens, chat.provenance == "counted"
    for name in names:
        if name in given and name != "tools":
            other = count_text(family, f"{name}: {bytes(given[name]).decode('utf-8', 'replace')}")
            tokens += other.tokens
            exact = exact and other.provenance == "counted"
    return Counted(tokens, "counted" if exact else "estimated")


async def counted_when_close(offers: Sequence[Servable], request: ChatRequest) -> int | None:
    """The tokens of a prompt whose length alone does not say whether it fits everywhere; None when that is not worth
    counting, or cannot be counted."""
    estimated = len(request.messages) // 4
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
    family, messages, tools = close[0].family, request.messages, request.given.get("tools")
    counted = await asyncio.get_running_loop().run_in_executor(None, count_chat, family, messages, tools)
    return counted.tokens if counted.provenance == "counted" else None


async def count(upstream: Upstream, prompt: Prompt, text: str, calls: int = 1) -> Count:
    """The usage of as many calls with this prompt, whose answers together were `text`. An answer never counts for more
    than its cap: what a provider sends beyond it, the caller has not asked for."""
    most = (prompt.cap or upstream.most_output) * max(prompt.choices, calls)
    return await asyncio.get_running_loop().run_in_executor(None, _count, upstream.family, prompt, text, calls, most)


def _count(family: str | None, prompt: Prompt, text: str, calls: int, most: int) -> Count:
    given = Counted(-(-prompt.length // 4), "estimated")
    if prompt.messages is not None:
        try:
            given = count_prompt(family, prompt.messages, prompt.given, COUNTED)
        except (msgspec.DecodeError, RecursionError):
            pass
    made = count_text(family, text)
    asked, output = given.tokens * calls, min(made.tokens, most)
    usage = Usage(TokenClasses(asked, output=output, request=calls), asked, output)
    return Count(usage, made.provenance, "" if given.provenance == made.provenance else given.provenance)
