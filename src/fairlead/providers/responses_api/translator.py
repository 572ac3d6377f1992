"""Chat requests in the format of the Responses API, for one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, NotCarried
from fairlead.providers.call_shapes import Translation
from fairlead.providers.dialect import Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.responses_api.errors import with_native
from fairlead.providers.responses_api.request import to_items, to_members
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class ResponsesTranslator:
    """A `Translator`."""

    __slots__ = ("_carries", "_defaults", "_upstream_model")

    def __init__(self, dialect: Dialect, upstream_model: str, defaults: Mapping[str, Raw] | None = None) -> None:
        self._carries = dialect.carries or frozenset()
        self._upstream_model = upstream_model
        self._defaults = {name: raw for name, raw in (defaults or {}).items() if name in self._carries}

    def to_vendor(self, request: ChatRequest) -> Translation:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        dropped: list[str] = []
        unread: list[str] = []
        body: dict[str, Any] = {"model": self._upstream_model, "input": to_items(request, unread)}
        body.update(to_members({**self._defaults, **request.given}, self._carries, dropped))
        if dropped and request.strict:
            raise NotCarried(dropped)
        if request.stream:
            body["stream"] = True
        return Translation([_encode(body)], request.stream, (*dropped, *unread))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        error = upstream_error(status, headers, body)
        return with_native(error, body) if status < 500 else error
