"""What became of every setting of an imported file: mapped, not mapped, or never effective where it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Path = tuple[str | int, ...]
Kind = Literal["mapped", "not_mapped", "never_effective"]
UNKNOWN_HERE = "this importer does not know it; look it up in the reference of settings"
LONGEST_STEP = 80
_PLAIN = re.compile(r"[A-Za-z0-9_\-/*@+]{1,80}")


class Line(NamedTuple):
    """One setting: `note` is where it went, or why it went nowhere and what to do."""

    setting: str
    note: str


class Report:
    """Puts every leaf of a tree of dicts and lists into exactly one of three lists. A claim on a branch is one on all
    of its leaves that have none yet; the first claim on a leaf counts. Notes never hold values of the file, because a
    value may be a secret."""

    def __init__(self, tree: dict[str, Any] | None) -> None:
        """`tree` None: only lines that are added."""
        self._tree = tree
        self._claims: dict[Path, tuple[Kind, str]] = {}
        self._more: dict[Kind, list[Line]] = {"mapped": [], "not_mapped": [], "never_effective": []}
        self.notes: list[str] = []

    def mapped(self, path: Path, to: str) -> None:
        self._claim("mapped", path, to)

    def not_mapped(self, path: Path, why: str) -> None:
        self._claim("not_mapped", path, why)

    def never_effective(self, path: Path, why: str) -> None:
        self._claim("never_effective", path, why)

    def add(self, kind: Kind, setting: str, note: str) -> None:
        """A line about what is no leaf of the tree, such as a key that a later one of the same name replaced."""
        self._more[kind].append(Line(setting, note))

    def note(self, text: str) -> None:
        """What to look at before the document is applied; each text once."""
        if text not in self.notes:
            self.notes.append(text)

    def lines(self, kind: Kind) -> list[Line]:
        """The leaves in one list, in the order of the file."""
        found = [
            Line(shown(path), note)
            for path, _ in (leaves(self._tree) if self._tree is not None else ())
            for claimed, note in (self._claims.get(path, ("not_mapped", UNKNOWN_HERE)),)
            if claimed == kind
        ]
        return found + self._more[kind]

    def entry(self) -> dict[str, Any]:
        """As JSON documents show it."""
        return {
            "mapped": [{"setting": line.setting, "to": line.note} for line in self.lines("mapped")],
            "not_mapped": [{"setting": line.setting, "why": line.note} for line in self.lines("not_mapped")],
            "never_effective": [{"setting": line.setting, "why": line.note} for line in self.lines("never_effective")],
            "notes": self.notes,
        }

    def _claim(self, kind: Kind, path: Path, note: str) -> None:
        for leaf, _ in leaves(_at(self._tree, path), path):
            self._claims.setdefault(leaf, (kind, note))


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value that is no table and no list, and every empty one, with its path."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, at))
    else:
        yield path, value


def shown(path: Path) -> str:
    """As "model_list[0].litellm_params.model". A name that is no plain word is quoted: it may hold anything."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            word = step if _PLAIN.fullmatch(step) else json.dumps(step[:LONGEST_STEP])
            text += f".{word}" if text else word
    return text


def _at(tree: object, path: Path) -> object:
    for step in path:
        tree = tree[step]  # type: ignore[index]
    return tree
