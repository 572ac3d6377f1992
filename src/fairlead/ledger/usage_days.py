"""Usage by day, key, model and deployment, added up of the records when somebody asks, never in a call."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select, text, update

from fairlead.errors import Overloaded
from fairlead.ledger.record import decode
from fairlead.store import Store
from fairlead.store.tables import api_keys, usage_days, usage_records, versions

BATCH_RECORDS: Final = 2_000
# So many batches for one request: who asks first after a million calls comes back for the rest.
MOST_BATCHES: Final = 200
NAME: Final = "usage_days"
_FIGURES: Final = ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens", "charged")
_ADD: Final = text(
    "INSERT INTO usage_days (day, account_id, key_id, model, deployment, requests, prompt_tokens, completion_tokens, "
    "reasoning_tokens, cached_tokens, charged) VALUES (:day, :account, :key, :model, :deployment, :requests, "
    ":prompt_tokens, :completion_tokens, :reasoning_tokens, :cached_tokens, :charged) "
    "ON CONFLICT (day, account_id, key_id, model, deployment) DO UPDATE SET "
    "requests = usage_days.requests + excluded.requests, "
    "prompt_tokens = usage_days.prompt_tokens + excluded.prompt_tokens, "
    "completion_tokens = usage_days.completion_tokens + excluded.completion_tokens, "
    "reasoning_tokens = usage_days.reasoning_tokens + excluded.reasoning_tokens, "
    "cached_tokens = usage_days.cached_tokens + excluded.cached_tokens, "
    "charged = usage_days.charged + excluded.charged"
)


class KeyUsage(NamedTuple):
    """What a key was charged today, since Monday and since the first of the month (UTC), in picodollars. `last_day`: on
    which it was used, as "2027-01-31"."""

    day: int = 0
    week: int = 0
    month: int = 0
    last_day: str | None = None


def add_up(store: Store) -> None:
    """Adds up all records that are stored. Raises Overloaded when there are too many for one request."""
    for _ in range(MOST_BATCHES):
        with store.write() as connection:
            if not _add_batch(connection, store.is_shared):
                return
    raise Overloaded("Usage is still being added up. Try again.", retry_after_seconds=1)


def _add_batch(connection: Connection, shared: bool) -> bool:
    """Whether there may be more."""
    # Written to first: a second process waits here, and then finds what the first has done.
    mine = versions.c.name == NAME
    connection.execute(update(versions).where(mine).values(number=versions.c.number))
    if shared:
        # Numbers are given before they are committed: a lower one than the highest that is visible may still come.
        # This waits for those who are writing, and the next ones get higher numbers.
        connection.execute(text("LOCK TABLE usage_records IN SHARE MODE"))
    done = connection.execute(select(versions.c.number).where(mine)).scalar_one()
    rows = connection.execute(
        select(usage_records.c.number, usage_records.c.body)
        .where(usage_records.c.number > done)
        .order_by(usage_records.c.number)
        .limit(BATCH_RECORDS)
    ).all()
    if not rows:
        return False
    sums: dict[tuple[str, str, str, str, str], list[int]] = defaultdict(lambda: [0] * len(_FIGURES))
    for row in rows:
        record = decode(row.body)
        day = datetime.fromtimestamp(record.at / 1000, UTC).date().isoformat()
        figures = sums[day, record.account, record.key, record.model, record.deployment]
        for at, value in enumerate(
            (1, record.prompt, record.completion, record.tokens.reasoning, record.tokens.cached_input, record.price)
        ):
            figures[at] += value
    connection.execute(
        _ADD,
        [
            dict(zip(("day", "account", "key", "model", "deployment", *_FIGURES), (*place, *figures), strict=True))
            for place, figures in sorted(sums.items())
        ],
    )
    connection.execute(update(versions).where(mine).values(number=rows[-1].number))
    return len(rows) == BATCH_RECORDS


def usage_of_keys(connection: Connection, key_ids: list[str], today: date) -> dict[str, KeyUsage]:
    """Those that were used, by id."""
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    found: dict[str, KeyUsage] = {}
    rows = connection.execute(
        select(usage_days.c.key_id, usage_days.c.day, func.sum(usage_days.c.charged).label("charged"))
        .where(usage_days.c.key_id.in_(key_ids), usage_days.c.day >= min(monday, first).isoformat())
        .group_by(usage_days.c.key_id, usage_days.c.day)
    )
    for row in rows:
        was, charged = found.get(row.key_id, KeyUsage()), int(row.charged)
        found[row.key_id] = KeyUsage(
            was.day + (charged if row.day == today.isoformat() else 0),
            was.week + (charged if row.day >= monday.isoformat() else 0),
            was.month + (charged if row.day >= first.isoformat() else 0),
        )
    last = connection.execute(
        select(usage_days.c.key_id, func.max(usage_days.c.day).label("day"))
        .where(usage_days.c.key_id.in_(key_ids))
        .group_by(usage_days.c.key_id)
    )
    for key_id, day in last:
        found[key_id] = found.get(key_id, KeyUsage())._replace(last_day=day)
    return found


def days_of(
    connection: Connection,
    since: str,
    until: str,
    account_id: str | None = None,
    key_id: str | None = None,
    group: tuple[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Usage by day, model and deployment, newest day first; both days included. `group`: only of keys whose
    column of this name has this value."""
    figures = [func.sum(usage_days.c[name]).label(name) for name in _FIGURES]
    place = (usage_days.c.day, usage_days.c.model, usage_days.c.deployment)
    statement = select(*place, *figures).where(usage_days.c.day >= since, usage_days.c.day <= until)
    if account_id is not None:
        statement = statement.where(usage_days.c.account_id == account_id)
    if key_id is not None:
        statement = statement.where(usage_days.c.key_id == key_id)
    if group is not None:
        statement = statement.where(
            usage_days.c.key_id.in_(select(api_keys.c.id).where(api_keys.c[group[0]] == group[1]))
        )
    rows = connection.execute(statement.group_by(*place).order_by(usage_days.c.day.desc(), *place[1:])).mappings()
    return [{**row, **{name: int(row[name]) for name in _FIGURES}} for row in rows]
