"""Fairlead: a self-hosted LLM router."""

from fairlead.compiled import choose

__version__ = "0.1.0"

choose()
