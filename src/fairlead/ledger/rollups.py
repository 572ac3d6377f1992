"""Usage by hour and by day, and a line for each call, added up of the records in short steps and never in a call."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    func,
    literal,
    select,
    text,
    update,
)

from fairlead.ledger import latencies
from fairlead.ledger.latencies import Histogram
from fairlead.ledger.record import EMPTY, UsageRecord, decode
from fairlead.money import MOST_PICODOLLARS
from fairlead.store import Store
from fairlead.store.tables import api_keys, calls, usage_records, usage_rollups, versions

NAME: Final = "usage_rollups"
# One transaction has so many records, so that who stores records waits for some tens of milliseconds at most.
BATCH_RECORDS: Final = 500
# How long a request waits for records that are not counted yet.
WAIT_SECONDS: Final = 2.0
# How long, and how often, PostgreSQL is asked whether all who stored a record have committed.
SETTLE_SECONDS: Final = 1.0
SETTLE_POLL_SECONDS: Final = 0.01
CELLS_PER_STATEMENT: Final = 128
# Charges are added up in millionths of a dollar and what is left of them.
CHARGED_PART: Final = 1_000_000
# Shapes of charts whose statements are kept.
SHAPES: Final = 32
HOUR, DAY = "hour", "day"
HOUR_SECONDS: Final = 3_600
DAY_SECONDS: Final = 86_400
_HOUR_MILLISECONDS: Final = HOUR_SECONDS * 1000
ALL: Final = "all"
FIGURES: Final = (
    "requests", "failed", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charged",
)  # fmt: skip
_PLACE: Final = ("scope", "span", "start", "model", "deployment")
# Answers, and callers who left: no failure of anybody's.
NOT_FAILED: Final = frozenset({"served", EMPTY, "caller_gone"})
_SERVED: Final = frozenset({"served", EMPTY})
_COLUMNS: Final = (*_PLACE, *FIGURES, "latencies")
_LINE_COLUMNS: Final = (
    "number", "id", "at", "account_id", "key_id", "project_id", "member_id", "model", "deployment", "outcome",
    "prompt_tokens", "cached_tokens", "completion_tokens", "charged", "milliseconds", "session", "caller_user",
)  # fmt: skip

Place = tuple[str, str, int, str, str]
_NOWHERE: Final[Place] = ("", "", 0, "", "")


@dataclass(slots=True)
class Sums:
    """What calls come to; `charged` in picodollars, `latencies` of those that were answered in full."""

    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    charged: int = 0
    latencies: Histogram = field(default_factory=dict)

    def add(self, other: Sums, *, counts: bool = False) -> None:
        """`counts`: without the latencies."""
        self.requests += other.requests
        self.failed += other.failed
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.completion_tokens += other.completion_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.charged += other.charged
        if other.latencies and not counts:
            latencies.add(self.latencies, other.latencies)

    def add_call(self, record: UsageRecord) -> None:
        self.requests += 1
        self.failed += record.outcome not in NOT_FAILED
        self.prompt_tokens += record.prompt
        self.cached_tokens += record.tokens.cached_input
        self.completion_tokens += record.completion
        self.reasoning_tokens += record.tokens.reasoning
        self.charged += record.price
        if record.outcome in _SERVED:
            bucket = latencies.bucket_of(record.done - record.at)
            self.latencies[bucket] = self.latencies.get(bucket, 0) + 1


class Owners(NamedTuple):
    """The project and the member of a key when its calls are counted."""

    project: str | None = None
    member: str | None = None


class Rollup(NamedTuple):
    """`start` in seconds since 1970."""

    start: int
    model: str
    sums: Sums


class KeyUsage(NamedTuple):
    """What a key was charged today, since Monday and since the first of the month (UTC), in picodollars. `last_day`: on
    which it was used, as "2027-01-31"."""

    day: int = 0
    week: int = 0
    month: int = 0
    last_day: str | None = None


def named_scope(kind: str, account_id: str, name: str) -> str:
    """Of an end user ("user") or a session ("session") of an account, by the digest of its name."""
    return f"{kind}/{account_id}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def scopes_of(record: UsageRecord, owners: Owners) -> list[str]:
    scopes = [ALL, f"account/{record.account}", f"key/{record.key}"]
    if owners.project is not None:
        scopes.append(f"project/{owners.project}")
    if owners.member is not None:
        scopes.append(f"member/{owners.member}")
    if record.user:
        scopes.append(named_scope("user", record.account, record.user))
    if record.session:
        scopes.append(named_scope("session", record.account, record.session))
    return scopes


# --- counting


def add_up(store: Store, wait_seconds: float = WAIT_SECONDS) -> bool:
    """Counts the records that are stored; whether that are all of them. Else the rest is counted in the background."""
    until = time.monotonic() + wait_seconds
    while count_batch(store):
        if time.monotonic() > until:
            return False
    return True


def count_batch(store: Store) -> bool:
    """Counts the next records, in one transaction; whether there may be more. Processes that do so at the same time
    count each record once: the marker moves only from where it was read."""
    with store.read() as connection:
        done = connection.execute(select(versions.c.number).where(versions.c.name == NAME)).scalar_one()
        last = _last_settled(connection, done) if store.is_shared else None
        rows = _next_rows(connection, done, last)
        if not rows:
            return False
        owners = _owners(connection, {row.key_id for row in rows})
    records = [(row.number, _record(row)) for row in rows]
    cells = _cells((record for _, record in records), owners)
    lines = [_line(number, record, owners.get(record.key, Owners())) for number, record in records]
    with store.write() as connection:
        moved = connection.execute(
            update(versions).where(versions.c.name == NAME, versions.c.number == done).values(number=rows[-1].number)
        )
        if moved.rowcount:
            _merge(connection, cells)
            connection.exec_driver_sql(_line_statement(connection.dialect.name), lines)
    return len(rows) == BATCH_RECORDS or not moved.rowcount


def catch_up(store: Store) -> int | None:
    """Before figures are shown: counts what is left when that is one step. None: everything is counted; else the
    time up to which calls are, in milliseconds since 1970, because the background has more than that to do."""
    with store.read() as connection:
        done = connection.execute(select(versions.c.number).where(versions.c.name == NAME)).scalar_one()
        last = connection.execute(select(func.max(usage_records.c.number))).scalar() or 0
    if last - done > BATCH_RECORDS:
        return counted_until(store) or 0
    if last > done:
        count_batch(store)
    return None


def counted_until(store: Store) -> int | None:
    """The start of the last call that was counted, in milliseconds since 1970; None where there is none."""
    with store.read() as connection:
        done = select(versions.c.number).where(versions.c.name == NAME).scalar_subquery()
        return connection.execute(select(calls.c.at).where(calls.c.number == done)).scalar()


def _next_rows(connection: Connection, done: int, last: int | None) -> Sequence[Row[Any]]:
    wanted = usage_records.c.number > done
    if last is not None:
        wanted &= usage_records.c.number <= last
    statement = select(usage_records).where(wanted).order_by(usage_records.c.number).limit(BATCH_RECORDS)
    return connection.execute(statement).all()


def _last_settled(connection: Connection, done: int) -> int:
    """The last number below which no record can still appear.

    PostgreSQL gives numbers before they are committed, so a lower one than the highest that is visible may still come.
    A transaction has its id before it draws a number, because the entry of the books comes first. So all numbers that
    were drawn by now are settled as soon as no transaction is running that had an id by now: one below an id that is
    drawn here. (The snapshot's xmax would not do: it is above the last that has ended, not above those that run.)
    Nothing is locked for it.
    """
    sequence = "pg_get_serial_sequence('usage_records', 'number')"
    drawn = connection.execute(text(f"SELECT coalesce(pg_sequence_last_value({sequence}), 0)")).scalar_one()
    if drawn <= done:
        return done
    begun = connection.execute(text("SELECT pg_current_xact_id()::text::bigint")).scalar_one()
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        running = connection.execute(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")).scalar_one()
        if running >= begun:
            return int(drawn)
        if time.monotonic() > until:  # somebody's long transaction: the next step looks again
            return done
        time.sleep(SETTLE_POLL_SECONDS)


def _record(row: Row[Any]) -> UsageRecord:
    try:
        return decode(row.body)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        # `fairlead verify` names it. What it was charged still counts.
        return UsageRecord(row.id, row.at, row.at, row.account_id, row.key_id, "", "other", False, "none",
                           price=row.price)  # fmt: skip


# For each step of counting: a statement that is made again each time is garbage that only Python's collector frees.
_OWNERS = select(api_keys.c.id, api_keys.c.project_id, api_keys.c.member_id).where(
    api_keys.c.id.in_(bindparam("ids", expanding=True))
)


def _owners(connection: Connection, key_ids: Iterable[str]) -> dict[str, Owners]:
    rows = connection.execute(_OWNERS, {"ids": list(key_ids)})
    return {row.id: Owners(row.project_id, row.member_id) for row in rows}


def _cells(records: Iterable[UsageRecord], owners: Mapping[str, Owners]) -> dict[Place, Sums]:
    """What the records come to, by place. Those alike are added up first: most calls of a moment are of a few keys, and
    each belongs to six places at least."""
    alike: dict[tuple[Any, ...], tuple[UsageRecord, Sums]] = {}
    for record in records:
        what = (record.key, record.model, record.deployment, record.at // _HOUR_MILLISECONDS,
                record.user, record.session)  # fmt: skip
        found = alike.get(what)
        if found is None:
            found = alike[what] = (record, Sums())
        found[1].add_call(record)
    cells: dict[Place, Sums] = {}
    for record, sums in alike.values():
        for place in _places(record, owners.get(record.key, Owners())):
            cells.setdefault(place, Sums()).add(sums)
    return cells


def _places(record: UsageRecord, owners: Owners) -> Iterator[Place]:
    second = record.at // 1000
    hour, day = second - second % HOUR_SECONDS, second - second % DAY_SECONDS
    for scope in scopes_of(record, owners):
        yield scope, HOUR, hour, record.model, ""
        yield scope, DAY, day, record.model, record.deployment


def _line(number: int, record: UsageRecord, owners: Owners) -> tuple[Any, ...]:
    """In the order of _LINE_COLUMNS."""
    return (
        number, record.id, record.at, record.account, record.key, owners.project, owners.member, record.model,
        record.deployment, record.outcome[:64], record.prompt, record.tokens.cached_input, record.completion,
        record.price, max(0, record.done - record.at), record.session or None, record.user or None,
    )  # fmt: skip


# Statements of the driver's own: SQLAlchemy would take twice as long over their values as the database does.
@cache
def _find_statement(dialect: str) -> str:
    place = f"({', '.join([_mark(dialect)] * len(_PLACE))})"
    # CROSS JOIN: SQLite then looks each place up, and reads the table for none of them.
    return (
        f"WITH place ({', '.join(_PLACE)}) AS (VALUES {', '.join([place] * CELLS_PER_STATEMENT)}) "  # noqa: S608
        f"SELECT {', '.join(f'one.{name}' for name in _COLUMNS)} FROM place CROSS JOIN usage_rollups one "
        f"WHERE {' AND '.join(f'one.{name} = place.{name}' for name in _PLACE)}"
    )


@cache
def _store_statement(dialect: str) -> str:
    return (
        f"INSERT INTO usage_rollups ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of ours
        f"VALUES ({', '.join([_mark(dialect)] * len(_COLUMNS))}) ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in (*FIGURES, "latencies"))
    )


@cache
def _line_statement(dialect: str) -> str:
    marks = ", ".join([_mark(dialect)] * len(_LINE_COLUMNS))
    return f"INSERT INTO calls ({', '.join(_LINE_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - names of ours


def _mark(dialect: str) -> str:
    return "?" if dialect == "sqlite" else "%s"


def _merge(connection: Connection, cells: dict[Place, Sums]) -> None:
    places = sorted(cells)
    dialect = connection.dialect.name
    for first in range(0, len(places), CELLS_PER_STATEMENT):
        some = places[first : first + CELLS_PER_STATEMENT]
        # The statement is the same for any number of them.
        some += [_NOWHERE] * (CELLS_PER_STATEMENT - len(some))
        for row in connection.exec_driver_sql(_find_statement(dialect), tuple(chain.from_iterable(some))).all():
            cells[row[0], row[1], row[2], row[3], row[4]].add(_sums_of(row))
    connection.exec_driver_sql(_store_statement(dialect), [(*place, *_stored(cells[place])) for place in places])


def _stored(sums: Sums) -> tuple[Any, ...]:
    return (
        sums.requests, sums.failed, sums.prompt_tokens, sums.cached_tokens, sums.completion_tokens,
        sums.reasoning_tokens, min(MOST_PICODOLLARS, sums.charged), latencies.written(sums.latencies),
    )  # fmt: skip


def _sums_of(row: Any) -> Sums:
    """Of a row of the columns, in their order."""
    return Sums(row[5], row[6], row[7], row[8], row[9], row[10], row[11], latencies.read(row[12]))


# --- reading


def rollups(
    connection: Connection, scope: str, span: str, since: int, until: int, model: str | None = None
) -> list[Rollup]:
    """Those of a scope that begin in this time (seconds since 1970; `until` not included), by time and model."""
    table = usage_rollups.c
    wanted = _wanted(scope, span, since, until, model)
    found: dict[tuple[int, str], Sums] = {}
    statement = select(*(table[name] for name in _COLUMNS)).where(wanted).order_by(table.start, table.model)
    for row in connection.execute(statement).all():
        place = (row[2], row[3])
        if place in found:
            found[place].add(_sums_of(row))
        else:
            found[place] = _sums_of(row)
    return [Rollup(*place, sums) for place, sums in found.items()]


def stepped(
    connection: Connection, scope: str, span: str, steps: Sequence[int], until: int, model: str | None = None
) -> list[Rollup]:
    """The same, of steps that begin at these times, by step and model and without latencies: the database adds them up,
    for a chart of a week has more than a thousand roll-ups."""
    shape, values = _stepping(scope, span, steps, until, model)
    found = []
    for row in connection.execute(_stepped(*shape), values).all():
        requests, failed, prompt, cached, completion, reasoning, parts, rest = map(int, row[2:])
        sums = Sums(requests, failed, prompt, cached, completion, reasoning, parts * CHARGED_PART + rest)
        found.append(Rollup(int(row[0]), row[1], sums))
    return found


def totals(connection: Connection, scopes: Sequence[str], span: str, since: int, until: int) -> dict[str, Sums]:
    """What each of these scopes comes to in a time, by scope, without latencies; only those that have calls."""
    table = usage_rollups.c
    counts = [func.sum(table[name]) for name in FIGURES if name != "charged"]
    charged = [func.sum(table.charged // CHARGED_PART), func.sum(table.charged % CHARGED_PART)]
    wanted = table.scope.in_(scopes) & (table.span == span) & (table.start >= since) & (table.start < until)
    found = {}
    for row in connection.execute(select(table.scope, *counts, *charged).where(wanted).group_by(table.scope)).all():
        requests, failed, prompt, cached, completion, reasoning, parts, rest = map(int, row[1:])
        found[row[0]] = Sums(requests, failed, prompt, cached, completion, reasoning, parts * CHARGED_PART + rest)
    return found


def latencies_by_step(
    connection: Connection, scope: str, span: str, steps: Sequence[int], until: int, model: str | None = None
) -> dict[int, Histogram]:
    """Of the same steps, all models together."""
    shape, values = _stepping(scope, span, steps, until, model)
    bodies: dict[int, list[bytes]] = {}
    for start, body in connection.execute(_stepped_latencies(*shape), values).all():
        bodies.setdefault(start, []).append(body)
    return {start: latencies.merged_again(some) for start, some in bodies.items()}


def _wanted(scope: str, span: str, since: int, until: int, model: str | None) -> ColumnElement[bool]:
    table = usage_rollups.c
    wanted = (table.scope == scope) & (table.span == span) & (table.start >= since) & (table.start < until)
    return wanted if model is None else wanted & (table.model == model)


# The statements of charts are made once for each shape: how many steps of different lengths there are (0: all are as
# long as the first), and whether one model is wanted. To make them takes longer than to execute them.


def _stepping(
    scope: str, span: str, steps: Sequence[int], until: int, model: str | None
) -> tuple[tuple[int, bool], dict[str, Any]]:
    """The shape of a statement, and its values."""
    values = {"scope": scope, "span": span, "since": steps[0], "until": until}
    if model is not None:
        values["model"] = model
    sizes = {after - before for before, after in pairwise(steps)}
    if len(sizes) == 1:
        return (0, model is not None), {**values, "first": steps[0], "size": sizes.pop()}
    return (len(steps), model is not None), {**values, **{f"step_{at}": start for at, start in enumerate(steps)}}


@lru_cache(maxsize=SHAPES)
def _stepped(count: int, narrowed: bool) -> Select[Any]:
    table, step = usage_rollups.c, _step(count).label("step")
    counts = [func.sum(table[name]) for name in FIGURES if name != "charged"]
    # In two parts: SQLite's sums end at 64 bits, which many large charges may exceed.
    charged = [func.sum(table.charged // CHARGED_PART), func.sum(table.charged % CHARGED_PART)]
    statement = select(step, table.model, *counts, *charged).where(_in_steps(narrowed))
    return statement.group_by(step, table.model).order_by(step, table.model)


@lru_cache(maxsize=SHAPES)
def _stepped_latencies(count: int, narrowed: bool) -> Select[Any]:
    return select(_step(count).label("step"), usage_rollups.c.latencies).where(_in_steps(narrowed))


def _in_steps(narrowed: bool) -> ColumnElement[bool]:
    table = usage_rollups.c
    wanted = (
        (table.scope == bindparam("scope")) & (table.span == bindparam("span"))
        & (table.start >= bindparam("since")) & (table.start < bindparam("until"))
    )  # fmt: skip
    return wanted & (table.model == bindparam("model")) if narrowed else wanted


def _step(count: int) -> ColumnElement[int]:
    """When the step begins that a roll-up belongs to."""
    start = usage_rollups.c.start

    def begin(at: int) -> ColumnElement[int]:
        return bindparam(f"step_{at}", type_=BigInteger)

    if count == 0:
        return start - (start - bindparam("first", type_=BigInteger)) % bindparam("size", type_=BigInteger)
    if count == 1:
        return begin(0)
    return case(*((start < begin(at + 1), begin(at)) for at in range(count - 1)), else_=begin(count - 1))


def charged_before(connection: Connection, scope: str, until: int) -> int:
    """Picodollars that the calls of a scope were charged on the days before this time, in seconds since 1970."""
    table = usage_rollups.c
    days = (table.scope == scope) & (table.span == DAY) & (table.start < until)
    return int(connection.execute(select(func.coalesce(func.sum(table.charged), 0)).where(days)).scalar_one())


def call_sums(line: Row[Any]) -> Sums:
    """What one line of `calls` comes to; it has no count of reasoning tokens."""
    bucket = {latencies.bucket_of(line.milliseconds): 1} if line.outcome in _SERVED else {}
    return Sums(
        1, int(line.outcome not in NOT_FAILED), line.prompt_tokens, line.cached_tokens, line.completion_tokens, 0,
        line.charged, bucket,
    )  # fmt: skip


def calls_by_hour(connection: Connection, since: int, until: int) -> list[tuple[int, int, int]]:
    """When an hour begins (seconds since 1970; `until` not included), its calls, and how many of them failed."""
    table = usage_rollups.c
    rows = connection.execute(
        select(table.start, func.sum(table.requests), func.sum(table.failed))
        .where(table.scope == ALL, table.span == HOUR, table.start >= since, table.start < until)
        .group_by(table.start)
    )
    return [(int(start), int(requests), int(failed)) for start, requests, failed in rows]


def usage_of_keys(connection: Connection, key_ids: Sequence[str], today: date) -> dict[str, KeyUsage]:
    """Those that were used, by id."""
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    table = usage_rollups.c
    found: dict[str, KeyUsage] = {}
    mine = table.scope.in_([f"key/{key_id}" for key_id in key_ids]) & (table.span == DAY)

    def since(day: date) -> ColumnElement[int]:
        return func.sum(case((table.start >= seconds_of(day), table.charged), else_=0))

    begin = seconds_of(min(monday, first))
    sums = select(table.scope, since(today), since(monday), since(first)).where(mine, table.start >= begin)
    for scope, *charged in connection.execute(sums.group_by(table.scope)):
        found[scope.removeprefix("key/")] = KeyUsage(int(charged[0]), int(charged[1]), int(charged[2]))
    # One look at the end of the index for each key, however long it has been used.
    own = (table.scope == literal("key/") + api_keys.c.id) & (table.span == DAY)
    newest = select(func.max(table.start)).where(own).scalar_subquery()
    for key_id, start in connection.execute(select(api_keys.c.id, newest).where(api_keys.c.id.in_(key_ids))):
        if start is not None:
            found[key_id] = found.get(key_id, KeyUsage())._replace(last_day=day_of(start))
    return found


def days_of_model(connection: Connection, model: str, now: int, days: int) -> list[tuple[str, str, Sums]]:
    """What all callers used of a model on the last `days` days (UTC), that of `now` (seconds since 1970) among them: by
    day, like 2027-01-31 and the oldest first, and by deployment; without charges and latencies."""
    table = usage_rollups.c
    since = seconds_of(datetime.fromtimestamp(now, UTC).date() - timedelta(days - 1))
    rows = connection.execute(
        select(table.start, table.deployment, *(table[name] for name in FIGURES if name != "charged"))
        .where(_wanted(ALL, DAY, since, now + 1, model))
        .order_by(table.start, table.deployment)
    )
    return [(day_of(row[0]), row[1], _counts_of(row[2:])) for row in rows]


def _counts_of(row: Sequence[Any]) -> Sums:
    requests, failed, prompt, cached, completion, reasoning = map(int, row)
    return Sums(requests, failed, prompt, cached, completion, reasoning)


def days_of(connection: Connection, since: str, until: str, scope: str = ALL) -> list[dict[str, Any]]:
    """Usage of a scope by day, model and deployment, newest day first; both days (as "2027-01-31") included."""
    table = usage_rollups.c
    rows = connection.execute(
        select(table.start, table.model, table.deployment, *(table[name] for name in FIGURES))
        .where(
            table.scope == scope, table.span == DAY,
            table.start >= seconds_of(date.fromisoformat(since)), table.start <= seconds_of(date.fromisoformat(until)),
        )
        .order_by(table.start.desc(), table.model, table.deployment)
    )  # fmt: skip
    days = cache(day_of)
    return [
        {
            "day": days(start),
            "model": model,
            "deployment": deployment,
            **dict(zip(FIGURES, map(int, figures), strict=True)),
        }
        for start, model, deployment, *figures in rows.all()
    ]


def seconds_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def day_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
