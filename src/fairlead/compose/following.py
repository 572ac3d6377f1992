"""A process follows the configuration in force: the newest version of the database, or its file when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import structs
from sqlalchemy.exc import SQLAlchemyError

from fairlead import __version__
from fairlead.admin import audit
from fairlead.admin.audit import Actor
from fairlead.admin.configuration import IN_FORCE, Current, digest_of, guarded_of, take_in
from fairlead.admin.sealing import sealed_document
from fairlead.background import turned
from fairlead.errors import ConfigurationError, FairleadError
from fairlead.settings import Settings, load_settings, parse_settings, restart_needed
from fairlead.store import Store
from fairlead.store.alerts import AlertRules, announce_refused
from fairlead.store.configuration import (
    ProcessState,
    StoredVersion,
    forget_process,
    keep_process,
    list_versions,
    node_name,
    number_in_force,
    read_version,
)
from fairlead.toml import read_text

log = logging.getLogger("fairlead.configuration")

# How often the database and the file are looked at.
WATCH_SECONDS: Final = 0.25
# How often a process reports that it is alive, besides each change.
HEARTBEAT_SECONDS: Final = 5.0
# A worker that is started again and cannot take the newest version goes back at most so far.
MOST_VERSIONS_BACK: Final = 20

UNEXPECTED: Final = "an unexpected error, whose traceback is in the log"
# Of a file: device, inode, size, times of the last changes; None: it is not there.
Signature = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a process has its configuration from. `file`: the one it was started with; `refused`: why something newer
    was not taken."""

    current: Current
    file: Path | None = None
    refused: str = ""


NOWHERE: Final = Origin(Current("none", 0, "", "no file", ""))


def at_start(store: Store, own: Settings, file: Path | None) -> tuple[Settings, Origin]:
    """What a server starts with: the newest version of the database, else its own file, which becomes the first version
    where it says `store = "database"`. `own`: the settings of `file`. Raises ConfigurationError."""
    if own.configuration.store == "database" and own.source is not None:
        take_in(store, own.source.text, own.source.name)
    version = _newest(store)
    if version is None or version.document is None:
        found = _of_file(own, version)
        _keep_copy(store, found)
        return own, Origin(found, file)
    found = _of_version(version, version.document)
    beside = "" if file is None else f" {file} is read for [database] and [configuration] alone."
    log.info("Version %d of the configuration is in force, from the database.%s", version.number, beside)
    return _settings_of(found), Origin(found, file)


def once_more(store: Store, given: tuple[Settings, Origin]) -> Iterator[tuple[Settings, Origin]]:
    """What a worker may start with, the best first: what is in force now, then what was before that, and at last what
    its parent was started with. `refused` says what was wrong with those before."""
    settings, origin = given
    version = _newest(store)
    refused = ""
    for found in _candidates(store, origin, version):
        try:
            yield _settings_of(found), replace(origin, current=found, refused=refused)
        except ConfigurationError as error:
            refused = refused or error.message
    yield settings, replace(origin, refused=refused)


def _candidates(store: Store, origin: Origin, version: StoredVersion | None) -> Iterator[Current]:
    if version is None or version.document is None:
        number = 0 if version is None else version.number
        for path in (origin.file, store.directory / IN_FORCE):
            with contextlib.suppress(ConfigurationError):
                if path is not None and path.is_file():
                    text = read_text(path)
                    yield Current("file", number, digest_of(text), str(origin.file), text)
        return
    with store.read() as connection:
        earlier = [one.number for one in list_versions(connection, MOST_VERSIONS_BACK)]
    for number in earlier:
        with store.read() as connection:
            found = read_version(connection, number)
        if found is not None and found.document is not None:
            yield _of_version(found, found.document)


