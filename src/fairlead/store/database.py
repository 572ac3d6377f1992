"""Opens the database: SQLite in the data directory, or PostgreSQL by its URL; brought to the newest migration."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fairlead.errors import ConfigurationError
from fairlead.store.tables import alembic_version, metadata, versions

if TYPE_CHECKING:
    from alembic.config import Config

# The newest migration. Alembic is only loaded (a third of a second) to upgrade, or to create the tables in PostgreSQL.
HEAD = "0029"
BUSY_MILLISECONDS = 10_000
# Of a database that is made now; others keep theirs. Records come many at a time, and each page of them is a few calls
# to the kernel: a fifth less CPU for each record than with 4,096.
PAGE_BYTES = 8192
CONNECT_SECONDS = 5
# Threads that read and write the ledger, leases, keys and telemetry. With those of pages (`app.OTHER_THREADS`) fewer
# than the 15 connections that SQLAlchemy opens at most, so that none of them ever waits for a connection.
DATABASE_THREADS = 6
# What each connection to SQLite keeps of the file. Its own 2,000 are for programs that read more: what a commit writes
# and what is looked up is within a few pages, and the kernel keeps the rest.
CACHE_KIBIBYTES = 512
DATABASE = "fairlead.db"
# Names the server that a data directory belongs to, so that no command takes the SQLite file beside it for the books.
MARK = "database"
MIGRATION_LOCK = 0x6661_6972  # a number that only Fairlead's migrations lock
# A directory in the data directory while a backup is restored into it: what is beside it is not complete.
RESTORING = ".restoring"


class Store:
    """The database of one data directory; usable from any thread. `shown` names it without its password.

    `threads`: where an event loop runs what it needs of the ledger, leases and keys. Nothing else runs there, so that
    no work which a caller can prolong delays charges or keys.
    """

    def __init__(self, directory: Path, engine: Engine, shown: str) -> None:
        self.directory = directory
        self.shown = shown
        self._engine = engine
        self._watcher: sqlite3.Connection | None = None
        self.threads = ThreadPoolExecutor(DATABASE_THREADS, "database")  # which starts none before it is used

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Reads everything as it is at the first question, however long it takes and whatever is written meanwhile."""
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
                for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
                    connection.exec_driver_sql(f"SET LOCAL {setting} = 0")
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        with self._engine.begin() as connection:
            yield connection

    def joined(self, connection: Connection) -> Store:
        """The same store, whose blocks are all part of the transaction of this connection."""
        return JoinedStore(self, self._engine, connection)

    @property
    def is_shared(self) -> bool:
        """Whether processes on other machines may use it too."""
        return self._engine.dialect.name != "sqlite"

    def version(self) -> int:
        """A number that changes with keys and accounts. May wait for the database: not for an event loop."""
        if self._engine.dialect.name != "sqlite":
            with self.read() as connection:
                number = connection.execute(text("SELECT number FROM versions WHERE name = 'keys'"))
                return int(number.scalar_one())
        # Cheaper, and it changes with everything that another connection commits.
        if self._watcher is None:
            path = self.directory / DATABASE
            self._watcher = sqlite3.connect(path, timeout=0, check_same_thread=False)
        row = self._watcher.execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def close(self) -> None:
        self.threads.shutdown()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._engine.dispose()


class JoinedStore(Store):
    """A store whose blocks are all part of one transaction, which is open already: several use-cases take effect
    together, or none of them."""

    def __init__(self, store: Store, engine: Engine, connection: Connection) -> None:
        super().__init__(store.directory, engine, store.shown)
        self._connection = connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        yield self._connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        yield self._connection


def is_there(directory: Path) -> bool:
    """Whether a data directory was made there before."""
    return (directory / DATABASE).exists() or (directory / MARK).exists()


