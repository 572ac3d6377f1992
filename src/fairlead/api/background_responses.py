"""Responses in the background: a call is answered at once and served by this process, whether its caller stays or not.

The row of the response says that somebody works on it, and when that was last heard of. Any process of any node can
read or cancel it; the one that works on it looks once a second whether it still shall.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final

from fairlead.accounts.caller import Caller
from fairlead.api.archive import ResponseArchive
from fairlead.api.call import Collector
from fairlead.background import rest
from fairlead.doors.door import StoringDoor
from fairlead.errors import CallerGone, FairleadError, InternalError, Overloaded, RateLimited, ShuttingDown
from fairlead.gateway.gateway import Gateway
from fairlead.http.detached import Detached, detached
from fairlead.http.eager import run
from fairlead.http.failure_log import FailureLog
from fairlead.http.request import Request, Response
from fairlead.routing.demand import Demand
from fairlead.wire.heads import JSON_HEAD

log = logging.getLogger("fairlead.api")

# In one process: calls, those of one account among them, and the bytes of their requests.
MOST_RUNNING: Final = 1_000
MOST_OF_ACCOUNT: Final = 100
MOST_RUNNING_BYTES: Final = 134_217_728
# How often it is looked whether somebody has cancelled or deleted them; and said that they are still worked on.
LOOK_SECONDS: Final = 1.0
SAY_SECONDS: Final = 10.0

Place = tuple[str, str]  # account and id


class _Working:
    """A call under way. `finished` once its answer, its error or its end is stored, or nobody wants it."""

    __slots__ = ("channel", "finished", "response", "size")

    def __init__(self, response: Response, channel: Detached, size: int) -> None:
        self.response = response
        self.channel = channel
        self.size = size
        self.finished = asyncio.Event()


class BackgroundResponses:
    """`watch` runs beside the calls; `close` ends those that are left when the process ends."""

    def __init__(self, gateway: Gateway, archive: ResponseArchive) -> None:
        self._gateway = gateway
        self._archive = archive
        self._working: dict[Place, _Working] = {}
        self._of_account: Counter[str] = Counter()
        self._bytes = 0
        self._said_at = 0.0
        self._closing = False
        self._failures = FailureLog(log)

    async def begin(
        self,
        door: StoringDoor,
        demand: Demand,
        request: Request,
        response: Response,
        caller: Caller,
        seconds: float | None,
        *,
        collector: Collector | None = None,
    ) -> None:
        """Answers with a response that is queued, and serves the call. Raises RateLimited, Overloaded, ShuttingDown,
        and what says that the response cannot be stored."""
        account_id, size = caller.account_id, len(request.block)
        self._admit(account_id, size)
        self._of_account[account_id] += 1
        self._bytes += size
        try:
            stored, document = door.pending(demand)
            await self._archive.begin(account_id, stored._replace(body=document("in_progress", None)))
        except BaseException:
            self._give_back(account_id, size)
            raise
        answer, channel = detached(request)
        if collector is not None:
            collector.collect(caller, request, answer, demand.notes)
        request.release()
        place = (account_id, stored.id)
        working = self._working[place] = _Working(answer, channel, size)
        response.send(200, JSON_HEAD, stored.body)

        def ended(error: BaseException | None) -> None:
            failure = channel.failure or error
            if failure is not None and not isinstance(failure, CallerGone):
                self._archive.finish(account_id, stored._replace(body=document("failed", self._said(failure))))
            del self._working[place]
            self._give_back(account_id, size)
            working.finished.set()

        answer.running = run(self._gateway.chat(demand, answer, caller, seconds), ended)

    def _admit(self, account_id: str, size: int) -> None:
        if self._closing:
            raise ShuttingDown("This server is stopping.")
        if self._of_account[account_id] >= MOST_OF_ACCOUNT:
            raise RateLimited(
                f"Your account already has {MOST_OF_ACCOUNT} background responses in progress. Wait for one to finish."
            )
        if len(self._working) >= MOST_RUNNING or self._bytes + size > MOST_RUNNING_BYTES:
            raise Overloaded("This server has no room for another background response at the moment. Try again later.")

    def _give_back(self, account_id: str, size: int) -> None:
        self._bytes -= size
        self._of_account[account_id] -= 1
        if not self._of_account[account_id]:
            del self._of_account[account_id]

    def _said(self, error: BaseException) -> FairleadError:
        if isinstance(error, FairleadError):
            return error
        self._failures.error("background response failed", error)
        return InternalError("An internal error occurred. Report it with the id of this response.")

    def stop(self, account_id: str, response_id: str) -> None:
        """Nobody wants this response any more. Does nothing when it is not worked on here."""
        working = self._working.get((account_id, response_id))
        if working is not None:
            working.response.gone()

    async def watch(self) -> None:
        """Stops calls whose responses were cancelled or deleted by another process, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await rest(LOOK_SECONDS)
            places = list(self._working)
            if not places:
                continue
            say = loop.time() - self._said_at >= SAY_SECONDS
            wanted = await self._archive.still_wanted(places, say=say)
            if say:
                self._said_at = loop.time()
            for place in places:
                if place not in wanted:
                    self.stop(*place)

    async def drain(self, seconds: float) -> None:
        """Takes no more, and lets those under way finish; those that are left after `seconds` fail."""
        self._closing = True
        waiting = [asyncio.ensure_future(one.finished.wait()) for one in self._working.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for one in list(self._working.values()):
            one.channel.failure = ShuttingDown("The server was stopped before this response was complete.")
            one.response.gone()
        for task in waiting:
            task.cancel()
