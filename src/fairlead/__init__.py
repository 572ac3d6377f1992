"""Fairlead: a self-hosted LLM router."""

__version__ = "0.1.0"
