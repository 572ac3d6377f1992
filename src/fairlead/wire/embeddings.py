"""`POST /v1/embeddings`: what a caller may send. Source: OpenAI's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from fairlead.wire.apis import EMBEDDINGS
from fairlead.wire.body import members_of
from fairlead.wire.inputs import Inputs, read_inputs
from fairlead.wire.operation_request import TEXT, OperationRequest, Rules, required, rule

Encoding = Literal["float", "base64"]
PARAMETERS: Final[Rules] = {
    "dimensions": rule(Annotated[int, Meta(ge=1, le=65_536)], "a whole number from 1 to 65,536"),
    "encoding_format": rule(Encoding, "'float' or 'base64'"),
    "user": TEXT,
}


class EmbeddingsRequest(OperationRequest):
    """Its `inputs`, and how their vectors are to be written."""

    api = EMBEDDINGS

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        super().__init__(fields, PARAMETERS, body, ("input",))
        self.inputs = read_inputs("input", required(fields, "input"))
        self.encoding: Encoding = self.values.get("encoding_format", "float")
        self.dimensions: int | None = self.values.get("dimensions")

    def with_inputs(self, inputs: Inputs) -> EmbeddingsRequest:
        """The same for these inputs."""
        same = object.__new__(EmbeddingsRequest)
        same.__dict__.update(self.__dict__)
        same.inputs = inputs
        return same


def parse_embeddings(body: bytes) -> EmbeddingsRequest:
    """Raises InvalidRequest (`param` names what is wrong)."""
    return EmbeddingsRequest(body)


# For /openapi.json.
SCHEMAS: Final[Mapping[str, Any]] = {
    "EmbeddingsRequest": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "description": "The id of a model."},
            "input": {
                "description": "A text, a list of texts, a list of tokens, or a list of such lists.",
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}],
            },
            "encoding_format": {"enum": ["float", "base64"], "default": "float"},
            "dimensions": {"type": "integer", "minimum": 1},
            "user": {"type": "string"},
        },
        "additionalProperties": True,
    },
    "Embeddings": {
        "type": "object",
        "required": ["object", "data", "model", "usage"],
        "properties": {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["object", "index", "embedding"],
                    "properties": {
                        "object": {"const": "embedding"},
                        "index": {"type": "integer"},
                        "embedding": {
                            "description": "Numbers, or base64 of little-endian floats of 32 bits.",
                            "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}],
                        },
                    },
                },
            },
            "model": {"type": "string"},
            "usage": {"$ref": "#/components/schemas/Usage"},
        },
        "additionalProperties": True,
    },
}
