"""Rerank as the middle knows it."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from fairlead.routing.demand import Batch, Demand
from fairlead.routing.prompt import CountedPrompt
from fairlead.tokens import Counted, count_text
from fairlead.wire.apis import RERANK as NAME
from fairlead.wire.rerank import RerankRequest, parse_rerank

# What a model puts around a query and a document: marks between them, the words of an instruction.
TEMPLATE_TOKENS: Final = 128


class Rerank:
    """Its payload is a `RerankRequest`. The query is read with each document."""

    name: Final = NAME
    modes: Final = frozenset({"rerank"})

    def demand(self, payload: RerankRequest) -> Demand:
        documents = payload.documents
        longest = max(len(text.encode()) for text in documents) + len(payload.query.encode())
        return Demand(
            self, payload, payload.model, 0, 0, longest, _most_tokens(payload), 0, 1, False, payload.strict, False,
            False, payload.fallbacks, payload.preferences, Batch(len(documents), payload.most_units),
        )  # fmt: skip

    def affinity(self, payload: RerankRequest) -> int:
        return hash(payload.query) or 1

    def media_tokens(self, _payload: RerankRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: RerankRequest, family: str | None, whole: bool) -> Counted:
        query = count_text(family, payload.query)
        found = [count_text(family, text) for text in payload.documents]
        exact = all(one.provenance == "counted" for one in (query, *found))
        tokens = [query.tokens + one.tokens for one in found]
        return Counted(sum(tokens) if whole else max(tokens), "counted" if exact else "estimated")

    def kept(self, payload: RerankRequest) -> CountedPrompt:
        most = _most_tokens(payload)
        count = len(payload.documents)
        return CountedPrompt(most, most, count, partial(self._counted, payload), payload.least_units)

    def _counted(self, payload: RerankRequest, family: str | None) -> Counted:
        return self.count(payload, family, True)

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> RerankRequest:
        return parse_rerank(msgspec.json.encode({"model": model, "query": "OK", "documents": ["OK"]}))


RERANK: Final = Rerank()


def _most_tokens(payload: RerankRequest) -> int:
    around = len(payload.query.encode()) + TEMPLATE_TOKENS
    return sum(len(text.encode()) for text in payload.documents) + around * len(payload.documents)
