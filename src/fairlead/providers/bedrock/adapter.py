"""Converse bound to one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.bedrock.errors import failure
from fairlead.providers.bedrock.reader import ConverseReader, from_document
from fairlead.providers.bedrock.request import to_body
from fairlead.providers.bedrock.sigv4 import Signer
from fairlead.providers.claude import OUTPUT_TOKENS
from fairlead.providers.conversation import read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Clock, Dialect
from fairlead.providers.translated import TranslatedAnswer, TranslatedCall, TranslatedRelay
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class BedrockConverse:
    """The dialect bound to one deployment. `signer` is None where an API key (a bearer token) is sent instead."""

    __slots__ = (
        "_clock", "_defaults", "_dialect", "_most", "_prefix", "_public", "_signer", "_stream_path", "_upstream_model",
        "_whole_path",
    )  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
        signer: Signer | None = None,
        prefix: str = "",
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model
        self._defaults = dict(defaults or {})
        self._clock = clock
        self._signer = signer
        self._prefix = prefix
        self._most = most_output or OUTPUT_TOKENS
        self._whole_path = f"/model/{quote(upstream_model, safe='')}/converse"
        self._stream_path = self._whole_path + "-stream"

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = _encode(to_body(self._upstream_model, read_conversation(request), wishes, self._most, lost))
        refuse_when_strict(request, lost)
        path = self._stream_path if request.stream else self._whole_path
        now = self._clock()
        headers = b"" if self._signer is None else self._signer.headers("POST", self._prefix + path, (body,), now)
        return TranslatedCall(
            [body], request.stream, tuple(lost.dropped), request.include_usage, 1, int(now), path.encode(), headers,
            clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, ConverseReader())

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=ConverseReader())

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        name = next((value.decode("latin-1") for key, value in headers if key == b"x-amzn-errortype"), "")
        return failure(name, body, headers, status)
