"""The shapes inside a Messages request, as msgspec decodes and checks them. Unknown members are left alone."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from fairlead.wire.bounds import MOST_STOPS
from fairlead.wire.chat_shapes import NULL

__all__ = ["NULL"]  # the same object everywhere: some ask for it by identity


def _null() -> Raw:
    return NULL


class Message(Struct, frozen=True, gc=False):
    """`content`: a string or a list of blocks, undecoded."""

    role: Literal["user", "assistant", "system"]
    content: Raw


class Source(Struct, frozen=True, gc=False):
    """Of an image or a document. `content`: blocks, of a document that is put together."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: Raw = field(default_factory=_null)


class Citations(Struct, frozen=True, gc=False):
    enabled: bool | None = None


class Block(Struct, frozen=True, gc=False):
    """A content block of any type, with the members of those that can be said in another API. `source`: an object, of
    search results a string; `citations`: of a text that was cited, a list."""

    type: str
    text: str | None = None
    source: Raw = field(default_factory=_null)
    cache_control: Raw = field(default_factory=_null)
    citations: Raw = field(default_factory=_null)
    title: str | None = None
    context: str | None = None
    content: Raw = field(default_factory=_null)
    id: str = ""
    name: str = ""
    input: Raw = field(default_factory=_null)
    tool_use_id: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""


class Kind(Struct, frozen=True, gc=False):
    """No more of a block than what it needs of a deployment. `content`: of a tool result; `source`: of a document."""

    type: str
    source: Raw = field(default_factory=_null)
    content: Raw = field(default_factory=_null)


class SourceKind(Struct, frozen=True, gc=False):
    type: str = ""
    content: Raw = field(default_factory=_null)


class Tool(Struct, frozen=True, gc=False):
    """`type` is null or "custom" for a tool of the caller's; others are run by the provider, or known to its models."""

    name: Annotated[str, Meta(max_length=256)] = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = field(default_factory=_null)
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: Raw = field(default_factory=_null)
    input_examples: Raw = field(default_factory=_null)


class ToolChoice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True):
    type: str
    budget_tokens: int | None = None


class OutputFormat(Struct, frozen=True):
    type: str
    schema: Raw = field(default_factory=_null)


class OutputConfig(Struct, frozen=True):
    effort: str | None = None
    format: OutputFormat | None = None


class Metadata(Struct, frozen=True):
    user_id: str | None = None


Stops = Annotated[list[str], Meta(max_length=MOST_STOPS)]
Number = float


class ToolKind(Struct, gc=False):
    type: str | None = None
