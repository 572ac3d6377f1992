"""OpenAI's embeddings, for everyone who speaks them. Sources: the API references of OpenAI, Mistral, Cohere
(compatibility API) and Jina; vLLM's, SGLang's and llama.cpp's servers."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.providers.dialect import OperationAPI
from fairlead.providers.openai.errors import event_error
from fairlead.providers.unstreamed import Unstreamed, WholeCall, body_of, document, members_for
from fairlead.wire.apis import EMBEDDINGS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.embedding_answer import EmbeddingsAnswer, Vectors, in_order, written
from fairlead.wire.embeddings import EmbeddingsRequest
from fairlead.wire.usage import TokenClasses, Usage, usage_from_openai

# What an input is for, and how a longer one is cut: no other price.
HARMLESS: Final = frozenset({
    "input_type", "late_chunking", "normalized", "priority", "prompt_name", "task", "truncate",
    "truncate_prompt_tokens", "truncation",
})  # fmt: skip
_vectors: Final = msgspec.json.Decoder(Vectors)


class OpenAIEmbeddings(Unstreamed):
    """An `Adapter`."""

    def to_vendor(self, request: EmbeddingsRequest) -> WholeCall:
        members, dropped = members_for(request, self.binding.dialect, EMBEDDINGS, HARMLESS)
        body = body_of(self.binding.upstream_model, members, input=request.inputs.raw)
        return WholeCall(body, self.path, request, dropped)

    def plain(self, call: WholeCall, body: bytes) -> EmbeddingsAnswer:
        """Raises UpstreamError for an answer without a vector for each input."""
        request: EmbeddingsRequest = call.request
        answer: Vectors = document(_vectors, body, "list of vectors")
        if answer.error != NULL:
            raise event_error(answer.error)
        vectors = in_order(answer.data, len(request.inputs))
        return EmbeddingsAnswer(
            self.public_model, written(vectors, request.encoding, request.dimensions), prompt_usage(answer.usage)
        )


def prompt_usage(raw: Raw, requests: int = 1) -> Usage | None:
    """The usage of what writes nothing: its prompt alone, whatever else is reported."""
    usage = None if raw == NULL else usage_from_openai(raw)
    if usage is None or not usage.prompt:
        return None
    tokens = usage.tokens._replace(output=0, reasoning=0, audio_output=0, request=requests)
    return Usage(TokenClasses._make(tokens), usage.prompt, 0, usage.balanced)


API: Final = OperationAPI(EMBEDDINGS, OpenAIEmbeddings, path="/embeddings")
