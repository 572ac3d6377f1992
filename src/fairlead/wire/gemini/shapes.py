"""The shapes inside a generateContent request, as msgspec decodes and checks them. Unknown members are left alone.

Google's servers take the members of protocol buffers in both spellings, `inlineData` and `inline_data`: SDKs send the
first, Google's own examples for curl the second. The field of the second spelling ends with `_too`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, field

from fairlead.wire.chat_shapes import NULL

__all__ = ["NULL"]  # the same object everywhere: some ask for it by identity


def _null() -> Raw:
    return NULL


def _raw(name: str) -> Any:
    return field(default_factory=_null, name=name)


class Blob(Struct, frozen=True, gc=False):
    """`data`: base64 in either alphabet."""

    data: str = ""
    mime_type: str = field(default="", name="mimeType")
    mime_type_too: str = field(default="", name="mime_type")
    name: str = field(default="", name="displayName")

    @property
    def mime(self) -> str:
        return (self.mime_type or self.mime_type_too).lower()


class FileData(Struct, frozen=True, gc=False):
    file_uri: str = field(default="", name="fileUri")
    file_uri_too: str = field(default="", name="file_uri")
    mime_type: str = field(default="", name="mimeType")
    mime_type_too: str = field(default="", name="mime_type")
    name: str = field(default="", name="displayName")

    @property
    def uri(self) -> str:
        return self.file_uri or self.file_uri_too

    @property
    def mime(self) -> str:
        return (self.mime_type or self.mime_type_too).lower()


class FunctionCall(Struct, frozen=True, gc=False):
    """`args`: an object."""

    name: str = ""
    id: str | None = None
    args: Raw = field(default_factory=_null)


class FunctionResponse(Struct, frozen=True, gc=False):
    """`parts`: media of the result."""

    name: str = ""
    id: str | None = None
    response: Raw = field(default_factory=_null)
    parts: Raw = field(default_factory=_null)


class Part(Struct, frozen=True, gc=False):
    text: str | None = None
    thought: bool | None = None
    signature: str | None = field(default=None, name="thoughtSignature")
    signature_too: str | None = field(default=None, name="thought_signature")
    inline_data: Blob | None = field(default=None, name="inlineData")
    inline_data_too: Blob | None = field(default=None, name="inline_data")
    file_data: FileData | None = field(default=None, name="fileData")
    file_data_too: FileData | None = field(default=None, name="file_data")
    function_call: FunctionCall | None = field(default=None, name="functionCall")
    function_call_too: FunctionCall | None = field(default=None, name="function_call")
    function_response: FunctionResponse | None = field(default=None, name="functionResponse")
    function_response_too: FunctionResponse | None = field(default=None, name="function_response")

    @property
    def signed(self) -> str:
        return self.signature or self.signature_too or ""

    @property
    def blob(self) -> Blob | None:
        return self.inline_data or self.inline_data_too

    @property
    def file(self) -> FileData | None:
        return self.file_data or self.file_data_too

    @property
    def call(self) -> FunctionCall | None:
        return self.function_call or self.function_call_too

    @property
    def result(self) -> FunctionResponse | None:
        return self.function_response or self.function_response_too


class Content(Struct, frozen=True, gc=False):
    """`parts`: a list, or one part."""

    role: str | None = None
    parts: Raw = field(default_factory=_null)


class BlobKind(Struct, frozen=True, gc=False):
    """No more of a blob or a file than what it needs of a deployment."""

    mime_type: str = field(default="", name="mimeType")
    mime_type_too: str = field(default="", name="mime_type")
    file_uri: str = field(default="", name="fileUri")
    file_uri_too: str = field(default="", name="file_uri")

    @property
    def mime(self) -> str:
        return (self.mime_type or self.mime_type_too).lower()

    @property
    def uri(self) -> str:
        return self.file_uri or self.file_uri_too


class ResultKind(Struct, frozen=True, gc=False):
    parts: Raw = field(default_factory=_null)


class PartKind(Struct, frozen=True, gc=False):
    """The same of a part."""

    inline_data: BlobKind | None = field(default=None, name="inlineData")
    inline_data_too: BlobKind | None = field(default=None, name="inline_data")
    file_data: BlobKind | None = field(default=None, name="fileData")
    file_data_too: BlobKind | None = field(default=None, name="file_data")
    function_response: ResultKind | None = field(default=None, name="functionResponse")
    function_response_too: ResultKind | None = field(default=None, name="function_response")

    @property
    def blob(self) -> BlobKind | None:
        return self.inline_data or self.inline_data_too

    @property
    def file(self) -> BlobKind | None:
        return self.file_data or self.file_data_too

    @property
    def result(self) -> ResultKind | None:
        return self.function_response or self.function_response_too


class Declaration(Struct, frozen=True, gc=False):
    """A function. `parameters`: in OpenAPI's words, `parametersJsonSchema`: in those of JSON schema."""

    name: str = ""
    description: str | None = None
    parameters: Raw = field(default_factory=_null)
    json_schema: Raw = _raw("parametersJsonSchema")
    json_schema_too: Raw = _raw("parameters_json_schema")
    response: Raw = field(default_factory=_null)
    behavior: str | None = None


class CallingConfig(Struct, frozen=True):
    mode: str | None = None
    names: list[str] | None = field(default=None, name="allowedFunctionNames")
    names_too: list[str] | None = field(default=None, name="allowed_function_names")


class ToolConfig(Struct, frozen=True):
    calling: CallingConfig | None = field(default=None, name="functionCallingConfig")
    calling_too: CallingConfig | None = field(default=None, name="function_calling_config")


class ThinkingConfig(Struct, frozen=True):
    shows: bool | None = field(default=None, name="includeThoughts")
    shows_too: bool | None = field(default=None, name="include_thoughts")
    budget: int | None = field(default=None, name="thinkingBudget")
    budget_too: int | None = field(default=None, name="thinking_budget")
    level: str | None = field(default=None, name="thinkingLevel")
    level_too: str | None = field(default=None, name="thinking_level")


class Echo(Struct, frozen=True):
    """What an answer needs of its request. `names`: of functions that had to be called otherwise, by what they were
    called; `thoughts`: the caller wants to read them; `is_array`: a stream is one JSON array."""

    names: dict[str, str]
    thoughts: bool = False
    is_array: bool = False
