"""The shapes inside a chat request, as msgspec decodes and checks them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from fairlead.wire.bounds import MOST_ALTERNATIVES

NULL = Raw(b"null")
# Undecoded, and null when left out. The description of the API cannot show bytes: so the default is made by a function.
RawObject = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
Json = dict[str, Raw]


class Function(Struct, frozen=True, gc=False):
    """`parameters` is an object or null: the decoder of the tools checks that. It stays undecoded, because
    it may be long."""

    name: Name
    description: str | None = None
    parameters: RawObject = field(default_factory=lambda: NULL)
    strict: bool | None = None


class Tool(Struct, frozen=True, gc=False):
    type: Literal["function"]
    function: Function


class Named(Struct, frozen=True):
    name: Name


class ToolReference(Struct, frozen=True):
    type: Literal["function"]
    function: Named


class AllowedTools(Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], Meta(min_length=1)]


class ToolChoiceObject(Struct, frozen=True):
    type: Literal["function", "allowed_tools"]
    function: Named | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchema(Struct, frozen=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]
    description: str | None = None
    schema: RawObject = field(default_factory=lambda: NULL)  # an object or null, as above
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StructuredOutputs(Struct, frozen=True, forbid_unknown_fields=True):
    """vLLM's constraint on the answer: exactly one of these."""

    json: Raw = field(default_factory=lambda: NULL)  # an object, or a string that holds one
    regex: str | None = None
    choice: Annotated[list[str], Meta(max_length=MOST_ALTERNATIVES)] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: str | None = None


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Our own extension: `"fairlead": {...}`. Strict: nothing may be dropped. `parameters`: the answer says what became
    of each. `emulate`: what a deployment lacks may be emulated."""

    strict: bool = False
    parameters: bool = False
    emulate: bool = True


class CallFunction(Struct, frozen=True, gc=False):
    name: str
    arguments: str


class Call(Struct, frozen=True, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    function: CallFunction
    type: Literal["function"] = "function"


class Message(Struct, frozen=True, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Raw = NULL
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class PlainMessage(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A message as most are: nothing but a role and a content."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Raw


class LongMessage(Struct, frozen=True, gc=False):
    """The members of a message by which a long list of them is measured: nothing is decoded."""

    role: Raw = NULL
    content: Raw = NULL
    name: Raw = NULL
    tool_calls: Raw = NULL
    tool_call_id: Raw = NULL
    refusal: Raw = NULL
    reasoning: Raw = NULL
    reasoning_content: Raw = NULL
    reasoning_details: Raw = NULL


class Prediction(Struct, frozen=True):
    type: str = "content"
    content: Raw = field(default_factory=lambda: NULL)


class Part(Struct, frozen=True):
    type: str
    text: str | None = None


class ImageUrl(Struct, frozen=True):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class InputAudio(Struct, frozen=True):
    data: str
    format: Annotated[str, Meta(pattern=r"^[a-z0-9]{1,16}$")]


class File(Struct, frozen=True):
    file_data: str | None = None
    file_id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    filename: Annotated[str, Meta(max_length=1024)] | None = None


class VideoUrl(Struct, frozen=True):
    url: str
