"""Reads the body of a Responses request: checked as far as planning and translation need it, and no further, because
providers of the same API get it as it came."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.responses.reasoning_state import is_foreign
from fairlead.doors.responses.request import ResponsesRequest, ResponsesTemplate
from fairlead.doors.responses.shapes import (
    ANY_LENGTH,
    FAIRLEAD,
    FALSE,
    ITEMS,
    MODEL,
    MODELS,
    OURS,
    PARAMETERS,
    PROVIDER,
    TRUE,
    AnyItem,
    Found,
    Item,
    Part,
    Rule,
    Tool,
)
from fairlead.errors import InvalidRequest
from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.wire import media
from fairlead.wire.body import checked, members_of
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_ITEMS, MOST_NAMED, MOST_NAMESPACED, MOST_PARTS
from fairlead.wire.chat_shapes import NULL, Options
from fairlead.wire.counting import holds_more
from fairlead.wire.duplicates import refuse_duplicates_inside
from fairlead.wire.notes import MEMBERS, notes_in_members
from fairlead.wire.plain import SHORT
from fairlead.wire.plain_shapes import PlainItem

# Headers of callers that go on to providers of the same API: a body may not hold without them. Whatever else clients
# send is about them, and stays here.
FORWARDED: Final = (b"openai-beta", b"x-openai-internal-codex-responses-lite")
LONGEST_FORWARDED: Final = 1_024
_NO_OPTIONS: Final = Options()
_NULL: Final[Raw] = NULL
_astuple: Final = msgspec.structs.astuple
_any_items: Final = msgspec.json.Decoder(list[AnyItem])
_parts: Final = msgspec.json.Decoder(list[Part])
_plain_items: Final = msgspec.json.Decoder(list[PlainItem])
_byte: Final = struct.Struct("B").unpack_from
_string: Final = msgspec.json.Decoder(str)
_INPUT: Final = "a string, or a list of items"
# What comes into a prompt beside the input.
IN_PROMPT: Final = ("instructions", "tools", "text", "prompt")
# What names something that a provider keeps, under a credential that all callers here share.
_KEPT_ELSEWHERE: Final = {
    "conversation": "conversation is not supported: send the whole conversation in input.",
}


def read_responses(request: Request, *, is_stored: bool = False) -> ResponsesRequest:
    """`is_stored`: responses are stored here, so that a request may refer to an earlier one. What stands around the
    input may be known from the request before. Raises InvalidRequest."""
    known = request.known
    if known is not None:
        template = known.template
        if isinstance(template, ResponsesTemplate):
            again = _again(template, request.body)
            if again is not None:
                return again
    made = _read(request, is_stored=is_stored)
    if known is not None:
        known.template = ResponsesTemplate.of(made)
    return made


def _again(template: ResponsesTemplate, body: bytes) -> ResponsesRequest | None:
    """What a body asks for that has this template; None for any other, and for one that is refused, which shows when it
    is read as a whole."""
    value = template.value_in(body)
    if value is None or (value[0] != 0x5B and value[0] != 0x22):  # a list or a text, without white space before it
        return None
    same, raw = template.request, Raw(value)
    try:
        if not value.isascii():
            value.decode()
        request = same.within(body, raw, _look_through(raw, same.given.get("prompt_cache_key")))
    except (UnicodeDecodeError, InvalidRequest):
        return None
    request.template = template
    return request


def _read(request: Request, *, is_stored: bool) -> ResponsesRequest:
    decode_body(request)
    body = request.body
    fields = members_of(body)
    options = _ours(fields, "fairlead", FAIRLEAD) or _NO_OPTIONS
    model, fallbacks = _models(fields)
    given, unknown = _given(fields)
    _refuse_what_is_kept_elsewhere(given, is_stored=is_stored)
    if options.strict:
        _refuse_unknown(unknown, body)
    cap = msgspec.json.decode(given["max_output_tokens"]) if "max_output_tokens" in given else 0
    made = ResponsesRequest(
        body, fields, given, model=model, unknown=unknown, stream=given.get("stream") == TRUE, cap=cap, options=options,
        preferences=_ours(fields, "provider", PROVIDER), fallbacks=fallbacks, found=look_through(fields, given),
        forwarded=_forwarded(request),
    )  # fmt: skip
    if "text" in given:
        shape = PARAMETERS["text"].decoder.decode(given["text"]).format
        made.formatted = "text" if shape is None else shape.type
    for name in IN_PROMPT:
        if name in given:
            made.other_bytes += len(given[name])
    made.notes = notes_in_members({name: fields[name] for name in MEMBERS if name in fields})
    return made


def _ours(fields: dict[str, Raw], name: str, rule: Rule) -> Any:
    raw = fields.get(name, NULL)
    return None if raw == NULL else checked(name, rule.decoder, raw, rule.wanted, rule.most_bytes)


def _models(fields: dict[str, Raw]) -> tuple[str, tuple[str, ...]]:
    listed: list[str] = _ours(fields, "models", MODELS) or []
    model: str | None = _ours(fields, "model", MODEL)
    if model is None:
        if not listed:
            raise InvalidRequest("model is missing.", param="model")
        model = listed[0]
    return model, tuple(dict.fromkeys(name for name in listed if name != model))


def _given(fields: dict[str, Raw]) -> tuple[dict[str, Raw], tuple[str, ...]]:
    given: dict[str, Raw] = {}
    unknown: list[str] = []
    for name, raw in fields.items():
        if name in ("model", "input") or name in OURS or raw == NULL:
            continue
        rule = PARAMETERS.get(name)
        if rule is None:
            unknown.append(name)
        else:
            if name == "tools" and len(raw) > LONGEST_PARAMETER and holds_more(_any_items, raw, MOST_NAMESPACED):
                raise InvalidRequest(f"tools must be {rule.wanted}.", param="tools")
            value = checked(name, rule.decoder, raw, rule.wanted, rule.most_bytes)
            if name == "tools":
                _check_tools(value)
        given[name] = raw
    return given, tuple(unknown)


def _check_tools(tools: list[Tool]) -> None:
    if len(tools) + sum(len(tool.tools or ()) for tool in tools) > MOST_NAMESPACED:
        raise InvalidRequest(f"There are more than {MOST_NAMESPACED:,} tools.", param="tools")


def _refuse_what_is_kept_elsewhere(given: dict[str, Raw], *, is_stored: bool) -> None:
    for name, sentence in _KEPT_ELSEWHERE.items():
        if name in given and given[name] != FALSE:
            raise InvalidRequest(sentence, param=name)
    if given.get("background") == TRUE:
        _refuse_background(given, is_stored=is_stored)
    if "previous_response_id" in given and not is_stored:
        raise InvalidRequest(
            "previous_response_id is not supported, because this server stores no responses: send the whole "
            "conversation in input.",
            param="previous_response_id",
        )


def _refuse_background(given: dict[str, Raw], *, is_stored: bool) -> None:
    if not is_stored:
        raise InvalidRequest(
            "background is not supported, because this server stores no responses: send the request with stream: true, "
            "or wait for the answer.",
            param="background",
        )
    if given.get("store") == FALSE:
        raise InvalidRequest(
            "background needs store: true: a response that is not stored could not be read later.", param="store"
        )
    if given.get("stream") == TRUE:
        raise InvalidRequest(
            "A background response cannot be streamed: retrieve it until it is complete.", param="stream"
        )


def _refuse_unknown(unknown: tuple[str, ...], body: bytes) -> None:
    if unknown:
        names = ", ".join(repr(name[:64]) for name in unknown[:MOST_NAMED])
        raise InvalidRequest(f"There is no parameter {names} (strict mode).", param=unknown[0][:64])
    refuse_duplicates_inside(body)


def _forwarded(request: Request) -> bytes:
    lines = b""
    for name in FORWARDED:
        value = request.header(name)
        if value is not None and len(value) <= LONGEST_FORWARDED:
            lines += b"%b: %b\r\n" % (name, value)
    return lines


def look_through(fields: dict[str, Raw], given: dict[str, Raw]) -> Found:
    """What planning must know of `input`. Raises InvalidRequest for what is no input at all, and for references to
    items that a provider keeps."""
    raw = fields.get("input", NULL)
    if raw == NULL:
        if "prompt" in given:  # a provider's own
            return Found()
        raise InvalidRequest("input is missing.", param="input")
    return _look_through(raw, given.get("prompt_cache_key"))


def _look_through(raw: Raw, key: Raw | None) -> Found:
    first = memoryview(raw)[0]
    if first == 0x22:
        checked("input", _string, raw, _INPUT, ANY_LENGTH)
        return Found(opening=raw if key is None else key)
    if first != 0x5B:
        raise InvalidRequest(f"input must be {_INPUT}.", param="input")
    plain = _plain(raw, key)
    if plain is not None:
        return plain
    seen = _Seen()
    for at, item in enumerate(_items(raw)):
        seen.take(item, at)
    return Found(
        seen.media,
        seen.images,
        seen.files,
        seen.opening if key is None else key,
        seen.is_marked,
        tuple(seen.tools),
    )


def _plain(raw: Raw, key: Raw | None) -> Found | None:
    """The same of items that are one text each; None: of others."""
    if len(raw) > LONGEST_PARAMETER:
        return None
    try:
        items = _plain_items.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not 0 < len(items) <= MOST_ITEMS:
        return None
    opening = _NULL
    pairs: list[tuple[str, Raw]] = []
    for item in items:
        members: tuple[Any, ...] = _astuple(item)
        content: Raw = members[1]
        if _byte(content)[0] != 0x22:
            return None
        if opening is _NULL and members[0] == "user":
            opening = content
        pairs.append((members[0], content))
    return Found(opening=opening if key is None else key, told=pairs if len(raw) <= SHORT else None)


def _items(raw: Raw) -> list[Item]:
    try:
        if len(raw) > LONGEST_PARAMETER and holds_more(_any_items, raw, MOST_ITEMS):
            raise InvalidRequest(f"input has more than {MOST_ITEMS:,} items.", param="input")
    except msgspec.DecodeError:
        raise InvalidRequest(f"input must be {_INPUT}.", param="input") from None
    except RecursionError:
        raise InvalidRequest("input is nested too deeply.", param="input") from None
    items: list[Item] = checked("input", ITEMS.decoder, raw, _INPUT, ANY_LENGTH)
    return items


class _Seen:
    """What the items have that is no text."""

    __slots__ = ("files", "images", "is_marked", "media", "opening", "parts", "tools")

    def __init__(self) -> None:
        self.files = self.images = self.media = self.parts = 0
        self.is_marked = False
        self.tools: list[Tool] = []
        self.opening = _NULL

    def take(self, item: Item, at: int) -> None:
        members: tuple[Any, ...] = _astuple(item)  # one call instead of one for each attribute
        kind: str = members[0]
        role: str = members[1]
        content: Raw = members[2]
        output: Raw = members[9]
        if kind == "item_reference" or (kind == "message" and not role and content == _NULL):
            where = f"input[{at}]"
            raise InvalidRequest(
                f"{where} refers to an item that is not in the input: send the item itself (clients do that with "
                "store: false).",
                param=where,
            )
        if kind == "reasoning" and is_foreign(item.id, item.encrypted_content):
            self.is_marked = True
        if kind == "additional_tools" and item.tools != _NULL:
            self.tools += checked(
                f"input[{at}].tools", PARAMETERS["tools"].decoder, item.tools, "a list of tools", ANY_LENGTH
            )
            _check_tools(self.tools)
        if self.opening is _NULL and role == "user":
            self.opening = content
        if content is not _NULL and memoryview(content)[0] == 0x5B:
            self._take_parts(content, role, f"input[{at}]")
        if output is not _NULL and memoryview(output)[0] == 0x5B:
            self._take_parts(output, role, f"input[{at}]")

    def _take_parts(self, raw: Raw, role: str, where: str) -> None:
        if len(raw) > LONGEST_PARAMETER and holds_more(_any_items, raw, MOST_PARTS - self.parts):
            raise InvalidRequest(f"The input has more than {MOST_PARTS:,} parts.", param=where)
        try:
            parts = _parts.decode(raw)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{where} has a part that is not valid: {str(error)[:200]}.", param=where) from None
        except RecursionError:
            raise InvalidRequest(f"{where} is nested too deeply.", param=where) from None
        self.parts += len(parts)
        if self.parts > MOST_PARTS:
            raise InvalidRequest(f"The input has more than {MOST_PARTS:,} parts.", param=where)
        for part in parts:
            found = _media_of(part)
            if found:
                self.media |= found | (media.ASSISTANT if role == "assistant" else 0)
                self.images += found & media.IMAGE
                self.files += bool(found & media.FILE)


def _media_of(part: Part) -> int:
    if part.type == "input_image":
        return media.IMAGE | _source_of(part.file_id, part.image_url)
    if part.type == "input_file":
        return media.FILE | _source_of(part.file_id, part.file_url)
    return media.AUDIO if part.type == "input_audio" else 0


def _source_of(file_id: str | None, url: str | None) -> int:
    if file_id:
        return media.FILE_ID
    return media.ADDRESS if url is not None and not url.startswith("data:") else 0
