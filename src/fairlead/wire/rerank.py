"""`POST /v1/rerank` and `/v2/rerank`: what a caller may send. Sources: the API references of Cohere and Jina."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import RERANK
from fairlead.wire.body import members_of
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_INPUTS
from fairlead.wire.counting import TooMany, counted_documents
from fairlead.wire.operation_request import FLAG, TEXT, OperationRequest, Rules, required, rule

_Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
PARAMETERS: Final[Rules] = {
    "max_chunks_per_doc": rule(_Positive, "a whole number of at least 1"),
    "max_tokens_per_doc": rule(_Positive, "a whole number of at least 1"),
    "rank_fields": rule(Annotated[list[str], Meta(min_length=1, max_length=64)], "a list of names of members"),
    "return_documents": FLAG,
    "top_n": rule(_Positive, "a whole number of at least 1"),
    "user": TEXT,
}
# A search unit is a query with up to so many documents; a longer document counts as several.
# https://docs.cohere.com/docs/how-does-cohere-pricing-work
UNIT_DOCUMENTS: Final = 100
CHUNK_TOKENS: Final = 500
# Of a chunk, where the query takes the rest of it.
LEAST_CHUNK_TOKENS: Final = 50
_query: Final = rule(Annotated[str, Meta(min_length=1)], "a string that is not empty", LONGEST_PARAMETER * 16)
_WANTED: Final = f"a list of up to {MOST_INPUTS:,} texts, or of objects with a text"


class RerankRequest(OperationRequest):
    """`documents`: the text of each; `originals`: as the caller wrote them, to be returned."""

    api = RERANK
    cap_name = "documents"

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        super().__init__(fields, {**PARAMETERS, "query": _query}, body, ("documents",))
        required(fields, "query")
        self.query: str = self.values["query"]
        for name in ("query", "top_n", "return_documents", "rank_fields"):
            self.given.pop(name, None)
        self.originals = _documents(required(fields, "documents"))
        fields_ranked: list[str] | None = self.values.get("rank_fields")
        self.documents = [_text(one, at, fields_ranked) for at, one in enumerate(self.originals)]
        self.top: int = min(self.values.get("top_n", len(self.documents)), len(self.documents))
        self.returns: bool = self.values.get("return_documents", False)

    @property
    def least_units(self) -> int:
        """The search units of documents none of which is long."""
        return -(-len(self.documents) // UNIT_DOCUMENTS)

    @property
    def most_units(self) -> int:
        """The search units that it can come to: a text never has more tokens than bytes."""
        chunk = max(CHUNK_TOKENS - len(self.query.encode()), LEAST_CHUNK_TOKENS)
        chunks = sum(max(1, -(-len(text.encode()) // chunk)) for text in self.documents)
        return -(-chunks // UNIT_DOCUMENTS)


def parse_rerank(body: bytes) -> RerankRequest:
    """Raises InvalidRequest (`param` names what is wrong)."""
    return RerankRequest(body)


def _documents(raw: Raw) -> list[Any]:
    try:
        found = counted_documents(raw, MOST_INPUTS)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"documents must be {_WANTED}.", param="documents") from None
    except TooMany:
        raise InvalidRequest(f"There are more than {MOST_INPUTS:,} documents.", param="documents") from None
    if not found:
        raise InvalidRequest("documents must not be empty.", param="documents")
    return found


def _text(document: Any, at: int, fields: list[str] | None) -> str:
    """What of a document is ranked: its text, or the named members as Cohere's first version has them."""
    if isinstance(document, str):
        return document
    if fields is not None:
        return "\n".join(f"{name}: {document[name]}" for name in fields if name in document)
    text = document.get("text")
    if not isinstance(text, str):
        where = f"documents[{at}]"
        raise InvalidRequest(f"{where} must be a string, or an object with a text.", param=where)
    return text