class Following:
    """`run` follows; `reload` is for SIGHUP. `apply`: puts settings in force, or raises and changes nothing;
    `in_flight`: calls under way by deployment; `remark`: what else operators should see of this process."""

    def __init__(
        self,
        store: Store,
        started: Settings,
        origin: Origin,
        apply: Callable[[Settings], Awaitable[None]],
        in_flight: Callable[[], Mapping[str, int]],
        *,
        name: str,
        place: int,
        alerts: AlertRules | None = None,
        remark: Callable[[], str] = str,
    ) -> None:
        self._alerts = alerts or AlertRules()
        self._remark = remark
        self._told = ""
        self._store = store
        self._started = started
        self._apply = apply
        self._in_flight = in_flight
        self._watched = Watched(origin.file)
        self._first_digest = _digest_of_file(origin.file)
        self._hurry = asyncio.Event()
        self._forced = False
        self._database_version: int | None = None
        self._newest: StoredVersion | None = None
        self._reported_at = float("-inf")
        self._trouble = False
        self.current = origin.current
        self.note = ""
        self._process = ProcessState(
            id=name,
            node=node_name(),
            pid=os.getpid(),
            place=place,
            release=__version__,
            started_at=_now(),
            heard_at=0,
            source=origin.current.source,
            version=_shown_number(origin.current),
            digest=origin.current.digest,
            since=_now(),
            file="" if origin.file is None else str(origin.file.absolute()),
            answered=origin.current.number,
            error=origin.refused,
            note="",
            restart="",
            in_flight="{}",
        )

    @property
    def error(self) -> str:
        """Why something newer was refused; "": it is in force."""
        return self._process.error

    @property
    def number(self) -> int:
        """The version that is in force here; 0: a file is."""
        return self._process.version

    def shown(self) -> dict[str, object]:
        """For /readyz."""
        since = datetime.fromtimestamp(self._process.since // 1000, UTC)
        return {
            "source": self.current.source,
            "version": self._process.version or None,
            "digest": self.current.digest or None,
            "since": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def warnings(self) -> list[str]:
        found = []
        if self.error:
            found.append(f"a newer configuration was refused, the one before stays in force: {self.error}")
        return [*found, self.note] if self.note else found

    def reload(self) -> None:
        """Reads everything again at once: the file, model files and credentials files may have changed."""
        self._forced = True
        self._hurry.set()

    async def run(self) -> None:
        """Follows until it is cancelled."""
        if self.error not in ("", UNEXPECTED):
            log.error("What is in force cannot be used here, an earlier one is: %s", self.error)
        await self._report(at_once=True)
        while True:
            with contextlib.suppress(TimeoutError):
                turned(WATCH_SECONDS)
                await asyncio.wait_for(self._hurry.wait(), WATCH_SECONDS)
            self._hurry.clear()
            forced, self._forced = self._forced, False
            before = self._process
            await self._look(forced=forced)
            note = "; ".join(one for one in (self.note, self._remark()) if one)
            self._process = self._process._replace(note=note)
            await self._report(at_once=self._process != before)

    async def close(self) -> None:
        """Removes what this process reported."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(SQLAlchemyError):
            await loop.run_in_executor(self._store.threads, self._forget)

    async def _look(self, *, forced: bool) -> None:
        try:
            # In a thread: a database across the network may take its time, and calls continue.
            await asyncio.get_running_loop().run_in_executor(self._store.threads, self._read_newest)
        except (sqlite3.Error, SQLAlchemyError) as error:
            self._tell_trouble(error)
            return
        self._trouble = False
        changed = self._watched.changed(at_once=forced)
        version = self._newest
        number = 0 if version is None else version.number
        fresh = number != self._process.answered
        self._process = self._process._replace(answered=number)
        if version is not None and version.document is not None:
            if fresh or forced:
                await self._take(_of_version(version, version.document))
            if fresh or forced or changed:
                self._compare_file(number)
        elif fresh or forced or changed:
            self.note = ""
            await self._take_file(number, forced=forced)

    def _read_newest(self) -> None:
        """Of SQLite a counter is looked at first, which changes with everything that is committed."""
        version = None if self._store.is_shared else self._store.version()
        if version is not None and version == self._database_version:
            return
        with self._store.read() as connection:
            number = number_in_force(connection)
            if number != (0 if self._newest is None else self._newest.number):
                self._newest = read_version(connection, number)
        self._database_version = version

    async def _take_file(self, number: int, *, forced: bool) -> None:
        path = self._watched.path
        if path is None:
            if self.current.source == "database":
                await self._take(Current("none", number, "", "no file", ""))
            return
        try:
            text = read_text(path)
        except ConfigurationError as error:
            self._refuse(error)
            return
        found = Current("file", number, digest_of(text), str(path), text)
        same = self.current.source == "file" and self.current.digest == found.digest
        if same and not forced:
            self._process = self._process._replace(error="")  # a mistake was taken back
        else:
            await self._take(found)

    async def _take(self, found: Current) -> None:
        """Puts a configuration in force, or says why not."""
        unexpected = True
        try:
            settings = await asyncio.get_running_loop().run_in_executor(None, _settings_of, found)
            await self._apply(settings)
            unexpected = False
        except FairleadError as error:
            unexpected = False
            self._refuse(error)
            return
        finally:
            if unexpected:  # the log gets the traceback where it ends
                self._process = self._process._replace(error=UNEXPECTED)
        before, changed = self.current, self.current.digest != found.digest
        restart = ", ".join(f"[{section}] {name}" for section, name in restart_needed(self._started, settings))
        self.current = found
        self._process = self._process._replace(
            source=found.source, version=_shown_number(found), digest=found.digest, since=_now(), error="",
            restart=restart,
        )  # fmt: skip
        if settings.warning:
            log.warning("%s", settings.warning)
        late = f" After a restart: {restart}." if restart else ""
        log.info("The configuration of %s is in force (digest %s).%s", found.name, found.digest[:12] or "none", late)
        _keep_copy(self._store, found)
        if found.source == "file" and changed and not self._process.place:  # once per machine
            await asyncio.get_running_loop().run_in_executor(self._store.threads, self._audit, before, found)

    def _audit(self, before: Current, found: Current) -> None:
        """Versions of the database are in the audit log already."""
        entries = [{"source": one.source, "version": one.number, "digest": one.digest} for one in (before, found)]
        try:
            with self._store.write() as connection:
                audit.record(connection, Actor("file", found.name), "configuration.file", self._process.node, *entries)
        except SQLAlchemyError as error:
            self._tell_trouble(error)

    def _refuse(self, error: FairleadError) -> None:
        if error.message != self._process.error:
            log.error("The configuration was refused, the one before stays in force: %s", error.message)
        self._process = self._process._replace(error=error.message)
        if not isinstance(error, ConfigurationError):
            self._forced = True  # the database was away: it is tried again

    def _compare_file(self, number: int) -> None:
        """A file that is changed while the database is in force is not taken, which its editor must learn."""
        digest = _digest_of_file(self._watched.path)
        if digest in ("", self._first_digest, self.current.digest) or self._was_applied():
            self.note = ""
            return
        path = self._watched.path
        note = (
            f"{path} was changed, and version {number} of the database stays in force; `fairlead config apply {path}` "
            "makes it the next version, `fairlead config rollback 0` returns to files"
        )
        if note != self.note:
            log.warning("%s.", note[0].upper() + note[1:])
        self.note = note

    def _was_applied(self) -> bool:
        """Whether the file is what is in force, but for the keys in it, which are sealed there."""
        path = self._watched.path
        if path is None:
            return False
        try:
            return digest_of(sealed_document(read_text(path), self._store).text) == self.current.digest
        except ConfigurationError:
            return False

    def _tell_trouble(self, error: Exception) -> None:
        if not self._trouble:  # said once, not four times a second
            reason = getattr(error, "orig", None) or error
            log.warning("The configuration in force cannot be read, the last one stays in force; retrying: %s", reason)
        self._trouble = True

    async def _report(self, *, at_once: bool) -> None:
        loop = asyncio.get_running_loop()
        if not at_once and loop.time() - self._reported_at < HEARTBEAT_SECONDS:
            return
        calls = {name: count for name, count in self._in_flight().items() if count}
        self._process = self._process._replace(heard_at=_now(), in_flight=json.dumps(calls))
        try:
            await loop.run_in_executor(self._store.threads, self._keep, self._process)
        except SQLAlchemyError as error:
            self._tell_trouble(error)
        else:
            self._reported_at = loop.time()

    def _keep(self, state: ProcessState) -> None:
        with self._store.write() as connection:
            keep_process(connection, state)
            if state.error and state.error != self._told:
                announce_refused(connection, self._alerts, state.node, state.error)
        self._told = state.error

    def _forget(self) -> None:
        with self._store.write() as connection:
            forget_process(connection, self._process.id)


@dataclass(slots=True)
class Watched:
    """A file whose changes are noticed however they are made: in place, by renaming another file over it, or by
    changing a link on its path. A change counts when two looks in a row see the same, so that a file which is being
    written is not read half."""

    path: Path | None
    handled: Signature = ()  # looked at soon after the start: it may have changed since it was read
    seen: Signature = ()

    def changed(self, *, at_once: bool) -> bool:
        now = _signature(self.path)
        settled = now == self.seen or at_once
        self.seen = now
        if self.path is None or not settled or now == self.handled:
            return False
        self.handled = now
        return True


def _signature(path: Path | None) -> Signature:
    if path is None:
        return None
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest_of_file(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return digest_of(read_text(path))
    except ConfigurationError:
        return ""


def _newest(store: Store) -> StoredVersion | None:
    with store.read() as connection:
        number = number_in_force(connection)
        return read_version(connection, number) if number else None


def _of_version(version: StoredVersion, document: str) -> Current:
    return Current(
        "database", version.number, version.digest, f"version {version.number}", document, guarded_of(version)
    )


def _of_file(own: Settings, version: StoredVersion | None) -> Current:
    number = 0 if version is None else version.number
    if own.source is None:
        return Current("none", number, "", "no file", "")
    return Current("file", number, digest_of(own.source.text), own.source.name, own.source.text)


def _settings_of(found: Current) -> Settings:
    if found.source == "none":
        return load_settings(None)
    return structs.replace(parse_settings(found.text, found.name), guarded=found.guarded)


def _shown_number(found: Current) -> int:
    return found.number if found.source == "database" else 0


def _keep_copy(store: Store, found: Current) -> None:
    """Keeps a copy of the file that is in force, for when it is changed and the change is refused."""
    kept = store.directory / IN_FORCE
    with contextlib.suppress(OSError):  # a disk that is full: the file itself is still there
        if found.source != "file":
            kept.unlink(missing_ok=True)
            return
        if kept.is_file() and kept.read_text("utf-8") == found.text:
            return
        fresh = kept.with_name(f"{IN_FORCE}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(found.text)
        fresh.replace(kept)


def _now() -> int:
    return int(time.time() * 1000)
