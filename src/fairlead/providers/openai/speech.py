"""OpenAI's speech: sound is passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fairlead.errors import FairleadError, UpstreamInvalid
from fairlead.providers.dialect import OperationAPI
from fairlead.providers.unstreamed import Unstreamed, body_of, members_for
from fairlead.wire.apis import SPEECH
from fairlead.wire.speech import SpeechRequest
from fairlead.wire.usage import TokenClasses, Usage


class SpeechCall(NamedTuple):
    """A `Call`. `kind`: the content type of its answer."""

    body: list[bytes | memoryview]
    path: bytes
    characters: int
    kind: bytes
    dropped: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    headers: bytes = b""
    stream: bool = True
    bare: bool = False


class SoundRelay:
    """A `Relay` of bytes. They have no end mark: what is cut is seen by the caller, whose connection is cut too."""

    __slots__ = ("_call", "choices", "head")
    done: Final = False

    def __init__(self, call: SpeechCall) -> None:
        self._call = call
        self.choices = 0
        self.head = b"content-type: %b\r\nx-accel-buffering: no\r\n" % call.kind

    @property
    def error_event(self) -> Callable[[FairleadError], bytes]:
        return _nothing

    @property
    def usage(self) -> Usage | None:
        characters = self._call.characters
        return Usage(TokenClasses(characters, request=1), characters, 0) if self.choices else None

    def delivered(self) -> str:
        return ""

    def feed(self, data: bytes) -> bytes:
        self.choices = 1
        return data

    def finish(self) -> bytes:
        """Raises UpstreamInvalid when nothing has come."""
        if not self.choices:
            raise UpstreamInvalid("The provider sent no audio.")
        return b""

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        del members, counted
        return b""


def _nothing(_error: FairleadError) -> bytes:
    """A stream of sound has no words for an error: its connection is cut."""
    return b""


class SpeechAdapter(Unstreamed):
    """An `Adapter`."""

    def to_vendor(self, request: SpeechRequest) -> SpeechCall:
        members, dropped = members_for(request, self.binding.dialect, SPEECH, frozenset())
        body = body_of(self.binding.upstream_model, members, input=request.input)
        return SpeechCall(body, self.path, request.characters, request.kind, dropped)

    def relay(self, call: Any) -> Any:
        return SoundRelay(call)


API: Final = OperationAPI(SPEECH, SpeechAdapter, path="/audio/speech")
