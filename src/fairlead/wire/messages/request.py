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
from fairlead.wire.messages.shapes import NULL, Kind, Message, Metadata, SourceKind, ToolKind
from fairlead.wire.native import Contents, NativeRequest
from fairlead.wire.notes import notes_in_members
from fairlead.wire.plain import SHORT, PlainTurns, plain_turns
from fairlead.wire.preferences import Preferences
from fairlead.wire.reasoning_tags import NEEDLE, QUICK_NEEDLE
from fairlead.wire.vocabulary import FOREIGN_REASONING

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
# Reasoning that only another provider could read, as it is named when it is left out.
THINKING: Final = "messages.thinking"
# With one of these a prompt is longer than what is sent: a conversation that the provider keeps, tools that it runs.
_BEYOND_MEMBERS: Final = frozenset({"thread", "mcp_servers", "container"})
# What does not come into a prompt.
NOT_IN_PROMPT: Final = frozenset({"max_tokens", "model", "stream", "temperature", "top_k", "top_p", "metadata"})
# Shorter lists are decoded as they are.
LONG_LIST_BYTES: Final = 1_048_576
# Blocks inside of blocks: a document in the result of a tool.
DEEPEST: Final = 2
_CUSTOM: Final = (None, "custom")
_NULL: Final[Raw] = NULL

_model: Final = msgspec.json.Decoder(Annotated[str, Meta(min_length=1, max_length=256)])
_models: Final = msgspec.json.Decoder(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)]
)
_astuple: Final = msgspec.structs.astuple
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


_tool_kinds: Final = msgspec.json.Decoder(list[ToolKind])


class MessagesRequest(NativeRequest):
    """A `NativeRequest` of Anthropic's. `headers` (ready lines that begin with `anthropic-`) go on to a provider of the
    same API, as the query does. `server_tools`: by their types."""

    __slots__ = ("echo", "headers")
    api: Final = MESSAGES
    cap_name: Final = "max_tokens"

    def __init__(self, body: bytes, fields: dict[str, Raw], query: str, headers: bytes) -> None:
        super().__init__(body, fields, query)
        self.headers = headers
        self.echo: Any = None

    @property
    def names(self) -> Iterable[str]:
        return [name for name in self.fields if name not in OURS and name not in ("model", "messages", "stream")]

    @property
    def conversation(self) -> Raw:
        return self.fields.get("messages", _NULL)

    @property
    def user(self) -> str:
        """The `user_id` of `metadata`, "": none. What is no such object is refused where it is translated."""
        raw = self.fields.get("metadata", _NULL)
        try:
            return _user.decode(raw).user_id or "" if len(raw) <= LONGEST_PARAMETER and raw != _NULL else ""
        except (msgspec.DecodeError, RecursionError):
            return ""

    @property
    def has_tagged_reasoning(self) -> bool:
        """Reasoning of another provider, or of none, has come back in it."""
        # `find`, not `in`: that first makes an error of what is no number.
        return self.contents.blocks > 0 and self.body.find(QUICK_NEEDLE) >= 0 and self.body.find(NEEDLE) >= 0

    def _translate(self) -> ChatRequest:
        self._check_length()
        found = to_chat(self.fields, self.cap)
        self.lost, self.echo = found.lost, found.tool_names or None
        self.learn(found.request, found.system, self.echo)
        return found.request

    def plain_turns(self) -> PlainTurns | None:
        told = self.contents.told
        return told if isinstance(told, PlainTurns) else plain_turns(self.conversation)

    def take_kept(self, kept: Any) -> None:
        self.echo = kept

    def _check_length(self) -> None:
        """Before everything is translated, and refused because there is too much of it."""
        contents = self.contents
        for name, count, most in (
            ("messages", contents.entries, MOST_MESSAGES),
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
        if not parameters:
            return ()
        found = []
        for name in parameters:
            if name == FOREIGN_REASONING:
                found.append(THINKING)
                continue
            first, dot, rest = name.partition(".")
            words = NAMES.get(first, (first,))
            given = [word for word in words if word in self.fields]
            found.append((given or words)[0] + dot + rest)
        return tuple(dict.fromkeys(found))

    def copy(self) -> MessagesRequest:
        made = MessagesRequest(self.body, self.fields, self.query, self.headers)
        made._take(self)
        made.echo = self.echo
        return made

    def within(self, body: bytes, conversation: Raw) -> MessagesRequest:
        made = self.marked(body, conversation)
        contents = made.contents
        turns = None if len(conversation) > SHORT else plain_turns(conversation)
        if turns is None or turns.system:
            _read_messages(made.fields, contents)
            return made
        contents.plain = True
        contents.told = turns
        contents.entries = len(turns.turns)
        contents.opening = turns.opening
        contents.prefilled = turns.turns[-1][0] == "assistant"
        return made

    def marked(self, body: bytes, conversation: Raw) -> MessagesRequest:
        made = self.copy()
        made.body = body
        made.fields = {**self.fields, "messages": conversation}
        made.contents = Contents()
        made.contents.tools = self.contents.tools
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
    request.beyond = bool(request.server_tools) or not _BEYOND_MEMBERS.isdisjoint(fields)
    request.notes = notes_in_members(fields, user=request.user)
    for name, raw in fields.items():
        if name not in NOT_IN_PROMPT and name != "messages":
            request.other_bytes += len(raw)
    return request


def _is_given(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and fields[name] != _NULL


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
    found.entries = len(messages)
    if found.entries > MOST_NATIVE_MESSAGES:
        raise InvalidRequest(f"messages: must have at most {MOST_NATIVE_MESSAGES:,} entries.", param="messages")
    role = ""
    for at, message in enumerate(messages):
        pair: tuple[str, Raw] = _astuple(message)
        role, content = pair
        first = first_byte(content)
        if found.opening is _NULL and role == "user":
            found.opening = content
        if first == LIST:
            _read_blocks(content, found, at, 0)
        elif first != STRING:
            raise InvalidRequest(
                f"messages.{at}.content: must be a string or a list of content blocks.", param="messages"
            )
    found.prefilled = role == "assistant"


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
    tools: list[ToolKind] = decoded(_tool_kinds, raw, "tools")
    return len(tools), tuple(tool.type for tool in tools if tool.type is not None and tool.type not in _CUSTOM)
