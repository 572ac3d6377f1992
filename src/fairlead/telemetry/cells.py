"""Cells in the database: written by minute, added up to hours and days, read, forgotten. All SQL of telemetry is here.

A minute has one row per series and writer, which its writer replaces by the newer, larger one: writing again changes
nothing. A mark says that a part of an hour (or day) was written since it was added up; until that is done again, it is
read from its parts. So every count is seen once, whatever comes late or twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, TextClause, delete, select, text

from fairlead.store.tables import (
    telemetry_days,
    telemetry_hours,
    telemetry_marks,
    telemetry_minutes,
    telemetry_series,
)
from fairlead.telemetry.layout import Counts, add, seal

MINUTE = 60
HOUR = 3600
DAY = 86_400
TRAFFIC = "traffic"
PROBE = "probe"
# Calls that are mirrored, and their originals, by model and target; and what they cost, which is counted as output
# tokens: so many picodollars each.
SHADOW = "shadow"
SHADOW_ORIGINAL = "shadow_original"
SHADOW_COST = "shadow_cost"
SHADOW_ORIGINAL_COST = "shadow_original_cost"
SHADOWS = (SHADOW, SHADOW_ORIGINAL, SHADOW_COST, SHADOW_ORIGINAL_COST)
COST_UNIT = 1_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counts).decode


class SeriesName(NamedTuple):
    """`deployment` "": the calls of a model, as callers saw them."""

    kind: str
    model: str
    deployment: str


class Cell(NamedTuple):
    """What one writer has counted of a series in a minute; `start` in seconds since 1970."""

    series: SeriesName
    start: int
    body: bytes


# Cells by series id and start.
Read = dict[tuple[int, int], Counts]


def pack(counts: Counts) -> bytes:
    return _encode(counts)


def write(connection: Connection, writer: str, cells: Sequence[Cell], ids: dict[SeriesName, int]) -> None:
    """Stores what a writer has counted so far. `ids` is what is known of series ids, and learns more."""
    for name in sorted({cell.series for cell in cells if cell.series not in ids}):
        ids[name] = _series_id(connection, name)
    # First, and in order: a process that adds up waits for this transaction, and no two wait for each other.
    _mark(connection, "hour", {cell.start // HOUR * HOUR for cell in cells})
    rows = [{"series_id": ids[cell.series], "start": cell.start, "writer": writer, "body": cell.body} for cell in cells]
    _replace(connection, telemetry_minutes, rows)


def write_hours(
    connection: Connection, hours: Mapping[tuple[SeriesName, int], Counts], ids: dict[SeriesName, int]
) -> None:
    """Stores whole hours of which there are no minutes, by series and start. Their minutes must have been sealed.
    `ids`: as that of `write`."""
    for name in sorted({name for name, _ in hours if name not in ids}):
        ids[name] = _series_id(connection, name)
    _mark(connection, "day", {start // DAY * DAY for _, start in hours})
    rows = [{"series_id": ids[name], "start": at, "body": _encode(counts)} for (name, at), counts in hours.items()]
    _replace(connection, telemetry_hours, rows)


def add_up(connection: Connection, span: str, start: int) -> bool:
    """Adds up an hour or a day of which a part was written; False when there is nothing to do (any more)."""
    marks = telemetry_marks
    gone = connection.execute(delete(marks).where(marks.c.span == span, marks.c.start == start))
    if not gone.rowcount:
        return False
    if span == "hour":
        _mark(connection, "day", {start // DAY * DAY})
        found = _hours_of_minutes(connection, {start}, None)
        table = telemetry_hours
    else:
        parts = _rows(connection, telemetry_hours, start, start + DAY, None)
        found = _grouped(parts, DAY)
        table = telemetry_days
    rows = [{"series_id": series, "start": at, "body": _encode(counts)} for (series, at), counts in found.items()]
    if rows:
        _replace(connection, table, rows)
    return True


def marked(connection: Connection) -> dict[str, set[int]]:
    """The hours and days that have to be added up (again), by "hour" and "day"."""
    found: dict[str, set[int]] = {"hour": set(), "day": set()}
    for row in connection.execute(select(telemetry_marks.c.span, telemetry_marks.c.start)):
        found[row.span].add(row.start)
    return found


def forget(connection: Connection, minutes_before: int, before: int) -> int:
    """Removes minutes that began before the first time, hours and days that began before the second."""
    gone = 0
    for table, time in ((telemetry_minutes, minutes_before), (telemetry_hours, before), (telemetry_days, before)):
        gone += connection.execute(delete(table).where(table.c.start < time)).rowcount
    return gone


def series_of(connection: Connection, model: str | None = None) -> dict[int, SeriesName]:
    """The series of a model, or all there are, by their ids."""
    table = telemetry_series
    statement = select(table.c.id, table.c.kind, table.c.model, table.c.deployment)
    if model is not None:
        statement = statement.where(table.c.model == model)
    rows = connection.execute(statement)
    return {row.id: SeriesName(row.kind, row.model, row.deployment) for row in rows}


def read_minutes(connection: Connection, series: Iterable[int], start: int, end: int) -> Read:
    return _sealed_minutes(connection, start, end, list(series))


def read_hours(connection: Connection, series: Iterable[int], start: int, end: int) -> Read:
    """Hour by hour from `start` (a full hour); an hour that has not been added up from its minutes."""
    ids = list(series)
    # Before anything else is read: what is marked later was whole when this was read.
    marks = {hour for hour in marked(connection)["hour"] if start <= hour < end}
    return _hours(connection, marks, start, end, ids)


def read_days(connection: Connection, series: Iterable[int], start: int, end: int) -> Read:
    """Day by day (UTC) from `start` (a full day); a day that has not been added up from its hours."""
    ids = list(series)
    marks = marked(connection)
    open_days = marks["day"] | {hour // DAY * DAY for hour in marks["hour"]}
    found = _rows(connection, telemetry_days, start, end, ids)
    found = {key: counts for key, counts in found.items() if key[1] not in open_days}
    for day in open_days:
        if start <= day < end:
            hours = {hour for hour in marks["hour"] if day <= hour < day + DAY}
            found.update(_grouped(_hours(connection, hours, day, day + DAY, ids), DAY))
    return found


def _hours(connection: Connection, marks: set[int], start: int, end: int, ids: list[int] | None) -> Read:
    found = _rows(connection, telemetry_hours, start, end, ids)
    found = {key: counts for key, counts in found.items() if key[1] not in marks}
    found.update(_hours_of_minutes(connection, marks, ids))
    return found


def _hours_of_minutes(connection: Connection, hours: set[int], ids: list[int] | None) -> Read:
    found: Read = {}
    for hour in hours:
        found.update(_grouped(_sealed_minutes(connection, hour, hour + HOUR, ids), HOUR))
    return found


def _sealed_minutes(connection: Connection, start: int, end: int, ids: list[int] | None) -> Read:
    """Minutes with all their writers added up."""
    table = telemetry_minutes
    statement = (
        select(table.c.series_id, table.c.start, table.c.body, telemetry_series.c.deployment)
        .join(telemetry_series, telemetry_series.c.id == table.c.series_id)
        .where(table.c.start >= start, table.c.start < end)
    )
    if ids is not None:
        statement = statement.where(table.c.series_id.in_(ids))
    found: Read = {}
    deployments: set[int] = set()
    for series, at, body, deployment in connection.execute(statement):
        add(found.setdefault((series, at), {}), _decode(body))
        if deployment:
            deployments.add(series)
    for (series, _), counts in found.items():
        seal(counts, deployment=series in deployments)
    return found


def _rows(connection: Connection, table: Table, start: int, end: int, ids: list[int] | None) -> Read:
    statement = select(table.c.series_id, table.c.start, table.c.body).where(
        table.c.start >= start, table.c.start < end
    )
    if ids is not None:
        statement = statement.where(table.c.series_id.in_(ids))
    return {(series, at): _decode(body) for series, at, body in connection.execute(statement)}


def _grouped(cells: Read, seconds: int) -> Read:
    found: Read = {}
    for (series, at), counts in cells.items():
        add(found.setdefault((series, at // seconds * seconds), {}), counts)
    return found


def _series_id(connection: Connection, name: SeriesName) -> int:
    values = name._asdict()
    connection.execute(_NEW_SERIES, values)
    table = telemetry_series
    return int(
        connection.execute(
            select(table.c.id).where(
                table.c.kind == name.kind, table.c.model == name.model, table.c.deployment == name.deployment
            )
        ).scalar_one()
    )


def _mark(connection: Connection, span: str, starts: set[int]) -> None:
    if starts:
        connection.execute(_MARK, [{"span": span, "start": start} for start in sorted(starts)])


def _replace(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(_replacing(table), rows)


# Both databases spell ON CONFLICT alike. SQLAlchemy spells it by dialect, and the other one's takes 2 MB of memory.

_NEW_SERIES = text(
    "INSERT INTO telemetry_series (kind, model, deployment) VALUES (:kind, :model, :deployment) ON CONFLICT DO NOTHING"
)
# Changed even when it is there: a row that is changed is locked until this transaction ends.
_MARK = text(
    "INSERT INTO telemetry_marks (span, start, changes) VALUES (:span, :start, 1) "
    "ON CONFLICT (span, start) DO UPDATE SET changes = telemetry_marks.changes + 1"
)


def _replacing(table: Table) -> TextClause:
    """Cells of a table, in place of those that are there."""
    names = [column.name for column in table.columns]
    keys = ", ".join(column.name for column in table.primary_key)
    return text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) "  # noqa: S608
        f"ON CONFLICT ({keys}) DO UPDATE SET body = excluded.body"
    )
