"""Which models continue the beginning of an answer, letter by letter, as far as vendors' documentation says.

A model that begins a message of its own behind a last one of the assistant's does not continue it.
"""

from __future__ import annotations

from fairlead.providers.dialect import Dialect
from fairlead.providers.dialects import VENDORS


def supports_prefill(dialect: Dialect, model: str) -> bool | None:
    """Whether the model continues a prefill. False: it refuses one. None: not known, or it starts over."""
    return VENDORS[dialect.speaks].supports_prefill(dialect, model)
