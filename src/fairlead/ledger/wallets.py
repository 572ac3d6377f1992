"""Credit and budgets as one process spends them: slices leased from the database, held and settled in memory.

Everything here runs on the event loop; only `_lease`, `_give_back` and `_renew` go to the database, in a thread. What
a process may still spend is `free`; what running calls may come to is `held`. Both are a part of its lease, and so is
what is settled but not yet in the books. A process that dies leaves its lease to the process that adopts its spool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from fairlead.errors import LedgerUnavailable
from fairlead.ledger.funds import Taken, credit_scope, give_back, release, renew, take, wanted
from fairlead.money import MOST_PICODOLLARS
from fairlead.store import Store

log = logging.getLogger("fairlead.ledger")

# A call that finds too little while other processes hold slices waits this long for them to give back.
WAIT_SECONDS: Final = 1.5
RETRY_SECONDS = 0.1
# What the database said it has left is believed this long: a thousand refused calls are not a thousand trips.
BELIEF_SECONDS: Final = 0.05
# A slice that nobody used for so long goes back.
IDLE_SECONDS: Final = 1.0
# A slice is for this many calls, and for twice as many when it was used up within so many seconds.
SLICE_CALLS: Final = 64
SOON_SECONDS: Final = 1.0
# How long a lease lasts without its process being heard of, and how often it is heard of.
LEASE_SECONDS: Final = 3600.0
RENEW_SECONDS: Final = 60.0
# Names that are kept, not to be made again at each call.
MOST_CREDITS: Final = 10_000
# Scopes that refused a call and are not told of yet.
MOST_REFUSED: Final = 1_000
T = TypeVar("T")


class Scope(NamedTuple):
    """Something to spend from. `granted`: picodollars of a budget; None for credit, which grants put there."""

    name: str
    granted: int | None = None


class Shortage(Exception):
    """There is less than asked for. `available` in picodollars."""

    def __init__(self, scope: Scope, available: int) -> None:
        super().__init__(scope.name)
        self.scope = scope
        self.available = available


class Wallet:
    __slots__ = (
        "asked_at",
        "flight",
        "free",
        "held",
        "left",
        "names",
        "others",
        "returning",
        "scope",
        "slice",
        "used_at",
    )

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.names = (scope.name,)
        self.free = 0
        self.held = 0
        self.left = 0  # what the database had left when it was last asked
        self.others = 0  # and what other processes had leased
        self.asked_at = float("-inf")
        self.slice = 0  # what it asked for last
        self.used_at = 0.0
        self.flight: asyncio.Task[None] | None = None
        self.returning: asyncio.Future[None] | None = None  # while some of it is on its way back to the database


class Hold:
    """What one call may come to, set aside. Ends once: with what was charged."""

    __slots__ = ("_wallets", "amount")

    def __init__(self, wallets: list[Wallet], amount: int) -> None:
        self._wallets = wallets
        self.amount = amount

    @property
    def scopes(self) -> tuple[str, ...]:
        wallets = self._wallets
        return wallets[0].names if len(wallets) == 1 else tuple([wallet.scope.name for wallet in wallets])

    def settle(self, price: int) -> int:
        """Ends the hold; gives what can be charged: the price, or all there is when it is more than was foreseen."""
        amount = self.amount
        charged = price
        if charged > amount:
            for wallet in self._wallets:
                charged = min(charged, amount + max(0, wallet.free))
        for wallet in self._wallets:
            wallet.held -= amount
            wallet.free += amount - charged
        self._wallets = []
        return charged


class Wallets:
    """The wallets of one process. `process_id` is the name of its spool; `clock` gives seconds that never decrease."""

    def __init__(self, store: Store, process_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._process_id = process_id
        self._clock = clock
        self._wallets: dict[str, Wallet] = {}
        self._credits: dict[str, tuple[Scope, ...]] = {}
        self._valid_until = float("-inf")
        self._renewed_at = float("-inf")
        self._trouble: str | None = None
        self._refused: set[str] = set()

    @property
    def trouble(self) -> str | None:
        """Why the database leases no credit at the moment; None when it does."""
        return self._trouble

    def credit_of(self, account: str) -> tuple[Scope, ...]:
        """The credit of an account as what its calls are taken from."""
        found = self._credits.get(account)
        if found is None:
            if len(self._credits) >= MOST_CREDITS:
                self._credits.clear()
            found = self._credits[account] = (Scope(credit_scope(account)),)
        return found

    def try_hold(self, scopes: Sequence[Scope], amount: int) -> Hold | None:
        """A hold of what is here already; None when that is too little."""
        now = self._clock()
        if now > self._valid_until:
            self._forget()
        wallets = [self._wallets.get(scope.name) or self._new(scope) for scope in scopes]
        for wallet in wallets:
            if wallet.free < amount:
                return None
        for wallet in wallets:
            wallet.free -= amount
            wallet.held += amount
            wallet.used_at = now
        return Hold(wallets, amount)

    async def hold(self, scopes: Sequence[Scope], most: int, least: int) -> Hold:
        """Holds `most` picodollars, or what there is when that is at least `least`.

        Raises Shortage; LedgerUnavailable when the database cannot be asked.
        """
        give_up = self._clock() + WAIT_SECONDS
        while (found := self.try_hold(scopes, most)) is None:
            short = [scope for scope in scopes if self._wallets[scope.name].free < most]
            waits = False
            for scope in short:
                waits |= await self._ask(scope, most)
            if (found := self.try_hold(scopes, most)) is not None:
                return found
            wallets = [self._wallets.get(scope.name) or self._new(scope) for scope in scopes]
            poorest = min(wallets, key=lambda wallet: wallet.free + wallet.left)
            if poorest.free + poorest.left >= most:
                continue  # somebody else here was faster, and there is more
            if waits and poorest.others and self._clock() < give_up:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            part = min(wallet.free for wallet in wallets)
            if part >= least and (found := self.try_hold(scopes, part)) is not None:
                return found
            if len(self._refused) < MOST_REFUSED:
                self._refused.add(poorest.scope.name)
            raise Shortage(poorest.scope, max(0, poorest.free + poorest.left))
        return found

    def take_refused(self) -> set[str]:
        """The scopes that had too little for a call since this was asked last."""
        found, self._refused = self._refused, set()
        return found

    async def _ask(self, scope: Scope, need: int) -> bool:
        """Leases more if there is more; whether it is worth to wait for other processes when there is not."""
        wallet = self._wallets.get(scope.name) or self._new(scope)
        if wallet.flight is None:
            missing = need - wallet.free
            fresh = self._clock() - wallet.asked_at < BELIEF_SECONDS
            if missing <= 0 or (fresh and wallet.left == 0):
                return True
            wallet.flight = asyncio.get_running_loop().create_task(self._lease(wallet, scope, missing, need))
        await asyncio.shield(wallet.flight)  # others wait for it too, and what it brings belongs to all
        return True

    async def _lease(self, wallet: Wallet, scope: Scope, missing: int, call: int) -> None:
        """`missing` must be there, or all there is; a slice serves many calls like this one."""
        started = self._clock()
        # Asked for again so soon: the slices are too small for the traffic, and each costs a trip.
        soon = started - wallet.asked_at < SOON_SECONDS
        wallet.slice = max(call * SLICE_CALLS, wallet.slice * 2 if soon else 0)
        wanted = min(wallet.slice, MOST_PICODOLLARS)
        try:
            if wallet.returning is not None:  # until then neither the database nor this process has it to spend
                await asyncio.shield(wallet.returning)
            taken = await self._in_transaction(
                lambda connection: take(
                    connection, self._process_id, scope.name, scope.granted, missing, wanted, LEASE_SECONDS
                )
            )
        except SQLAlchemyError:
            raise LedgerUnavailable(
                "Credit cannot be checked at the moment, so calls that need it are refused. Try again soon.",
                retry_after_seconds=5,
            ) from None
        finally:
            wallet.flight = None
        self._heard_of(started)
        wallet.free += taken.amount
        wallet.left, wallet.others = taken.left, taken.others
        wallet.asked_at = wallet.used_at = self._clock()

    def credited(self, scope: str) -> None:
        """Credit was added through this process: the next call asks for it, whatever the database said before."""
        wallet = self._wallets.get(scope)
        if wallet is not None:
            wallet.asked_at = float("-inf")

    async def tick(self) -> None:
        """Gives back what is idle or wanted elsewhere, and renews the lease. Trouble with the database is left for
        the next time: what is leased stays leased."""
        if not self._wallets:
            self._trouble = None  # nobody would ask again
            return
        now = self._clock()
        if now > self._valid_until:
            self._forget()
        rich = [wallet for wallet in self._wallets.values() if wallet.free > 0]
        try:
            if now - self._renewed_at > RENEW_SECONDS:
                await self._in_transaction(lambda connection: renew(connection, self._process_id, LEASE_SECONDS))
                self._heard_of(now)
            if not rich:
                self._drop_empty()
                return
            asked_for = await asyncio.get_running_loop().run_in_executor(
                self._store.threads, self._wanted, [wallet.scope.name for wallet in rich]
            )
        except SQLAlchemyError:
            return
        for wallet in rich:
            if wallet.free > 0 and (
                wallet.scope.name in asked_for or (not wallet.held and now - wallet.used_at > IDLE_SECONDS)
            ):
                await self._give_back(wallet)
        self._drop_empty()

    async def _give_back(self, wallet: Wallet) -> None:
        amount, wallet.free = wallet.free, 0
        wallet.asked_at = float("-inf")  # by then the database has more left than it said
        returning = wallet.returning = asyncio.get_running_loop().create_future()
        committing = False

        def back(connection: Connection) -> None:
            nonlocal committing
            give_back(connection, self._process_id, wallet.scope.name, amount)
            committing = True

        try:
            await self._in_transaction(back)
        except SQLAlchemyError:
            # After a failed commit nobody knows whether it went back: then it is nobody's until this process ends.
            if not committing:
                wallet.free += amount
        finally:
            wallet.returning = None
            returning.set_result(None)

    def _wanted(self, scopes: Iterable[str]) -> set[str]:
        with self._store.read() as connection:
            return wanted(connection, scopes)

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._store.write() as connection:
                return work(connection)

        try:
            done = await asyncio.get_running_loop().run_in_executor(self._store.threads, run)
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error)
            if self._trouble is None:
                log.warning(
                    "Credit cannot be leased from the database; calls that need it get 503 until it can: %s", cause
                )
            self._trouble = cause
            raise
        if self._trouble is not None:
            log.warning("Credit can be leased from the database again.")
            self._trouble = None
        return done

    def close(self) -> None:
        """Everything that is left goes back. To be called when all that was settled is in the books."""
        self._wallets.clear()
        with self._store.write() as connection:
            release(connection, self._process_id)

    def _new(self, scope: Scope) -> Wallet:
        wallet = self._wallets[scope.name] = Wallet(scope)
        wallet.used_at = self._clock()
        return wallet

    def _heard_of(self, at: float) -> None:
        self._renewed_at = at
        self._valid_until = at + LEASE_SECONDS / 2  # others may take it for dead after the whole of it

    def _forget(self) -> None:
        """The lease has run out without being renewed: it may be another's by now."""
        for wallet in self._wallets.values():
            wallet.free = 0

    def _drop_empty(self) -> None:
        now = self._clock()
        for name, wallet in list(self._wallets.items()):
            if not wallet.free and not wallet.held and wallet.flight is None and now - wallet.used_at > IDLE_SECONDS:
                del self._wallets[name]


__all__ = ["Hold", "Scope", "Shortage", "Taken", "Wallets"]
