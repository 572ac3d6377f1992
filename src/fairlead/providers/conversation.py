"""A chat request read into turns and wishes, for dialects whose messages are not OpenAI's. Pure.

Thoughts and signatures travel in `reasoning_details` of a message (OpenRouter's shape) and, for Gemini, in
`extra_content.google.thought_signature` of a tool call (Google's own shape in its OpenAI-compatible API).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from mimetypes import guess_type
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest, NotCarried
from fairlead.providers.conversation_shapes import (
    Conversation,
    CountedDetails,
    Media,
    Part,
    ReadCall,
    ReadMessage,
    ReadPart,
    Text,
    Thought,
    ToolResult,
    ToolUse,
    Turn,
    Wishes,
)
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_REASONING_DETAILS
from fairlead.wire.chat import PARAMETERS, ChatRequest, named_tools
from fairlead.wire.chat_shapes import NULL, Function
from fairlead.wire.counting import holds_more
from fairlead.wire.reasoning_tags import GEMINI
from fairlead.wire.vocabulary import FOREIGN_REASONING


class Losses:
    """What becomes of parameters that a dialect cannot carry as they are: left out, or brought into its range."""

    __slots__ = ("clamped", "dropped")

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.clamped: list[str] = []


EMPTY = Raw(b"{}")
ANY_OBJECT = Raw(b'{"type":"object"}')
_messages = msgspec.json.Decoder(list[ReadMessage])
_parts = msgspec.json.Decoder(list[ReadPart])
_details = msgspec.json.Decoder(list[CountedDetails])
_string = msgspec.json.Decoder(str)
_raw = msgspec.json.Decoder(Raw)


def read_conversation(request: ChatRequest, formats: Sequence[str] = ()) -> Conversation:
    """The messages as turns. `formats`: of the reasoning that this provider takes back; another's is left out. Raises
    InvalidRequest for what no dialect but OpenAI's own could take."""
    try:
        # In long messages they are counted before they are decoded.
        crowded = len(request.messages) > LONGEST_PARAMETER and holds_more(
            _details, request.messages, MOST_REASONING_DETAILS
        )
        messages = [] if crowded else _messages.decode(request.messages)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"messages cannot be translated: {str(error)[:200]}.", param="messages") from None
    if crowded or sum(len(message.reasoning_details or ()) for message in messages) > MOST_REASONING_DETAILS:
        raise InvalidRequest(
            f"The messages have more than {MOST_REASONING_DETAILS:,} reasoning_details.", param="messages"
        )
    system: list[Text] = []
    turns: list[Turn] = []
    names: dict[str, str] = {}
    signs_calls = GEMINI in formats
    loses = False
    for at, message in enumerate(messages):
        if message.role in ("system", "developer"):
            system += [part for part in _content(message.content) if isinstance(part, Text)]
            continue
        parts: list[Part]
        if message.role == "tool":
            parts = [_result(message, names)]
        else:
            thoughts = _thoughts(message, formats)
            signed = False
            parts = [*thoughts, *_content(message.content)]
            if message.refusal:  # beside the content, as in answers of chat completions
                parts.append(Text(message.refusal))
            for call in message.tool_calls or ():
                signed = signed or call.extra_content.google.thought_signature is not None
                names[call.id] = call.function.name
                parts.append(_use(call, at))
            loses = loses or (not signs_calls if signed else _lacks(message, thoughts))
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1].role == role:
            turns[-1].parts.extend(parts)
        elif parts:
            turns.append(Turn(role, parts))
    return Conversation(system, turns, loses)


def _content(raw: Raw) -> list[Part]:
    if raw == NULL:
        return []
    if memoryview(raw)[0] == 0x22:
        text = _decoded(_string, raw)
        return [Text(text)] if text else []
    found: list[Part] = []
    for part in _decoded(_parts, raw):
        media = _media(part)
        if media is not None:
            found.append(media)
        elif part.text or part.refusal:
            found.append(Text(part.text or part.refusal or "", part.cache_control))
    return found


def _media(part: ReadPart) -> Media | None:
    if part.type == "image_url" and part.image_url is not None:
        return _at("image", part.image_url.url, part.cache_control)
    if part.type == "video_url" and part.video_url is not None:
        return _at("video", part.video_url.url, part.cache_control)
    if part.type == "file" and part.file is not None:
        return _at("file", part.file.file_data or "", part.cache_control, part.file.filename or "")
    if part.type == "input_audio" and part.input_audio is not None:
        return Media("audio", f"audio/{part.input_audio.format}", part.input_audio.data, cache=part.cache_control)
    return None


def _at(kind: Literal["image", "file", "video"], url: str, cache: Raw, name: str = "") -> Media:
    if url[:5].lower() != "data:":
        path = urlsplit(url).path
        guessed = guess_type(path)[0] or ("application/pdf" if kind == "file" else "")
        return Media(kind, guessed, url=url, name=name or path.rpartition("/")[2], cache=cache)
    head, _, data = url.partition(",")
    mime = head.removeprefix("data:").removesuffix(";base64")
    return Media(kind, "image/jpeg" if mime == "image/jpg" else mime, data, name=name, cache=cache)


