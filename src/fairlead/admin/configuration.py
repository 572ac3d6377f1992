"""Versions of the configuration: plan, apply, roll back, compare, and what each process runs.

Versions live in the database and never change; the newest is in force. Before the first one, and after `release`, each
node's own file is in force, of which its data directory has a copy (`IN_FORCE`).
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from fairlead import toml
from fairlead.accounts.naming import continuing, naming
from fairlead.admin import audit
from fairlead.admin.audit import Actor
from fairlead.admin.masking import is_masked, masked
from fairlead.admin.planning import Change, Described, Known, changes, gone_models
from fairlead.admin.remote import check_remote, guarded_addresses
from fairlead.admin.sealing import sealed_document
from fairlead.catalogue.load import Known as Catalogue
from fairlead.catalogue.load import build, catalogue_directory, known_models
from fairlead.engines.folders import allowed_file, model_folders
from fairlead.errors import (
    ConfigurationError,
    FairleadError,
    InvalidRequest,
    NotFound,
    VersionConflict,
)
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import with_presets
from fairlead.providers.scrub import holds_secret
from fairlead.providers.sealed import listed, put
from fairlead.settings import RENAMED, File, Settings, Unread, parse_settings, sources_of
from fairlead.store import Store
from fairlead.store.configuration import (
    ProcessState,
    StoredVersion,
    add_version,
    list_processes,
    list_versions,
    node_name,
    number_in_force,
    read_version,
)
from fairlead.toml import Located, read_text

# Of documents that are read together, by their directories.
Catalogues = dict[Path | None, Catalogue]
# A copy of the file that a node runs, in its data directory: what is in force when the file itself is not good.
IN_FORCE: Final = "in-force.toml"
LONGEST_COMMENT: Final = 1_000
LONGEST_AUTHOR: Final = 128
LARGEST_DOCUMENT: Final = 4 * 1024 * 1024
MOST_LISTED: Final = 1_000

Source = Literal["database", "file", "none"]


class Current(NamedTuple):
    """What is in force. `number`: the newest version, 0 when there is none, also while a file is in force; `name`: what
    errors call it; `guarded`: addresses of providers that came over HTTP."""

    source: Source
    number: int
    digest: str
    name: str
    text: str
    guarded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """`missing`: variables that the document names and that are not set here; processes that serve need them."""

    current: Current
    digest: str
    changes: tuple[Change, ...]
    missing: tuple[str, ...] = ()

    @property
    def changes_anything(self) -> bool:
        return bool(self.changes)


class Status(NamedTuple):
    current: Current
    processes: list[ProcessState]

    @property
    def behind(self) -> list[ProcessState]:
        """Processes that have refused what is in force, or do not run it yet."""
        here = self.current
        return [
            one
            for one in self.processes
            if one.error or one.answered != here.number or (here.source == "database" and one.version != here.number)
        ]


def guarded_of(version: StoredVersion) -> frozenset[str]:
    """Addresses of providers that came over HTTP with this version or one before."""
    return frozenset(json.loads(version.guarded))


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def file_of_node(store: Store) -> Path | None:
    """The file that the processes of this machine were started with, where all read the same one."""
    with store.read() as connection:
        found = {one.file for one in list_processes(connection) if one.node == node_name()}
    return Path(found.pop()) if len(found) == 1 and "" not in found else None


def current(store: Store, file: Path | None = None) -> Current:
    """What is in force on this node. `file`: its configuration file, where it has one."""
    with store.read() as connection:
        number = number_in_force(connection)
        version = read_version(connection, number) if number else None
    if version is not None and version.document is not None:
        return Current("database", number, version.digest, f"version {number}", version.document, guarded_of(version))
    kept = store.directory / IN_FORCE
    for path in (kept, file):
        if path is not None and path.is_file():
            text = read_text(path)
            return Current("file", number, digest_of(text), str(file or path), text)
    return Current("none", number, "", "no file", "")


def document_of(store: Store, number: int) -> StoredVersion:
    """A version with its document, secrets included. Raises NotFound."""
    with store.read() as connection:
        found = read_version(connection, number)
    if found is None:
        raise NotFound(f"There is no version {number} of the configuration. `fairlead config history` lists them.")
    return found


def plan(store: Store, text: str, name: str, file: Path | None = None) -> Plan:
    """What would change if this document were applied. `name`: what errors call it. Raises ConfigurationError."""
    base = current(store, file)
    if base.source == "database":  # as it would be stored
        text = sealed_document(text, store).text
    read: Catalogues = {}
    after, missing = described(text, name, read)
    lacking = _lacking_files(after.settings, store)
    before, notes = _base(base, read)
    with store.read() as connection:
        known = Known(
            in_flight(list_processes(connection)),
            naming(connection, gone := gone_models(before.snapshot, after.snapshot)),
            continuing(connection, gone),
        )
    return Plan(base, digest_of(text), (*notes, *changes(before, after, known), *lacking), missing)


@dataclass(frozen=True, slots=True)
class Submission:
    """Who adds a version, and why. `author`: the name that the history shows, "": the actor's; `expected`: the number
    of the newest version, which the plan was made for, None: whichever is the newest now. `on_server`: whether
    it comes from somebody on the server, who may have files read and commands run there for credentials; others only
    keep those that are in force."""

    actor: Actor
    author: str = ""
    comment: str = ""
    expected: int | None = None
    on_server: bool = True


def problems_of(text: str, name: str) -> list[Located]:
    """What is wrong with a document, with lines and columns: all of its settings that have a wrong value, else the
    first thing that contradicts another one. Empty: a plan can be made of it."""
    source = toml.Source(name, text)
    found = toml.all_problems(source, text, File, RENAMED)
    if not found:
        try:
            described(text, name)
        except ConfigurationError as error:
            found = [toml.located(error.message, source)]
    return found


def diff_texts(before: str, after: str, names: tuple[str, str] = ("in force", "draft")) -> list[str]:
    """Lines of a unified diff of two documents, secrets and suspicious comments hidden."""
    old, new = (masked(text).splitlines() for text in (before, after))
    return list(difflib.unified_diff(old, new, *names, lineterm=""))


def apply(store: Store, text: str, name: str, by: Submission) -> StoredVersion:
    """Adds a version and puts it in force, in one transaction. Raises ConfigurationError, or VersionConflict when
    another version was added meanwhile, or Forbidden for what only somebody on the server may add."""
    _check(text, name)
    _lacking_files(parse_settings(text, name), store)
    guarded: frozenset[str] = frozenset()
    if not by.on_server:
        found = current(store, file_of_node(store))
        check_remote(text, name, found.text)
        guarded = guarded_addresses(text, name, found.text, found.guarded)
    return _add(store, "configuration.apply", text, by, guarded=guarded)


def rollback(store: Store, number: int, by: Submission) -> StoredVersion:
    """Adds a version with the document of an earlier one; 0: each node's own file is in force again. Raises NotFound,
    ConfigurationError or VersionConflict."""
    found = None if number == 0 else document_of(store, number)
    text = None if found is None else found.document
    if text is not None:
        _check(text, f"version {number}")
    guarded = frozenset() if found is None else guarded_of(found)
    return _add(store, "configuration.rollback", text, by, number, guarded=guarded)


def rollback_plan(store: Store, number: int, file: Path | None = None) -> Plan:
    """What `rollback` would change. Version 0 is this node's file."""
    if number == 0 or (found := document_of(store, number)).document is None:
        text = read_text(file) if file is not None else ""
        return plan(store, text, str(file or "no file"), file)
    return plan(store, found.document, f"version {number}", file)


