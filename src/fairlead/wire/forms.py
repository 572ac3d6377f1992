"""Requests that are forms with files: transcriptions, translations, edits of images. Source: OpenAI's API reference.

The files stay where they are; a request knows the places of its parts, and what is sent on is the caller's own body
with another name of the model, and without the parts that are for this gateway.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import InvalidRequest, UpstreamInvalid
from fairlead.wire.apis import IMAGE_EDITS, TRANSCRIPTIONS, TRANSLATIONS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.images import PARAMETERS as IMAGE_PARAMETERS
from fairlead.wire.images import units_of
from fairlead.wire.operation_request import TEXT, OperationRequest, Rules, rule
from fairlead.wire.usage import TokenClasses, Usage
from fairlead.wire.usage_shapes import Count

OURS: Final = frozenset({"fairlead", "provider", "models", "session_id"})
# Members that are JSON in a form, too: those for this gateway. Others are numbers, flags or text by their rules.
_JSON: Final = frozenset({"fairlead", "provider", "models"})
_NUMBERS: Final = frozenset({"temperature", "n", "output_compression", "partial_images"})
_FLAGS: Final = frozenset({"stream"})
# What a second of sound takes at least and usually, in bytes: 4 and 16 kbit/s. Of a compressed file nothing else is
# known here, before its provider has said how long it is.
LEAST_SECOND_BYTES: Final = 500
USUAL_SECOND_BYTES: Final = 2_000
SPARE_SECONDS: Final = 60
# PCM and floats; more channels and samples a second than these no recording has.
_PLAIN_SOUND: Final = frozenset({1, 3})
MOST_CHANNELS: Final = 8
MOST_SAMPLES: Final = 384_000
TRANSCRIPTION_PARAMETERS: Final[Rules] = {
    "language": TEXT,
    "prompt": TEXT,
    "response_format": TEXT,
    "temperature": rule(float, "a number"),
    "timestamp_granularities[]": TEXT,
    "include[]": TEXT,
    "chunking_strategy": TEXT,
    "stream": rule(bool, "true or false"),
    "user": TEXT,
}
EDIT_PARAMETERS: Final[Rules] = {name: one for name, one in IMAGE_PARAMETERS.items() if name != "style"}
_STEM: Final = re.compile(r"[\s\[.]")
_encode: Final = msgspec.json.encode


class Part(Protocol):
    """A part of a form; see `http/form.py`."""

    @property
    def name(self) -> str: ...

    @property
    def is_file(self) -> bool: ...

    @property
    def begin(self) -> int: ...

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def value(self) -> str: ...


class Source(Protocol):
    """Where a form lies."""

    size: int

    def read(self, at: int, length: int, /) -> bytes: ...

    def piece(self, start: int, end: int, /) -> bytes | memoryview: ...

    def close(self) -> None: ...


class FormRequest(OperationRequest):
    """`kind`: the content type, with the boundary; `files`: how many bytes of them there are."""

    def __init__(self, source: Source, kind: bytes, parts: Sequence[Part], rules: Rules, file: str) -> None:
        """`file`: the name of the part that must be one, also with `[]` behind it. Raises InvalidRequest."""
        fields: dict[str, Raw] = {}
        for part in parts:
            # A provider may read these as the model's name, which is replaced in a part of exactly this name only.
            if _STEM.split(part.name.strip())[0].lower() == "model" and (part.is_file or part.name != "model"):
                raise InvalidRequest("model must be sent once, as a text.", param="model")
            if part.is_file:
                continue
            if part.name in fields and not part.name.endswith("[]"):
                raise InvalidRequest(f"The body has {part.name[:64]!r} twice.", param=part.name[:64])
            fields[part.name] = _raw(part)
        super().__init__(fields, rules, b"{}", ())
        self.source = source
        self.kind = kind
        self.parts = list(parts)
        files = [part for part in parts if part.is_file]
        if not any(part.name in (file, f"{file}[]") for part in files):
            raise InvalidRequest(f"{file} is missing: send it as a file.", param=file)
        if self.values.get("stream"):
            raise InvalidRequest("stream: this endpoint does not stream.", param="stream")
        self.files = sum(part.end - part.start for part in files)
        self.first = next(part for part in files if part.name in (file, f"{file}[]"))

    def body(self, upstream_model: str, without: Sequence[str]) -> list[bytes | memoryview]:
        """The caller's own form; `without`: the parts that are left out."""
        made: list[bytes | memoryview] = []
        at = 0
        for part in self.parts:
            if part.name in OURS or part.name in without:
                made.append(self.source.piece(at, max(at, part.begin)))
                at = part.end
                if not any(map(len, made)):
                    at += 2  # the line's end before a delimiter, which the first one has not
            elif part.name == "model" and not part.is_file:
                made += (self.source.piece(at, part.start), upstream_model.encode())
                at = part.end
        made.append(self.source.piece(at, self.source.size))
        return [piece for piece in made if len(piece)]

    def close(self) -> None:
        self.source.close()


def _raw(part: Part) -> Raw:
    """The value of a part as JSON."""
    value = part.value
    if part.name in _JSON or part.name in _NUMBERS or part.name in _FLAGS:
        try:
            return Raw(_encode(msgspec.json.decode(value)))
        except (msgspec.DecodeError, RecursionError, ValueError):
            pass
    return Raw(_encode(value))


