"""The archive of one process: responses are stored by the threads of the database, and can be read at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.errors import InvalidRequest, NotFound, Overloaded
from fairlead.store import Store, reason
from fairlead.store.responses import (
    any_response,
    delete_response,
    finish_response,
    forget_responses,
    keep_response,
    responses_worked_on,
    stored_response,
)
from fairlead.wire.stored import StoredResponse

log = logging.getLogger("fairlead.api")

# A response and the input of its request together, in bytes. A longer one is not stored.
LONGEST_STORED: Final = 16_777_216
# Those that wait for the database. When there are more, they are not stored.
MOST_WAITING_BYTES: Final = 67_108_864
MOST_STORED: Final = 10_000  # of an account; the oldest are deleted
MOST_CHAINED: Final = 1_000
LONGEST_ID: Final = 128
FORGET_SECONDS: Final = 3_600.0
# Of a response in the background: after so long its process is assumed to be dead.
UNHEARD_MS: Final = 60_000


class ResponseArchive:
    """An `Archive`."""

    __slots__ = ("_keep_days", "_store", "_waiting", "_waiting_bytes", "_writes")

    def __init__(self, store: Store, keep_days: int) -> None:
        self._store = store
        self._keep_days = keep_days
        self._waiting: dict[tuple[str, str], StoredResponse] = {}
        self._waiting_bytes = 0
        self._writes: dict[tuple[str, str], asyncio.Future[bool]] = {}

    def keep(self, account_id: str, response: StoredResponse) -> None:
        self._soon(account_id, response, self._write)

    def finish(self, account_id: str, response: StoredResponse) -> None:
        self._soon(account_id, response._replace(heard_at=0), self._finish)

    async def begin(self, account_id: str, response: StoredResponse) -> None:
        """Stores one that this process begins to work on. Raises Overloaded when it cannot be stored: nobody could come
        back for it."""
        if len(response.items) + len(response.body) > LONGEST_STORED:
            raise InvalidRequest(
                f"A background response is stored, so its input may have at most {LONGEST_STORED:,} bytes.",
                param="input",
            )
        working = response._replace(heard_at=_now_ms())
        if not await asyncio.get_running_loop().run_in_executor(self._store.threads, self._write, account_id, working):
            raise Overloaded("The response cannot be stored at the moment, so it cannot run in the background.")

    async def still_wanted(self, places: Sequence[tuple[str, str]], *, say: bool) -> set[tuple[str, str]]:
        """Which of the responses that are worked on here were neither cancelled nor deleted; all of them while the
        database is away. `say`: that they still are worked on."""
        return await asyncio.get_running_loop().run_in_executor(self._store.threads, self._look, places, say)

    def _look(self, places: Sequence[tuple[str, str]], say: bool) -> set[tuple[str, str]]:
        try:
            with self._store.write() if say else self._store.read() as connection:
                return responses_worked_on(connection, places, _now_ms() if say else None)
        except SQLAlchemyError:
            return set(places)

    async def cancel(self, account_id: str, response_id: str, body: bytes) -> bool:
        """Ends the work on one with this response. False when it had ended."""
        return await asyncio.get_running_loop().run_in_executor(
            self._store.threads, self._end, account_id, response_id, body
        )

    def _end(self, account_id: str, response_id: str, body: bytes) -> bool:
        with self._store.write() as connection:
            return finish_response(connection, account_id, response_id, body)

    def _finish(self, account_id: str, response: StoredResponse) -> bool:
        try:
            return self._end(account_id, response.id, response.body)
        except SQLAlchemyError as error:
            log.warning("response not stored: id=%s error=%s", response.id, reason(error))
            return False

    def _soon(self, account_id: str, response: StoredResponse, write: Callable[[str, StoredResponse], bool]) -> None:
        size = len(response.items) + len(response.body)
        if size > LONGEST_STORED or self._waiting_bytes + size > MOST_WAITING_BYTES or len(response.id) > LONGEST_ID:
            log.warning(
                "response not stored: id=%s bytes=%d waiting_bytes=%d", response.id[:128], size, self._waiting_bytes
            )
            return
        place = (account_id, response.id)
        self._waiting[place] = response
        self._waiting_bytes += size
        loop = asyncio.get_running_loop()
        made = self._writes[place] = loop.run_in_executor(self._store.threads, write, account_id, response)
        made.add_done_callback(lambda _: self._written(place, size))

    def _write(self, account_id: str, response: StoredResponse) -> bool:
        """Whether it is stored."""
        try:
            with self._store.write() as connection:
                keep_response(connection, account_id, response)
        except SQLAlchemyError as error:
            log.warning("response not stored: id=%s error=%s", response.id, reason(error))
            return False
        return True

    def _written(self, place: tuple[str, str], size: int) -> None:
        self._waiting.pop(place, None)
        self._writes.pop(place, None)
        self._waiting_bytes -= size

    async def one(self, account_id: str, response_id: str) -> StoredResponse:
        """Raises NotFound, also for a response of another account."""
        waiting = self._waiting.get((account_id, response_id))
        if waiting is not None:
            return waiting
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._store.threads, self._read, account_id, response_id)
        if found is None:
            raise _not_found(response_id)
        return found

    def _read(self, account_id: str, response_id: str) -> StoredResponse | None:
        if len(response_id) > LONGEST_ID:
            return None
        with self._store.read() as connection:
            return stored_response(connection, account_id, response_id)

    async def chain(self, account_id: str, response_id: str) -> list[StoredResponse]:
        found: list[StoredResponse] = []
        size = 0
        while response_id:
            one = await self.one(account_id, response_id)
            size += len(one.items) + len(one.body)
            if one.heard_at:
                raise InvalidRequest(f"{response_id} is not complete yet.", param="previous_response_id")
            if len(found) >= MOST_CHAINED or size > LONGEST_STORED:
                raise InvalidRequest(
                    f"The conversation of previous_response_id has more than {MOST_CHAINED:,} responses or "
                    f"{LONGEST_STORED:,} bytes.",
                    param="previous_response_id",
                )
            found.append(one)
            response_id = one.previous
        return found[::-1]

    async def delete(self, account_id: str, response_id: str) -> None:
        """Raises NotFound."""
        await self.one(account_id, response_id)
        if (write := self._writes.get((account_id, response_id))) is not None:
            await asyncio.wait([write])  # one that is still on its way would bring it back
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._store.threads, self._delete, account_id, response_id)
        self._waiting.pop((account_id, response_id), None)

    def _delete(self, account_id: str, response_id: str) -> None:
        with self._store.write() as connection:
            delete_response(connection, account_id, response_id)

    async def forget(self) -> None:
        """Deletes what has been kept long enough, again and again: also where nothing is stored any more."""
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(self._store.threads, self._forget)
            await rest(FORGET_SECONDS)

    def _forget(self) -> None:
        with self._store.read() as connection:
            if not any_response(connection):
                return
        with self._store.write() as connection:
            forget_responses(connection, self._keep_days, MOST_STORED)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _not_found(response_id: str) -> NotFound:
    return NotFound(
        f"There is no response {response_id[:64]!r} here: it is unknown, deleted, too old, or another account's."
    )
