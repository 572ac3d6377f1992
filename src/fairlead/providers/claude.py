"""What Claude takes, at any provider: its thinking, its sampling, its turns. Pure."""

from __future__ import annotations

import re
from typing import Any

from fairlead.providers.conversation import Losses
from fairlead.providers.conversation_shapes import Conversation, Part, Text, Turn, Wishes

# `max_tokens` must be said: this when neither the caller nor the catalogue does.
OUTPUT_TOKENS = 4096
LEAST_BUDGET_TOKENS = 1024
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 12_288, "high": 24_576, "xhigh": 32_768, "max": 32_768}
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
# The families of which it is known: up to Claude 4.5 they continue a prefill, from 4.6 on it is an error.
# https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6
_KNOWN = re.compile(r"claude-(?:opus|sonnet|haiku|instant|v?\d)")
FIRST_WITHOUT_PREFILL = (4, 6)
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d)(?!\d))?")


def version_of(model: str) -> tuple[int, int] | None:
    """(4, 5) for claude-sonnet-4-5-20250929; None for a model that is not Claude."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def thinking_of(
    wishes: Wishes, model: str, most: int, conversation: Conversation, lost: Losses
) -> tuple[dict[str, Any] | None, str | None]:
    """(`thinking`, `effort`) for the wanted effort: a budget of tokens up to Claude 4.5, a word from 4.6 on.

    https://platform.claude.com/docs/en/build-with-claude/extended-thinking and .../effort
    """
    effort = wishes.reasoning_effort
    if effort is None:
        return None, None
    if effort == "none":
        return {"type": "disabled"}, None
    version = version_of(model)
    forced = wishes.tool_choice == "required"
    prefilled = bool(conversation.turns) and conversation.turns[-1].role == "assistant"
    if effort not in BUDGETS or forced or prefilled:
        lost.dropped.append("reasoning_effort")  # thinking goes neither with a forced tool nor with a prefill
        return None, None
    if version is not None and version >= (4, 6):
        thinking = {"type": "adaptive"} if version < (4, 7) else {"type": "adaptive", "display": "summarized"}
        if EFFORTS[effort] != effort:
            lost.clamped.append("reasoning_effort")
        return thinking, EFFORTS[effort]
    budget = min(BUDGETS[effort], most - 1)
    # With a budget, what the assistant has begun with tools must begin with a thought of Claude's, else it is an error
    # ("Expected `thinking` or `redacted_thinking`, but found `tool_use`"): another model has made those calls.
    if budget < LEAST_BUDGET_TOKENS or conversation.is_unthought_loop:
        lost.dropped.append("reasoning_effort")
        return None, None
    if budget < BUDGETS[effort]:
        lost.clamped.append("reasoning_effort")
    return {"type": "enabled", "budget_tokens": budget}, None


def sampling_of(wishes: Wishes, model: str, thinks: bool, lost: Losses) -> dict[str, Any]:
    """`temperature`, `top_p`, `top_k` as Claude takes them: at most 1, not both, none with thinking or from 4.7 on."""
    version = version_of(model)
    given = {name: getattr(wishes, name) for name in ("temperature", "top_p", "top_k")}
    found = {name: value for name, value in given.items() if value is not None}
    if thinks or (version is not None and version >= (4, 7)):
        lost.dropped += found
        return {}
    if "temperature" in found and "top_p" in found:
        lost.dropped.append("top_p")
        del found["top_p"]
    if found.get("temperature", 0) > 1:
        lost.clamped.append("temperature")
        found["temperature"] = 1
    return found


def turns_for_claude(conversation: Conversation) -> list[Turn]:
    """The turns; a prefill must not end with white space."""
    turns = conversation.turns
    if not turns or turns[-1].role != "assistant" or not isinstance(last := turns[-1].parts[-1], Text):
        return turns
    text = last.text.rstrip()
    ending: list[Part] = [Text(text, last.cache)] if text else []
    parts = [*turns[-1].parts[:-1], *ending]
    return [*turns[:-1], Turn("assistant", parts)] if parts else turns[:-1]


def supports_prefill(model: str) -> bool | None:
    """Whether it continues the beginning of an answer. False: it refuses one. None: not known."""
    version = version_of(model)
    if version is None or _KNOWN.search(model) is None:
        return None
    return version < FIRST_WITHOUT_PREFILL
