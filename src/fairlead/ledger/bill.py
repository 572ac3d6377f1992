"""One call's bill, from its first attempt to the record of its end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from fairlead.errors import LedgerUnavailable
from fairlead.ledger.record import EMPTY, Attempt, UsageRecord, UsageState, encode
from fairlead.ledger.settled import RecordPrefixCache, Settled, settled_of
from fairlead.ledger.spool import Spool
from fairlead.ledger.wallets import Hold
from fairlead.money import MOST_CHARGE_PICODOLLARS
from fairlead.prices import PriceSheet, amounts
from fairlead.wire.notes import CallNotes
from fairlead.wire.usage import TokenClasses, Usage

NOTHING: Final = Usage(TokenClasses(), 0, 0)
# Of a generation id. Behind `gen_` and eight digits of time stand those of the process, then the random ones.
TAG_START: Final = 12
TAG_DIGITS: Final = 4
RANDOM_DIGITS: Final = 20
RANDOM_BYTES: Final = 5_120
_NO_SCOPES: Final[tuple[str, ...]] = ()
_EMPTY: Final = EMPTY
_MOST: Final = MOST_CHARGE_PICODOLLARS
# A provider that reports nonsense does so with every answer: it is logged so often.
LOG_SECONDS: Final = 60.0
log = logging.getLogger("fairlead.ledger")
_nanoseconds: Final = time.time_ns


class Bills:
    """Opens the bills of one process. `name` is that of its spool; its first digits are a part of every generation id.

    An id is `gen_`, the second in which the call began, four digits of the process, and 80 random bits: nobody can
    guess another one from those that they know. All in hexadecimal.
    """

    __slots__ = (
        "_at", "_logged", "_prefix", "_random", "_second", "_tag", "beginnings", "implausible", "spool", "synced",
    )  # fmt: skip

    def __init__(self, name: str, spool: Spool, synced: Callable[[], Awaitable[None]] | None) -> None:
        self._tag = name[:TAG_DIGITS]
        self._second = -1
        self._prefix = ""
        self._random = ""
        self._at = 0
        self.spool = spool
        self.synced = synced
        self.beginnings = RecordPrefixCache()
        self.implausible = 0
        self._logged: dict[str, float] = {}

    def open(self, account: str, key: str, model: str, stream: bool, paid: bool, hold: Hold | None = None) -> Bill:
        """The bill of a call that begins; it ends the hold. Raises LedgerUnavailable when it could not be written
        down; then the hold has ended."""
        spool = self.spool
        if paid and spool.full:
            spool.retry()
            if spool.full:
                if hold is not None:
                    hold.settle(0)
                raise LedgerUnavailable(
                    "Usage cannot be recorded at the moment, so paid calls are refused. Try again soon.",
                    retry_after_seconds=5,
                )
        now = _nanoseconds() // 1_000_000
        second = now // 1_000
        if second != self._second:
            self._second = second
            self._prefix = f"gen_{second:08x}{self._tag}"
        at = self._at
        end = at + RANDOM_DIGITS
        if end > len(self._random):  # asked of the kernel once for many
            self._random = os.urandom(RANDOM_BYTES).hex()
            at, end = 0, RANDOM_DIGITS
        self._at = end
        return Bill(self._prefix + self._random[at:end], account, key, model, stream, self, hold, now)

    def note_implausible(self, generation_id: str, deployment: str, reported: tuple[int, int]) -> None:
        """A provider reported usage that the request cannot have caused: counted, and logged once a minute."""
        self.implausible += 1
        now = time.monotonic()
        if now >= self._logged.get(deployment, 0.0):
            self._logged[deployment] = now + LOG_SECONDS
            log.warning(
                "Implausible usage from %s: prompt_tokens=%d completion_tokens=%d for %s. Charged by our own count "
                "instead; check the provider's bill.",
                deployment, reported[0], reported[1], generation_id,
            )  # fmt: skip


class Bill:
    """One call's bill, closed exactly once: by `settle` with what was used, or by `release` with nothing to pay."""

    __slots__ = (
        "_account",
        "_at",
        "_attempts",
        "_bills",
        "_hold",
        "_key",
        "_model",
        "_since",
        "_stream",
        "_wasted",
        "closed",
        "first_token",
        "id",
        "notes",
        "price",
        "synced",
        "tokens",
    )

    def __init__(
        self,
        generation_id: str,
        account: str,
        key: str,
        model: str,
        stream: bool,
        bills: Bills,
        hold: Hold | None = None,
        now: int = 0,
    ) -> None:
        self._bills = bills
        # To be awaited before the last byte leaves, where records must survive a power failure.
        self.synced = bills.synced
        self.id = generation_id
        self.closed = False
        self.price = 0
        self.tokens = 0  # those of the answer that was charged
        self.first_token = 0  # milliseconds from the beginning to the first token of a stream, 0: there was none
        self.notes: CallNotes | None = None  # what the record has beside the bill
        self._account = account
        self._key = key
        self._model = model
        self._stream = stream
        self._at = self._since = now or _nanoseconds() // 1_000_000
        self._attempts: tuple[Attempt, ...] = ()
        self._wasted = 0
        self._hold = hold

    @property
    def key(self) -> str:
        """The id of the key that made the call."""
        return self._key

    def on_first_token(self) -> None:
        """The first token of the answer has come."""
        if not self.first_token:  # else it continues what another deployment began
            self.first_token = max(1, _nanoseconds() // 1_000_000 - self._at)

    def answered_by(self, model: str) -> None:
        """Another model than the one that was asked for serves."""
        self._model = model

    def failed(self, sheet: PriceSheet, outcome: str, counted: Usage | None = None) -> None:
        """An attempt that came to nothing. `outcome` is the code of its error; `counted` what its provider bills all
        the same."""
        now = _nanoseconds() // 1_000_000
        attempt = Attempt(sheet.deployment, sheet.id, outcome, now - self._since)
        if counted is not None and sheet.cost is not None:
            cost = sheet.cost.charge(counted.tokens, counted.prompt)
            if self._wasted + cost <= _MOST:  # else no record holds it
                attempt = replace(attempt, tokens=counted.tokens, prompt=counted.prompt, cost=cost)
                self._wasted += cost
        self._attempts += (attempt,)
        self._since = now

    def settle(
        self,
        sheet: PriceSheet,
        usage: Usage | None,
        outcome: str = "served",
        state: UsageState = "reported",
        prompt_state: str = "",
        *,
        missing: bool = False,
        billed: Usage | None = None,
        implausible: tuple[int, int] | None = None,
    ) -> int:
        """There is an answer: what it costs the caller, in picodollars. Written when this returns. `billed`: what the
        provider bills for it, where that is another usage than the caller's. `implausible`: what it reported and what
        cannot be; `usage` was counted here."""
        assert not self.closed
        now = _nanoseconds() // 1_000_000
        own: int | None = None
        if billed is not None and sheet.cost is not None:
            own = sheet.cost.charge(billed.tokens, billed.prompt)
        price, cost = 0, self._wasted or None
        if usage is None:
            state, prompt_state, missing = "usage_missing", "", True
        else:
            full, cost = amounts(sheet, usage)
            self.tokens = usage.prompt + usage.completion
            price = 0 if outcome == _EMPTY else full
            if own is not None:
                cost = own
            if self._wasted:
                cost = (cost or 0) + self._wasted
            if price + (cost or 0) > _MOST:  # a price with a typo: better one free answer than a record that is lost
                implausible = implausible or (usage.prompt, usage.completion)
                usage = billed = own = None
                price, cost = 0, self._wasted or None
                state, prompt_state, missing = "usage_missing", "", True
        if implausible is not None:
            self._bills.note_implausible(self.id, sheet.deployment, implausible)
        self.closed = True
        held, scopes, shortfall = 0, _NO_SCOPES, 0
        hold = self._hold
        if hold is not None:
            held, scopes = hold.amount, hold.scopes
            charged = hold.settle(price)
            shortfall = price - charged
            price = charged
        self.price = price
        bills = self._bills
        if (
            usage is not None
            and usage.balanced
            and own is None
            and state == "reported"
            and not (self._attempts or shortfall or prompt_state or missing or implausible)
        ):
            settled = Settled(self.id, self._at, self._account, self._key, sheet.deployment, price, cost or 0, scopes)
            more = b',"first_token":%d' % self.first_token if self.first_token else b""
            if self.notes is not None:
                more += self.notes.members()
            text = bills.beginnings.usual(
                settled, now, self._model, outcome, self._stream, sheet, usage, cost, held, more
            )
            bills.spool.append(text, settled)
            return price
        attempt = Attempt(sheet.deployment, sheet.id, outcome, now - self._since)
        if billed is not None and own is not None:
            attempt = replace(attempt, tokens=billed.tokens, prompt=billed.prompt, cost=own)
        used = usage or NOTHING
        record = UsageRecord(
            self.id, self._at, now, self._account, self._key, self._model, outcome, self._stream,
            state, sheet.deployment, sheet.id, used.tokens, used.prompt, used.completion, used.balanced,
            price, cost, (*self._attempts, attempt), held, scopes, shortfall, prompt_state, missing, implausible,
            self.first_token,
        )  # fmt: skip
        bills.spool.append(self._written(record), settled_of(record))
        return price

    def release(self, outcome: str) -> None:
        """The call ended without a complete answer: it costs nothing, and is recorded. Does nothing once closed."""
        if self.closed:
            return
        self.closed = True
        if self._hold is not None:
            self._hold.settle(0)
        now = _nanoseconds() // 1_000_000
        last = self._attempts[-1] if self._attempts else None
        record = UsageRecord(
            self.id,
            self._at,
            now,
            self._account,
            self._key,
            self._model,
            outcome,
            self._stream,
            "none",
            last.deployment if last else "",
            last.sheet if last else "",
            cost=self._wasted or None,
            attempts=self._attempts,
            first_token=self.first_token,
        )
        self._bills.spool.append(self._written(record), settled_of(record))

    def _written(self, record: UsageRecord) -> bytes:
        text = encode(record)
        return text if self.notes is None else text[:-1] + self.notes.members() + b"}"
