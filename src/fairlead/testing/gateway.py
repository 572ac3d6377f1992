"""Fakes for what a gateway is given: limits that let every call through, and a ledger whose records are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fairlead.accounts.limits import Limited
from fairlead.accounts.meters import Admission
from fairlead.ledger.bill import Bills
from fairlead.ledger.record import UsageRecord, decode
from fairlead.ledger.spool import Reader, Spool
from fairlead.ledger.wallets import Hold, Scope, Wallets

NAME: Final = "testing"
MOST_BYTES: Final = 16_777_216
MOST_RECORDS: Final = 100_000


class NoLimits:
    """Lets every call through."""

    everybody: Final = False

    def admit(
        self, whose: Limited, model: str, tokens: int, now: float, *, free: bool, movable: bool = False, calls: int = 1
    ) -> Admission | None:
        del whose, model, tokens, now, free, movable, calls
        return None

    def move(self, admission: Admission, model: str, now: float, *, free: bool) -> None:
        del admission, model, now, free


class RecordingLedger:
    """Opens real bills and keeps what they write in a directory, without a database. Nobody has credit there, so that
    callers must be neither prepaid nor have budgets."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / NAME
        self._spool = Spool(directory, NAME, MOST_BYTES)
        self.open = Bills(NAME, self._spool, None).open

    @property
    def wallets(self) -> Wallets:
        raise NotImplementedError("A recording ledger holds no credit: its callers pay afterwards.")

    async def hold(self, scopes: Sequence[Scope], most: int, least: int) -> Hold:
        raise NotImplementedError("A recording ledger holds no credit: its callers pay afterwards.")

    def close(self) -> None:
        """Gives the spool's files back."""
        self._spool.close(empty=True)

    @property
    def records(self) -> list[UsageRecord]:
        """Of all calls that have ended, in that order."""
        return [decode(record) for record in Reader(self._directory).next_batch(MOST_RECORDS)[0]]
