"""Chat requests in Converse's words, for one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError
from fairlead.providers.bedrock.errors import failure
from fairlead.providers.bedrock.reader import CLAUDE, FORMAT
from fairlead.providers.bedrock.request import is_claude, to_body
from fairlead.providers.bedrock.sigv4 import Signer
from fairlead.providers.call_shapes import Translation
from fairlead.providers.claude import OUTPUT_TOKENS
from fairlead.providers.conversation import all_dropped, read_conversation, read_wishes, refuse_when_strict
from fairlead.providers.dialect import Clock, Dialect
from fairlead.wire.chat import ChatRequest

_encode = msgspec.json.encode


class ConverseTranslator:
    """A `Translator`. `clock`: for signatures; `signer` is None where an API key (a bearer token) is sent instead."""

    __slots__ = (
        "_clock", "_defaults", "_dialect", "_formats", "_most", "_prefix", "_signer", "_stream_path", "_upstream_model",
        "_whole_path",
    )  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        upstream_model: str,
        defaults: Mapping[str, Raw] | None = None,
        *,
        clock: Clock,
        signer: Signer | None = None,
        prefix: str = "",
        most_output: int | None = None,
    ) -> None:
        self._dialect = dialect
        self._upstream_model = upstream_model
        self._formats = (FORMAT, CLAUDE) if is_claude(upstream_model) else (FORMAT,)
        self._defaults = dict(defaults or {})
        self._clock = clock
        self._signer = signer
        self._prefix = prefix
        self._most = most_output or OUTPUT_TOKENS
        self._whole_path = f"/model/{quote(upstream_model, safe='')}/converse"
        self._stream_path = self._whole_path + "-stream"

    def to_vendor(self, request: ChatRequest) -> Translation:
        """Raises InvalidRequest, in strict mode also for what cannot be carried."""
        wishes, lost = read_wishes(request, self._defaults, self._dialect.carries or frozenset())
        conversation = read_conversation(request, self._formats)
        body = _encode(to_body(self._upstream_model, conversation, wishes, self._most, lost))
        refuse_when_strict(request, lost)
        path = self._stream_path if request.stream else self._whole_path
        headers = b""
        if self._signer is not None:
            headers = self._signer.headers("POST", self._prefix + path, (body,), self._clock())
        return Translation(
            [body], request.stream, all_dropped(lost, conversation), tuple(lost.clamped), path=path.encode(),
            headers=headers,
        )  # fmt: skip

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        name = next((value.decode("latin-1") for key, value in headers if key == b"x-amzn-errortype"), "")
        return failure(name, body, headers, status)
