"""What an account's calls came to over time, and the calls themselves: figures from roll-ups, lists from `calls`."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, select, true

from fairlead.accounts import keys
from fairlead.accounts.groups import TABLES, GroupKind
from fairlead.errors import InvalidRequest, NotFound
from fairlead.ledger.books import bodies_of
from fairlead.ledger.export import row_of
from fairlead.ledger.latencies import Histogram, quantiles
from fairlead.ledger.record import decode
from fairlead.ledger.rollups import (
    ALL,
    DAY,
    DAY_SECONDS,
    HOUR,
    HOUR_SECONDS,
    Rollup,
    Sums,
    call_sums,
    latencies_by_step,
    named_scope,
    seconds_of,
    stepped,
)
from fairlead.store import Store
from fairlead.store.tables import calls, configuration_versions, health_events, projects

# The windows that pages offer, by their length in seconds; "12mo" is of whole months.
WINDOWS: Final = {"24h": DAY_SECONDS, "7d": 7 * DAY_SECONDS, "30d": 30 * DAY_SECONDS, "90d": 90 * DAY_SECONDS}
YEAR: Final = "12mo"
MONTHS: Final = 12
LONGEST_DAYS: Final = 1_096
# Calls that fit two filters at once have no roll-up: so many of the newest are added up one by one.
MOST_SUMMED: Final = 20_000
LONGEST_FILTER: Final = 256
MOST_HAPPENINGS: Final = 100
_HOURS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\.\d{4}-\d\d-\d\dT\d\d")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of an account; None: all. `member_id`: also what somebody is confined to who sees their own only."""

    account_id: str
    model: str | None = None
    key_id: str | None = None
    project_id: str | None = None
    member_id: str | None = None
    session: str | None = None
    user: str | None = None

    def scopes(self) -> list[str]:
        """Those that a call must be in, without the account's."""
        found = [
            f"{kind}/{name}"
            for kind, name in (("key", self.key_id), ("project", self.project_id), ("member", self.member_id))
            if name is not None
        ]
        named = (("session", self.session), ("user", self.user))
        return found + [named_scope(kind, self.account_id, name) for kind, name in named if name is not None]

    def condition(self, window: Window) -> ColumnElement[bool]:
        wanted = (
            (calls.c.account_id == self.account_id)
            & (calls.c.at >= window.since * 1000)
            & (calls.c.at < window.until * 1000)
        )
        for column, value in (
            (calls.c.model, self.model), (calls.c.key_id, self.key_id), (calls.c.project_id, self.project_id),
            (calls.c.member_id, self.member_id), (calls.c.session, self.session), (calls.c.caller_user, self.user),
        ):  # fmt: skip
            if value is not None:
                wanted &= column == value
        return wanted


@dataclass(frozen=True, slots=True)
class Window:
    """A time, in seconds since 1970, and its steps: where each begins. `until` is not included."""

    name: str
    since: int
    until: int
    steps: tuple[int, ...]

    @property
    def span(self) -> str:
        """Of the roll-ups that its steps are made of."""
        second = self.steps[1] if len(self.steps) > 1 else self.until
        return DAY if (second - self.steps[0]) % DAY_SECONDS == 0 else HOUR


