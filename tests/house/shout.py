"""A caller dialect of its own, as its folder would have it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from fairlead.doors.table import DoorRow
from fairlead.errors import FairleadError, InvalidRequest
from fairlead.http.request import Request
from fairlead.operations.chat.foreign import FOREIGN_CHAT
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Demand
from fairlead.wire.answer import AnswerContext, Event, Finish, OneText, Start, WriterFactory, words
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.heads import STREAM_HEAD
from fairlead.wire.payload import TranslatedPayload
from fairlead.wire.usage import Usage

SHOUTING = "shouting"


class ShoutWriter:
    """Answers in that dialect."""

    stream_head = STREAM_HEAD

    def __init__(self, context: AnswerContext) -> None:
        self._model = context.model

    def write(self, events: Sequence[Event]) -> bytes:
        said = [f"{self._model.upper()} SHOUTS: " if isinstance(event, Start) else words(event) for event in events]
        return "".join(said).upper().encode()

    def finish(self, finishes: Sequence[Finish]) -> bytes:
        return f" ({finishes[0].reason})".upper().encode()

    def end(self, usage: Usage | None, members: bytes) -> bytes:
        assert usage is not None
        return b"\n%d%b\n" % (usage.completion, members)

    def error(self, error: FairleadError) -> bytes:
        return f"\nevent: oh no\ndata: {error.code.upper()}!\n".encode()

    def whole(self, events: Sequence[Event], usage: Usage | None, members: bytes) -> bytes:
        return self.write(events) + b"!" + self.end(usage, members)

    def one_text(self, found: OneText, usage: Usage | None, members: bytes) -> bytes:
        return f"{self._model} SHOUTS: {found.words()}!".upper().encode() + self.end(usage, members)


def shouted(model: str, said: str, *, stream: bool = False, **more: Any) -> ChatRequest:
    messages = [{"role": "user", "content": said.upper()}]
    return parse_chat(json.dumps({"model": model, "messages": messages, "stream": stream, **more}).encode())


class Shout:
    """A dialect of its own, as its folder would have it: model and key stand in the address or a header."""

    key_example = "x-shout-key: sk-fl-..."
    api = SHOUTING
    new_writer: WriterFactory | None = ShoutWriter

    def credential(self, head: Request) -> bytes | None:
        key = head.header(b"x-shout-key")
        if key is None:
            [found] = parse_qs(head.query).get("key", [""])
            key = found.encode() or None
        return key

    def parse(self, request: Request) -> Demand:
        body = json.loads(request.body)
        if "say" not in body:
            raise InvalidRequest("There is nothing to shout.", param="say")
        model = unquote(request.path.removeprefix("/shout/v1/"))
        asked = shouted(model, body["say"], stream=body.get("live", False), **body.get("more", {}))
        return FOREIGN_CHAT.demand(TranslatedPayload(self.api, asked))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return b"content-type: text/shout\r\n", f"{error.code}! {error.message}".upper().encode()

    def error_event(self, error: FairleadError) -> bytes:
        raise AssertionError("a stream that has begun has a writer")


SHOUT = DoorRow("shout", ("/shout/v1/{model}",), CHAT, Shout(), "Shouts.")
