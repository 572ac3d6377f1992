"""What is wrong with deployments now, for somebody who was woken by it: since when, whom it hits, what may have caused
it and what can be done about it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from fairlead.ledger.rollups import NOT_FAILED
from fairlead.store import Store
from fairlead.store.configuration import list_versions
from fairlead.store.health import HealthEvent, events_since
from fairlead.store.tables import calls

LOOKED_BACK_MS: Final = 7 * 86_400_000
HIT_SECONDS: Final = 3_600
# The newest calls, of which those of the last hour are looked at: a bounded read however many there are.
CALLS_LOOKED_AT: Final = 5_000
# A version that was applied so long before it began may be its cause.
SUSPECT_MS: Final = 2 * 3_600_000
IN_USE: Final = ("closed", "half_open")


class Hit(NamedTuple):
    """A model that an incident concerns. `others`: further deployments of it that are in use; `calls`, `failed`,
    `accounts`: of the last hour, how many calls, how many of them failed, and of how many organisations."""

    model: str
    others: int
    calls: int
    failed: int
    accounts: int


class Suspect(NamedTuple):
    """A version of the configuration that was applied shortly before. `at`: milliseconds since 1970; `before`: the one
    that a rollback goes to."""

    number: int
    at: int
    author: str
    comment: str
    before: int


class Incident(NamedTuple):
    """`subject`: the provider where none of its deployments works, else the deployment. `since`: milliseconds since
    1970, None: not known; `reason`: the code of the last error."""

    subject: str
    deployments: tuple[str, ...]
    since: int | None
    reason: str
    hits: tuple[Hit, ...]
    suspect: Suspect | None

    @property
    def alone(self) -> bool:
        """Whether callers of a model have nobody else."""
        return any(not one.others for one in self.hits)


def incidents(
    store: Store, deployments: Sequence[Mapping[str, Any]], drained: Collection[str], now: float | None = None
) -> list[Incident]:
    """The worst first. `deployments`: those of the process, with `id`, `model`, `state` and `last_error`; drained ones
    are out of use because somebody wants it so."""
    wanted = [one for one in deployments if one["id"] not in drained]
    bad = {one["id"]: one for one in wanted if one["state"] not in IN_USE and one["state"] != "drained"}
    if not bad:
        return []
    at = int((time.time() if now is None else now) * 1000)
    with store.read() as connection:
        events = events_since(connection, at - LOOKED_BACK_MS)
        columns = (calls.c.at, calls.c.model, calls.c.outcome, calls.c.account_id)
        newest = connection.execute(select(*columns).order_by(calls.c.number.desc()).limit(CALLS_LOOKED_AT)).all()
        versions = list_versions(connection, 20)
    recent = [row for row in newest if row.at >= at - HIT_SECONDS * 1000]
    found = []
    for subject, names in _grouped(wanted, bad):
        since = _since(events, names)
        models = dict.fromkeys(bad[name]["model"] for name in names)
        hits = tuple(_hit(model, wanted, bad, recent) for model in models)
        reason = next((bad[name]["last_error"] for name in names if bad[name].get("last_error")), "") or ""
        found.append(Incident(subject, names, since, reason, hits, _suspect(versions, since)))
    return sorted(found, key=lambda one: (not one.alone, -sum(hit.failed for hit in one.hits), one.since or 0))


def _grouped(
    wanted: Sequence[Mapping[str, Any]], bad: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    by_provider: dict[str, list[str]] = {}
    for one in wanted:
        by_provider.setdefault(one["id"].partition("/")[0], []).append(one["id"])
    for provider, names in by_provider.items():
        failing = tuple(name for name in names if name in bad)
        if len(failing) == len(names) > 1:
            yield provider, failing
        else:
            yield from ((name, (name,)) for name in failing)


def _since(events: Sequence[HealthEvent], names: Collection[str]) -> int | None:
    """When the oldest of them stopped serving: the first `open` after its last `closed`. `events`: the newest first."""
    began = []
    for name in names:
        provider = name.partition("/")[0]
        first = None
        for one in events:
            if one.deployment != name and (one.deployment or one.provider != provider):
                continue
            if one.event in ("closed", "undrained"):
                break
            if one.event in ("open", "resting"):
                first = one.at
        if first is not None:
            began.append(first)
    return min(began, default=None)


def _hit(model: str, wanted: Sequence[Mapping[str, Any]], bad: Mapping[str, Any], recent: Sequence[Any]) -> Hit:
    others = sum(one["model"] == model and one["id"] not in bad for one in wanted)
    own = [row for row in recent if row.model == model]
    failed = sum(row.outcome not in NOT_FAILED for row in own)
    return Hit(model, others, len(own), failed, len({row.account_id for row in own}))


def _suspect(versions: Sequence[Any], since: int | None) -> Suspect | None:
    """The newest version, where it was applied shortly before."""
    if since is None or len(versions) < 2:
        return None
    newest, before = versions[0], versions[1]
    if not 0 <= since - newest.at <= SUSPECT_MS:
        return None
    return Suspect(newest.number, newest.at, newest.author, newest.comment, before.number)