def window_of(name: str, now: float | None = None) -> Window:
    """A window that ends now: "24h" in hours, "7d" in steps of six hours, "30d" and "90d" in days, "12mo" in months; or
    days such as "2027-01-01..2027-01-31", both included; or hours such as "2027-01-01T08..2027-01-01T12", both
    included, of a week at most. Raises InvalidRequest."""
    now = time.time() if now is None else now
    today = datetime.fromtimestamp(now, UTC).date()
    if name == YEAR:
        return _months(name, _month_before(today.replace(day=1), MONTHS - 1), today)
    if name in WINDOWS:
        step = {"24h": HOUR_SECONDS, "7d": 6 * HOUR_SECONDS}.get(name, DAY_SECONDS)
        until = int(now) // step * step + step
        since = until - WINDOWS[name]
        return Window(name, since, until, tuple(range(since, until, step)))
    first, dots, last = name.partition("..")
    if _HOURS.fullmatch(name):
        return _hours(name, first, last)
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        begin = end = today
        dots = ""
    days = (end - begin).days + 1
    if not dots or not 1 <= days <= LONGEST_DAYS or not 2000 <= begin.year <= 2199:
        raise InvalidRequest(
            f"The time must be one of {', '.join([*WINDOWS, YEAR])} or two days such as 2027-01-01..2027-01-31, at "
            "most three years apart.",
            param="time",
        )
    if days > WINDOWS["90d"] // DAY_SECONDS:
        return _months(name, begin, end)
    step = HOUR_SECONDS if days <= 2 else DAY_SECONDS
    since, until = seconds_of(begin), seconds_of(end + timedelta(days=1))
    return Window(name, since, until, tuple(range(since, until, step)))


def _hours(name: str, first: str, last: str) -> Window:
    try:
        since, end = (int(datetime.fromisoformat(f"{one}:00+00:00").timestamp()) for one in (first, last))
    except ValueError:
        since, end = 0, -HOUR_SECONDS
    until = end + HOUR_SECONDS
    if not 0 < until - since <= 7 * DAY_SECONDS:
        raise InvalidRequest(
            "A time in hours must be such as 2027-01-01T08..2027-01-01T12, at most a week.", param="time"
        )
    return Window(name, since, until, tuple(range(since, until, HOUR_SECONDS)))


def window_before(window: Window) -> Window:
    """The period of the same length that ends where this one begins, in as many steps where steps are as long as one
    another: of "12mo" it is the twelve months before."""
    if window.name == YEAR:
        first = datetime.fromtimestamp(window.since, UTC).date()
        return _months(YEAR, _month_before(first, MONTHS), first - timedelta(days=1))
    length = window.until - window.since
    steps = tuple(max(0, step - length) for step in window.steps)
    return Window(f"before {window.name}", max(0, window.since - length), window.since, steps)


class Happening(NamedTuple):
    """What a chart marks. `at`: seconds since 1970; `kind`: "down" for a deployment (or a provider) that was taken out
    of use, "configuration" for a version that was applied; `subject`: which."""

    at: int
    kind: Literal["down", "configuration"]
    subject: str


_SINCE, _UNTIL = bindparam("since", type_=BigInteger), bindparam("until", type_=BigInteger)
_EVENTS, _VERSIONS = health_events.c, configuration_versions.c
_TAKEN = (
    select(_EVENTS.at, _EVENTS.deployment, _EVENTS.provider)
    .where(
        _EVENTS.at >= _SINCE, _EVENTS.at < _UNTIL, _EVENTS.event == "open",
        _EVENTS.deployment.in_(bindparam("deployments", expanding=True)),
    )
    .order_by(_EVENTS.at.desc())
    .limit(MOST_HAPPENINGS)
)  # fmt: skip
_APPLIED = (
    select(_VERSIONS.at, _VERSIONS.number)
    .where(_VERSIONS.at >= _SINCE, _VERSIONS.at < _UNTIL)
    .order_by(_VERSIONS.at.desc())
    .limit(MOST_HAPPENINGS)
)


