"""Ranked documents as Cohere and Jina write them: checked, and the best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from fairlead.errors import UpstreamInvalid
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.rerank import RerankRequest
from fairlead.wire.usage import Usage

_encode: Final = msgspec.json.encode


class Ranked(NamedTuple):
    """A document by its place in the request."""

    place: int
    score: float


class RerankAnswer:
    """An `Answer`. `request` has the documents, where they are returned."""

    head: Final = JSON_HEAD
    choices: Final = 1

    def __init__(
        self, model: bytes, request: RerankRequest, ranked: Sequence[Ranked], usage: Usage | None, identity: str | None
    ) -> None:
        self._model = model
        self._request = request
        self._ranked = ranked
        self._identity = identity
        self.usage = usage

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        usage = counted or self.usage
        results: list[dict[str, Any]] = []
        for place, score in self._ranked:
            result: dict[str, Any] = {"index": place, "relevance_score": score}
            if self._request.returns:
                original = self._request.originals[place]
                result["document"] = {"text": original} if isinstance(original, str) else original
            results.append(result)
        units = 0 if usage is None else usage.tokens.request
        tokens = 0 if usage is None else usage.prompt
        written = [
            b'{"object":"list",',
            b"" if self._identity is None else b'"id":%b,' % _encode(self._identity),
            b'"model":%b,"results":%b' % (self._model, _encode(results)),
            b',"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":%d}}' % units,
            b',"usage":{"prompt_tokens":%d,"total_tokens":%d%b}}' % (tokens, tokens, members),
        ]
        return b"".join(written)


def best_first(found: Sequence[Ranked], request: RerankRequest) -> list[Ranked]:
    """As many as were asked for. Raises UpstreamInvalid when there are fewer, when one stands there twice or was not
    sent, and for a score that is no number."""
    count = len(request.documents)
    if len(found) < request.top:
        raise UpstreamInvalid(f"The provider ranked {len(found)} documents, not the {request.top} that were requested.")
    seen: set[int] = set()
    for one in found:
        if not 0 <= one.place < count or one.place in seen:
            raise UpstreamInvalid("The provider ranked a document twice, or one that it was not sent.")
        if not math.isfinite(one.score):
            raise UpstreamInvalid("The provider sent a score that is not finite.")
        seen.add(one.place)
    return sorted(found, key=lambda one: -one.score)[: request.top]
