"""The door of OpenAI's Responses."""

from __future__ import annotations

from typing import Final

from fairlead.doors.bearer import KEY_EXAMPLE, bearer_key
from fairlead.doors.openai_errors import error_body, error_head
from fairlead.doors.responses.errors import error_event
from fairlead.doors.responses.operation import RESPONSES_CHAT
from fairlead.doors.responses.parse import read_responses
from fairlead.doors.responses.request import ResponsesRequest
from fairlead.doors.responses.stored import pending, recalled
from fairlead.doors.responses.writer import ResponsesWriter
from fairlead.errors import FairleadError
from fairlead.http.request import Request
from fairlead.routing.demand import Demand
from fairlead.wire.answer import WriterFactory
from fairlead.wire.apis import RESPONSES
from fairlead.wire.stored import Archive, Pending


class ResponsesDoor:
    """A `Door`."""

    __slots__ = ()
    key_example: Final = KEY_EXAMPLE
    api: Final = RESPONSES

    @property
    def new_writer(self) -> WriterFactory:
        return ResponsesWriter

    def credential(self, head: Request) -> bytes | None:
        return bearer_key(head)

    def parse(self, request: Request) -> Demand:
        return RESPONSES_CHAT.demand(read_responses(request))

    def parse_stored(self, request: Request) -> Demand:
        return RESPONSES_CHAT.demand(read_responses(request, is_stored=True))

    async def recalled(self, demand: Demand, account_id: str, archive: Archive) -> Demand:
        payload: ResponsesRequest = demand.payload
        return RESPONSES_CHAT.demand(await recalled(payload, account_id, archive)).noted(demand.notes)

    def in_background(self, demand: Demand) -> bool:
        payload: ResponsesRequest = demand.payload
        return payload.background

    def pending(self, demand: Demand) -> Pending:
        return pending(demand.payload)

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        if error.native_api == RESPONSES and error.native_body:
            return error_head(error), error.native_body
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        return error_event(error)


RESPONSES_DOOR: Final = ResponsesDoor()
