"""`POST /v1/chat/completions`: what a caller may send, checked fast and decoded no further than needed.

The body is split into its top-level members; each stays the bytes that the caller wrote (`msgspec.Raw`), is checked
against its type and range, and is later forwarded as it is. Sources: OpenAI's API reference; vLLM's, SGLang's and
llama.cpp's for the sampling parameters that OpenAI lacks.
"""

from __future__ import annotations

import struct
from codecs import utf_8_decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import (
    LONGEST_CONSTRAINT,
    LONGEST_NAME,
    LONGEST_PARAMETER,
    LONGEST_PREDICTION,
    MOST_CHOICES,
    MOST_MEMBERS,
    MOST_MESSAGE_MEMBERS,
    MOST_MESSAGES,
    MOST_NAMED,
    MOST_PARTS,
    MOST_STOPS,
    MOST_TOOL_CALLS,
    MOST_TOOLS,
    MOST_UNKNOWN_BYTES,
    SKELETON_BYTES,
)
from fairlead.wire.chat_request import ChatRequest, RequestTemplate
from fairlead.wire.chat_shapes import (
    NULL,
    Json,
    LongMessage,
    Message,
    Options,
    Part,
    Prediction,
    ResponseFormat,
    StreamOptions,
    StructuredOutputs,
    Tool,
    ToolChoiceObject,
)
from fairlead.wire.counting import (
    CountedMessage,
    Item,
    PartItem,
    ToolItem,
    TooMany,
    decode_counted,
    decode_members,
    holds_more,
)
from fairlead.wire.duplicates import refuse_duplicates, refuse_duplicates_inside
from fairlead.wire.fast_parse import LEAST_BYTES, UNCOUNTED_BYTES, USUAL, FastParser, read_within, too_many_messages
from fairlead.wire.media import check_media
from fairlead.wire.outline import LONG_BODY_BYTES, Outline, complete
from fairlead.wire.preferences import Preferences

__all__ = ["PARAMETERS", "ChatRequest", "Parameter", "named_tools", "parse_chat", "tool_choice"]

# In a variable of this module's own, which compiled code reads without a look-up.
_NULL: Final[Raw] = NULL

TRUE: Final = Raw(b"true")
UTF8_PIECE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Parameter:
    """One top-level member of the request: its decoder, what it must be, in words, and how many bytes it may have."""

    decoder: msgspec.json.Decoder[Any]
    wanted: str
    nested: bool = False
    most_bytes: int = LONGEST_PARAMETER
    most_items: int = 0  # of a long list of tools; 0: nothing is counted before it is decoded


def _of(
    type_: Any, wanted: str, *, nested: bool = False, most_bytes: int = LONGEST_PARAMETER, most_items: int = 0
) -> Parameter:
    return Parameter(msgspec.json.Decoder(type_), wanted, nested, most_bytes, most_items)


def _number(low: float, high: float, wanted: str, *, above: bool = False) -> Parameter:
    return _of(Annotated[float, Meta(gt=low, le=high) if above else Meta(ge=low, le=high)], wanted)


def _integer(low: int, high: int, wanted: str) -> Parameter:
    return _of(Annotated[int, Meta(ge=low, le=high)], wanted)


_INT64: Final = 2**63 - 1
_ANY: Final = _INT64  # as long as the body may be
_bool: Final = _of(bool, "true or false")
_text: Final = _of(str, "a string")
_object: Final = _of(Json, "an object")

