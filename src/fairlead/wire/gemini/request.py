"""A generateContent request: split into its members and checked as far as routing and the bill depend on it.

The rest is checked where it is needed: a provider of the same API gets the caller's bytes and judges them itself,
others get the request as it is translated (`neutral.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import GENERATE_CONTENT
from fairlead.wire.body import checked, members_of, with_members
from fairlead.wire.bounds import (
    LONGEST_PARAMETER,
    MOST_BLOCKS,
    MOST_CHOICES,
    MOST_MESSAGES,
    MOST_NATIVE_MESSAGES,
    MOST_PARTS,
)
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.chat_shapes import Options
from fairlead.wire.counting import Item, holds_more
from fairlead.wire.gemini.contents import is_googles
from fairlead.wire.gemini.neutral import (
    CAP,
    OURS,
    RENAMED,
    contents_in,
    echo_of,
    given,
    items_in,
    members_in,
    spelled,
    to_chat,
    whole_number,
)
from fairlead.wire.gemini.shapes import NULL, BlobKind, Echo, PartKind
from fairlead.wire.gemini.signatures import NEEDLE, without_tagged
from fairlead.wire.media import ADDRESS, AUDIO, FILE, IMAGE, VIDEO
from fairlead.wire.messages.decoding import LIST, OBJECT, decoded, first_byte
from fairlead.wire.native import Contents, NativeRequest
from fairlead.wire.notes import notes_in_members
from fairlead.wire.plain import SHORT, PlainTurns, plain_contents, turns_of_contents
from fairlead.wire.plain_shapes import PlainContent
from fairlead.wire.preferences import Preferences
from fairlead.wire.vocabulary import FOREIGN_REASONING

GENERATE, STREAM, COUNT = "generateContent", "streamGenerateContent", "countTokens"
# What the parameters of a neutral request are called here.
NAMES: Final[Mapping[str, str]] = {
    **{chat: f"generationConfig.{name}" for name, chat in RENAMED.items()},
    "max_tokens": f"generationConfig.{CAP}",
    "stop": "generationConfig.stopSequences",
    "response_format": "generationConfig.responseMimeType",
    "structured_outputs": "generationConfig.responseMimeType",
    "reasoning_effort": "generationConfig.thinkingConfig",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "tool_choice": "toolConfig",
    "messages": "contents",
}
# Reasoning that only another provider could read, as it is named when it is left out.
SIGNATURE: Final = "contents.thoughtSignature"
# What does not come into a prompt, and what of `generationConfig` does.
NOT_IN_PROMPT: Final = frozenset({"generationConfig", "safetySettings", "toolConfig", "labels", "model"})
SCHEMAS: Final = ("responseSchema", "responseJsonSchema")
# Shorter lists are decoded as they are.
LONG_LIST_BYTES: Final = 1_048_576
DEEPEST: Final = 1
_NULL: Final[Raw] = NULL
_BITS: Final = {"image": IMAGE, "audio": AUDIO, "video": VIDEO}

_models: Final = msgspec.json.Decoder(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)]
)
_options: Final = msgspec.json.Decoder(Options)
_preferences: Final = msgspec.json.Decoder(Preferences)
_strings: Final = msgspec.json.Decoder(list[str])
_objects: Final = msgspec.json.Decoder(list[Item])
_part_kind: Final = msgspec.json.Decoder(PartKind)
_part_kinds: Final = msgspec.json.Decoder(list[PartKind])
_plain_contents: Final = msgspec.json.Decoder(list[PlainContent])


class GeminiRequest(NativeRequest):
    """A `NativeRequest` of Gemini's. `members`: those of the body spelled `likeThis`, of the request itself where a
    count wraps it; `config`: those of its `generationConfig`. `server_tools`: by their names; `modalities`: what the
    answer is to have beside text; `is_array`: a stream is one JSON array."""

    __slots__ = ("_names", "choices", "config", "is_array", "members", "modalities")
    api: Final = GENERATE_CONTENT
    cap_name: Final = CAP

    def __init__(self, body: bytes, fields: dict[str, Raw], members: dict[str, Raw], model: str, query: str) -> None:
        super().__init__(body, fields, query)
        self.members = members
        self.config: dict[str, Raw] = {}
        self.model = model
        self.is_array = False
        self.choices = 1
        self.modalities: tuple[str, ...] = ()
        self._names: dict[str, str] = {}

    @property
    def names(self) -> Iterable[str]:
        found = [name for name in self.members if name not in OURS and name not in ("contents", "generationConfig")]
        return [*found, *[f"generationConfig.{name}" for name in self.config]]

    @property
    def conversation(self) -> Raw:
        return self.members.get("contents", _NULL)

    @property
    def echo(self) -> Echo:
        return echo_of(self.config, self._names, is_array=self.is_array)

    @property
    def has_tagged_signatures(self) -> bool:
        """Signatures of another provider have come back in it."""
        # `find`, not `in`: that first makes an error of what is no number.
        return not self.contents.plain and self.body.find(NEEDLE) >= 0

    def _translate(self) -> ChatRequest:
        self._check_length()
        try:
            found = to_chat(self.model, self.members, self.config, cap=self.cap, stream=self.stream)
        except InvalidRequest as error:
            first, dot, rest = (error.param or "").partition(".")
            error.param = NAMES.get(first, first) + dot + rest if error.param else None
            raise
        self.lost, self._names = found.lost, found.names
        self.learn(found.request, found.system, found.names)
        return found.request

    def plain_turns(self) -> PlainTurns | None:
        told = self.contents.told
        return plain_contents(self.conversation) if told is None else turns_of_contents(told)

    def take_kept(self, kept: Any) -> None:
        self._names = kept

    def _check_length(self) -> None:
        """Before everything is translated, and refused because there is too much of it."""
        for name, count, most in (
            ("contents", self.contents.entries, MOST_MESSAGES),
            ("parts", self.contents.blocks, MOST_PARTS),
        ):
            if count > most:
                raise InvalidRequest(
                    f"There are more than {most:,} {name}, which only a provider that speaks Gemini's API takes.",
                    param="contents",
                )

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Parameters of `neutral()` as the caller wrote them."""
        if not parameters:
            return ()
        found = []
        for name in parameters:
            if name == FOREIGN_REASONING:
                found.append(SIGNATURE)
                continue
            first, dot, rest = name.partition(".")
            found.append(NAMES.get(first, first) + dot + rest)
        return tuple(dict.fromkeys(found))

    def copy(self) -> GeminiRequest:
        made = GeminiRequest(self.body, self.fields, self.members, self.model, self.query)
        made._take(self)
        made.config = self.config
        made.is_array = self.is_array
        made.choices = self.choices
        made.modalities = self.modalities
        made._names = self._names
        return made

    def within(self, body: bytes, conversation: Raw) -> GeminiRequest:
        made = self.marked(body, conversation)
        _read_contents(made.members, made.contents)
        return made

    def marked(self, body: bytes, conversation: Raw) -> GeminiRequest:
        made = self.copy()
        made.body = body
        made.fields = {**self.fields, "contents": conversation}
        made.members = {**self.members, "contents": conversation}
        made.contents = Contents()
        return made

    def native(self, without: Iterable[str] = ()) -> bytes:
        """The caller's body for a provider of the same API. What changes: members for the gateway and those of
        `without` are left out, a cap that was lowered, signatures that are another provider's."""
        changes: dict[str, bytes | None] = {}
        for name in without:
            changes[name] = None
        for name in self.fields:
            if name in OURS:
                changes[name] = None
            elif name == "contents":
                if self.has_tagged_signatures and NEEDLE in bytes(self.fields[name]):
                    changes[name] = without_tagged(self.fields[name])
            elif self.capped and name.replace("_", "").lower() == "generationconfig":
                changes[name] = _capped(self.fields[name], self.cap)
        if self.capped and not given(self.members, "generationConfig"):
            changes["generationConfig"] = b'{"%b":%d}' % (CAP.encode(), self.cap)
        return with_members(self.body, self.fields, changes) if changes else self.body

    def release(self) -> None:
        super().release()
        self.members = {}
        self.config = {}