def take_in(store: Store, text: str, name: str) -> None:
    """Makes a file the first version, where versions are to live in the database and none is in force. Of several
    processes that start at once one does it. Raises ConfigurationError."""
    base = current(store)
    if base.source == "database":
        return
    _check(text, name)
    with contextlib.suppress(VersionConflict):
        by = Submission(Actor("file", name), "file", f"Taken from {name} at a start", base.number)
        _add(store, "configuration.apply", text, by)


def history(store: Store, most: int = MOST_LISTED) -> list[StoredVersion]:
    """The newest versions first, without their documents."""
    with store.read() as connection:
        return list_versions(connection, most)


def compare(store: Store, one: int, other: int) -> tuple[Change, ...]:
    """What differs between two versions, as a plan words it. Raises NotFound or ConfigurationError."""
    read: Catalogues = {}
    before, after = (
        described(document_of(store, number).document or "", f"version {number}", read)[0] for number in (one, other)
    )
    return tuple(changes(before, after, Known()))


def compare_texts(store: Store, one: int, other: int) -> str:
    """The same as lines of a unified diff, secrets and suspicious comments hidden."""
    before, after = (
        masked(document_of(store, number).document or "").splitlines(keepends=True) for number in (one, other)
    )
    found = difflib.unified_diff(before, after, f"version {one}", f"version {other}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in found)


def status(store: Store, file: Path | None = None) -> Status:
    """What is in force, and what each process on each node runs."""
    found = current(store, file)
    with store.read() as connection:
        return Status(found, list_processes(connection))


def in_flight(running: Iterable[ProcessState]) -> dict[str, int]:
    """Calls under way by deployment, as the processes last reported them."""
    found: Counter[str] = Counter()
    for one in running:
        found.update(json.loads(one.in_flight))
    return dict(found)


def described(text: str, name: str, read: Catalogues | None = None) -> tuple[Described, tuple[str, ...]]:
    """A document, checked as a start does, and the variables that it names and that are not set here. `read`: what was
    read for another document and is not read again. Raises ConfigurationError with the line."""
    settings = with_presets(parse_settings(text, name))
    read = {} if read is None else read
    directory = catalogue_directory(settings)
    if directory not in read:
        read[directory] = known_models(settings)
    # Secrets are not read: where a plan is made need not be where calls are served.
    snapshot = build(settings, DIALECTS, supports_prefill, Unread(), read[directory])
    return Described(settings, snapshot), _missing(settings)


# --- as JSON


def version_entry(version: StoredVersion) -> dict[str, Any]:
    """A version as JSON documents show it, without its document. `at`: milliseconds since 1970."""
    shown = version._asdict()
    del shown["document"], shown["guarded"]
    return shown


def current_entry(found: Current) -> dict[str, Any]:
    """What is in force, without its document."""
    return {"source": found.source, "version": found.number, "digest": found.digest, "name": found.name}


def plan_entry(found: Plan) -> dict[str, Any]:
    return {
        "current": current_entry(found.current),
        "digest": found.digest,
        "changes_anything": found.changes_anything,
        "changes": [change_entry(one) for one in found.changes],
        "missing_variables": list(found.missing),
    }


def change_entry(one: Change) -> dict[str, Any]:
    """`effect`: "now", "restart", or "warning" for what does not change by itself."""
    return {name: getattr(one, name) for name in ("kind", "subject", "effect", "words", "before", "after")}


def process_entry(one: ProcessState) -> dict[str, Any]:
    """What a process runs. Times in milliseconds since 1970."""
    shown = one._asdict()
    shown["restart"] = list(filter(None, one.restart.split(", ")))
    shown["in_flight"] = json.loads(one.in_flight)
    return shown


# --- inside


def _base(base: Current, read: Catalogues) -> tuple[Described, list[Change]]:
    """What is in force; one that this release cannot read counts as empty, so that it can be replaced."""
    try:
        return described(base.text, base.name, read)[0], []
    except FairleadError as error:
        words = f"what is in force cannot be read here, so everything is shown as new: {error.message}"
        return described("", "nothing", read)[0], [Change("current.unreadable", base.name, words, "warning")]


def _check(text: str, name: str) -> None:
    """Raises ConfigurationError for what no process could take, or what is not complete."""
    if len(text.encode()) > LARGEST_DOCUMENT:
        raise ConfigurationError(f"{name} is larger than {LARGEST_DOCUMENT} bytes.")
    settings = parse_settings(text, name)
    if is_masked(text):
        raise ConfigurationError(
            f"{name} has hidden values: it was printed by `fairlead config show`. "
            'Write { env = "NAME" } in their place.'
        )
    directory = settings.catalogue.directory
    if directory is not None and not Path(directory).expanduser().is_absolute():
        raise settings.error(
            "catalogue.directory",
            "in the database the path must be absolute: there is no file that it would be relative to.",
        )
    described(text, name)


def _lacking_files(settings: Settings, store: Store) -> list[Change]:
    """Warnings about engines whose files are not on this node. Raises ConfigurationError for a file that no engine may
    read."""
    folders = model_folders(store.directory, settings.configuration.model_folders)
    found = []
    for at, engine in enumerate(settings.engines):
        for field in ("file", "vision_file"):
            if (file := getattr(engine, field)) is None:
                continue
            try:
                path = allowed_file(file, folders)
            except ConfigurationError as error:
                raise settings.error(f"engines[{at}].{field}", error.message) from None
            if not path.is_file():
                words = f"{path} is not on this node: engine {engine.id} starts when it is there"
                found.append(Change("engine.file_missing", engine.id, words, "warning"))
    return found


def _missing(settings: Settings) -> tuple[str, ...]:
    """Variables that providers name and that are not set here."""
    named = [one.env for one in sources_of(settings) if one.env]
    return tuple(dict.fromkeys(name for name in named if not os.environ.get(name)))


def _add(
    store: Store,
    action: str,
    text: str | None,
    by: Submission,
    restored: int | None = None,
    *,
    guarded: frozenset[str] = frozenset(),
) -> StoredVersion:
    author, comment = by.author.strip() or by.actor.id or by.actor.kind, by.comment.strip()
    if len(author) > LONGEST_AUTHOR or not author.isprintable():
        raise InvalidRequest(f"The author must have 1 to {LONGEST_AUTHOR} printable characters.")
    if len(comment) > LONGEST_COMMENT or not comment.replace("\n", " ").isprintable():
        raise InvalidRequest(f"The comment must have at most {LONGEST_COMMENT} printable characters.")
    if any(map(holds_secret, (author, comment))):
        raise InvalidRequest("The author or the comment has something like a key in it, and everybody reads them.")
    with store.read() as connection:
        newest = number_in_force(connection)
        before = read_version(connection, newest)
    if by.expected not in (None, newest):
        raise _conflict(newest)
    sealed = None if text is None else sealed_document(text, store, make=True)
    document, digest = (None, "") if sealed is None else (sealed.text, digest_of(sealed.text))
    version = StoredVersion(
        newest + 1, int(time.time() * 1000), author, comment, digest, restored, document, json.dumps(sorted(guarded))
    )
    with store.write() as connection:
        if not add_version(connection, newest, version):
            raise _conflict(number_in_force(connection))
        if sealed is not None and sealed.key is not None:
            known = {one.name for one in listed(connection)}
            for credential, secret in sealed.secrets.items():
                if credential in known:  # the same one under its name
                    continue
                put(connection, sealed.key, credential, secret)
                audit.record(connection, by.actor, "credential.set", credential, None, {"sealed_with": sealed.key.id})
        audit.record(
            connection, by.actor, action, f"version {version.number}",
            None if before is None else version_entry(before), version_entry(version),
        )  # fmt: skip
    return without_document(version)


def _conflict(newest: int) -> VersionConflict:
    return VersionConflict(f"Version {newest} was applied meanwhile; plan again.")


def without_document(version: StoredVersion) -> StoredVersion:
    """What is handed on may be printed."""
    return version._replace(document=None)