def happenings(store: Store, window: Window, deployments: Collection[str], *, configuration: bool) -> list[Happening]:
    """What may explain a chart, the oldest first, at most MOST_HAPPENINGS of each kind. `deployments`: of these and of
    their providers only; `configuration`: versions that were applied too."""
    time = {"since": window.since * 1000, "until": window.until * 1000}
    found: list[Happening] = []
    with store.read() as connection:
        if deployments:
            rows = connection.execute(_TAKEN, {**time, "deployments": sorted(deployments)})
            found += [Happening(row.at // 1000, "down", row.deployment or row.provider) for row in rows]
        if configuration:
            rows = connection.execute(_APPLIED, time)
            found += [Happening(row.at // 1000, "configuration", str(row.number)) for row in rows]
    return sorted(found)


def _months(name: str, first: date, last: date) -> Window:
    steps = [seconds_of(first)]
    month = first.replace(day=1)
    while (month := (month + timedelta(days=32)).replace(day=1)) <= last:
        steps.append(seconds_of(month))
    return Window(name, steps[0], seconds_of(last + timedelta(days=1)), tuple(steps))


def _month_before(month: date, count: int) -> date:
    for _ in range(count):
        month = (month - timedelta(days=1)).replace(day=1)
    return month


@dataclass(slots=True)
class Step:
    """One step of a window; `models`: what each was used for, without latencies."""

    start: int
    total: Sums = field(default_factory=Sums)
    models: dict[str, Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Activity:
    """`models`: by what they were charged, the most first. `partial`: two filters at once had more calls than are added
    up; the figures are of the newest MOST_SUMMED."""

    window: Window
    total: Sums
    steps: Sequence[Step]
    models: Sequence[tuple[str, Sums]]
    partial: bool = False


class CallLine(NamedTuple):
    """A call of a list. `at`: milliseconds since 1970; `charged` in picodollars; `milliseconds` to its end."""

    number: int
    id: str
    at: int
    key_id: str
    model: str
    deployment: str
    outcome: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    charged: int
    milliseconds: int
    session: str | None
    user: str | None


_LINE: Final = [
    calls.c[name]
    for name in (
        "number", "id", "at", "key_id", "model", "deployment", "outcome", "prompt_tokens", "cached_tokens",
        "completion_tokens", "charged", "milliseconds", "session", "caller_user",
    )
]  # fmt: skip


def activity(store: Store, wanted: CallFilter, window: Window, *, with_latencies: bool = True) -> Activity:
    """What the calls of a filter came to in a window. Raises NotFound for a key or a group of another account."""
    by_step: dict[int, Histogram] = {}
    with store.read() as connection:
        check_filter(connection, wanted)
        scopes = wanted.scopes()
        if len(scopes) > 1:
            found, partial = _from_calls(connection, wanted, window)
        else:
            scope = scopes[0] if scopes else f"account/{wanted.account_id}"
            of = (scope, window.span, window.steps, window.until, wanted.model)
            found, partial = stepped(connection, *of), False
            if with_latencies:
                by_step = latencies_by_step(connection, *of)
    return _summed(window, found, by_step, partial=partial)


def server_activity(store: Store, window: Window) -> Activity:
    """What all calls of the server came to in a window."""
    of = (ALL, window.span, window.steps, window.until)
    with store.read() as connection:
        return _summed(window, stepped(connection, *of), latencies_by_step(connection, *of), partial=False)


def _summed(window: Window, found: Iterable[Rollup], by_step: Mapping[int, Histogram], *, partial: bool) -> Activity:
    steps = [Step(start) for start in window.steps]
    total, models = Sums(), dict[str, Sums]()
    at = 0
    for one in found:  # in the order of time
        while at + 1 < len(steps) and steps[at + 1].start <= one.start:
            at += 1
        step = steps[at]
        step.total.add(one.sums)
        for of_models in (step.models, models):
            sums = of_models.get(one.model)
            if sums is None:
                sums = of_models[one.model] = Sums()
            sums.add(one.sums, counts=True)
    for step in steps:
        if step.start in by_step:
            step.total.latencies = by_step[step.start]
        if step.total.requests:
            total.add(step.total)
    ordered = sorted(models.items(), key=lambda pair: (-pair[1].charged, -pair[1].requests, pair[0]))
    return Activity(window, total, steps, ordered, partial)


def _from_calls(connection: Connection, wanted: CallFilter, window: Window) -> tuple[list[Rollup], bool]:
    statement = select(calls).where(wanted.condition(window)).order_by(calls.c.at.desc()).limit(MOST_SUMMED + 1)
    rows = connection.execute(statement).all()
    found = [Rollup(row.at // 1000, row.model, call_sums(row)) for row in reversed(rows[:MOST_SUMMED])]
    return found, len(rows) > MOST_SUMMED


def check_filter(connection: Connection, wanted: CallFilter) -> None:
    """Raises NotFound for a key, a project or a member of another account: that it exists is not told."""
    if wanted.key_id is not None:
        key = keys.key_info(connection, wanted.key_id)
        confined = wanted.member_id is not None and key is not None and key.member_id != wanted.member_id
        if key is None or key.account_id != wanted.account_id or confined:
            raise NotFound("There is no such key.", param="key")
    kinds: tuple[tuple[GroupKind, str | None], ...] = (("project", wanted.project_id), ("member", wanted.member_id))
    for kind, group_id in kinds:
        if group_id is None:
            continue
        table = TABLES[kind].c
        known = select(table.id).where(table.id == group_id, table.account_id == wanted.account_id)
        if connection.execute(known).first() is None:
            raise NotFound(f"There is no such {kind}.", param=kind)


def list_calls(
    store: Store, wanted: CallFilter, window: Window, limit: int, before: tuple[int, int] | None = None
) -> list[CallLine]:
    """The newest calls first; `before`: those behind this time (milliseconds) and number."""
    behind: ColumnElement[bool] = true()
    if before is not None:
        at, number = before
        behind = (calls.c.at < at) | ((calls.c.at == at) & (calls.c.number < number))
        window = replace(window, until=min(window.until, at // 1000 + 1))  # see export_page
    statement = select(*_LINE).where(wanted.condition(window), behind)
    statement = statement.order_by(calls.c.at.desc(), calls.c.number.desc()).limit(limit)
    with store.read() as connection:
        check_filter(connection, wanted)
        return [CallLine(*row) for row in connection.execute(statement)]


def newest_call(store: Store, wanted: CallFilter, window: Window) -> int:
    """The number of the newest call that fits; 0 where there is none. Pages ask for it again and again."""
    found = list_calls(store, wanted, window, 1)
    return found[0].number if found else 0


def export_page(
    store: Store, wanted: CallFilter, window: Window, limit: int, after: tuple[int, int] = (-1, 0)
) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """So many usage records of the calls of a filter, oldest first, as exports have them, and the place of the last:
    `after` it the next page begins. Each page is read for itself, so an export holds no transaction open."""
    at, number = after
    # Into the window: with two bounds on one side, SQLite takes the index of the account for each filter.
    rest = replace(window, since=max(window.since, at // 1000))
    behind = (calls.c.at > at) | ((calls.c.at == at) & (calls.c.number > number))
    statement = (
        select(calls.c.id, calls.c.at, calls.c.number)
        .where(wanted.condition(rest), behind)
        .order_by(calls.c.at, calls.c.number)
        .limit(limit)
    )
    with store.read() as connection:
        check_filter(connection, wanted)
        found = connection.execute(statement).all()
        bodies = bodies_of(connection, [row.id for row in found])
    rows = [row_of(decode(bodies[row.id])) for row in found]
    return rows, (found[-1].at, found[-1].number) if found else after


def latency_of(sums: Sums) -> tuple[float, float] | None:
    """p50 and p95 of latency in milliseconds; None without an answer."""
    if not sums.latencies:
        return None
    p50, far = quantiles(sums.latencies, (0.5, 0.95))
    return p50, far


def names_of_keys(store: Store, key_ids: Iterable[str]) -> dict[str, str]:
    """The names of keys, by id."""
    with store.read() as connection:
        return keys.names_of(connection, sorted(set(key_ids)))


def names_of_projects(store: Store, account_id: str) -> dict[str, str]:
    """The names of an account's projects, by id, oldest first; without the archived ones."""
    table = projects.c
    mine = select(table.id, table.name).where(table.account_id == account_id, table.archived_at.is_(None))
    with store.read() as connection:
        return {row.id: row.name for row in connection.execute(mine.order_by(table.created_at, table.id))}
