"""Fakes for what a gateway is given: limits that let every call through, health that blames nobody, and a ledger whose
records can be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from fairlead.accounts.limits import Limited
from fairlead.accounts.meters import Admission
from fairlead.errors import FairleadError
from fairlead.ledger.bill import Bills
from fairlead.ledger.record import UsageRecord, decode
from fairlead.ledger.spool import Reader, Spool
from fairlead.ledger.wallets import Hold, Scope, Wallets
from fairlead.routing.health import DeploymentHealth, Named

NAME: Final = "testing"
MOST_BYTES: Final = 16_777_216
MOST_RECORDS: Final = 100_000


class NoLimits:
    """Lets every call through."""

    everybody: Final = False
    shared: Final = False

    def admit(
        self, whose: Limited, model: str, tokens: int, now: float, *, free: bool, movable: bool = False, calls: int = 1
    ) -> Admission | None:
        del whose, model, tokens, now, free, movable, calls
        return None

    def lease(self, whose: Limited, models: Iterable[tuple[str, bool]], tokens: int, calls: int = 1) -> None:
        del whose, models, tokens, calls

    def move(self, admission: Admission, model: str, now: float, *, free: bool) -> None:
        del admission, model, now, free


class SteadyHealth:
    """Every deployment works, whatever it does, and none is known better than another. `reports`: what attempts have
    reported, in order: the deployment's id, and "served" or the code of an error."""

    troubled: Final = False

    def __init__(self) -> None:
        self.by_deployment: dict[str, DeploymentHealth] = {}
        self.reports: list[tuple[str, str]] = []

    def of(self, deployment: Named) -> DeploymentHealth:
        found = self.by_deployment.get(deployment.id)
        if found is None:
            provider = DeploymentHealth(deployment.provider, deployment.provider, None)
            found = self.by_deployment[deployment.id] = DeploymentHealth(deployment.id, deployment.provider, provider)
        return found

    def begin(self, deployment: Named, now: float, *, first: bool) -> DeploymentHealth:
        del now, first
        target = self.of(deployment)
        target.in_flight += 1
        return target

    def end(self, target: DeploymentHealth) -> None:
        target.in_flight -= 1

    def served(self, target: DeploymentHealth, now: float) -> None:
        del now
        self.reports.append((target.id, "served"))

    def failed(self, target: DeploymentHealth, error: FairleadError, now: float, key_rest: float | None = None) -> None:
        del now, key_rest
        self.reports.append((target.id, error.code))

    def first_token(self, target: DeploymentHealth, seconds: float, now: float) -> None:
        del target, seconds, now

    def speed(self, target: DeploymentHealth, tokens: int, seconds: float) -> None:
        del target, tokens, seconds

    def may_try(self, target: DeploymentHealth, now: float) -> bool:
        del target, now
        return True

    def take_retry(self, target: DeploymentHealth, now: float) -> bool:
        del target, now
        return True

    def recall(self, key: int, now: float) -> str | None:
        del key, now
        return None

    def remember(self, key: int, deployment_id: str, now: float) -> None:
        del key, deployment_id, now


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
