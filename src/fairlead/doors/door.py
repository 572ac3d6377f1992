"""What a caller dialect does: it finds the key, reads the request and writes the errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fairlead.errors import FairleadError
from fairlead.http.request import Request
from fairlead.routing.demand import Demand
from fairlead.wire.answer import WriterFactory
from fairlead.wire.models import ModelEntry
from fairlead.wire.stored import Archive, Pending


class Door(Protocol):
    """A caller dialect. It keeps nothing of a call: one object serves all of them.

    `key_example`: how a key is sent, for the error of a caller who sent none. `api`: what its callers speak
    (`wire/apis.py`), as its payloads have it. `new_writer` writes an answer that is translated for one of them; None:
    answers of its operation are not.
    """

    @property
    def api(self) -> str: ...

    @property
    def new_writer(self) -> WriterFactory | None: ...

    @property
    def key_example(self) -> str: ...

    def credential(self, head: Request) -> bytes | None:
        """The key that a request came with, wherever this dialect puts it; None: it came with none. The body has not
        been read. Raises Unauthenticated for a credential of another kind."""

    def parse(self, request: Request) -> Demand:
        """The request, checked: what it wants, and its payload. What was found out about an earlier one may be kept in
        the connection's `KnownHead.template`. Raises CallerError."""

    def error(self, error: FairleadError) -> tuple[bytes, bytes]:
        """Lines for the head, and the body. Status, Retry-After and what the error itself adds come from elsewhere."""

    def error_event(self, error: FairleadError) -> bytes:
        """The last bytes of a stream that ends for this reason."""


class ModelShape(Protocol):
    """How the clients of a dialect list models. `path`: where, beside `/v1/models`, with one model below it, "":
    nowhere else; `headers`: one of these tells them apart there."""

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> tuple[bytes, ...]: ...

    def one(self, entry: ModelEntry) -> bytes:
        """One model, as JSON."""

    def listed(self, entries: Sequence[bytes], query: str) -> bytes:
        """A list of them, or the page that the query names. Raises InvalidRequest."""


class StoringDoor(Door, Protocol):
    """A door whose answers can be stored, so that a request may refer to an earlier one."""

    def parse_stored(self, request: Request) -> Demand:
        """As `parse`, where answers are stored."""

    async def recalled(self, demand: Demand, account_id: str, archive: Archive) -> Demand:
        """The same with what it refers to, and with where its answer is stored. Raises CallerError."""

    def in_background(self, demand: Demand) -> bool:
        """Whether the caller will come back for the answer. Such a demand has been `recalled`."""

    def pending(self, demand: Demand) -> Pending:
        """The response that such a caller gets at once."""
