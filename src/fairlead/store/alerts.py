"""Alerts in the database: what was told already, and the outbox of what is on its way. Every function works on one open
transaction; an alert is written in the transaction of what it is about, so none is lost and none is told twice."""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, text, update

from fairlead.store.health import HealthEvent
from fairlead.store.tables import alert_levels, alert_outbox

MILLION: Final = 1_000_000
# An attempt that failed is repeated after so long, and after twice as long each time; never later than LONGEST_WAIT_MS.
FIRST_WAIT_MS: Final = 10_000
LONGEST_WAIT_MS: Final = 6 * 3_600_000
# An alert that could not be delivered for so long is dead: `fairlead alerts retry` sends it again.
GIVE_UP_MS: Final = 3 * 86_400_000
# Delivered and dead ones are shown for so long.
KEPT_MS: Final = 30 * 86_400_000
# The same configuration is refused by every process: within this time it is told once.
SAME_REFUSAL_MS: Final = 60_000
LONGEST_REASON: Final = 500
LONGEST_ERROR: Final = 256

_ONCE = text(
    "INSERT INTO alert_levels (scope, granted, base, reached) VALUES (:scope, 0, :base, :reached) "
    "ON CONFLICT (scope) DO UPDATE SET base = excluded.base, reached = excluded.reached "
    "WHERE alert_levels.reached <> excluded.reached OR alert_levels.base < :before"
)


@dataclass(slots=True)
class AlertRules:
    """Who is told, and at which parts of a budget (in millionths, ascending). Without channels nothing is written.
    One object for a process: its members are replaced with the configuration."""

    channels: tuple[str, ...] = ()
    thresholds: tuple[int, ...] = ()


class OutboxRow(NamedTuple):
    """One alert on one channel. Times in milliseconds since 1970. `account_id`: whose own alert it is; None: the
    server's."""

    id: int
    event: str
    kind: str
    channel: str
    at: int
    body: str
    state: str
    attempts: int
    next_at: int
    error: str
    account_id: str | None


_COLUMNS = [alert_outbox.c[name] for name in OutboxRow._fields]


