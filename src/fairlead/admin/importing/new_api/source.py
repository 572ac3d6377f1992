"""Reads the tables of new-api or one-api: SQLite or PostgreSQL, in one transaction that cannot write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import NullPool

from fairlead.errors import ConfigurationError

Row = Mapping[str, Any]
WAIT_SECONDS = 10
# The columns that are read, those of them that there are. Passwords and access tokens of users are not.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "channels": (
        "id", "type", "key", "openai_organization", "test_model", "status", "name", "weight", "base_url", "other",
        "models", "group", "model_mapping", "status_code_mapping", "priority", "auto_ban", "tag", "setting", "settings",
        "param_override", "header_override", "channel_info", "config", "system_prompt", "remark",
    ),
    "tokens": (
        "id", "user_id", "key", "status", "name", "created_time", "expired_time", "remain_quota", "unlimited_quota",
        "model_limits_enabled", "model_limits", "allow_ips", "group", "models", "subnet", "deleted_at",
    ),
    "users": ("id", "username", "role", "status", "quota", "group", "deleted_at"),
    "options": ("key", "value"),
}  # fmt: skip
ORDER = {"options": "key"}


class Source(NamedTuple):
    """`shown`: where it is, without a password. `is_one_api`: whose numbers its types of channels are."""

    shown: str
    channels: list[Row]
    tokens: list[Row]
    users: list[Row]
    options: dict[str, str]
    is_one_api: bool

    def __repr__(self) -> str:  # it holds keys
        return f"Source({self.shown!r})"


def read_source(place: str) -> Source:
    """`place`: a file of SQLite, or a URL postgresql://... Raises ConfigurationError with one sentence."""
    engine, shown = _engine(place)
    try:
        with _reading(engine) as connection:
            known = inspect(connection)
            tables = set(known.get_table_names())
            if not {"channels", "tokens", "users"} <= tables:
                raise ConfigurationError(f"{shown} is no database of new-api: it has no channels, tokens and users.")
            columns = {
                name: {str(one["name"]) for one in known.get_columns(name)} for name in COLUMNS if name in tables
            }
            rows = {name: list(_rows(connection, name, columns.get(name, set()))) for name in COLUMNS}
    except DatabaseError as error:
        raise ConfigurationError(f"{shown} cannot be read: {_reason(error)}.") from None
    finally:
        engine.dispose()
    options = {str(row["key"]): str(row["value"]) for row in rows["options"]}
    is_one_api = not columns["channels"] & {"channel_info", "setting", "param_override", "tag"}
    return Source(shown, rows["channels"], rows["tokens"], rows["users"], options, is_one_api)


def _engine(place: str) -> tuple[Engine, str]:
    if place.startswith(("mysql:", "mysql+", "mariadb:")) or "@tcp(" in place:
        raise ConfigurationError(
            "MySQL cannot be read: there is no driver for it here. Copy the database to PostgreSQL or SQLite first."
        )
    if "://" not in place:
        return _sqlite(Path(place)), place
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        raise ConfigurationError("A database is a file, or a URL: postgresql://user:password@host/name.") from None
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(url.database or "")), str(url.database)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{url.get_backend_name()} cannot be read, only SQLite and PostgreSQL.")
    shown = f"{url.host}/{url.database}"
    return _postgresql(url.set(drivername="postgresql+psycopg")), shown


def _sqlite(file: Path) -> Engine:
    if not file.is_file():
        raise ConfigurationError(f"{file} is no file.")

    def connect() -> sqlite3.Connection:
        # The path is quoted: a name with "?mode=rwc" is a name.
        return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=WAIT_SECONDS)

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _postgresql(url: URL) -> Engine:
    return create_engine(
        url, poolclass=NullPool, connect_args={"connect_timeout": WAIT_SECONDS}, isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )  # fmt: skip


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot, which cannot write."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA query_only = ON"))
            connection.commit()
            connection.execute(text("BEGIN"))
        yield connection
        connection.rollback()


def _rows(connection: Connection, table: str, there: set[str]) -> Iterator[Row]:
    names = [name for name in COLUMNS[table] if name in there]
    if not names:
        return
    # Only words of ours: no text of the database becomes SQL.
    listed = ", ".join(f'"{name}"' for name in names)
    found = connection.execute(text(f'SELECT {listed} FROM "{table}" ORDER BY "{ORDER.get(table, "id")}"'))  # noqa: S608
    for row in found:
        yield dict(zip(names, row, strict=True))


def _reason(error: DatabaseError) -> str:
    """The first line of what the driver says, which may name the user and the host, but no password."""
    return (str(error.orig) or "unknown").strip().splitlines()[0][:200].rstrip(".")