# Every parameter of the API except `model`, `messages` and `fairlead`. The table of docs/reference/parameters.md is
# checked against it.
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "audio": _object,
    "frequency_penalty": _number(-2, 2, "a number from -2 to 2"),
    "logit_bias": _of(
        dict[Annotated[str, Meta(pattern=r"^\d{1,9}$")], Annotated[float, Meta(ge=-100, le=100)]],
        "an object from token ids to numbers from -100 to 100",
    ),
    "logprobs": _bool,
    "max_completion_tokens": _integer(1, 2**31 - 1, "a whole number of at least 1"),
    "max_tokens": _integer(1, 2**31 - 1, "a whole number of at least 1"),
    "metadata": _of(dict[str, str], "an object of strings"),
    "min_p": _number(0, 1, "a number from 0 to 1"),
    "modalities": _of(list[Literal["text", "audio"]], "a list of 'text' and 'audio'"),
    "n": _integer(1, MOST_CHOICES, f"a whole number from 1 to {MOST_CHOICES}"),
    "parallel_tool_calls": _bool,
    "prediction": _of(Prediction, "an object", most_bytes=LONGEST_PREDICTION),
    "presence_penalty": _number(-2, 2, "a number from -2 to 2"),
    "prompt_cache_key": _text,
    "prompt_cache_retention": _text,
    "reasoning_effort": _text,
    "repetition_penalty": _number(0, 2, "a number above 0 and up to 2", above=True),
    "response_format": _of(
        ResponseFormat, "an object whose type is 'text', 'json_object' or 'json_schema'", nested=True, most_bytes=_ANY
    ),
    "safety_identifier": _text,
    "seed": _integer(-_INT64 - 1, _INT64, "a whole number of 64 bits"),
    "service_tier": _text,
    "stop": _of(
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=MOST_STOPS)],
        f"a string or a list of up to {MOST_STOPS} strings, none of them empty",
    ),
    "store": _bool,
    "stream": _bool,
    "stream_options": _of(StreamOptions, 'an object such as {"include_usage": true}'),
    "structured_outputs": _of(
        StructuredOutputs,
        "an object with one of json, regex, choice, grammar, json_object, structural_tag",
        nested=True,
        most_bytes=LONGEST_CONSTRAINT,
    ),
    "temperature": _number(0, 2, "a number from 0 to 2"),
    "tool_choice": _of(
        Literal["none", "auto", "required"] | ToolChoiceObject,
        "'none', 'auto', 'required' or an object that names a function",
        nested=True,
    ),
    "tools": _of(
        Annotated[list[Tool], Meta(max_length=MOST_TOOLS)],
        f"a list of up to {MOST_TOOLS} functions",
        nested=True,
        most_bytes=_ANY,
        most_items=MOST_TOOLS,
    ),
    "top_k": _integer(-1, 2**31 - 1, "a whole number of at least -1 (0 and -1: off)"),
    "top_logprobs": _integer(0, 20, "a whole number from 0 to 20"),
    "top_p": _number(0, 1, "a number above 0 and up to 1", above=True),
    "user": _text,
    "verbosity": _text,
    "web_search_options": _object,
}
# Those that have rules between them.
_TOGETHER: Final = frozenset(
    {
        "max_completion_tokens", "top_logprobs", "structured_outputs", "response_format", "tools", "tool_choice",
        "parallel_tool_calls",
    }
)  # fmt: skip
REMOVED: Final = {"functions": "tools", "function_call": "tool_choice"}
_PROVIDER: Final = _of(Preferences, 'an object of preferences such as {"order": ["a"]}', nested=True)
_MODELS: Final = _of(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)],
    "a list of up to 16 ids of models",
)
# Members for the gateway itself, never forwarded.
_OURS: Final = frozenset({"fairlead", "provider", "models", "session_id"})
_NO_OPTIONS: Final = Options()
_FAIRLEAD: Final = _of(Options, 'an object such as {"strict": true}', nested=True)
_MODEL: Final = _of(Annotated[str, Meta(min_length=1, max_length=256)], "the id of a model")


_byte: Final = struct.Struct("B").unpack_from  # cheaper than a memoryview of it
_body: Final = msgspec.json.Decoder(dict[str, Raw])
_messages: Final = msgspec.json.Decoder(Annotated[list[Message], Meta(min_length=1)])
_counted_messages: Final = msgspec.json.Decoder(Annotated[list[CountedMessage], Meta(min_length=1)])
_members: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_string: Final = msgspec.json.Decoder(str)
_parts: Final = msgspec.json.Decoder(Annotated[list[Raw], Meta(min_length=1)])
_part: Final = msgspec.json.Decoder(Part)
_tool_items: Final = msgspec.json.Decoder(list[ToolItem])
_message_items: Final = msgspec.json.Decoder(list[Item])
_part_items: Final = msgspec.json.Decoder(list[PartItem])
_schema: Final = msgspec.json.Decoder(Json)
_long_messages: Final = msgspec.json.Decoder(list[LongMessage])
_usual: Final = FastParser(USUAL)
_once: Final = FastParser(("model", *_OURS, *PARAMETERS))