def event_body(event: str, kind: str, created_ms: int, data: Mapping[str, Any]) -> str:
    """An alert as it is sent. `data`: ids, names and amounts; never a key, a prompt or an answer."""
    return json.dumps({"id": event, "type": kind, "created": created_ms // 1000, "data": data}, ensure_ascii=False)


def new_event_id() -> str:
    return "evt_" + secrets.token_hex(12)


def announce(connection: Connection, rules: AlertRules, kind: str, data: Mapping[str, Any]) -> None:
    """Puts an alert into the outbox, for every channel."""
    if rules.channels:
        put(connection, rules.channels, kind, data)


def put(
    connection: Connection, channels: Sequence[str], kind: str, data: Mapping[str, Any], account_id: str | None = None
) -> str:
    """Puts an alert into the outbox, for these channels; gives its id. `account_id`: whose own alert it is."""
    now = _now()
    event = new_event_id()
    body = event_body(event, kind, now, data)
    connection.execute(
        insert(alert_outbox),
        [
            {
                "event": event, "kind": kind, "channel": channel, "at": now, "body": body, "state": "waiting",
                "attempts": 0, "next_at": now, "claimed_until": 0, "error": "",
                "account_id": account_id,
            }
            for channel in channels
        ],
    )  # fmt: skip
    return event


def announce_health(connection: Connection, rules: AlertRules, events: Iterable[HealthEvent]) -> None:
    """Deployments, and whole providers, that went down or are up again: once, however many processes notice."""
    if not rules.channels:
        return
    # In one order everywhere, so that no two processes wait for each other; those of one deployment stay in theirs.
    for one in sorted(events, key=_scope):
        if one.event not in ("open", "closed"):
            continue
        down = one.event == "open"
        scope = _scope(one)
        if down:
            told = _once(connection, scope, 1)
        else:
            found = (alert_levels.c.scope == scope) & (alert_levels.c.reached == 1)
            told = connection.execute(update(alert_levels).where(found).values(reached=0)).rowcount
        if told:
            data = {"deployment": one.deployment or None, "provider": one.provider, "reason": one.reason}
            announce(connection, rules, "deployment.down" if down else "deployment.up", data)


def _scope(event: HealthEvent) -> str:
    return f"deployment/{event.deployment}" if event.deployment else f"provider/{event.provider}"


def announce_refused(connection: Connection, rules: AlertRules, node: str, reason: str) -> None:
    """A configuration that a process did not take."""
    if rules.channels and _once(connection, "configuration", _mark_of(reason), _now() - SAME_REFUSAL_MS):
        announce(connection, rules, "configuration.refused", {"node": node, "reason": reason[:LONGEST_REASON]})


def _mark_of(reason: str) -> int:
    return zlib.crc32(reason.encode("utf-8", "surrogatepass"))


def _once(connection: Connection, scope: str, mark: int, before: int = 0) -> int:
    """1 when `mark` was not set there, or before that time; 0 when it was."""
    values = {"scope": scope, "base": _now(), "reached": mark, "before": before}
    return connection.execute(_ONCE, values).rowcount


def claim(
    connection: Connection, channels: Sequence[str], seconds: float, account_id: str | None = None
) -> OutboxRow | None:
    """The oldest alert of the server, or of an account, that is due, which no other process sends for so long; None
    when there is none."""
    now = _now()
    due = _due(now) & alert_outbox.c.channel.in_(channels) & _of(account_id)
    for row in connection.execute(select(*_COLUMNS).where(due).order_by(alert_outbox.c.id).limit(1)):
        mine = update(alert_outbox).where(alert_outbox.c.id == row.id, due)
        if connection.execute(mine.values(claimed_until=now + int(seconds * 1000))).rowcount:
            return OutboxRow(*row)
    return None


def accounts_due(connection: Connection, channel: str, most: int, without: Collection[str]) -> list[str]:
    """Accounts of which an alert is due on a channel, but for some: first those whose alerts were not tried yet, so
    that receivers that fail wait for the others and not the other way round."""
    given = {"now": _now(), "wanted": channel, "without": list(without), "most": most}
    return list(connection.execute(_ACCOUNTS_DUE, given).scalars())


def _due(now: int | ColumnElement[int]) -> ColumnElement[bool]:
    return (alert_outbox.c.state == "waiting") & (alert_outbox.c.next_at <= now) & (alert_outbox.c.claimed_until <= now)


# Asked every second: a statement that is made each time is garbage that only Python's collector frees.
_ACCOUNTS_DUE = (
    select(alert_outbox.c.account_id)
    .where(
        _due(bindparam("now")),
        alert_outbox.c.account_id.is_not(None),
        alert_outbox.c.channel == bindparam("wanted"),
        alert_outbox.c.account_id.not_in(bindparam("without", expanding=True)),
    )
    .group_by(alert_outbox.c.account_id)
    .order_by(func.min(alert_outbox.c.attempts), func.min(alert_outbox.c.id))
    .limit(bindparam("most"))
)


def _of(account_id: str | None) -> ColumnElement[bool]:
    return alert_outbox.c.account_id.is_(None) if account_id is None else alert_outbox.c.account_id == account_id


def put_since(connection: Connection, kind: str, account_id: str, since_ms: int) -> int:
    """How many alerts of a kind an account was to get since then."""
    wanted = (alert_outbox.c.kind == kind) & _of(account_id) & (alert_outbox.c.at >= since_ms)
    return int(connection.execute(select(func.count(alert_outbox.c.event.distinct())).where(wanted)).scalar_one())


def delivered(connection: Connection, number: int) -> None:
    one = update(alert_outbox).where(alert_outbox.c.id == number)
    connection.execute(one.values(state="delivered", attempts=alert_outbox.c.attempts + 1, claimed_until=0, error=""))


def failed(connection: Connection, row: OutboxRow, error: str) -> bool:
    """Has it tried again later; True when it is given up."""
    now = _now()
    wait = min(FIRST_WAIT_MS * 2 ** min(row.attempts, 30), LONGEST_WAIT_MS)
    wait += secrets.randbelow(wait // 4)  # so that those that failed together do not come together
    dead: bool = now + wait > row.at + GIVE_UP_MS
    connection.execute(
        update(alert_outbox)
        .where(alert_outbox.c.id == row.id)
        .values(
            attempts=row.attempts + 1, next_at=now + wait, claimed_until=0, error=error[:LONGEST_ERROR],
            state="dead" if dead else "waiting",
        )
    )  # fmt: skip
    return dead


def forget_old(connection: Connection) -> None:
    """Removes what is no longer shown, and gives up what no channel takes any more."""
    now = _now()
    connection.execute(
        update(alert_outbox)
        .where(alert_outbox.c.state == "waiting", alert_outbox.c.at < now - GIVE_UP_MS, alert_outbox.c.next_at < now)
        .where(alert_outbox.c.claimed_until <= now)
        .values(state="dead", error="its channel is not configured any more")
    )
    connection.execute(delete(alert_outbox).where(alert_outbox.c.state != "waiting", alert_outbox.c.at < now - KEPT_MS))


def listed(connection: Connection, state: str | None, most: int, account_id: str | None = None) -> list[OutboxRow]:
    """The newest alerts of the server, or of an account, newest first."""
    statement = select(*_COLUMNS).where(_of(account_id)).order_by(alert_outbox.c.id.desc()).limit(most)
    if state is not None:
        statement = statement.where(alert_outbox.c.state == state)
    return [OutboxRow(*row) for row in connection.execute(statement)]


def revive(connection: Connection, event: str, account_id: str | None = None) -> list[OutboxRow]:
    """Has what of an event of the server, or of an account, was not delivered sent again at once; gives these rows as
    they were."""
    mine = (alert_outbox.c.event == event) & _of(account_id) & (alert_outbox.c.state != "delivered")
    found = [OutboxRow(*row) for row in connection.execute(select(*_COLUMNS).where(mine))]
    now = _now()
    # It counts as new, or the next failure would end it.
    connection.execute(
        update(alert_outbox).where(mine).values(state="waiting", at=now, next_at=now, attempts=0, claimed_until=0)
    )
    return found


def is_known(connection: Connection, event: str, account_id: str | None = None) -> bool:
    wanted = (alert_outbox.c.event == event) & _of(account_id)
    return connection.execute(select(alert_outbox.c.id).where(wanted)).first() is not None


def _now() -> int:
    return int(time.time() * 1000)
