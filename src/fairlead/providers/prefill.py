"""Who goes on from the beginning of an answer, letter by letter, as far as vendors' documentation says.

A model that begins a message of its own behind a last one of the assistant's does not go on from it.
"""

from __future__ import annotations

import re

from fairlead.providers.anthropic.request import version_of
from fairlead.providers.bedrock.request import is_claude
from fairlead.providers.dialects import Dialect

# The families of which it is known: up to Claude 4.5 they do, from 4.6 on it is an error.
# https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6
_KNOWN_CLAUDE = re.compile(r"claude-(?:opus|sonnet|haiku|instant|v?\d)")
_NEW_CLAUDE = (4, 6)
# "Starting with Gemini 3.6 Flash and Gemini 3.5 Flash-Lite, and all future models": an error.
# https://ai.google.dev/gemini-api/docs/latest-model
_GEMINI = re.compile(r"gemini-(\d+)(?:\.(\d+))?-")
_OLD_GEMINI = (3, 5)


def goes_on(dialect: Dialect, model: str) -> bool | None:
    """Whether the model goes on from a prefill. False: it refuses one. None: not known, or it begins anew."""
    if dialect.speaks == "anthropic" or (dialect.speaks == "bedrock" and is_claude(model)):
        return _claude(model)
    if dialect.speaks == "gemini":
        return _gemini(model)
    return True if dialect.continues else None


def _claude(model: str) -> bool | None:
    version = version_of(model)
    if version is None or _KNOWN_CLAUDE.search(model) is None:
        return None
    return version < _NEW_CLAUDE


def _gemini(model: str) -> bool:
    found = _GEMINI.search(model)
    if found is None:
        return False
    version = (int(found[1]), int(found[2] or 0))
    return version <= _OLD_GEMINI and not (version == _OLD_GEMINI and "flash-lite" in model)
