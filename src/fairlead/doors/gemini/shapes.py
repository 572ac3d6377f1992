"""Log probabilities as OpenAI writes them."""

from __future__ import annotations

import msgspec


class Token(msgspec.Struct):
    token: str = ""
    logprob: float = 0.0


class Logprob(Token):
    top_logprobs: list[Token] = []