class TranscriptionRequest(FormRequest):
    """`seconds`: of the sound, as far as that can be seen; `is_known`: it can. `most_seconds`: at most."""

    api = TRANSCRIPTIONS

    def __init__(self, source: Source, kind: bytes, parts: Sequence[Part]) -> None:
        super().__init__(source, kind, parts, TRANSCRIPTION_PARAMETERS, "file")
        known = wav_seconds(source.read(self.first.start, 64), self.first.end - self.first.start)
        self.is_known = known is not None
        usual = self.files // USUAL_SECOND_BYTES + 1
        self.seconds = usual if known is None else known
        self.most_seconds = self.files // LEAST_SECOND_BYTES + SPARE_SECONDS

    @property
    def head(self) -> bytes:
        if self.values.get("response_format") in ("text", "srt", "vtt"):
            return b"content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
        return JSON_HEAD


class EditRequest(FormRequest):
    """`images`, `units`: as of `ImageRequest`; `prompt`: as JSON."""

    api = IMAGE_EDITS

    def __init__(self, source: Source, kind: bytes, parts: Sequence[Part]) -> None:
        super().__init__(source, kind, parts, {**EDIT_PARAMETERS, "prompt": TEXT}, "image")
        if "prompt" not in self.given:
            raise InvalidRequest("prompt is missing.", param="prompt")
        self.prompt = self.given["prompt"]
        self.images: int = self.values.get("n") or 1
        self.units = units_of(self.values.get("size"), self.values.get("quality"))
        self.seen = sum(part.is_file for part in parts)


class TranslationRequest(TranscriptionRequest):
    """The same, into English."""

    api = TRANSLATIONS


def wav_seconds(head: bytes, length: int) -> int | None:
    """Of a WAV file with a plain header, rounded up; None for anything else. Of compressed sound, and where the numbers
    of the header contradict each other, a decoder finds another length than the header's bytes a second give."""
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt " or len(head) < 36:
        return None
    fields: tuple[int, ...] = struct.unpack_from("<HHIIHH", head, 20)
    kind, channels, samples, rate, block, bits = fields
    if kind not in _PLAIN_SOUND or not 0 < channels <= MOST_CHANNELS or not 0 < samples <= MOST_SAMPLES:
        return None
    if not bits or block * 8 != channels * bits or rate != samples * block:
        return None
    return -(-max(0, length - 44) // rate)


class _Details(Struct, gc=False):
    text_tokens: Count = 0
    audio_tokens: Count = 0


class _Usage(Struct, gc=False):
    type: str = ""
    seconds: float = 0.0
    input_tokens: Count = 0
    output_tokens: Count = 0
    input_token_details: _Details | None = None


class _Transcript(Struct):
    text: str | None = None
    duration: float | str = 0.0
    usage: Raw = NULL
    error: Raw = NULL


_transcript: Final = msgspec.json.Decoder(_Transcript)
_usage: Final = msgspec.json.Decoder(_Usage)


class Transcript:
    """A provider's answer as it came, with the cost where it has usage. `usage`: tokens or seconds, None: it says
    neither."""

    choices: Final = 1

    def __init__(self, head: bytes, body: bytes, raw: Raw, usage: Usage | None) -> None:
        self.head = head
        self.usage = usage
        self._body = body
        self._raw = raw

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        del counted
        text = bytes(self._raw)
        if self._raw == NULL or len(text) < 3:
            return self._body
        end = self._body.rfind(text) + len(text) - 1
        return b"".join((self._body[:end], members, self._body[end:]))


def transcript(head: bytes, body: bytes) -> Transcript:
    """Raises UpstreamInvalid for JSON that is no transcript, where that was asked for."""
    if head is not JSON_HEAD:
        return Transcript(head, body, NULL, None)
    try:
        found = _transcript.decode(body)
        given = _usage.decode(found.usage) if found.usage != NULL else _Usage()
        duration = float(found.duration)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise UpstreamInvalid("The provider's answer is not a transcript.") from None
    if found.text is None or found.error != NULL:
        raise UpstreamInvalid("The provider's answer has no text.")
    return Transcript(head, body, found.usage, _usage_of(given, duration))


def _usage_of(given: _Usage, duration: float) -> Usage | None:
    if given.input_tokens or given.output_tokens:
        heard = given.input_token_details.audio_tokens if given.input_token_details is not None else given.input_tokens
        heard = min(heard, given.input_tokens)
        tokens = TokenClasses(given.input_tokens - heard, audio_input=heard, output=given.output_tokens, request=1)
        return Usage(tokens, given.input_tokens, given.output_tokens)
    seconds = given.seconds or duration
    if not 0 < seconds < 2**31:
        return None
    whole = -int(-seconds // 1)
    return Usage(TokenClasses(audio_input=whole, request=1), whole, 0)


FormReader = Callable[[Source, bytes, Sequence[Part]], FormRequest]
__all__ = ["EditRequest", "FormReader", "FormRequest", "TranscriptionRequest", "TranslationRequest", "transcript"]