def _result(message: ReadMessage, names: Mapping[str, str]) -> ToolResult:
    parts = _content(message.content)
    texts = [part for part in parts if isinstance(part, Text)]
    media = tuple(part for part in parts if isinstance(part, Media))
    cache = texts[-1].cache if texts else NULL
    tool_id = message.tool_call_id or ""
    return ToolResult(tool_id, names.get(tool_id, tool_id), "".join(part.text for part in texts), cache, media)


def _use(call: ReadCall, at: int) -> ToolUse:
    try:
        arguments = _raw.decode(call.function.arguments) if call.function.arguments.strip() else EMPTY
        if memoryview(arguments)[0] != 0x7B:
            raise msgspec.ValidationError("Expected `object`")
    except (msgspec.DecodeError, RecursionError):
        where = f"messages[{at}].tool_calls"
        raise InvalidRequest(
            f"{where}: the arguments of {call.function.name!r} are not a JSON object.", param=where
        ) from None
    return ToolUse(call.id, call.function.name, arguments, call.extra_content.google.thought_signature)


def _thoughts(message: ReadMessage, formats: Sequence[str]) -> list[Part]:
    """Only what this vendor has signed or encrypted goes back: it refuses everything else. Reasoning without
    a format counts as its own; of formats behind the first, its own, it takes signatures alone."""
    return [
        Thought(detail.text or "", detail.signature or "", detail.data or "")
        for detail in message.reasoning_details or ()
        if (detail.signature or detail.data)
        and (not detail.format or detail.format in (formats[:1] if detail.data else formats))
    ]


def _lacks(message: ReadMessage, thoughts: list[Part]) -> bool:
    """Whether some of its reasoning is not among these."""
    if message.reasoning_details:
        return len(thoughts) < len(message.reasoning_details)
    return len(message.reasoning_content) > 2 and message.reasoning_content != NULL


def _decoded(decoder: msgspec.json.Decoder[Any], raw: Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest("A message cannot be translated for this model's provider.", param="messages") from None


def read_wishes(request: ChatRequest, defaults: Mapping[str, Raw], carries: frozenset[str]) -> tuple[Wishes, Losses]:
    """What the caller and the catalogue want, and what is lost because this dialect has no word for it."""
    lost = Losses()
    lost.dropped += [name[:64] for name in request.given if name not in carries]
    raws = {name: raw for name, raw in defaults.items() if name in carries and name not in request.given}
    if "top_p" in request.given:
        raws.pop("temperature", None)  # vendors want one of them; a caller's word goes before a default
    raws.update((name, raw) for name, raw in request.given.items() if name in carries)
    values: dict[str, Any] = {name: PARAMETERS[name].decoder.decode(raw) for name, raw in raws.items()}
    limit = values.pop("max_completion_tokens", None)
    if limit is not None:
        values["max_tokens"] = limit
    if "stop" in values:
        values["stop"] = (values["stop"],) if isinstance(values["stop"], str) else tuple(values["stop"])
    if values.get("top_k", 1) <= 0:
        del values["top_k"]
    if "safety_identifier" in values:
        values.setdefault("user", values.pop("safety_identifier"))
        values.pop("safety_identifier", None)
    _read_shape(values, lost.dropped)
    _read_tools(values)
    return Wishes(**values), lost


def _read_shape(values: dict[str, Any], dropped: list[str]) -> None:
    shape = values.pop("response_format", None)
    if shape is not None and shape.type == "json_object":
        values["json_object"] = True
    elif shape is not None and shape.type == "json_schema":
        values["schema"] = EMPTY if shape.json_schema.schema == NULL else shape.json_schema.schema
        values["schema_name"] = shape.json_schema.name
    wanted = values.pop("structured_outputs", None)
    if wanted is None:
        return
    if wanted.json != NULL:
        is_text = memoryview(wanted.json)[0] == 0x22
        values["schema"] = Raw(_decoded(_string, wanted.json).encode()) if is_text else wanted.json
    elif wanted.json_object:
        values["json_object"] = True
    else:
        named = [name for name in wanted.__struct_fields__ if getattr(wanted, name) not in (None, NULL)]
        dropped.append(f"structured_outputs.{named[0]}")


def _read_tools(values: dict[str, Any]) -> None:
    values["tools"] = tuple(values.get("tools", ()))
    choice = values.pop("tool_choice", None)
    if choice is None or isinstance(choice, str):
        values["tool_choice"] = choice
        return
    names = named_tools(choice)
    if choice.type == "function":
        values["tool_choice"] = "required"
        values["forced_tool"] = names[0]
    else:
        values["tools"] = tuple(tool for tool in values["tools"] if tool.function.name in names)
        values["tool_choice"] = choice.allowed_tools.mode


def parameters_of(function: Function) -> Raw:
    """The schema of a tool's arguments; a tool without one takes an object."""
    raw = function.parameters
    return ANY_OBJECT if raw == NULL or (len(raw) <= 64 and not bytes(raw)[1:-1].strip()) else raw


def refuse_when_strict(request: ChatRequest, lost: Losses) -> None:
    """Raises InvalidRequest in strict mode when something would be dropped or clamped."""
    if request.strict and (lost.dropped or lost.clamped):
        raise NotCarried([*lost.dropped, *lost.clamped])


def all_dropped(lost: Losses, conversation: Conversation) -> tuple[str, ...]:
    """What is named as left out: also what even a strict caller does without."""
    return (*lost.dropped, FOREIGN_REASONING) if conversation.loses_reasoning else tuple(lost.dropped)
