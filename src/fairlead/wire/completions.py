"""`POST /v1/completions`: a text is continued as it is, without a template. Source: OpenAI's API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import COMPLETIONS
from fairlead.wire.body import members_of
from fairlead.wire.bounds import MOST_CHOICES, MOST_STOPS
from fairlead.wire.chat_shapes import StreamOptions
from fairlead.wire.inputs import Inputs, read_inputs
from fairlead.wire.operation_request import ANY_LENGTH, FLAG, TEXT, OperationRequest, Rules, required, rule

_Choices = Annotated[int, Meta(ge=1, le=MOST_CHOICES)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
PARAMETERS: Final[Rules] = {
    "best_of": rule(_Choices, f"a whole number from 1 to {MOST_CHOICES}"),
    "echo": FLAG,
    "frequency_penalty": rule(_Penalty, "a number from -2 to 2"),
    "logit_bias": rule(dict[str, Annotated[float, Meta(ge=-100, le=100)]], "an object of numbers from -100 to 100"),
    "logprobs": rule(Annotated[int, Meta(ge=0, le=20)], "a whole number from 0 to 20"),
    "max_tokens": rule(Annotated[int, Meta(ge=0, le=2**31 - 1)], "a whole number"),
    "n": rule(_Choices, f"a whole number from 1 to {MOST_CHOICES}"),
    "presence_penalty": rule(_Penalty, "a number from -2 to 2"),
    "seed": rule(Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)], "a whole number of 64 bits"),
    "stop": rule(
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=MOST_STOPS)],
        f"a string or a list of up to {MOST_STOPS} strings, none of them empty",
    ),
    "stream": FLAG,
    "stream_options": rule(StreamOptions, 'an object such as {"include_usage": true}'),
    "suffix": rule(str, "a string", ANY_LENGTH),
    "temperature": rule(Annotated[float, Meta(ge=0, le=2)], "a number from 0 to 2"),
    "top_p": rule(Annotated[float, Meta(gt=0, le=1)], "a number above 0 and up to 1"),
    "user": TEXT,
}
# OpenAI's cap where the caller gives none. It is always sent: engines have other ones, or none.
DEFAULT_CAP: Final = 16


class CompletionsRequest(OperationRequest):
    """`prompts`, each with `n` answers of `made` that are written for it; `choices`: all that are written."""

    api = COMPLETIONS
    cap_name = "max_tokens"

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        super().__init__(fields, PARAMETERS, body, ("prompt",))
        self.prompts = read_inputs("prompt", required(fields, "prompt"))
        self.stream: bool = self.values.get("stream", False)
        options: StreamOptions | None = self.values.get("stream_options")
        if options is not None and not self.stream:
            raise InvalidRequest("stream_options needs stream: true.", param="stream_options")
        self.include_usage = options is not None and bool(options.include_usage)
        for name in ("stream", "stream_options"):
            self.given.pop(name, None)
        self.echo: bool = self.values.get("echo", False)
        self.suffix_bytes = len(self.given.get("suffix", b""))
        self.n: int = self.values.get("n", 1)
        self.made: int = self.values.get("best_of", self.n)
        if self.made < self.n:
            raise InvalidRequest("best_of must not be less than n.", param="best_of")
        if self.made > self.n and self.stream:
            raise InvalidRequest("best_of cannot be more than n in a stream.", param="best_of")
        self.choices = len(self.prompts) * self.made
        if self.choices > MOST_CHOICES:
            raise InvalidRequest(
                f"More than {MOST_CHOICES} answers are requested, for all prompts together.", param="prompt"
            )
        cap: int = self.values.get("max_tokens", DEFAULT_CAP)
        if "max_tokens" not in self.given:
            self.given["max_tokens"] = Raw(b"%d" % cap)
        if not cap and not self.echo:
            raise InvalidRequest("max_tokens must be at least 1, unless echo is true.", param="max_tokens")
        self.cap = max(1, cap)

    @property
    def answers(self) -> int:
        """How many come back."""
        return len(self.prompts) * self.n

    def with_cap(self, tokens: int) -> CompletionsRequest:
        same = object.__new__(CompletionsRequest)
        same.__dict__.update(self.__dict__)
        same.given = {**self.given, "max_tokens": Raw(b"%d" % tokens)}
        same.cap = tokens
        return same

    def release(self) -> None:
        """Drops the prompts, unless the answer begins with them."""
        if not self.echo:
            self.prompts = Inputs(Raw(b"[]"), [], None, alone=False)
            self.given = {}


def parse_completions(body: bytes) -> CompletionsRequest:
    """Raises InvalidRequest (`param` names what is wrong)."""
    return CompletionsRequest(body)


# For /openapi.json.
SCHEMAS: Final[Mapping[str, Any]] = {
    "CompletionRequest": {
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string", "description": "The id of a model."},
            "prompt": {
                "description": "A text, a list of texts, a list of tokens, or a list of such lists.",
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}],
            },
            "max_tokens": {"type": "integer", "minimum": 0, "default": 16},
            "suffix": {"type": "string", "description": "The text that follows the answer."},
            "echo": {"type": "boolean", "default": False},
            "n": {"type": "integer", "minimum": 1, "default": 1},
            "best_of": {"type": "integer", "minimum": 1},
            "logprobs": {"type": "integer", "minimum": 0},
            "stop": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "temperature": {"type": "number"},
            "top_p": {"type": "number"},
            "stream": {"type": "boolean", "default": False},
            "stream_options": {"type": "object"},
        },
        "additionalProperties": True,
    },
    "TextCompletion": {
        "type": "object",
        "required": ["id", "object", "created", "model", "choices"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "text_completion"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["index", "text", "finish_reason"],
                    "properties": {
                        "index": {"type": "integer"},
                        "text": {"type": "string"},
                        "logprobs": {"type": ["object", "null"]},
                        "finish_reason": {"type": ["string", "null"]},
                    },
                },
            },
            "usage": {"$ref": "#/components/schemas/Usage"},
        },
        "additionalProperties": True,
    },
}
