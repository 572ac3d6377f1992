"""The shapes of chat completions as they are read: chunks of a stream and whole completions."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from fairlead.wire.answer_shapes import NULL

# Nobody gives more choices than OpenAI takes for `n`, or more tool calls.
Index = Annotated[int, Meta(ge=0, le=127)]


class Part(Struct, gc=False):
    """A part of Mistral's `content`; `thinking` has parts itself."""

    type: str = ""
    text: str = ""
    thinking: list[Part] | str = ""


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class Google(Struct, gc=False):
    thought_signature: str | None = None


class Extra(Struct, gc=False):
    google: Google | None = None


class Call(Struct, gc=False):
    index: Index | None = None
    id: str | None = None
    function: Function | None = None
    custom: Function | None = None
    extra_content: Extra | None = None


class Detail(Struct, gc=False):
    type: str = ""
    id: str | None = None
    format: str | None = None
    index: int | None = None
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class Url(Struct, gc=False):
    url: str = ""


class Image(Struct, gc=False):
    image_url: Url | None = None


class Audio(Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class UrlCitation(Struct, gc=False):
    url: str = ""
    title: str = ""
    content: str = ""
    start_index: int | None = None
    end_index: int | None = None


class Annotation(Struct, gc=False):
    url_citation: UrlCitation | None = None


class Words(Struct, gc=False):
    """A `delta`, or a `message`."""

    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[Call] | None = None
    annotations: list[Annotation] | None = None
    audio: Audio | None = None
    images: list[Image] | None = None


class ChoiceLogprobs(Struct, gc=False):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


class Choice(Struct, gc=False):
    index: Index = 0
    delta: Words | None = None
    message: Words | None = None
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None


class Completion(Struct, gc=False):
    """A chunk, or a whole completion."""

    id: str | None = None
    created: int = 0
    model: str | None = None
    choices: list[Choice] = []
    usage: Raw = NULL
    error: Raw = NULL
    system_fingerprint: Raw = NULL
    service_tier: Raw = NULL


class SaidWords(Struct, gc=False):
    """A `message`, undecoded."""

    content: Raw = NULL
    refusal: Raw = NULL
    reasoning_content: Raw = NULL
    reasoning: Raw = NULL
    reasoning_details: Raw = NULL
    tool_calls: Raw = NULL
    annotations: Raw = NULL
    audio: Raw = NULL
    images: Raw = NULL


class SaidChoice(Struct, gc=False):
    message: SaidWords | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class SaidCompletion(Struct, gc=False):
    """A whole completion, to find out whether it is one text and nothing else."""

    choices: list[SaidChoice] = []
    id: str | None = None
    created: int = 0
    usage: Raw = NULL
    error: Raw = NULL
