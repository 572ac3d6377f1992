"""The door of Gemini's generateContent."""

from __future__ import annotations

from typing import Final

from fairlead.doors.gemini.credential import KEY_EXAMPLE, api_key
from fairlead.doors.gemini.errors import error_body, error_event, error_head
from fairlead.doors.gemini.parse import read_gemini
from fairlead.doors.gemini.writer import GeminiWriter
from fairlead.errors import FairleadError
from fairlead.http.request import Request
from fairlead.operations.chat.gemini import GEMINI_CHAT
from fairlead.routing.demand import Demand
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import GENERATE_CONTENT


class GeminiDoor:
    """A `Door`."""

    __slots__ = ()
    key_example: Final = KEY_EXAMPLE
    api: Final = GENERATE_CONTENT

    @property
    def new_writer(self) -> WriterFactory:
        return GeminiWriter

    def credential(self, head: Request) -> bytes | None:
        return api_key(head)

    def parse(self, request: Request) -> Demand:
        return GEMINI_CHAT.demand(read_gemini(request))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        return error_event(error)


GOOGLE_GEMINI: Final = GeminiDoor()