def parse_gemini(body: bytes, model: str, action: str, query: str = "", *, is_array: bool = False) -> GeminiRequest:
    """Checks a request's body. `action`: what is asked of the model. Raises InvalidRequest (`param` names what is
    wrong)."""
    fields = members_of(body)
    members = spelled(fields, "The body")
    if action == COUNT and given(members, "generateContentRequest"):
        members = members_in(members["generateContentRequest"], "generateContentRequest")
    request = GeminiRequest(body, fields, members, model, query)
    request.stream, request.is_array = action == STREAM, is_array and action == STREAM
    if not OURS.isdisjoint(fields):
        _read_options(fields, request)
    if given(members, "generationConfig"):
        request.config = members_in(members["generationConfig"], "generationConfig")
        _read_config(request)
    _read_contents(members, request.contents)
    if given(members, "tools"):
        request.server_tools = _server_tools(members["tools"])
    request.beyond = bool(request.server_tools) or given(members, "cachedContent")
    request.notes = notes_in_members(fields)
    for name, raw in members.items():
        if name not in NOT_IN_PROMPT and name != "contents":
            request.other_bytes += len(raw)
    for name in SCHEMAS:
        request.other_bytes += len(request.config.get(name, b""))
    return request


def _read_options(fields: dict[str, Raw], request: GeminiRequest) -> None:
    def read(name: str, decoder: msgspec.json.Decoder[Any], wanted: str) -> Any:
        return checked(name, decoder, fields[name], wanted, LONGEST_PARAMETER) if given(fields, name) else None

    models = read("models", _models, "a list of up to 16 ids of models")
    if models is not None:
        request.fallbacks = tuple(dict.fromkeys(name for name in models if name != request.model))
    options: Options | None = read("fairlead", _options, 'an object such as {"strict": true}')
    if options is not None:
        request.strict, request.reports, request.emulate = options.strict, options.parameters, options.emulate
    request.preferences = read("provider", _preferences, 'an object of preferences such as {"order": ["a"]}')


