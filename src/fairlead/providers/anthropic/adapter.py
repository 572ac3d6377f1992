"""The Messages API bound to one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.anthropic.reader import MessageReader, from_document
from fairlead.providers.anthropic.request import to_body
from fairlead.providers.claude import OUTPUT_TOKENS
from fairlead.providers.conversation import read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Clock, Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.translated import TranslatedAnswer, TranslatedCall, TranslatedRelay
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class AnthropicMessages:
    """The dialect bound to one deployment. `most_output`: the model's own limit, where it is known."""

    __slots__ = ("_clock", "_defaults", "_dialect", "_most", "_public", "_upstream_model")

    def __init__(
        self,
        dialect: Dialect,
        public_model: str,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._public = public_model
        self._upstream_model = upstream_model
        self._defaults = dict(defaults or {})
        self._clock = clock
        self._most = most_output or OUTPUT_TOKENS

    def to_vendor(self, request: ChatRequest) -> TranslatedCall:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        body = to_body(self._upstream_model, read_conversation(request), wishes, self._most, request.stream, lost)
        refuse_when_strict(request, lost)
        return TranslatedCall(
            [_encode(body)], request.stream, tuple(lost.dropped), request.include_usage, 1, int(self._clock()),
            clamped=tuple(lost.clamped),
        )  # fmt: skip

    def relay(self, call: TranslatedCall) -> TranslatedRelay:
        return TranslatedRelay(self._public, call, MessageReader())

    def assembler(self, call: TranslatedCall) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, reader=MessageReader())

    def plain(self, call: TranslatedCall, body: bytes) -> TranslatedAnswer:
        return TranslatedAnswer(self._public, call, whole=from_document(body))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
