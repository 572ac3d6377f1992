"""Rows of all tables as lines of JSON and back, the same for SQLite and PostgreSQL: for backups.

A line is the list of a row's values in the order of `TableShape.columns`; bytes are a list of one string in base64, so
that nobody needs a type to read them. What is dumped is what the database has, not what `tables.py` declares: a backup
may be of an older version.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Boolean, Connection, Float, Integer, LargeBinary, String, inspect
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import TypeEngine

from fairlead.errors import ConfigurationError

READ_ROWS: Final = 1_000
# Not dumped: Alembic's number is that of the backup, and `processes` are those that run now. What lets somebody in for
# a while must not be good again after a restore: sessions that were ended since, links and codes that were used. What
# was asked and answered is deleted after some days, or at once: a backup would keep it.
LEFT_OUT: Final = frozenset({
    "alembic_version", "processes", "person_sessions", "person_links", "form_attempts", "authorization_codes",
    "call_content", "content_counts", "content_erasures",
})  # fmt: skip
# What PostgreSQL calls a type of column; each has one JSON type.
_KINDS: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (Boolean, "bool"), (Integer, "int8"), (Float, "float8"), (LargeBinary, "bytea"), (String, "text"),
)  # fmt: skip
_encoder = msgspec.json.Encoder()


class TableShape(NamedTuple):
    """A table as the database has it. `kinds`: of each column, as PostgreSQL calls it; `key`: of its primary key."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    key: tuple[str, ...]


class Range(NamedTuple):
    """Rows of a table that is only added to: those whose `column` is more than `after`; `after` None: all."""

    column: str
    after: int | None = None


def shapes_of(connection: Connection) -> list[TableShape]:
    """All tables that are dumped, those that others refer to first. Raises ConfigurationError for a type of column that
    cannot be dumped."""
    found = inspect(connection)
    names = [name for name, _ in found.get_sorted_table_and_fkc_names() if name is not None]
    return [
        TableShape(
            name,
            tuple(column["name"] for column in found.get_columns(name)),
            tuple(_kind(name, column["name"], column["type"]) for column in found.get_columns(name)),
            tuple(found.get_pk_constraint(name)["constrained_columns"]),
        )
        for name in names
        if name not in LEFT_OUT
    ]


def _kind(table: str, column: str, given: TypeEngine[Any]) -> str:
    for type_, kind in _KINDS:
        if isinstance(given, type_):
            return kind
    raise ConfigurationError(f"The column {table}.{column} has the type {given!r}, which cannot be backed up.")


def dump(connection: Connection, table: TableShape, rows: Range | None = None) -> Iterator[bytes]:
    """The lines of a table in the order of its primary key, as this transaction sees it."""
    where = "" if rows is None or rows.after is None else f' WHERE "{rows.column}" > {rows.after}'
    order = ", ".join(map(_quoted, table.key))
    statement = f"SELECT {_columns(table)} FROM {_quoted(table.name)}{where} ORDER BY {order}"  # noqa: S608
    return map(_line, _select(connection, table, statement))


def row_at(connection: Connection, table: TableShape, column: str, number: int) -> bytes:
    """The last row of a number as its line; "": there is none."""
    order = ", ".join(f"{_quoted(name)} DESC" for name in table.key)
    where = f"WHERE {_quoted(column)} = {number} ORDER BY {order} LIMIT 1"
    statement = f"SELECT {_columns(table)} FROM {_quoted(table.name)} {where}"  # noqa: S608
    return next(map(_line, _select(connection, table, statement)), b"")


def count_and_last(connection: Connection, table: TableShape, column: str, until: int | None = None) -> tuple[int, int]:
    """How many rows a table has up to a number, and the largest number that it has; 0 for an empty one."""
    where = "" if until is None else f" WHERE {_quoted(column)} <= {until}"
    count, last = connection.exec_driver_sql(
        f"SELECT count(*), coalesce(max({_quoted(column)}), 0) FROM {_quoted(table.name)}{where}"  # noqa: S608
    ).one()
    return int(count), int(last)


def load(connection: Connection, table: str, columns: Sequence[str], lines: Iterable[bytes]) -> int:
    """Adds rows to a table; gives how many."""
    counted = _Counted(lines)
    rows = iter(counted)
    first = next(rows, None)
    if first is None:
        return 0
    driver: Any = connection.connection.driver_connection
    names = ", ".join(map(_quoted, columns))
    every = chain((first,), rows)
    with _driver_errors(connection):
        if connection.dialect.name == "sqlite":
            places = ", ".join("?" * len(columns))
            driver.executemany(f"INSERT INTO {_quoted(table)} ({names}) VALUES ({places})", every)  # noqa: S608
        else:
            with driver.cursor() as cursor, cursor.copy(f"COPY {_quoted(table)} ({names}) FROM STDIN") as copy:
                for row in every:
                    copy.write_row(row)
    return counted.count


def empty(connection: Connection, table: str) -> None:
    """Removes what a migration has put into a table."""
    name = _quoted(table)
    if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first() is not None:  # noqa: S608
        connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608


def continue_numbers(connection: Connection) -> None:
    """After `load`, so that PostgreSQL counts on behind the rows that were added; SQLite does by itself."""
    if connection.dialect.name == "sqlite":
        return
    for table in shapes_of(connection):
        for column in table.key:
            sequence = connection.exec_driver_sql(
                "SELECT pg_get_serial_sequence(%s, %s)", (_quoted(table.name), column)
            ).scalar()
            if sequence is not None:
                _, last = count_and_last(connection, table, column)
                connection.exec_driver_sql("SELECT setval(%s::regclass, %s, false)", (sequence, last + 1))


def _select(connection: Connection, table: TableShape, statement: str) -> Iterator[Sequence[Any]]:
    driver: Any = connection.connection.driver_connection
    with _driver_errors(connection):
        if connection.dialect.name == "sqlite":
            # SQLite has no booleans.
            flags = [at for at, kind in enumerate(table.kinds) if kind == "bool"]
            cursor = driver.execute(statement)
            while rows := cursor.fetchmany(READ_ROWS):
                yield from (_with_booleans(row, flags) for row in rows) if flags else rows
            return
        with driver.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT") as copy:
            copy.set_types(list(table.kinds))
            yield from copy.rows()


@contextlib.contextmanager
def _driver_errors(connection: Connection) -> Iterator[None]:
    """The driver's own errors as those of SQLAlchemy, which everybody else catches."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise DatabaseError(None, None, error) from error


def _with_booleans(row: Sequence[Any], flags: Sequence[int]) -> list[Any]:
    found = list(row)
    for at in flags:
        if found[at] is not None:
            found[at] = bool(found[at])
    return found


def _line(row: Sequence[Any]) -> bytes:
    return _encoder.encode([[_text(one)] if isinstance(one, bytes) else one for one in row]) + b"\n"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


class _Counted:
    """Rows of lines, counted as they are read. Raises ConfigurationError."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.count = 0

    def __iter__(self) -> Iterator[list[Any]]:
        decode = msgspec.json.Decoder(list[Any]).decode
        for line in self._lines:
            try:
                row = decode(line)
                yield [base64.b64decode(one[0], validate=True) if isinstance(one, list) else one for one in row]
            except (ValueError, TypeError, LookupError) as error:
                raise ConfigurationError(f"A row of the backup cannot be read: {error}.") from None
            self.count += 1


def _columns(table: TableShape) -> str:
    return ", ".join(map(_quoted, table.columns))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