def parse_chat(
    body: bytes, template: RequestTemplate | None = None, at: int = 0, outline: Outline | None = None
) -> ChatRequest:
    """Checks a request's body: what is there from `at` on. Raises InvalidRequest (`param` names what is wrong) or
    UnsupportedContent. `template`: of an earlier request; it changes what the reading costs and nothing else.
    `outline`: of a long body, where it has been made already."""
    if len(body) <= at:
        raise InvalidRequest("The request has no body: send a JSON object.")
    if len(body) - at > LONG_BODY_BYTES:
        return _parse_long(complete(body[at:] if at else body) if outline is None else outline)
    _check_utf8(body, at)
    again = None if template is None else read_within(template, body, at)
    return _parse(body[at:] if at else body) if again is None else again


def _parse_long(outline: Outline) -> ChatRequest:
    _check_utf8(outline.text, 0, outline)
    return _parse(outline.text, outline)


def _parse(body: bytes, outline: Outline | None = None) -> ChatRequest:
    """With an outline, `body` is its text: the request gets the members of the body itself."""
    fast = None if outline is not None else (_once if len(body) >= LEAST_BYTES else _usual).read(body)
    fields = _split(body) if fast is None else fast.fields
    preferences: Preferences | None = None
    models: list[str] = []
    fallbacks: tuple[str, ...] = ()
    if "models" in fields and fields["models"] != _NULL:
        models = _check("models", _MODELS, fields["models"])
    if models and fields.get("model", _NULL) == _NULL:
        model = models[0]
    else:
        model = _check("model", _MODEL, _required(fields, "model"))
    if models:
        fallbacks = tuple(dict.fromkeys(name for name in models if name != model))
    messages = _required(fields, "messages")
    stream = include_usage = False
    session = ""
    options = _NO_OPTIONS
    choices = 1
    given: dict[str, Raw] = {}
    unknown: list[str] = []
    together: dict[str, Any] | None = None  # values that have rules between them
    for name, raw in fields.items():
        if name == "model" or name == "messages":
            continue
        if len(raw) == 4 and raw == _NULL:
            continue
        parameter = PARAMETERS.get(name)
        if parameter is None:
            if name in _OURS:
                if name == "fairlead":
                    options = _check(name, _FAIRLEAD, raw)
                elif name == "provider":
                    preferences = _check(name, _PROVIDER, raw)
                elif name == "session_id":
                    session = _check(name, _text, raw if outline is None else outline.whole(raw))
                continue
            if name in REMOVED:
                raise InvalidRequest(f"{name} is no longer supported: use {REMOVED[name]}.", param=name)
            if len(name) > LONGEST_NAME:
                raise InvalidRequest(f"The name of a member is longer than {LONGEST_NAME} characters.", param=name[:64])
            unknown.append(name)
            given[name] = raw if outline is None else outline.whole(raw)
            continue
        if outline is None:
            value = _check(name, parameter, raw)
        elif parameter.most_bytes == _ANY:
            value = _check(name, parameter, raw)
            raw = outline.whole(raw)
        else:
            raw = outline.whole(raw)
            value = _check(name, parameter, raw)
        if name == "stream":
            stream = value
        elif name == "stream_options":
            include_usage = bool(value.include_usage)
        else:
            given[name] = raw
            if name == "n":
                choices = value
            elif name in _TOGETHER:
                if together is None:
                    together = {}
                together[name] = value
    if options.strict:
        if unknown:
            names = ", ".join(repr(name[:64]) for name in unknown[:MOST_NAMED])
            raise InvalidRequest(f"There is no parameter {names} (strict mode).", param=unknown[0][:64])
        refuse_duplicates_inside(body)
    if not stream and fields.get("stream_options", _NULL) != _NULL:
        raise InvalidRequest("stream_options needs stream: true.", param="stream_options")
    if together is not None:
        _check_together(given, together)
    if fast is None:
        media, has_tool_history, prefill, opening = _check_messages(messages, outline)
    else:
        media = 0
        has_tool_history = False
        prefill, opening = fast.prefill, fast.opening
    request = ChatRequest(
        model, messages, given, tuple(unknown), stream, include_usage, options.strict, media, has_tool_history,
        prefill, choices, preferences, fallbacks, opening, options.parameters, options.emulate,
    )  # fmt: skip
    request.session = session
    if fast is not None:
        request.template = fast.template(body, request)
    if outline is not None:
        request.outline = messages
        request.messages = outline.whole(messages)
    return request


