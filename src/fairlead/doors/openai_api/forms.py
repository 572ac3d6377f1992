"""The same for operations whose requests are forms with files."""

from __future__ import annotations

from typing import Final

from fairlead.doors.bearer import KEY_EXAMPLE, bearer_key
from fairlead.doors.openai_errors import error_body, error_head
from fairlead.errors import FairleadError, InvalidRequest
from fairlead.http.form import Form
from fairlead.http.request import Request
from fairlead.routing.demand import Demand, Operation
from fairlead.wire.forms import FormReader
from fairlead.wire.notes import notes_in_members


class FormDoor:
    """A `Door`. `read`: makes the payload of a form, which `CallEndpoint` has looked through before."""

    __slots__ = ("_operation", "_read", "api")
    key_example: Final = KEY_EXAMPLE
    new_writer: Final = None

    def __init__(self, api: str, operation: Operation, read: FormReader) -> None:
        self.api = api
        self._operation = operation
        self._read = read

    def credential(self, head: Request) -> bytes | None:
        return bearer_key(head)

    def parse(self, request: Request) -> Demand:
        form = request.outline
        if not isinstance(form, Form):
            raise InvalidRequest("The body must be multipart/form-data with a boundary.")
        payload = self._read(form.source, form.kind, form.parts)
        return self._operation.demand(payload).noted(notes_in_members(payload.given))

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        return error_head(error), error_body(error)

    def error_event(self, error: FairleadError) -> bytes:
        """The last event of a stream."""
        return b"data: %b\n\n" % error_body(error)
