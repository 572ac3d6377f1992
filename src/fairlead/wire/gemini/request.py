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
from fairlead.wire.preferences import Preferences
from fairlead.wire.traceparent import TraceContext

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
# Shorter lists are decoded as they are.
LONG_LIST_BYTES: Final = 1_048_576
DEEPEST: Final = 1
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


class Contents:
    """What the contents have. `media`: as in `wire/media.py`; `opening`: the parts of the first one; `prefilled`: the
    model's words are the last ones; `beyond`: they refer to something that only Google has."""

    __slots__ = ("audio", "beyond", "contents", "files", "images", "media", "opening", "parts", "prefilled", "videos")

    def __init__(self) -> None:
        self.beyond = False
        self.contents = 0
        self.parts = 0
        self.images = 0
        self.audio = 0
        self.videos = 0
        self.files = 0
        self.media = 0
        self.opening = NULL
        self.prefilled = False


class GeminiRequest:
    """A `ChatPayload`. `fields`: all members of `body`, each as the caller wrote it; `members`: the same, spelled
    `likeThis`, of the request itself where a count wraps it; `config`: those of its `generationConfig`. `query`: what
    goes on to a provider of the same API.

    `cap`: the most tokens of an answer, 0: none is given; `capped`: it is not the caller's. `server_tools`: what the
    provider is to run; `modalities`: what the answer is to have beside text. `translated`: the request in OpenAI's
    shape, once somebody has asked for it.
    """

    __slots__ = (
        "_names", "body", "cap", "capped", "choices", "config", "contents", "emulate", "fallbacks", "fields",
        "is_array", "lost", "members", "modalities", "model", "preferences", "query", "reports", "server_tools",
        "stream", "strict", "trace", "translated",
    )  # fmt: skip
    api: Final = GENERATE_CONTENT
    include_usage: Final = True
    cap_name: Final = CAP

    def __init__(self, body: bytes, fields: dict[str, Raw], members: dict[str, Raw], model: str, query: str) -> None:
        self.body = body
        self.fields = fields
        self.members = members
        self.config: dict[str, Raw] = {}
        self.model = model
        self.query = query
        self.fallbacks: tuple[str, ...] = ()
        self.stream = False
        self.is_array = False
        self.cap = 0
        self.capped = False
        self.choices = 1
        self.contents = Contents()
        self.server_tools: tuple[str, ...] = ()
        self.modalities: tuple[str, ...] = ()
        self.strict = self.reports = False
        self.emulate = True
        self.preferences: Preferences | None = None
        self.trace: TraceContext | None = None
        self.lost: tuple[str, ...] = ()
        self.translated: ChatRequest | None = None
        self._names: dict[str, str] = {}

    @property
    def names(self) -> Iterable[str]:
        found = [name for name in self.members if name not in OURS and name not in ("contents", "generationConfig")]
        return [*found, *(f"generationConfig.{name}" for name in self.config)]

    @property
    def echo(self) -> Echo:
        return echo_of(self.config, self._names, is_array=self.is_array)

    @property
    def needs_provider(self) -> bool:
        """The prompt is longer than what is sent here."""
        return self.contents.beyond or bool(self.server_tools) or given(self.members, "cachedContent")

    def neutral(self) -> ChatRequest:
        """The request in OpenAI's shape; `lost` and `echo` are there when it has been asked for."""
        if self.translated is None:
            self._check_length()
            try:
                found = to_chat(self.model, self.members, self.config, cap=self.cap, stream=self.stream)
            except InvalidRequest as error:
                first, dot, rest = (error.param or "").partition(".")
                error.param = NAMES.get(first, first) + dot + rest if error.param else None
                raise
            self.lost, self._names = found.lost, found.names
            self.translated = found.request
            found.request.trace = self.trace
        return self.translated

    def _check_length(self) -> None:
        """Before everything is translated, and refused because there is too much of it."""
        for name, count, most in (
            ("contents", self.contents.contents, MOST_MESSAGES),
            ("parts", self.contents.parts, MOST_PARTS),
        ):
            if count > most:
                raise InvalidRequest(
                    f"There are more than {most:,} {name}, which only a provider that speaks Gemini's API takes.",
                    param="contents",
                )

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Parameters of `neutral()` as the caller wrote them."""
        found = []
        for name in parameters:
            first, dot, rest = name.partition(".")
            found.append(NAMES.get(first, first) + dot + rest)
        return tuple(dict.fromkeys(found))

    def with_neutral(self, request: ChatRequest) -> GeminiRequest:
        """The same caller with a request that was rewritten here: its own body does not hold any more."""
        self.neutral()
        changed = self._copy()
        changed.body, changed.cap = b"", request.cap
        changed.translated = request
        return changed

    def with_cap(self, tokens: int) -> GeminiRequest:
        changed = self._copy()
        changed.cap, changed.capped = tokens, True
        changed.translated = None if self.translated is None else self.translated.with_cap(tokens)
        return changed

    def native(self, without: Iterable[str] = ()) -> bytes:
        """The caller's body for a provider of the same API. What changes: members for the gateway and those of
        `without` are left out, a cap that was lowered, signatures that are another provider's."""
        changes: dict[str, bytes | None] = {name: None for name in self.fields if name in OURS}
        changes.update((name, None) for name in without)
        for name in self.fields:
            same = name.replace("_", "").lower()
            if same == "generationconfig" and self.capped:
                changes[name] = _capped(self.fields[name], self.cap)
            elif name == "contents" and NEEDLE in bytes(self.fields[name]):
                changes[name] = without_tagged(self.fields[name])
        if self.capped and not given(self.members, "generationConfig"):
            changes["generationConfig"] = b'{"%b":%d}' % (CAP.encode(), self.cap)
        return with_members(self.body, self.fields, changes) if changes else self.body

    def release(self) -> None:
        self.body = b""
        self.fields = self.members = self.config = {}
        self.translated = None

    def _copy(self) -> GeminiRequest:
        made = GeminiRequest.__new__(GeminiRequest)
        for name in GeminiRequest.__slots__:
            setattr(made, name, getattr(self, name))
        return made


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
    _refuse_crowds(raw, "contents")
    contents = contents_in(raw)
    found.contents = len(contents)
    if not contents or found.contents > MOST_NATIVE_MESSAGES:
        raise InvalidRequest(f"contents: must have 1 to {MOST_NATIVE_MESSAGES:,} entries.", param="contents")
    for at, content in enumerate(contents):
        if found.opening is NULL and content.role != "model":
            found.opening = content.parts
        _read_parts(content.parts, found, f"contents.{at}.parts", 0)
    last = contents[-1]
    found.prefilled = last.role == "model" and b'"functionCall"' not in bytes(last.parts)


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
    if raw == NULL:
        return
    kinds: list[PartKind]
    if first_byte(raw) == OBJECT:
        kinds = [decoded(_part_kind, raw, where)]
    else:
        try:
            crowded = len(raw) > LONGEST_PARAMETER and holds_more(_objects, raw, MOST_BLOCKS - found.parts)
        except (msgspec.DecodeError, RecursionError):
            raise InvalidRequest(f"{where}: must be a list of objects.", param="contents") from None
        kinds = [] if crowded else decoded(_part_kinds, raw, where)
        found.parts += MOST_BLOCKS + 1 if crowded else 0
    found.parts += len(kinds)
    if found.parts > MOST_BLOCKS:
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
            if name != "functionDeclarations" and value != NULL:
                found.append(name[:64])
    return tuple(dict.fromkeys(found))


def _capped(config: Raw, cap: int) -> bytes:
    """The same `generationConfig` with another cap."""
    if config == NULL:
        return b'{"%b":%d}' % (CAP.encode(), cap)
    text = bytes(config)
    fields = members_of(text)
    name = next((name for name in fields if name in (CAP, "max_output_tokens")), CAP)
    return with_members(text, fields, {name: b"%d" % cap})
