"""The events of an answer, and what its writer must know, as msgspec keeps them."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Raw, Struct

NULL: Final = Raw(b"null")
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Start(Struct, frozen=True, gc=False):
    """The first event. `id`: the provider's name for the answer, "" where it gives none; `created`: seconds since 1970,
    0: it does not say; `model`: the provider's name of it, which callers are not shown. `details`: other members of
    OpenAI's (`service_tier`, `system_fingerprint`), undecoded."""

    id: str = ""
    created: int = 0
    model: str = ""
    details: dict[str, Raw] | None = None


class Text(Struct, frozen=True, gc=False):
    text: str
    choice: int = 0
    part: int = 0


class Reasoning(Struct, frozen=True, gc=False):
    """Words of the model's reasoning. `summary`: they sum it up (Responses' `reasoning_summary_text`); the parts of one
    summary have different numbers."""

    text: str
    choice: int = 0
    part: int = 0
    summary: bool = False


class ReasoningState(Struct, frozen=True, gc=False):
    """What a provider must get back with the next request, so that a model continues its reasoning; it ends a part.
    `format`: whose it is, as in OpenRouter's `reasoning_details` ("anthropic-claude-v1"): nobody else takes it.

    `signature` signs `text`, all the words of the part (Anthropic's thinking block); `data` is the reasoning itself,
    encrypted (Anthropic's redacted_thinking, Responses' `encrypted_content`). `id`: of the item in Responses.
    """

    format: str
    text: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    choice: int = 0
    part: int = 0


class ToolCall(Struct, frozen=True, gc=False):
    """A call of one of the caller's tools begins. `call` counts those of a choice from 0. `arguments`: a JSON object as
    text, or its beginning; of a "custom" tool: free text. `signature`: Gemini's thought signature of the call.
    `namespace`: of the tool, where its provider has such."""

    call: int
    id: str
    name: str
    arguments: str = ""
    choice: int = 0
    part: int = 0
    kind: Literal["function", "custom"] = "function"
    signature: str | None = None
    namespace: str = ""


class ToolArguments(Struct, frozen=True, gc=False):
    """More of the arguments of a call that has begun."""

    call: int
    text: str
    choice: int = 0


class Refusal(Struct, frozen=True, gc=False):
    """Words in which the model refuses."""

    text: str
    choice: int = 0
    part: int = 0


class Media(Struct, frozen=True, gc=False):
    """What is no text: base64 in `data` - a delta in streams of audio - or the address where it is. `id`, `expires_at`
    and `transcript` are those of OpenAI's audio."""

    kind: Literal["image", "audio", "video", "file"]
    mime: str = ""
    data: str = ""
    url: str = ""
    id: str = ""
    transcript: str = ""
    expires_at: int = 0
    choice: int = 0
    part: int = 0


class Citation(Struct, frozen=True, gc=False):
    """A source of the text of a part. `start` and `end`: the characters of the part's text that it stands for, -1 where
    the provider gives none; `cited`: words of the source. `native`: as the provider wrote it, for the same API."""

    url: str = ""
    title: str = ""
    cited: str = ""
    start: int = -1
    end: int = -1
    choice: int = 0
    part: int = 0
    native: Raw = NULL


class Logprobs(Struct, frozen=True, gc=False):
    """Log probabilities of tokens, each as OpenAI writes it."""

    content: tuple[Raw, ...] = ()
    refusal: tuple[Raw, ...] = ()
    choice: int = 0


class Extension(Struct, frozen=True, gc=False):
    """A part or an event that only one API has, as its provider wrote it: calls and results of a provider's own tools
    (`server_tool_use`, `web_search_call`). A writer of another API leaves it out. `api`: as in `wire/apis.py`; `kind`:
    its type there."""

    api: str
    kind: str
    data: Raw
    choice: int = 0
    part: int = 0


class Finish(Struct, frozen=True, gc=False):
    """A choice has ended. `native`: the provider's own word; `stop_sequence`: the one that ended it, where known."""

    reason: FinishReason
    choice: int = 0
    native: str = ""
    stop_sequence: str | None = None


class AnswerContext(Struct, frozen=True, gc=False):
    """What a writer must know of its call. `model`: the name that the caller uses; `created`: seconds since 1970;
    `include_usage`: a stream is to end with its usage, where the API asks for that; `echo`: what a door kept of the
    request because its answers repeat it (`ChatPayload.echo`)."""

    model: str
    created: int
    include_usage: bool = False
    choices: int = 1
    echo: Any = None
