"""What an import would change in our files, as a difference to read; `apply` writes it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec

from fairlead.catalogue.facts import Change, ModelFacts, Vendor, same
from fairlead.catalogue.files import ModelFile, Statements, read_model, resolve
from fairlead.catalogue.importers.reading import Reading
from fairlead.catalogue.lint import Problem, lint
from fairlead.catalogue.writing import new_file, with_history, with_source

# What an import brings and what is no fact.
ABOUT = ("title", "kind", "read", "url", "edition", "id")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model's file: its path below the catalogue's directory, and its text."""

    path: str
    text: str
    file: ModelFile


@dataclass(frozen=True, slots=True)
class Update:
    """One file as it would become. `changes`: the facts that would be shown otherwise than now."""

    path: str
    before: str
    after: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def difference(self) -> str:
        before = self.before.splitlines(keepends=True)
        lines = difflib.unified_diff(
            before, self.after.splitlines(keepends=True), self.path if before else "/dev/null", self.path, n=1
        )
        shown = "".join(lines)
        for change in self.changes:
            shown += f"# {change.fact}: {_value(change.before)} -> {_value(change.after)} (source: {change.source})\n"
        return shown + "".join(f"# not taken over: {note}\n" for note in self.notes)


def entries(files: Iterable[tuple[str, str]]) -> list[Entry]:
    return [Entry(path, text, read_model(text, path)) for path, text in files]


def updates(
    known: Iterable[Entry], reading: Reading, on: date, additions: Mapping[str, tuple[str, str]] | None = None
) -> list[Update]:
    """What the reading changes. A model is found by the id that its file gives for that source, else by its own id or
    an alias, exactly.

    `additions`: source id -> (our id, vendor): for models that get a file, or that this source calls otherwise."""
    known = list(known)
    additions = dict(additions or {})
    tied = {id_: theirs for theirs, (id_, _) in additions.items() if any(entry.file.id == id_ for entry in known)}
    made = [
        _update(entry, reading, statements, on)
        for entry in known
        if (statements := _said_of(entry.file, reading, tied.get(entry.file.id)))
    ]
    for theirs, (id_, vendor) in additions.items():
        if id_ in tied:
            continue
        aliases = (theirs,) if theirs != id_ and reading.key != "models_dev" else ()
        text = new_file(id_, vendor, on, aliases)
        name = f"{vendor}/{id_.replace('/', '--').lower()}.toml"
        after = with_source(text, reading.key, reading.models[theirs])
        made.append(Update(name, "", after, (), reading.dropped.get(theirs, ())))
    return [update for update in made if update.before != update.after]


def problems(known: Iterable[Entry], made: Iterable[Update], vendors: Mapping[str, Vendor]) -> list[Problem]:
    """What the linter would say of the catalogue after these updates, of the models that they touch."""
    texts = {entry.path: entry.text for entry in known}
    changed = {update.path for update in made}
    texts |= {update.path: update.after for update in made}
    models = {path: resolve(read_model(text, path)) for path, text in texts.items()}
    touched = {models[path].id for path in changed}
    return [problem for problem in lint(models.values(), vendors) if problem.model in touched]


def write(directory: Path, made: Iterable[Update]) -> None:
    for update in made:
        file = directory / update.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(update.after, "utf-8")


def _said_of(file: ModelFile, reading: Reading, tied: str | None) -> Statements | None:
    if tied is not None:
        return reading.models[tied]
    own = file.sources.get(reading.key)
    if own is not None and own.id is not None:
        return reading.models.get(own.id)
    return next((reading.models[name] for name in (file.id, *file.aliases) if name in reading.models), None)


def _update(entry: Entry, reading: Reading, said: Statements, on: date) -> Update:
    before = entry.file.sources.get(reading.key)
    notes = reading.dropped.get(said.id or "", ())
    if before is not None and _facts(before) == _facts(said) and before.edition == said.edition:
        return Update(entry.path, entry.text, entry.text, (), notes)
    after = with_source(entry.text, reading.key, said)
    fresh = entry.file.added == on  # what is filled in on the first day did not change
    changes = [] if fresh else _changes(resolve(entry.file), resolve(read_model(after, entry.path)), on)
    return Update(entry.path, entry.text, with_history(after, changes), tuple(changes), notes)


def _facts(said: Statements) -> dict[str, object]:
    return {name: getattr(said, name) for name in Statements.__struct_fields__ if name not in ABOUT}


def _changes(before: ModelFacts, after: ModelFacts, on: date) -> list[Change]:
    """The facts that are believed otherwise now."""
    found = []
    for name in sorted({*before.facts, *after.facts}):
        old, new = before.get(name), after.get(name)
        if not same(old.value, new.value):
            found.append(Change(str(on), name, old.value, new.value, new.source or old.source))
    return found


def _value(value: object) -> str:
    return "unknown" if value is None else msgspec.json.encode(value).decode()