def _check_utf8(body: bytes, begin: int, outline: Outline | None = None) -> None:
    """msgspec does not look at the text inside a `Raw`."""
    if body.isascii():
        return
    at = begin
    try:
        if len(body) - begin <= UTF8_PIECE_BYTES:
            body[begin:].decode()
            return
        view = memoryview(body)
        while at < len(body):  # piece by piece: one text as long as the body costs more than looking at it
            _, used = utf_8_decode(view[at : at + UTF8_PIECE_BYTES], "strict", at + UTF8_PIECE_BYTES >= len(body))
            at += used
    except UnicodeDecodeError as error:
        place = at - begin + error.start
        if outline is not None:
            place = outline.position(place)
        raise InvalidRequest(f"The body is not valid UTF-8 (at byte {place}).") from None


def _split(body: bytes) -> dict[str, Raw]:
    try:
        if len(body) > SKELETON_BYTES:
            return _split_long(body)
        fields = _body.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    if len(fields) > MOST_MEMBERS:
        raise InvalidRequest(f"The body has more than {MOST_MEMBERS} members.")
    refuse_duplicates(body, fields)
    return fields


def _split_long(body: bytes) -> dict[str, Raw]:
    """In one pass that ends at the first member too many: names are not decoded by the million."""
    try:
        fields, twice = decode_members(body, MOST_MEMBERS)
    except TooMany:
        raise InvalidRequest(f"The body has more than {MOST_MEMBERS} members.") from None
    if twice is not None:
        raise InvalidRequest(f"The body has {twice[:64]!r} twice.", param=twice[:64])
    return fields


def _refuse_duplicates_in_messages(raw: Raw, outline: Outline | None = None) -> None:
    """The same for the members of each message: a role or a content that others read otherwise would be harmful.
    What is not compact is read again as a whole."""
    try:
        if outline is not None or len(raw) > MOST_UNKNOWN_BYTES:
            _refuse_unknown_in_messages(raw, outline)
        messages = _members.decode(raw)
    except msgspec.DecodeError as error:  # a member's name that is no text
        raise InvalidRequest(f"The body is not valid JSON: {str(error)[:200]}.", param="messages") from None
    compact = 1
    for members in messages:
        if len(members) > MOST_MESSAGE_MEMBERS:
            raise InvalidRequest(f"A message has more than {MOST_MESSAGE_MEMBERS} members.", param="messages")
        compact += 2
        for key, value in members.items():
            compact += 4 + len(key) + len(value)
    if len(raw) != compact:
        refuse_duplicates_inside(bytes(raw))


def _refuse_unknown_in_messages(raw: Raw, outline: Outline | None) -> None:
    """Names that nobody knows are not decoded by the million."""
    unknown = len(raw) if outline is None else outline.length(raw)
    for message in _long_messages.decode(raw):
        members: tuple[Raw, ...] = msgspec.structs.astuple(message)
        for value in members:
            unknown -= len(value) if outline is None else outline.length(value)
    if unknown > MOST_UNKNOWN_BYTES:
        raise InvalidRequest(
            "messages repeat members, or have far too much white space or too many unknown members.", param="messages"
        )


def _required(fields: dict[str, Raw], name: str) -> Raw:
    raw = fields.get(name)
    if raw is None or raw == _NULL:
        raise InvalidRequest(f"{name} is missing.", param=name)
    return raw


def _check(name: str, parameter: Parameter, raw: Raw) -> Any:
    if len(raw) > parameter.most_bytes:
        raise InvalidRequest(f"{name} is longer than {parameter.most_bytes:,} bytes.", param=name)
    try:
        if parameter.most_items and len(raw) > LONGEST_PARAMETER and holds_more(_tool_items, raw, parameter.most_items):
            raise InvalidRequest(f"{name} must be {parameter.wanted}.", param=name)
        return parameter.decoder.decode(raw)
    except msgspec.DecodeError as error:
        detail = ""
        if parameter.nested:
            text, _, path = str(error).partition(" - at `$")
            detail = f" ({name}{path.rstrip('`')}: {text[:200]})"
        raise InvalidRequest(f"{name} must be {parameter.wanted}.{detail}", param=name) from None
    except RecursionError:
        raise InvalidRequest(f"{name} is nested too deeply.", param=name) from None


