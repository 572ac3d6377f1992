"""Doors of operations other than chat, whose requests are JSON and whose key and errors are as OpenAI has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fairlead.doors.bearer import KEY_EXAMPLE, bearer_key
from fairlead.doors.openai_errors import error_body, error_head
from fairlead.errors import FairleadError
from fairlead.http.decoding import decode_body
from fairlead.http.request import Request
from fairlead.routing.demand import Demand, Operation
from fairlead.wire.notes import notes_in_members
from fairlead.wire.operation_request import OperationRequest


class OpenAIDoor:
    """A `Door`. `read`: the body of a request, checked; its answers are written by the adapters of its operation."""

    __slots__ = ("_operation", "_read", "api")
    key_example: Final = KEY_EXAMPLE
    new_writer: Final = None

    def __init__(self, api: str, operation: Operation, read: Callable[[bytes], OperationRequest]) -> None:
        self.api = api
        self._operation = operation
        self._read = read

    def credential(self, head: Request) -> bytes | None:
        return bearer_key(head)

    def parse(self, request: Request) -> Demand:
        decode_body(request)
        payload = self._read(request.body)
        return self._operation.demand(payload).noted(notes_in_members(payload.given))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        """The last event of a stream."""
        return b"data: %b\n\n" % error_body(error)
