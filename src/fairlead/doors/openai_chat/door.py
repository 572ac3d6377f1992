"""The door of OpenAI's chat completions."""

from __future__ import annotations

from typing import Final

from fairlead.doors.bearer import KEY_EXAMPLE, bearer_key
from fairlead.doors.openai_chat.errors import error_event
from fairlead.doors.openai_chat.parse import read_chat
from fairlead.doors.openai_chat.writer import ChatWriter
from fairlead.doors.openai_errors import error_body, error_head
from fairlead.errors import FairleadError
from fairlead.http.request import Request
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Demand
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import CHAT_COMPLETIONS


class OpenAIChatDoor:
    """A `Door`."""

    __slots__ = ()
    key_example: Final = KEY_EXAMPLE
    api: Final = CHAT_COMPLETIONS

    @property
    def new_writer(self) -> WriterFactory:
        return ChatWriter

    def credential(self, head: Request) -> bytes | None:
        return bearer_key(head)

    def parse(self, request: Request) -> Demand:
        return CHAT.demand(read_chat(request))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        return error_event(error)


OPENAI_CHAT: Final = OpenAIChatDoor()
