"""A Messages request: split into its members and checked as far as routing and the bill depend on it.

The rest is checked where it is needed: a provider of the same API gets the caller's bytes and judges them itself,
others get the request as it is translated (`neutral.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import MESSAGES
from fairlead.wire.body import members_of
from fairlead.wire.bounds import (
    LONGEST_PARAMETER,
    MOST_BLOCKS,
    MOST_MESSAGES,
    MOST_NATIVE_MESSAGES,
    MOST_NATIVE_TOOLS,
    MOST_PARTS,
    MOST_TOOLS,
)
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.chat_shapes import Options
from fairlead.wire.counting import Item, PartItem, holds_more
from fairlead.wire.media import ADDRESS, FILE, IMAGE
from fairlead.wire.messages.decoding import LIST, STRING, decoded, first_byte, refusal
from fairlead.wire.messages.neutral import to_chat
from fairlead.wire.messages.shapes import NULL, Kind, Message, Metadata, SourceKind
from fairlead.wire.preferences import Preferences
from fairlead.wire.reasoning_tags import NEEDLE, QUICK_NEEDLE
from fairlead.wire.traceparent import TraceContext

# Members for the gateway itself, never sent on.
OURS: Final = frozenset({"fairlead", "provider", "models", "session_id"})
# What the parameters of a neutral request are called here.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "parallel_tool_calls": ("tool_choice",),
    "reasoning_effort": ("thinking", "output_config"),
    "response_format": ("output_config",),
    "stop": ("stop_sequences",),
    "user": ("metadata",),
}
# With one of these a prompt is longer than what is sent: a conversation that the provider keeps, tools that it runs.
_BEYOND_MEMBERS: Final = frozenset({"thread", "mcp_servers", "container"})
# Shorter lists are decoded as they are.
LONG_LIST_BYTES: Final = 1_048_576
# Blocks inside of blocks: a document in the result of a tool.
DEEPEST: Final = 2
_CUSTOM: Final = (None, "custom")

_model: Final = msgspec.json.Decoder(Annotated[str, Meta(min_length=1, max_length=256)])
_models: Final = msgspec.json.Decoder(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)]
)
_bool: Final = msgspec.json.Decoder(bool)
_cap: Final = msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=2**31 - 1)])
_options: Final = msgspec.json.Decoder(Options)
_preferences: Final = msgspec.json.Decoder(Preferences)
_messages: Final = msgspec.json.Decoder(Annotated[list[Message], Meta(min_length=1)])
_user: Final = msgspec.json.Decoder(Metadata)
_kinds: Final = msgspec.json.Decoder(list[Kind])
_objects: Final = msgspec.json.Decoder(list[Item])
_items: Final = msgspec.json.Decoder(list[PartItem])
_source: Final = msgspec.json.Decoder(SourceKind)


class _ToolKind(msgspec.Struct, gc=False):
    type: str | None = None


_tool_kinds: Final = msgspec.json.Decoder(list[_ToolKind])


class Contents:
    """What the messages have. `media`: as in `wire/media.py`; `opening`: the first user message; `prefilled`: an
    assistant's message is the last one; `beyond`: they refer to something that the provider has."""

    __slots__ = ("beyond", "blocks", "files", "images", "media", "messages", "opening", "prefilled", "tools")

    def __init__(self) -> None:
        self.beyond = False
        self.blocks = 0
        self.files = 0
        self.images = 0
        self.media = 0
        self.messages = 0
        self.tools = 0
        self.opening = NULL
        self.prefilled = False


