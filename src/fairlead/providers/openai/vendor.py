"""OpenAI's API, for everyone who speaks it."""

from __future__ import annotations

from fairlead.providers.dialect import Binding, Dialect, VendorAPI
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.providers.openai.dialects import ROWS


def _adapter(binding: Binding) -> OpenAIChat:
    return OpenAIChat(binding.dialect, binding.public_model, binding.upstream_model, binding.defaults)


def _translated(dialect: Dialect) -> frozenset[str]:
    names = set(dialect.renames)
    if dialect.tool_choice != "as_is":
        names.add("tool_choice")
    if dialect.structured != "as_is":
        names.add("structured_outputs")
    return frozenset(names)


OPENAI = VendorAPI("openai", ROWS, _adapter, translated=_translated)
