"""The shapes inside a request of the Responses API, as far as anything here reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_ITEMS, MOST_TOOLS
from fairlead.wire.chat_shapes import NULL, Options, RawObject
from fairlead.wire.counting import Item as CountedItem
from fairlead.wire.preferences import Preferences

Json = dict[str, Raw]
# A `Raw` is equal to another one alone.
TRUE: Final = Raw(b"true")
FALSE: Final = Raw(b"false")
ZERO: Final = Raw(b"0")
AUTO: Final = Raw(b'"auto"')
# As long as the body may be.
ANY_LENGTH: Final = 2**63 - 1


class Rule(Struct, frozen=True):
    """One top-level member: its decoder, what it must be, in words, and how many bytes it may have."""

    decoder: msgspec.json.Decoder[Any]
    wanted: str
    most_bytes: int = LONGEST_PARAMETER


class Reasoning(Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None


class TextFormat(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,64}$")] | None = None
    description: str | None = None
    schema: RawObject = msgspec.field(default_factory=lambda: NULL)
    strict: bool | None = None


class TextOptions(Struct, frozen=True):
    format: TextFormat | None = None
    verbosity: str | None = None


class Grammar(Struct, frozen=True):
    type: str
    syntax: str = ""
    definition: str = ""


class Tool(Struct, frozen=True):
    """Any tool. `tools`: of a namespace. `custom` tools take free text, which `format` may constrain."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: RawObject = msgspec.field(default_factory=lambda: NULL)
    strict: bool | None = None
    format: Grammar | None = None
    tools: list[Tool] | None = None
    execution: str | None = None
    external_web_access: bool | None = None


class Choice(Struct, frozen=True):
    """`tool_choice` as an object."""

    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[Choice] | None = None


class Item(Struct, frozen=True, gc=False):
    """One item of `input`, whatever its type. What is undecoded may have more than one shape."""

    type: str = "message"
    role: str = ""
    content: Raw = NULL
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = NULL
    input: str = ""
    output: Raw = NULL
    summary: Raw = NULL
    encrypted_content: str | None = None
    tools: Raw = NULL


