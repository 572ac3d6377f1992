"""Counting tokens where a provider reports none: by the real tokenizer where it is known, else by an estimate."""

from fairlead.tokens.count import Counted, count_chat, count_text, family_of

__all__ = ["Counted", "count_chat", "count_text", "family_of"]
