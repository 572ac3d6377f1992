"""Rerank at Cohere, Jina, vLLM, SGLang and llama.cpp, whose requests are alike and whose answers differ. Sources: the
API references of Cohere and Jina; the servers of vLLM, SGLang and llama.cpp."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.providers.dialect import OperationAPI
from fairlead.providers.openai.errors import event_error
from fairlead.providers.unstreamed import Unstreamed, WholeCall, body_of, document, members_for
from fairlead.wire.apis import RERANK
from fairlead.wire.bounds import MOST_INPUTS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.rerank import RerankRequest
from fairlead.wire.rerank_answer import Ranked, RerankAnswer, best_first
from fairlead.wire.usage import TokenClasses, Usage
from fairlead.wire.usage_shapes import Count

_encode: Final = msgspec.json.encode
HARMLESS: Final = frozenset({"priority", "task", "truncate", "truncate_prompt_tokens", "truncation"})


class _Result(Struct):
    index: Annotated[int, Meta(ge=0, lt=MOST_INPUTS)]
    relevance_score: float | None = None
    score: float | None = None  # SGLang


class _Units(Struct):
    search_units: Annotated[float, Meta(ge=0, le=2**31)] | None = None
    input_tokens: Annotated[float, Meta(ge=0, le=2**40)] | None = None


class _Billed(Struct):
    billed_units: _Units | None = None


class _Usage(Struct):
    prompt_tokens: Count | None = None
    total_tokens: Count | None = None


class _Answer(Struct):
    results: Annotated[list[_Result], Meta(max_length=MOST_INPUTS)] = []
    id: str | None = None
    meta: _Billed | None = None
    usage: _Usage | None = None
    error: Raw = NULL


_answer: Final = msgspec.json.Decoder(_Answer)
_results: Final = msgspec.json.Decoder(Annotated[list[_Result], Meta(max_length=MOST_INPUTS)])


class Rerank(Unstreamed):
    """An `Adapter`."""

    def to_vendor(self, request: RerankRequest) -> WholeCall:
        members, dropped = members_for(request, self.binding.dialect, RERANK, HARMLESS)
        members["query"] = Raw(_encode(request.query))
        members["top_n"] = Raw(b"%d" % request.top)
        body = body_of(self.binding.upstream_model, members, documents=Raw(_encode(request.documents)))
        return WholeCall(body, self.path, request, dropped)

    def plain(self, call: WholeCall, body: bytes) -> RerankAnswer:
        """Raises UpstreamError for an answer without as many documents as were asked for."""
        request: RerankRequest = call.request
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            answer = _Answer(document(_results, body, "list of ranked documents"))
        else:
            answer = document(_answer, body, "list of ranked documents")
        if answer.error != NULL:
            raise event_error(answer.error)
        ranked = best_first([Ranked(one.index, _score(one)) for one in answer.results], request)
        return RerankAnswer(self.public_model, request, ranked, _usage(answer, request), answer.id)


def _score(result: _Result) -> float:
    score = result.score if result.relevance_score is None else result.relevance_score
    return float("nan") if score is None else score


def _usage(answer: _Answer, request: RerankRequest) -> Usage | None:
    """Tokens, or search units alone, as the provider bills them. None: it reports neither. Units that the request
    cannot come to are not believed."""
    units: int | None = None
    tokens = 0
    if answer.meta is not None and (billed := answer.meta.billed_units) is not None:
        units = None if billed.search_units is None else int(billed.search_units + 0.999)
        tokens = int(billed.input_tokens or 0)
    if answer.usage is not None:
        tokens = answer.usage.prompt_tokens or answer.usage.total_tokens or tokens
    if units is not None and not 0 < units <= request.most_units:
        units = None
    if units is None and not tokens:
        return None
    return Usage(TokenClasses(tokens, request=units or request.least_units), tokens, 0)


API: Final = OperationAPI(RERANK, Rerank, path="/rerank")