def _check_together(given: dict[str, Raw], values: dict[str, Any]) -> None:
    """Rules between parameters; `values`: those in _TOGETHER, decoded. An empty `tools`, and a `tool_choice` that says
    nothing without tools, count as not given: clients send both."""
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise InvalidRequest("Give either max_tokens or max_completion_tokens, not both.", param="max_tokens")
    if "top_logprobs" in given and given.get("logprobs") != TRUE:
        raise InvalidRequest("top_logprobs needs logprobs: true.", param="top_logprobs")
    if "structured_outputs" in given:
        constraint = values["structured_outputs"]
        if sum(value is not None and value != _NULL for value in msgspec.structs.astuple(constraint)) != 1:
            wanted = PARAMETERS["structured_outputs"].wanted
            raise InvalidRequest(f"structured_outputs must be {wanted}.", param="structured_outputs")
        if constraint.json != _NULL:
            _check_constraint(constraint.json)
        if "response_format" in given:
            raise InvalidRequest("Give either response_format or structured_outputs.", param="structured_outputs")
    if "response_format" in given:
        shape = values["response_format"]
        if shape.type == "json_schema" and shape.json_schema is None:
            raise InvalidRequest("response_format needs json_schema with a name and a schema.", param="response_format")
        if shape.json_schema is not None:
            _check_object(shape.json_schema.schema, "response_format.json_schema.schema")
    tools: list[Tool] = []
    if "tools" in given:
        tools = values["tools"]
        for at, tool in enumerate(tools):
            _check_object(tool.function.parameters, f"tools[{at}].function.parameters")
        if not tools:
            del given["tools"]
    if "tool_choice" in given:
        choice = values["tool_choice"]
        names = {tool.function.name for tool in tools}
        for wanted in named_tools(choice):
            if wanted not in names:
                raise InvalidRequest(f"tool_choice names {wanted!r}, which is not in tools.", param="tool_choice")
        if not tools:
            if choice == "required":
                raise InvalidRequest("tool_choice 'required' needs tools.", param="tool_choice")
            del given["tool_choice"]
    if not tools:
        given.pop("parallel_tool_calls", None)


def _check_object(raw: Raw, where: str) -> None:
    if raw != _NULL and _first(raw) != 0x7B:
        raise InvalidRequest(f"{where} must be an object.", param=where)


