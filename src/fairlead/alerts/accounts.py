"""Delivers the alerts of accounts: many accounts at once, so that a receiver that does not answer keeps no other one
waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from fairlead.alerts.delivery import CLAIM_SECONDS, LOOK_SECONDS, Channels
from fairlead.alerts.webhook import NotDelivered
from fairlead.background import rest
from fairlead.store import Store
from fairlead.store.account_alerts import AccountAlerts, addresses_of, alerts_of
from fairlead.store.alerts import OutboxRow, accounts_due, claim, delivered, failed

log = logging.getLogger("fairlead.alerts")

# How many accounts a process sends something at the same time. Mail goes to one server, and each takes a thread.
AT_ONCE: Final[Mapping[str, int]] = {"webhook": 32, "email": 2}


class AccountDelivery:
    """`run` delivers until it is cancelled. `channels`: those of the configuration in force."""

    def __init__(self, store: Store, channels: Callable[[], Channels], at_once: Mapping[str, int] = AT_ONCE) -> None:
        self._store = store
        self._channels = channels
        self._at_once = at_once
        # One alert of each account and channel is on its way at a time.
        self._sending: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._troubled = False

    async def run(self) -> None:
        mailing = ThreadPoolExecutor(self._at_once["email"], "account mail")
        try:
            while True:
                try:
                    began = await self.begin_due(mailing)
                except SQLAlchemyError as error:
                    self._trouble(error)
                    began = 0
                # An account with several alerts, or more accounts than go at once: the next as soon as one is done.
                if began and self._sending and not self._troubled:
                    first = asyncio.FIRST_COMPLETED
                    await asyncio.wait(self._sending.values(), timeout=LOOK_SECONDS, return_when=first)
                else:
                    await rest(LOOK_SECONDS, "the database cannot be used" if self._troubled else "")
        finally:
            for task in self._sending.values():
                task.cancel()
            mailing.shutdown(wait=False, cancel_futures=True)

    async def begin_due(self, mailing: Executor) -> int:
        """Begins to send one alert of each account that has one due; gives how many."""
        loop = asyncio.get_running_loop()
        began = 0
        for channel, most in self._at_once.items():
            busy = [account for account, one in self._sending if one == channel]
            if len(busy) >= most:
                continue
            due = await loop.run_in_executor(self._store.threads, self._due, channel, most - len(busy), busy)
            for account_id in due:
                place = (account_id, channel)
                task = loop.create_task(self._deliver(account_id, channel, mailing))
                self._sending[place] = task
                task.add_done_callback(lambda _done, place=place: self._sending.pop(place, None))  # type: ignore[misc]
                began += 1
        return began

    async def settle(self) -> None:
        """Waits for what is on its way."""
        while self._sending:
            await asyncio.wait(self._sending.values())

    async def _deliver(self, account_id: str, channel: str, mailing: Executor) -> None:
        loop = asyncio.get_running_loop()
        try:
            row = await loop.run_in_executor(self._store.threads, self._claim, account_id, channel)
            if row is None:  # another process was faster
                return
            alerts, to = await loop.run_in_executor(self._store.threads, self._recipients, account_id)
            reason = ""
            try:
                await self._channels().deliver_own(alerts, to, channel, row.event, row.body, mailing)
            except NotDelivered as error:
                reason = str(error)
            except Exception:  # else it would be tried once a minute, without an end
                log.exception("Alert %s could not be sent. Please report the traceback.", row.event)
                reason = "internal error"
            await loop.run_in_executor(self._store.threads, self._settle, row, reason)
        except SQLAlchemyError as error:
            self._trouble(error)

    def _trouble(self, error: SQLAlchemyError) -> None:
        if not self._troubled:
            log.warning("Alerts of accounts cannot be read; retrying: %s", getattr(error, "orig", None) or error)
        self._troubled = True

    def _due(self, channel: str, most: int, busy: list[str]) -> list[str]:
        with self._store.read() as connection:
            return accounts_due(connection, channel, most, busy)

    def _claim(self, account_id: str, channel: str) -> OutboxRow | None:
        with self._store.write() as connection:
            return claim(connection, (channel,), CLAIM_SECONDS, account_id)

    def _recipients(self, account_id: str) -> tuple[AccountAlerts, list[str]]:
        with self._store.read() as connection:
            alerts = alerts_of(connection, account_id)
            return alerts, addresses_of(connection, alerts)

    def _settle(self, row: OutboxRow, reason: str) -> None:
        with self._store.write() as connection:
            if reason:
                failed(connection, row, reason)
            else:
                delivered(connection, row.id)
        self._troubled = False
