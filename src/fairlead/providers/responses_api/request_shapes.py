"""The shapes of a chat request, as the translator into Responses reads it."""

from __future__ import annotations

from msgspec import Raw, Struct

from fairlead.wire.chat_shapes import NULL, File, ImageUrl
from fairlead.wire.counting import Item


class Function(Struct):
    name: str
    arguments: str = ""


class Call(Struct):
    id: str
    function: Function
    extra_content: Raw = NULL


class Detail(Struct):
    id: str | None = None
    format: str | None = None
    data: str | None = None


class Message(Struct):
    role: str
    content: Raw = NULL
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    reasoning_details: list[Detail] | None = None
    reasoning_content: Raw = NULL
    refusal: str | None = None


class Details(Struct, gc=False):
    reasoning_details: list[Item] | None = None


class Part(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    input_audio: Raw = NULL
    file: File | None = None


class Tool(Struct):
    function: dict[str, Raw]


class Schema(Struct):
    type: str
    json_schema: dict[str, Raw] | None = None
