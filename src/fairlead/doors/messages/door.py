"""The door of Anthropic's Messages."""

from __future__ import annotations

from typing import Final

from fairlead.doors.messages.credential import KEY_EXAMPLE, api_key
from fairlead.doors.messages.errors import error_body, error_event, error_head
from fairlead.doors.messages.parse import read_messages
from fairlead.doors.messages.writer import MessagesWriter
from fairlead.errors import FairleadError
from fairlead.http.request import Request
from fairlead.operations.chat.messages import MESSAGES_CHAT
from fairlead.routing.demand import Demand
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import MESSAGES


class MessagesDoor:
    """A `Door`."""

    __slots__ = ()
    key_example: Final = KEY_EXAMPLE
    api: Final = MESSAGES

    @property
    def new_writer(self) -> WriterFactory:
        return MessagesWriter

    def credential(self, head: Request) -> bytes | None:
        return api_key(head)

    def parse(self, request: Request) -> Demand:
        return MESSAGES_CHAT.demand(read_messages(request))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        return error_event(error)


ANTHROPIC_MESSAGES: Final = MessagesDoor()
