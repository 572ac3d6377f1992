"""`POST /v1/audio/speech`: what a caller may send. The answer is sound. Source: OpenAI's API reference."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.apis import SPEECH
from fairlead.wire.body import checked, members_of
from fairlead.wire.bounds import LONGEST_SPEECH
from fairlead.wire.operation_request import TEXT, OperationRequest, Rules, required, rule

# The content type of each format.
FORMATS: Final = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/opus",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
EVENTS: Final = "sse"
PARAMETERS: Final[Rules] = {
    "voice": rule(str | dict[str, Raw], "the name of a voice"),
    "instructions": TEXT,
    "response_format": rule(Literal["mp3", "opus", "aac", "flac", "wav", "pcm"], f"one of {', '.join(FORMATS)}"),
    "speed": rule(Annotated[float, Meta(ge=0.1, le=10)], "a number from 0.1 to 10"),
    "stream_format": rule(Literal["audio", "sse"], "'audio' or 'sse'"),
    "user": TEXT,
}
_text: Final = msgspec.json.Decoder(Annotated[str, Meta(min_length=1)])


class SpeechRequest(OperationRequest):
    """`characters`: of the text, which are what is charged. `kind`: the content type of the answer."""

    api = SPEECH

    def __init__(self, body: bytes) -> None:
        fields = members_of(body)
        super().__init__(fields, PARAMETERS, body, ("input",))
        self.input = required(fields, "input")
        text: str = checked("input", _text, self.input, "a text", LONGEST_SPEECH)
        if "voice" not in self.given:
            raise InvalidRequest("voice is missing.", param="voice")
        self.characters = len(text)
        self.text = text
        is_events = self.values.get("stream_format") == EVENTS
        self.kind = b"text/event-stream" if is_events else FORMATS[self.values.get("response_format", "mp3")]


def parse_speech(body: bytes) -> SpeechRequest:
    """Raises InvalidRequest."""
    return SpeechRequest(body)