def _check_constraint(raw: Raw) -> None:
    """A schema, or the text of one. A text is sent on as the JSON that it is: it must be one object and no more."""
    where = "structured_outputs.json"
    try:
        _schema.decode(_string.decode(raw) if _first(raw) == 0x22 else raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise InvalidRequest(f"{where} must be an object, or a string with the JSON of one.", param=where) from None


def named_tools(choice: Any) -> list[str]:
    """The functions that a `tool_choice` names; empty for 'none', 'auto' and 'required'."""
    if isinstance(choice, str):
        return []
    if choice.type == "function" and choice.function is not None:
        return [choice.function.name]
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        return [tool.function.name for tool in choice.allowed_tools.tools]
    raise InvalidRequest(f"tool_choice of type {choice.type!r} needs {choice.type!r}.", param="tool_choice")


def tool_choice(raw: Raw) -> Any:
    """A checked `tool_choice` again: 'none', 'auto', 'required' or the object."""
    return PARAMETERS["tool_choice"].decoder.decode(raw)


def _check_messages(raw: Raw, outline: Outline | None = None) -> tuple[int, bool, str | None, Raw]:
    """(media, has tool calls or results, text of a last assistant message, the first user message)."""
    try:
        if len(raw) <= UNCOUNTED_BYTES:
            messages = _messages.decode(raw)
        else:
            messages = decode_counted(_counted_messages, raw, MOST_MESSAGES + MOST_TOOL_CALLS)
    except TooMany:
        # Which of the two there are too many of shows in the messages without their calls.
        if holds_more(_message_items, raw, MOST_MESSAGES):
            raise too_many_messages() from None
        raise _too_many_calls("messages") from None
    except msgspec.DecodeError as error:
        sentence, _, path = str(error).partition(" - at `$")
        where = "messages" + path.rstrip("`")
        raise InvalidRequest(f"{where}: {sentence[:200]}.", param=where) from None
    except RecursionError:
        raise InvalidRequest("messages are nested too deeply.", param="messages") from None
    if len(messages) > MOST_MESSAGES:
        raise too_many_messages()
    has_tools = False
    seen = _Seen()
    text: str | None = None
    opening = _NULL
    plain = 1  # as long as the list is if its messages have a role and a content, each fast, and it is compact
    for at, message in enumerate(messages):
        first = _first(message.content)
        plain += 23 + len(message.role) + len(message.content)
        if opening is _NULL and message.role == "user":
            opening = message.content
        if message.tool_calls or message.role == "tool":
            has_tools = True
            _check_tool_message(message, f"messages[{at}]", seen)
        if first == 0x22:
            continue
        where = f"messages[{at}]"
        if first == 0x5B:
            _check_parts(message, f"{where}.content", seen)
        elif message.content != _NULL:
            raise InvalidRequest(f"{where}.content must be a string or a list of parts.", param=f"{where}.content")
        elif message.role != "assistant":
            raise InvalidRequest(f"{where} has no content.", param=f"{where}.content")
        else:
            plain = -len(raw)
    if plain != len(raw):
        _refuse_duplicates_in_messages(raw, outline)
    last = messages[-1]
    if last.role == "assistant" and not last.tool_calls:
        text = _text_of(last.content if outline is None else outline.whole(last.content))
    return seen.media, has_tools, text, opening


def _check_tool_message(message: Message, where: str, seen: _Seen) -> None:
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest(f"{where} needs the tool_call_id that it answers.", param=f"{where}.tool_call_id")
    if message.tool_calls:
        if message.role != "assistant":
            raise InvalidRequest("Only assistant messages have tool_calls.", param=f"{where}.tool_calls")
        seen.calls += len(message.tool_calls)
        if seen.calls > MOST_TOOL_CALLS:
            raise _too_many_calls(where)


def _too_many_calls(where: str) -> InvalidRequest:
    return InvalidRequest(f"The messages have more than {MOST_TOOL_CALLS:,} tool calls.", param=where)


def _first(raw: Raw) -> int:
    found: int = _byte(raw)[0]
    return found


def _text_of(content: Raw) -> str:
    if content == _NULL:
        return ""
    if _first(content) == 0x22:
        return _decode_text(content)
    return "".join(_part.decode(part).text or "" for part in _parts.decode(content))


def _decode_text(raw: Raw) -> str:
    try:
        return _string.decode(raw)
    except msgspec.DecodeError:
        raise InvalidRequest("The text of the last message is not valid.", param="messages") from None


class _Seen:
    """What the messages have of what is limited in all of them together."""

    __slots__ = ("calls", "media", "parts")

    def __init__(self) -> None:
        self.calls = 0
        self.media = 0
        self.parts = 0


def _check_parts(message: Message, where: str, seen: _Seen) -> None:
    content = message.content
    try:
        # A long list is counted before its parts are objects here.
        crowded = len(content) > LONGEST_PARAMETER and holds_more(_part_items, content, MOST_PARTS - seen.parts)
        parts = [] if crowded else _parts.decode(content)
    except msgspec.DecodeError as error:
        sentence, _, path = str(error).partition(" - at `$")
        if path.startswith("["):
            where += path.partition("]")[0] + "]"
            raise InvalidRequest(f"{where} is not a valid part: {sentence[:200]}.", param=where) from None
        raise InvalidRequest(f"{where} must be a string or a list of parts.", param=where) from None
    seen.parts += len(parts)
    if crowded or seen.parts > MOST_PARTS:
        raise InvalidRequest(f"The messages have more than {MOST_PARTS:,} parts.", param=where)
    for at, raw in enumerate(parts):
        here = f"{where}[{at}]"
        try:
            part = _part.decode(raw)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{here} is not a valid part: {str(error)[:200]}.", param=here) from None
        if part.type == "text":
            if part.text is None:
                raise InvalidRequest(f"{here}.text is missing.", param=here)
        elif part.type != "refusal" or message.role != "assistant":
            seen.media |= check_media(raw, part.type, message.role, here)
