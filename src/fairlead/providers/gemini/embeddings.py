"""Gemini's batchEmbedContents. Source: https://ai.google.dev/api/embeddings"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.errors import NotTranslated
from fairlead.providers.dialect import Binding, OperationAPI
from fairlead.providers.unstreamed import Unstreamed, WholeCall, document, members_for
from fairlead.wire.apis import EMBEDDINGS
from fairlead.wire.bounds import MOST_INPUTS
from fairlead.wire.embedding_answer import EmbeddingsAnswer, Vector, in_order, written
from fairlead.wire.embeddings import EmbeddingsRequest
from fairlead.wire.usage import usage_from_gemini

_encode: Final = msgspec.json.encode
# Cohere's and Jina's words for the task.
_TASKS: Final = {
    "query": "RETRIEVAL_QUERY", "search_query": "RETRIEVAL_QUERY", "retrieval.query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT", "passage": "RETRIEVAL_DOCUMENT", "search_document": "RETRIEVAL_DOCUMENT",
    "retrieval.passage": "RETRIEVAL_DOCUMENT", "classification": "CLASSIFICATION", "clustering": "CLUSTERING",
}  # fmt: skip
# The members by which callers name the task; the last one wins.
_TASK_MEMBERS: Final = ("task", "input_type", "task_type")


class _Values(Struct):
    values: Raw


class _Answer(Struct, rename="camel"):
    embeddings: Annotated[list[_Values], Meta(max_length=MOST_INPUTS)] = []
    usage_metadata: Raw = Raw(b"null")


_answer: Final = msgspec.json.Decoder(_Answer)
_text: Final = msgspec.json.Decoder(str)


class GeminiEmbeddings(Unstreamed):
    """An `Adapter`."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        name = binding.upstream_model.removeprefix("models/")
        self._model = f"models/{name}"
        self.path = f"/models/{quote(name, safe='')}:batchEmbedContents".encode()

    def to_vendor(self, request: EmbeddingsRequest) -> WholeCall:
        """Raises NotTranslated for tokens in the place of texts."""
        if request.inputs.texts is None:
            raise NotTranslated(("input",), "This model's provider takes texts in input, not tokens.")
        members, dropped = members_for(request, self.binding.dialect, EMBEDDINGS, frozenset())
        shared: dict[str, object] = {"model": self._model}
        if request.dimensions is not None:
            shared["outputDimensionality"] = request.dimensions
        for name in _TASK_MEMBERS:
            if name in members and (task := _task(members[name])) is not None:
                shared["taskType"] = task
        asked = [{**shared, "content": {"parts": [{"text": text}]}} for text in request.inputs.texts]
        return WholeCall([_encode({"requests": asked})], self.path, request, dropped)

    def plain(self, call: WholeCall, body: bytes) -> EmbeddingsAnswer:
        """Raises UpstreamError for an answer without a vector for each input."""
        request: EmbeddingsRequest = call.request
        answer: _Answer = document(_answer, body, "list of vectors")
        vectors = in_order([Vector(one.values) for one in answer.embeddings], len(request.inputs))
        usage = None if answer.usage_metadata == Raw(b"null") else usage_from_gemini(answer.usage_metadata)
        return EmbeddingsAnswer(self.public_model, written(vectors, request.encoding, request.dimensions), usage)


def _task(raw: Raw) -> str | None:
    try:
        word = _text.decode(raw)
    except msgspec.DecodeError:
        return None
    return _TASKS.get(word.lower()) or (word if word.isupper() else None)


API: Final = OperationAPI(EMBEDDINGS, GeminiEmbeddings)
