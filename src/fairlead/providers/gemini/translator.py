"""Chat requests in generateContent's words, for one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.call_shapes import Translation
from fairlead.providers.conversation import all_dropped, read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.gemini.request import to_body
from fairlead.wire.chat import ChatRequest
from fairlead.wire.reasoning_tags import GEMINI

_encode = msgspec.json.encode


class ContentTranslator:
    """A `Translator`."""

    __slots__ = ("_defaults", "_dialect", "_stream_path", "_upstream_model", "_whole_path")

    def __init__(
        self,
        dialect: Dialect,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
    ) -> None:
        self._dialect = dialect
        self._upstream_model = upstream_model.removeprefix("models/")
        self._defaults = dict(defaults or {})
        start = f"/models/{quote(self._upstream_model, safe='')}".encode()
        self._whole_path = start + b":generateContent"
        self._stream_path = start + b":streamGenerateContent?alt=sse"

    def to_vendor(self, request: ChatRequest) -> Translation:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        conversation = read_conversation(request, (GEMINI,))
        body = to_body(self._upstream_model, conversation, wishes, lost)
        refuse_when_strict(request, lost)
        path = self._stream_path if request.stream else self._whole_path
        return Translation(
            [_encode(body)], request.stream, all_dropped(lost, conversation), tuple(lost.clamped), wishes.n, path=path
        )

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
