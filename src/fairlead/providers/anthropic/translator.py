"""Chat requests in the format of the Messages API, for one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.anthropic.reader import FORMAT
from fairlead.providers.anthropic.request import to_body
from fairlead.providers.call_shapes import Translation
from fairlead.providers.claude import OUTPUT_TOKENS
from fairlead.providers.conversation import all_dropped, read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Dialect
from fairlead.providers.failures import upstream_error
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class MessagesTranslator:
    """A `Translator`. `most_output`: the model's own limit, where it is known."""

    __slots__ = ("_defaults", "_dialect", "_most", "_upstream_model")

    def __init__(
        self,
        dialect: Dialect,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._upstream_model = upstream_model
        self._defaults = dict(defaults or {})
        self._most = most_output or OUTPUT_TOKENS

    def to_vendor(self, request: ChatRequest) -> Translation:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        conversation = read_conversation(request, (FORMAT,))
        body = to_body(self._upstream_model, conversation, wishes, self._most, request.stream, lost)
        refuse_when_strict(request, lost)
        return Translation([_encode(body)], request.stream, all_dropped(lost, conversation), tuple(lost.clamped))

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
