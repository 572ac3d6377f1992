"""Transcriptions, translations and edits of images as the middle knows them: forms with files."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from fairlead.http.upload import MemoryUpload
from fairlead.operations.images import MOST_TOKENS, TEMPLATE_TOKENS
from fairlead.routing.demand import Batch, Demand
from fairlead.routing.media_tokens import MOST_IMAGE_TOKENS
from fairlead.routing.prompt import CountedPrompt
from fairlead.tokens import Counted
from fairlead.wire.apis import IMAGE_EDITS, TRANSCRIPTIONS, TRANSLATIONS
from fairlead.wire.forms import EditRequest, TranscriptionRequest

# A second of silence: 8,000 samples of eight bits.
_SILENCE: Final = (
    b"RIFF" + struct.pack("<I", 8_036) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 8_000, 1, 8)
    + b"data" + struct.pack("<I", 8_000) + b"\x80" * 8_000
)  # fmt: skip
# A white dot.
_DOT: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)
_BOUNDARY: Final = b"fairlead-probe"
_KIND: Final = b"multipart/form-data; boundary=" + _BOUNDARY


class _Part(NamedTuple):
    name: str
    is_file: bool
    begin: int
    start: int
    end: int
    value: str


def _form(values: Mapping[str, str], file: str, kind: str, content: bytes) -> tuple[MemoryUpload, bytes, list[_Part]]:
    """The smallest form."""
    body, parts = b"", []
    lines = [(name, "", value.encode()) for name, value in values.items()]
    for name, more, value in [*lines, (file, f'; filename="a"\r\ncontent-type: {kind}', content)]:
        begin = len(body) - 2
        head = f'--{_BOUNDARY.decode()}\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'
        body += head.encode()
        start = len(body)
        body += value + b"\r\n"
        parts.append(_Part(name, bool(more), begin, start, len(body) - 2, "" if more else value.decode()))
    return MemoryUpload(body + b"--" + _BOUNDARY + b"--\r\n"), _KIND, parts


class Transcriptions:
    """Its payload is a `TranscriptionRequest`. Where a provider counts no tokens, the seconds of sound stand for those
    of the prompt."""

    modes: Final = frozenset({"transcription"})

    def __init__(self, name: str) -> None:
        self.name = name

    def demand(self, payload: TranscriptionRequest) -> Demand:
        return Demand(
            self, payload, payload.model, 0, 0, 0, payload.seconds, MOST_TOKENS, 1, False, payload.strict, False, False,
            payload.fallbacks, payload.preferences, Batch(payload.seconds),
        )  # fmt: skip

    def affinity(self, payload: TranscriptionRequest) -> int:
        return payload.files or 1

    def media_tokens(self, _payload: TranscriptionRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: TranscriptionRequest, _family: str | None, _whole: bool) -> Counted:
        return Counted(payload.seconds, "counted" if payload.is_known else "estimated")

    def kept(self, payload: TranscriptionRequest) -> CountedPrompt:
        counted = Counted(payload.seconds, "counted" if payload.is_known else "estimated")
        return CountedPrompt(payload.files, payload.most_seconds, payload.most_seconds, partial(self._counted, counted))

    def _counted(self, counted: Counted, _family: str | None) -> Counted:
        return counted

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> TranscriptionRequest:
        return TranscriptionRequest(*_form({"model": model}, "file", "audio/wav", _SILENCE))


class Edits:
    """Its payload is an `EditRequest`."""

    name: Final = IMAGE_EDITS
    modes: Final = frozenset({"image"})

    def demand(self, payload: EditRequest) -> Demand:
        batch = Batch(payload.images, payload.images * payload.units)
        return Demand(
            self, payload, payload.model, 0, 0, len(payload.prompt), self._most(payload), payload.images * MOST_TOKENS,
            1, False, payload.strict, False, False, payload.fallbacks, payload.preferences, batch,
        )  # fmt: skip

    def _most(self, payload: EditRequest) -> int:
        return len(payload.prompt) + TEMPLATE_TOKENS + payload.seen * MOST_IMAGE_TOKENS

    def affinity(self, payload: EditRequest) -> int:
        return hash(bytes(payload.prompt)) or 1

    def media_tokens(self, _payload: EditRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: EditRequest, _family: str | None, _whole: bool) -> Counted:
        return Counted(-(-len(payload.prompt) // 4), "estimated")

    def kept(self, payload: EditRequest) -> CountedPrompt:
        length = len(payload.prompt)
        counted = Counted(-(-length // 4), "estimated")
        return CountedPrompt(
            length, self._most(payload), payload.images, partial(self._counted, counted), payload.images * payload.units
        )

    def _counted(self, counted: Counted, _family: str | None) -> Counted:
        return counted

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> EditRequest:
        return EditRequest(*_form({"model": model, "prompt": "A dot"}, "image", "image/png", _DOT))


TRANSCRIBE: Final = Transcriptions(TRANSCRIPTIONS)
TRANSLATE: Final = Transcriptions(TRANSLATIONS)
EDIT: Final = Edits()
