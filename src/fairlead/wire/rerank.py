"""`POST /v1/rerank` and `/v2/rerank`: what a caller may send. Sources: the API references of Cohere and Jina."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import RERANK
from fairlead.wire.body import members_of
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_INPUTS
from fairlead.wire.counting import TextItem, TooMany, counted_texts, decode_counted
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
# Of a longer list of documents each is decoded no further than its text.
MOST_MIXED_BYTES: Final = 262_144
_mixed: Final = msgspec.json.Decoder(list[str | dict[str, Raw]])
_objects: Final = msgspec.json.Decoder(list[TextItem])
_string: Final = msgspec.json.Decoder(str)
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
        self.originals = _documents(required(fields, "documents"), with_fields="rank_fields" in self.values)
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


def _documents(raw: Raw, *, with_fields: bool) -> list[Any]:
    """Texts, and objects. Of a long list all must be of one kind; its objects are read for their text alone."""
    if len(raw) > MOST_MIXED_BYTES and with_fields:
        raise InvalidRequest(f"rank_fields needs documents of at most {MOST_MIXED_BYTES:,} bytes.", param="rank_fields")
    found: list[Any]
    try:
        if len(raw) <= MOST_MIXED_BYTES:
            found = _mixed.decode(raw)
        elif bytes(memoryview(raw)[1:64]).lstrip(b" \t\r\n")[:1] == b'"':
            found = counted_texts(raw, MOST_INPUTS)
        else:
            found = [{"text": one.text} for one in decode_counted(_objects, raw, MOST_INPUTS)]
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"documents must be {_WANTED}.", param="documents") from None
    except TooMany:
        found = []
    if len(found) > MOST_INPUTS or (not found and len(raw) > MOST_MIXED_BYTES):
        raise InvalidRequest(f"There are more than {MOST_INPUTS:,} documents.", param="documents")
    if not found:
        raise InvalidRequest("documents must not be empty.", param="documents")
    return found


def _text(document: Any, at: int, fields: list[str] | None) -> str:
    """What of a document is ranked: its text, or the named members as Cohere's first version has them."""
    if isinstance(document, str):
        return document
    if fields is not None:
        return "\n".join(f"{name}: {_shown(document[name])}" for name in fields if name in document)
    text = document.get("text")
    try:
        return text if isinstance(text, str) else _string.decode(text or b"")
    except msgspec.DecodeError:
        where = f"documents[{at}]"
        raise InvalidRequest(f"{where} must be a string, or an object with a text.", param=where) from None


def _shown(value: Raw) -> str:
    """A string as its text, anything else as JSON."""
    return _string.decode(value) if memoryview(value)[0] == 0x22 else bytes(value).decode()


# For /openapi.json.
SCHEMAS: Final[Mapping[str, Any]] = {
    "RerankRequest": {
        "type": "object",
        "required": ["model", "query", "documents"],
        "properties": {
            "model": {"type": "string", "description": "The id of a model."},
            "query": {"type": "string", "minLength": 1},
            "documents": {
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["text"]}]},
            },
            "top_n": {"type": "integer", "minimum": 1},
            "return_documents": {"type": "boolean", "default": False},
            "max_tokens_per_doc": {"type": "integer", "minimum": 1},
        },
        "additionalProperties": True,
    },
    "Ranking": {
        "type": "object",
        "required": ["results", "model", "meta", "usage"],
        "properties": {
            "id": {"type": "string"},
            "model": {"type": "string"},
            "results": {
                "type": "array",
                "description": "The best first.",
                "items": {
                    "type": "object",
                    "required": ["index", "relevance_score"],
                    "properties": {
                        "index": {"type": "integer"},
                        "relevance_score": {"type": "number"},
                        "document": {"type": "object"},
                    },
                },
            },
            "meta": {"type": "object"},
            "usage": {"$ref": "#/components/schemas/Usage"},
        },
        "additionalProperties": True,
    },
}