def open_store(directory: Path, url: str | None = None, *, migrate: bool = True) -> Store:
    """Makes or opens a data directory (mode 0700) and its database: SQLite's, or the PostgreSQL server at `url`.
    `migrate`: False leaves its tables as they are, also where there are none.

    Raises ConfigurationError when that cannot be done.
    """
    if (directory / RESTORING).exists():
        raise ConfigurationError(f"A restore into {directory} was interrupted. Run `fairlead restore` again.")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid == os.getuid():
            directory.chmod(0o700)
        with (directory / "migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once must not both create the tables
            store = _sqlite(directory) if url is None else _postgresql(directory, url)
            try:
                if migrate:
                    _migrate(store)
            except BaseException:
                store.close()
                raise
    except OSError as error:
        where = "" if error.filename in (None, str(directory)) else f"{error.filename}: "
        raise ConfigurationError(f"The data directory {directory} cannot be used: {where}{error.strerror}.") from None
    except SQLAlchemyError as error:
        shown = directory / DATABASE if url is None else _shown(_url(url))
        raise ConfigurationError(f"The database {shown} cannot be used: {reason(error)}.") from None
    return store


def reason(error: Exception) -> str:
    """What the database said, in one line; of a damaged file also what to do."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split()).rstrip(".")
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"{said}; it is damaged: restore it from a backup, or move it away to begin with an empty one"
    return said


def _sqlite(directory: Path) -> Store:
    mark = directory / MARK
    if mark.exists():
        raise ConfigurationError(
            f"{directory} belongs to the database {mark.read_text('utf-8').strip()}. Set FAIRLEAD_DATABASE_URL to its "
            "address, or FAIRLEAD_CONFIG to the file that has it."
        )
    # Made before SQLite does, which gives its mode to the files beside it.
    os.close(os.open(directory / DATABASE, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_engine(f"sqlite:///{directory / DATABASE}", pool_pre_ping=False)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "handle_error", _drop_read_only)
    return Store(directory, engine, str(directory / DATABASE))


def _postgresql(directory: Path, url: str) -> Store:
    address = _url(url)
    if (directory / DATABASE).exists():
        raise ConfigurationError(
            f"{directory} holds a SQLite database already. Use another data directory for {_shown(address)}."
        )
    engine = create_engine(
        address,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "fairlead",
            "options": f"-c statement_timeout={BUSY_MILLISECONDS} -c lock_timeout={BUSY_MILLISECONDS} "
            f"-c idle_in_transaction_session_timeout={3 * BUSY_MILLISECONDS} -c timezone=UTC",
        },
    )
    (directory / MARK).write_text(_shown(address) + "\n", "utf-8")
    return Store(directory, engine, _shown(address))


def _url(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        raise ConfigurationError("The database URL must look like postgresql://user:password@host/name.") from None
    if address.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigurationError(
            f"The address of a database begins with postgresql://, not with {address.drivername}://. "
            "Without an address it is SQLite in the data directory."
        )
    return address.set(drivername="postgresql+psycopg")


def _shown(address: URL) -> str:
    return address.set(drivername="postgresql").render_as_string()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for statement in (
        f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}",
        f"PRAGMA page_size = {PAGE_BYTES}",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        f"PRAGMA cache_size = -{CACHE_KIBIBYTES}",
        "PRAGMA cache_spill = OFF",  # a page that is to be written is written once, at the end of its transaction
    ):
        connection.execute(statement)


def _drop_read_only(context: ExceptionContext) -> None:
    """A connection that SQLite had to open read-only stays so for life: it, and all others, are reopened. A disk that
    comes back would not be noticed otherwise."""
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        context.is_disconnect = True


def _migrate(store: Store) -> None:
    version = migration_of(store)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise ConfigurationError(
            f"The database {store.shown} was made by a newer Fairlead "
            f"(migration {version}; this version supports up to {HEAD}). "
            "Start that version."
        )
    if version is None and not store.is_shared:
        with store.write() as connection:
            # sqlite3 begins no transaction for CREATE TABLE by itself; a start that dies half-way must leave nothing.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _create(connection)
    else:
        _upgrade(store, version)


def make_tables(connection: Connection, version: str) -> None:
    """Makes the tables of a migration in an empty database, as a part of this transaction. Raises ConfigurationError
    for a migration that is unknown here."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if version == HEAD:
            _create(connection)
            return
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
    run_migrations(connection, version)


def _create(connection: Connection) -> None:
    """Makes of a new SQLite file what the migrations would (a test compares the two), without Alembic. PostgreSQL names
    constraints after the tables that migrations made them in, and later migrations need those names."""
    metadata.create_all(connection, checkfirst=False)
    numbers = {"keys": 1, "configuration": 0, "usage_rollups": 0}
    connection.execute(versions.insert(), [{"name": name, "number": one} for name, one in numbers.items()])
    alembic_version.create(connection)
    connection.execute(alembic_version.insert().values(version_num=HEAD))


def _upgrade(store: Store, version: str | None) -> None:
    with store.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # see `_migrate`
        else:
            # Other nodes may start at the same moment.
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": MIGRATION_LOCK})
            if _version(connection) == HEAD:
                return
        try:
            run_migrations(connection)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"The database {store.shown} has migration {version}, which is unknown to this version of "
                f"Fairlead: {error.message}"
            ) from None


def run_migrations(connection: Connection, version: str = "head") -> None:
    """Runs the migrations up to a version, as a part of this transaction. Raises ConfigurationError."""
    from alembic import command
    from alembic.util.exc import CommandError

    config = _alembic()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, version)
    except CommandError as error:
        raise ConfigurationError(f"{error}.") from None


class Migration(NamedTuple):
    """`summary`: its first line."""

    version: str
    summary: str
    module: ModuleType


def pending_migrations(version: str) -> list[Migration]:
    """What an upgrade from a migration to the newest one runs, in order. Raises ConfigurationError for a migration that
    is unknown here."""
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError

    try:
        found = list(ScriptDirectory.from_config(_alembic()).iterate_revisions("head", version))
    except CommandError as error:
        raise ConfigurationError(f"The migration {version} is unknown to this version of Fairlead: {error}.") from None
    return [Migration(one.revision, one.doc, one.module) for one in reversed(found)]


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "fairlead.store:migrations")
    return config


def migration_of(store: Store) -> str | None:
    """The newest migration of a database; None: it has no tables of ours."""
    with store.read() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