class MessagesRequest:
    """A `ChatPayload`. `fields`: all members of `body`, each as the caller wrote it. `query` and `headers` (ready lines
    that begin with `anthropic-`) go on to a provider of the same API.

    `cap`: the most tokens of an answer, 0: none is given; `capped`: it is not the caller's. `server_tools`: the types
    of tools that the provider is to run. `translated`: the request in OpenAI's shape, once somebody has asked for it.
    """

    __slots__ = (
        "body", "cap", "capped", "contents", "echo", "emulate", "fallbacks", "fields", "headers", "lost",
        "model", "preferences", "query", "reports", "server_tools", "stream", "strict", "trace", "translated",
    )  # fmt: skip
    api: Final = MESSAGES
    include_usage: Final = True
    cap_name: Final = "max_tokens"

    def __init__(self, body: bytes, fields: dict[str, Raw], query: str, headers: bytes) -> None:
        self.body = body
        self.fields = fields
        self.query = query
        self.headers = headers
        self.model = ""
        self.fallbacks: tuple[str, ...] = ()
        self.stream = False
        self.cap = 0
        self.capped = False
        self.contents = Contents()
        self.server_tools: tuple[str, ...] = ()
        self.strict = self.reports = False
        self.emulate = True
        self.preferences: Preferences | None = None
        self.trace: TraceContext | None = None
        self.echo: Any = None
        self.lost: tuple[str, ...] = ()
        self.translated: ChatRequest | None = None

    @property
    def names(self) -> Iterable[str]:
        return [name for name in self.fields if name not in OURS and name not in ("model", "messages", "stream")]

    @property
    def user(self) -> str:
        """The `user_id` of `metadata`, "": none. What is no such object is refused where it is translated."""
        raw = self.fields.get("metadata", NULL)
        try:
            return _user.decode(raw).user_id or "" if len(raw) <= LONGEST_PARAMETER and raw != NULL else ""
        except (msgspec.DecodeError, RecursionError):
            return ""

    @property
    def needs_provider(self) -> bool:
        """The prompt is longer than what is sent here."""
        return self.contents.beyond or bool(self.server_tools) or not _BEYOND_MEMBERS.isdisjoint(self.fields)

    @property
    def has_tagged_reasoning(self) -> bool:
        """Reasoning of another provider, or of none, has come back in it."""
        return QUICK_NEEDLE in self.body and NEEDLE in self.body

    def neutral(self) -> ChatRequest:
        """The request in OpenAI's shape; `lost` and `echo` are there when it has been asked for."""
        if self.translated is None:
            self._check_length()
            found = to_chat(self.fields, self.cap)
            self.lost, self.echo = found.lost, found.tool_names or None
            self.translated = found.request
            found.request.trace = self.trace
        return self.translated

    def _check_length(self) -> None:
        """Before everything is translated, and refused because there is too much of it."""
        contents = self.contents
        for name, count, most in (
            ("messages", contents.messages, MOST_MESSAGES),
            ("content blocks", contents.blocks, MOST_PARTS),
            ("tools", contents.tools, MOST_TOOLS),
        ):
            if count > most:
                raise InvalidRequest(
                    f"There are more than {most:,} {name}, which only a provider that speaks Anthropic's API takes.",
                    param="tools" if name == "tools" else "messages",
                )

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Parameters of `neutral()` as the caller wrote them."""
        found = []
        for name in parameters:
            first, dot, rest = name.partition(".")
            words = NAMES.get(first, (first,))
            found.append(next((word for word in words if word in self.fields), words[0]) + dot + rest)
        return tuple(dict.fromkeys(found))

    def with_neutral(self, request: ChatRequest) -> MessagesRequest:
        """The same caller with a request that was rewritten here: its own body does not hold any more."""
        self.neutral()
        changed = self._copy()
        changed.body, changed.cap = b"", request.cap
        changed.translated = request
        return changed

    def with_cap(self, tokens: int) -> MessagesRequest:
        changed = self._copy()
        changed.cap, changed.capped = tokens, True
        changed.translated = None if self.translated is None else self.translated.with_cap(tokens)
        return changed

    def release(self) -> None:
        self.body = b""
        self.fields = {}
        self.translated = None

    def _copy(self) -> MessagesRequest:
        made = MessagesRequest.__new__(MessagesRequest)
        for name in MessagesRequest.__slots__:
            setattr(made, name, getattr(self, name))
        return made


def parse_messages(body: bytes, query: str = "", headers: bytes = b"") -> MessagesRequest:
    """Checks a request's body. Raises InvalidRequest (`param` names what is wrong)."""
    fields = members_of(body)
    request = MessagesRequest(body, fields, query, headers)
    _read_models(fields, request)
    if not OURS.isdisjoint(fields):
        _read_options(fields, request)
    if _is_given(fields, "stream"):
        request.stream = _checked(_bool, fields, "stream", "true or false")
    if _is_given(fields, "max_tokens"):
        request.cap = _checked(_cap, fields, "max_tokens", "a whole number of at least 1")
    _read_messages(fields, request.contents)
    if _is_given(fields, "tools"):
        request.contents.tools, request.server_tools = _read_tools(fields["tools"])
    return request


