"""Model files as text: one source's table is rewritten, everything else stays as its author left it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from msgspec.structs import fields

from fairlead.catalogue.facts import Change, Value
from fairlead.catalogue.files import Statements

WIDTH = 120
_HEADER = re.compile(r"^\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")


def with_source(text: str, key: str, statements: Statements) -> str:
    """The file with this table in place of the one of the same source, or behind the last source."""
    lines = text.rstrip("\n").split("\n")
    name = f"sources.{key}"
    headers = [(at, found[1]) for at, line in enumerate(lines) if (found := _HEADER.match(line))]
    mine = [at for at, header in headers if header == name or header.startswith(f"{name}.")]
    if mine:
        begin = mine[0]
        end = next((at for at, header in headers if at > mine[-1] and at not in mine), len(lines))
        end = _before_comment(lines, end)
    else:
        begin = end = _before_comment(
            lines, next((at for at, header in headers if not header.startswith("sources.")), len(lines))
        )
    before, after = lines[:begin], lines[end:]
    while before and not before[-1]:
        before.pop()
    while after and not after[0]:
        after.pop(0)
    return "\n".join([*before, "", *table(name, statements), *([""] if after else []), *after]) + "\n"


def _before_comment(lines: list[str], at: int) -> int:
    """A comment right above a header belongs to it."""
    while at > 0 and at < len(lines) and lines[at - 1].startswith("#"):
        at -= 1
    return at


def table(name: str, statements: Statements) -> list[str]:
    """A source's table, a fact a line."""
    lines = [f"[{name}]"]
    values = {field.name: getattr(statements, field.name) for field in fields(statements)}
    order = ["id", *(key for key in values if key != "id")]
    lines += [f"{key} = {shown(values[key])}" for key in order if values[key] not in (None, (), {})]
    return [part for line in lines for part in _folded(line)]


def new_file(id_: str, vendor: str, added: date, aliases: tuple[str, ...]) -> str:
    lines = [f"id = {shown(id_)}", f"vendor = {shown(vendor)}", f"added = {added}"]
    if aliases:
        lines.append(f"aliases = {shown(aliases)}")
    return "\n".join(lines) + "\n"


def with_history(text: str, changes: list[Change]) -> str:
    """The file with what changed at its end."""
    for change in changes:
        text += f"\n[[history]]\non = {change.on}\nfact = {shown(change.fact)}\nsource = {shown(change.source)}\n"
        for name, value in (("before", change.before), ("after", change.after)):
            if value is not None:
                text += f"{name} = {shown(value)}\n"
    return text


def shown(value: Value | date | Mapping[str, Any]) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(shown(word) for word in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {shown(one)}" for name, one in value.items()) + " }"
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_\-]+", name) else json.dumps(name)


def _folded(line: str) -> list[str]:
    """A list that is too long for a line, over several."""
    if len(line) <= WIDTH or not line.endswith("]"):
        return [line]
    key, _, words = line.partition(" = [")
    rows, row = [], "   "
    for word in words[:-1].split(", "):
        if len(row) + len(word) + 2 > WIDTH:
            rows.append(row)
            row = "   "
        row += f" {word},"
    return [f"{key} = [", *rows, row, "]"]