def _read_config(request: GeminiRequest) -> None:
    config = request.config
    if given(config, CAP):
        request.cap = _between(config, CAP, 1, 2**31 - 1)
    if given(config, "candidateCount"):
        request.choices = _between(config, "candidateCount", 1, MOST_CHOICES)
    if given(config, "responseModalities"):
        wanted = decoded(_strings, config["responseModalities"], "generationConfig.responseModalities")
        request.modalities = tuple(name for name in wanted if name.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"))


def _between(config: dict[str, Raw], name: str, low: int, high: int) -> int:
    where = f"generationConfig.{name}"
    number = whole_number(config[name], where)
    if not low <= number <= high:
        raise InvalidRequest(f"{where}: must be a whole number from {low} to {high}.", param=where)
    return number


def _read_contents(members: dict[str, Raw], found: Contents) -> None:
    if not given(members, "contents"):
        raise InvalidRequest("contents: Field required.", param="contents")
    raw = members["contents"]
    if _is_plain(raw, found):
        return
    _refuse_crowds(raw, "contents")
    contents = contents_in(raw)
    found.entries = len(contents)
    if not contents or found.entries > MOST_NATIVE_MESSAGES:
        raise InvalidRequest(f"contents: must have 1 to {MOST_NATIVE_MESSAGES:,} entries.", param="contents")
    for at, content in enumerate(contents):
        if found.opening is _NULL and content.role != "model":
            found.opening = content.parts
        _read_parts(content.parts, found, f"contents.{at}.parts", 0)
    last = contents[-1]
    found.prefilled = last.role == "model" and b'"functionCall"' not in bytes(last.parts)


def _is_plain(raw: Raw, found: Contents) -> bool:
    """Reads contents that are one text each; False: others."""
    if len(raw) > LONG_LIST_BYTES:
        return False
    try:
        contents = _plain_contents.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    count = len(contents)
    if not 0 < count <= MOST_NATIVE_MESSAGES:
        return False
    found.entries = found.blocks = count
    found.plain = True
    if len(raw) <= SHORT:
        found.told = contents
    found.prefilled = contents[-1].role == "model"
    return True


def _refuse_crowds(raw: Raw, name: str) -> None:
    """A very long list is counted before what is in it are objects here."""
    if len(raw) <= LONG_LIST_BYTES or first_byte(raw) != LIST:
        return
    try:
        crowded = holds_more(_objects, raw, MOST_NATIVE_MESSAGES)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{name}: must be a list of objects.", param=name) from None
    if crowded:
        raise InvalidRequest(f"{name}: must have at most {MOST_NATIVE_MESSAGES:,} entries.", param=name)


def _read_parts(raw: Raw, found: Contents, where: str, depth: int) -> None:
    if raw == _NULL:
        return
    kinds: list[PartKind]
    if first_byte(raw) == OBJECT:
        kinds = [decoded(_part_kind, raw, where)]
    else:
        try:
            crowded = len(raw) > LONGEST_PARAMETER and holds_more(_objects, raw, MOST_BLOCKS - found.blocks)
        except (msgspec.DecodeError, RecursionError):
            raise InvalidRequest(f"{where}: must be a list of objects.", param="contents") from None
        kinds = [] if crowded else decoded(_part_kinds, raw, where)
        found.blocks += MOST_BLOCKS + 1 if crowded else 0
    found.blocks += len(kinds)
    if found.blocks > MOST_BLOCKS:
        raise InvalidRequest(f"contents: must have at most {MOST_BLOCKS:,} parts.", param="contents")
    for kind in kinds:
        if kind.blob is not None:
            _note(kind.blob, found)
        elif kind.file is not None:
            _note(kind.file, found)
            if is_googles(kind.file.uri):
                found.beyond = True
            else:
                found.media |= ADDRESS
        elif kind.result is not None and depth < DEEPEST:
            _read_parts(kind.result.parts, found, f"{where}.parts", depth + 1)


def _note(blob: BlobKind, found: Contents) -> None:
    kind = blob.mime.partition("/")[0]
    if kind == "text":
        return
    found.media |= _BITS.get(kind, FILE)
    if kind == "image":
        found.images += 1
    elif kind == "audio":
        found.audio += 1
    elif kind == "video":
        found.videos += 1
    else:
        found.files += 1


def _server_tools(raw: Raw) -> tuple[str, ...]:
    """The names of tools that the provider is to run."""
    found: list[str] = []
    _refuse_crowds(raw, "tools")
    for at, tool in enumerate(items_in(raw, "tools")):
        for name, value in members_in(tool, f"tools.{at}").items():
            if name != "functionDeclarations" and value != _NULL:
                found.append(name[:64])
    return tuple(dict.fromkeys(found))


def _capped(config: Raw, cap: int) -> bytes:
    """The same `generationConfig` with another cap."""
    if config == _NULL:
        return b'{"%b":%d}' % (CAP.encode(), cap)
    text = bytes(config)
    fields = members_of(text)
    name = next((name for name in fields if name in (CAP, "max_output_tokens")), CAP)
    return with_members(text, fields, {name: b"%d" % cap})