def _is_given(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and fields[name] != NULL


def _checked(decoder: msgspec.json.Decoder[Any], fields: dict[str, Raw], name: str, wanted: str) -> Any:
    if len(fields[name]) > LONGEST_PARAMETER:
        raise InvalidRequest(f"{name}: longer than {LONGEST_PARAMETER:,} bytes.", param=name)
    try:
        return decoder.decode(fields[name])
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{name}: must be {wanted}.", param=name) from None


def _read_models(fields: dict[str, Raw], request: MessagesRequest) -> None:
    models: list[str] = []
    if _is_given(fields, "models"):
        models = _checked(_models, fields, "models", "a list of up to 16 ids of models")
    if models and not _is_given(fields, "model"):
        request.model = models[0]
    elif _is_given(fields, "model"):
        request.model = _checked(_model, fields, "model", "the id of a model")
    else:
        raise InvalidRequest("model: Field required.", param="model")
    request.fallbacks = tuple(dict.fromkeys(name for name in models if name != request.model))


def _read_options(fields: dict[str, Raw], request: MessagesRequest) -> None:
    if _is_given(fields, "fairlead"):
        options: Options = _checked(_options, fields, "fairlead", 'an object such as {"strict": true}')
        request.strict, request.reports, request.emulate = options.strict, options.parameters, options.emulate
    if _is_given(fields, "provider"):
        request.preferences = _checked(
            _preferences, fields, "provider", 'an object of preferences such as {"order": ["a"]}'
        )


def _read_messages(fields: dict[str, Raw], found: Contents) -> None:
    if not _is_given(fields, "messages"):
        raise InvalidRequest("messages: Field required.", param="messages")
    _refuse_crowds(fields["messages"], MOST_NATIVE_MESSAGES, "messages")
    messages: list[Message] = decoded(_messages, fields["messages"], "messages")
    found.messages = len(messages)
    if found.messages > MOST_NATIVE_MESSAGES:
        raise InvalidRequest(f"messages: must have at most {MOST_NATIVE_MESSAGES:,} entries.", param="messages")
    for at, message in enumerate(messages):
        content = message.content
        first = first_byte(content)
        if found.opening is NULL and message.role == "user":
            found.opening = content
        if first == LIST:
            _read_blocks(content, found, at, 0)
        elif first != STRING:
            raise InvalidRequest(
                f"messages.{at}.content: must be a string or a list of content blocks.", param="messages"
            )
    found.prefilled = messages[-1].role == "assistant"


def _refuse_crowds(raw: Raw, most: int, name: str) -> None:
    """A very long list is counted before what is in it are objects here: 30 MB of `{}` would be ten million."""
    if len(raw) <= LONG_LIST_BYTES:
        return
    try:
        crowded = holds_more(_objects, raw, most)
    except (msgspec.DecodeError, RecursionError) as error:
        raise refusal(error, name) from None
    if crowded:
        raise InvalidRequest(f"{name}: must have at most {most:,} entries.", param=name)


def _read_blocks(content: Raw, found: Contents, at: int, depth: int) -> None:
    try:
        # A long list is counted before its blocks are objects here.
        crowded = len(content) > LONGEST_PARAMETER and holds_more(_items, content, MOST_BLOCKS - found.blocks)
        kinds = [] if crowded else _kinds.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise refusal(error, f"messages.{at}.content") from None
    found.blocks += len(kinds)
    if crowded or found.blocks > MOST_BLOCKS:
        raise InvalidRequest(f"messages: must have at most {MOST_BLOCKS:,} content blocks.", param="messages")
    for kind in kinds:
        if kind.type == "text":
            continue
        if kind.type == "image":
            found.images += 1
            found.media |= IMAGE
            _read_source(kind.source, found, at, depth)
        elif kind.type == "document":
            _read_source(kind.source, found, at, depth, is_document=True)
        elif kind.type == "container_upload":
            found.beyond = True
        elif kind.type == "tool_result" and depth < DEEPEST and first_byte(kind.content) == LIST:
            _read_blocks(kind.content, found, at, depth + 1)


def _read_source(raw: Raw, found: Contents, at: int, depth: int, *, is_document: bool = False) -> None:
    try:
        source = _source.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise refusal(error, f"messages.{at}.content.source") from None
    if source.type == "content":
        if depth < DEEPEST and first_byte(source.content) == LIST:
            _read_blocks(source.content, found, at, depth + 1)
        return
    if is_document and source.type != "text":
        found.files += 1
        found.media |= FILE
    if source.type == "url":
        found.media |= ADDRESS
    elif source.type == "file":
        found.beyond = True


def _read_tools(raw: Raw) -> tuple[int, tuple[str, ...]]:
    """How many there are, and the types of those that the provider runs."""
    _refuse_crowds(raw, MOST_NATIVE_TOOLS, "tools")
    tools: list[_ToolKind] = decoded(_tool_kinds, raw, "tools")
    return len(tools), tuple(tool.type for tool in tools if tool.type is not None and tool.type not in _CUSTOM)
