"""generateContent bound to one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.conversation import read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Clock, Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.gemini.reader import ContentReader, from_document
from fairlead.providers.gemini.request import to_body
from fairlead.providers.translated import TranslatedAnswer, TranslatedCall, TranslatedRelay
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class Gemini:
    """The dialect bound to one deployment."""

    __slots__ = ("_clock", "_defaults", "_dialect", "_public", "_stream_path", "_upstream_model", "_whole_path")

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model.removeprefix("models/")
        self._defaults = dict(defaults or {})
        self._clock = clock
        start = f"/models/{quote(self._upstream_model, safe='')}".encode()
        self._whole_path = start + b":generateContent"
        self._stream_path = start + b":streamGenerateContent?alt=sse"

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = to_body(self._upstream_model, read_conversation(request), wishes, lost)
        refuse_when_strict(request, lost)
        return TranslatedCall(
            [_encode(body)], request.stream, tuple(lost.dropped), request.include_usage, wishes.n, int(self._clock()),
            self._stream_path if request.stream else self._whole_path, clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, ContentReader(call.choices))

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=ContentReader(call.choices))

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