class Part(Struct, frozen=True, gc=False):
    """One part of a message's content, or of a tool's output."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: Raw = NULL


class AnyItem(CountedItem, gc=False):
    """For counting items before they are decoded."""


def _rule(type_: Any, wanted: str, most_bytes: int = LONGEST_PARAMETER) -> Rule:
    return Rule(msgspec.json.Decoder(type_), wanted, most_bytes)


_TEXT: Final = _rule(str, "a string")
_FLAG: Final = _rule(bool, "true or false")
_OBJECT: Final = _rule(Json, "an object")
_PENALTY: Final = _rule(Annotated[float, Meta(ge=-2, le=2)], "a number from -2 to 2")

# Every member of the API except `model` and `input`, and ours. Others are passed on to providers of the same API and
# named where a request is translated.
PARAMETERS: Final[dict[str, Rule]] = {
    "background": _FLAG,
    "client_metadata": _OBJECT,
    "context_management": _rule(list[Json], "a list of objects"),
    "conversation": _rule(str | Json, "the id of a conversation"),
    "frequency_penalty": _PENALTY,
    "include": _rule(Annotated[list[str], Meta(max_length=64)], "a list of up to 64 strings"),
    "instructions": _rule(str, "a string", ANY_LENGTH),
    "max_output_tokens": _rule(Annotated[int, Meta(ge=1, le=2**31 - 1)], "a whole number of at least 1"),
    "max_tool_calls": _rule(Annotated[int, Meta(ge=1, le=2**31 - 1)], "a whole number of at least 1"),
    "metadata": _rule(dict[str, str], "an object of strings"),
    "parallel_tool_calls": _FLAG,
    "presence_penalty": _PENALTY,
    "previous_response_id": _rule(Annotated[str, Meta(min_length=1, max_length=256)], "the id of a response"),
    "prompt": _OBJECT,
    "prompt_cache_key": _TEXT,
    "prompt_cache_options": _OBJECT,
    "prompt_cache_retention": _TEXT,
    "reasoning": _rule(Reasoning, 'an object such as {"effort": "low"}'),
    "safety_identifier": _TEXT,
    "service_tier": _TEXT,
    "store": _FLAG,
    "stream": _FLAG,
    "stream_options": _OBJECT,
    "temperature": _rule(Annotated[float, Meta(ge=0, le=2)], "a number from 0 to 2"),
    "text": _rule(TextOptions, 'an object such as {"format": {"type": "text"}}', ANY_LENGTH),
    "tool_choice": _rule(
        Literal["none", "auto", "required"] | Choice, "'none', 'auto', 'required' or an object that names a tool"
    ),
    "tools": _rule(
        Annotated[list[Tool], Meta(max_length=MOST_TOOLS)], f"a list of up to {MOST_TOOLS} tools", ANY_LENGTH
    ),
    "top_logprobs": _rule(Annotated[int, Meta(ge=0, le=20)], "a whole number from 0 to 20"),
    "top_p": _rule(Annotated[float, Meta(gt=0, le=1)], "a number above 0 and up to 1"),
    "truncation": _rule(Literal["auto", "disabled"], "'auto' or 'disabled'"),
    "user": _TEXT,
}
MODEL: Final = _rule(Annotated[str, Meta(min_length=1, max_length=256)], "the id of a model")
MODELS: Final = _rule(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)],
    "a list of up to 16 ids of models",
)
PROVIDER: Final = _rule(Preferences, 'an object of preferences such as {"order": ["a"]}')
FAIRLEAD: Final = _rule(Options, 'an object such as {"strict": true}')
ITEMS: Final = _rule(
    Annotated[list[Item], Meta(min_length=1, max_length=MOST_ITEMS)],
    f"a string, or a list of 1 to {MOST_ITEMS:,} items",
    ANY_LENGTH,
)
# Members for the gateway itself, never forwarded.
OURS: Final = frozenset({"fairlead", "provider", "models", "session_id"})


# Takes a complete response, to be stored.
Keep = Callable[[bytes], None]


class ToolName(Struct, frozen=True, gc=False):
    """What a tool is called in this API. `kind`: what its calls are, "function" or "custom"."""

    kind: str
    name: str
    namespace: str = ""


class ChatBody(Struct, frozen=True):
    """`members`: of a chat completion. `names`: of tools, by their name there. `left_out`: what it does not say, as
    `truncation` or `tools.web_search`."""

    members: dict[str, Any]
    names: dict[str, ToolName]
    left_out: tuple[str, ...]


class Echo(Struct, frozen=True):
    """What an answer needs of its request. `id`: of the response, where its provider has none of this API's shape;
    `members`: what it repeats, as ready JSON members; `tools`: by the name that they have in chat; `is_encrypted`: the
    caller wants the reasoning that a model must get back. `keep`: None: nothing is stored."""

    id: str
    members: bytes
    tools: Mapping[str, ToolName]
    is_encrypted: bool = False
    keep: Keep | None = None


class Found(Struct, frozen=True):
    """What `input` has that planning must know: bits of `wire/media.py`, and how many. `opening`: what stands for the
    conversation, the key that its caller gives it or what the user said first; `is_marked`: a reasoning item holds
    another provider's; `tools`: those that an item brings; `told`: role and text of each, where there is nothing else;
    None: they are to be read."""

    media: int = 0
    images: int = 0
    files: int = 0
    opening: Raw = NULL
    is_marked: bool = False
    tools: tuple[Tool, ...] = ()
    told: list[tuple[str, Raw]] | None = None


class Typed(Struct):
    type: str = ""


class Encrypted(Struct):
    type: str = ""
    id: str | None = None
    encrypted_content: str | None = None
