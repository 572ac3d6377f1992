"""What is wrong with a value for a type, in a sentence that says what would be right. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any, NamedTuple

from msgspec import inspect

from fairlead.toml.names import LONGEST_WORD, closest, quoted, unknown
from fairlead.toml.text import Path_

MOST_BITS = 63


class Problem(NamedTuple):
    """Where something is wrong, as keys and positions from the top of the file, and a sentence about it. For a
    setting that there is not, `known` has those of its table."""

    path: Path_
    sentence: str
    known: tuple[str, ...] = ()


def problems(kind: inspect.Type, value: object, path: Path_ = (), name: str = "") -> Iterator[Problem]:
    """What is wrong with a value for a type, in the order of the file. Pure; takes as many steps as the type is deep,
    however deep the value is."""
    choices = choices_of(kind)
    fitting = [bare(choice) for choice in choices if _fits(choice, value)]
    if not fitting:
        yield Problem(path, _refusal(choices, value, path, name))
    for choice in fitting[:1]:
        if isinstance(value, dict):
            yield from _of_table(choice, value, path, name)
        elif isinstance(value, list):
            yield from _of_list(choice, value, path, name)


def _of_table(kind: inspect.Type, value: dict[str, Any], path: Path_, above: str) -> Iterator[Problem]:
    if isinstance(kind, inspect.DictType):
        for name, entry in value.items():
            if not _fits(kind.key_type, name):
                wanted = _wanted((kind.key_type,))
                yield Problem((*path, name), f"{quoted(name)} is not a valid name: names take {wanted}.")
            shown = quoted(name) if len(name) > LONGEST_WORD or not name.isprintable() else name
            yield from problems(kind.value_type, entry, (*path, name), f"{above}.{shown}" if above else shown)
    elif isinstance(kind, inspect.StructType):
        fields = {field.encode_name: field for field in kind.fields}
        for name, entry in value.items():
            if name in fields:
                yield from problems(fields[name].type, entry, (*path, name), name)
            elif kind.forbid_unknown_fields:
                yield Problem((*path, name), unknown("setting", name, fields), tuple(fields))
        for name, field in fields.items():
            if field.required and name not in value:
                yield Problem(path, f"{name!r} is missing here.")


def _of_list(kind: inspect.Type, value: list[Any], path: Path_, name: str) -> Iterator[Problem]:
    if isinstance(kind, inspect.TupleType):
        for at, (choice, entry) in enumerate(zip(kind.item_types, value, strict=False)):
            yield from problems(choice, entry, (*path, at), name)
    elif isinstance(kind, LISTS):
        for at, entry in enumerate(value):
            yield from problems(kind.item_type, entry, (*path, at), name)


LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


def _fits(kind: inspect.Type, value: object) -> bool:
    """Whether a value is of a type, without what is inside of it."""
    match kind:
        case inspect.AnyType():
            return True
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return type(value) is int and value.bit_length() <= MOST_BITS and _is_within(kind, value)
        case inspect.FloatType():
            if type(value) is int:
                return value.bit_length() <= MOST_BITS and _is_within(kind, value)
            return isinstance(value, float) and math.isfinite(value) and _is_within(kind, value)
        case inspect.StrType():
            return (
                isinstance(value, str)
                and (kind.min_length or 0) <= len(value)
                and (kind.max_length is None or len(value) <= kind.max_length)
                and (kind.pattern is None or re.search(kind.pattern, value) is not None)
            )
        case inspect.LiteralType():
            return any(type(word) is type(value) and word == value for word in kind.values)
        case inspect.DateType():
            return (isinstance(value, date) and not isinstance(value, datetime)) or _is_day(value)
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.TupleType():
            return isinstance(value, list) and len(value) == len(kind.item_types)
        case inspect.Metadata():
            return _fits(kind.type, value)
        case _:
            return isinstance(kind, LISTS) and isinstance(value, list)


def _is_within(kind: inspect.IntType | inspect.FloatType, value: float) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) == len("2026-01-31") and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _refusal(choices: tuple[inspect.Type, ...], value: object, path: Path_, name: str) -> str:
    plain = tuple(bare(choice) for choice in choices)
    if not path:
        return "the file must hold a table."
    table = ".".join(step for step in path if isinstance(step, str))
    if isinstance(value, dict) and any(
        isinstance(kind, LISTS) and isinstance(kind.item_type, inspect.StructType) for kind in plain
    ):
        return f"there may be several: write [[{table}]], with two brackets."
    if isinstance(value, list) and any(isinstance(kind, inspect.StructType) for kind in plain):
        return f"{name} takes one table: write [{table}], with one bracket."
    words = [word for kind in plain if isinstance(kind, inspect.LiteralType) for word in kind.values]
    shown = _shown(plain, value)
    sentence = f"{name} takes {_wanted(choices)}" + (f", not {shown}" if shown else "")
    if isinstance(value, str):
        if words:
            near = closest(value, map(str, words))
            return f"{sentence}; did you mean {near!r}?" if near else f"{sentence}."
        if any(isinstance(kind, _BARE) for kind in plain) and re.fullmatch(r"[-+0-9._]{1,40}|true|false", value):
            return f"{sentence}. Write it without quotes: {value}."
    elif type(value) in (int, float) and any(isinstance(kind, inspect.StrType) for kind in plain):
        return f"{sentence}. Write it in quotes."
    return f"{sentence}."


_TEXT = "text in quotes"
_NUMBERS = (inspect.IntType, inspect.FloatType)
_BARE = (*_NUMBERS, inspect.BoolType)


def _shown(choices: Iterable[inspect.Type], value: object) -> str:
    """A value in a message, or "". Quoted only where one of its kind was wanted: anything else may be a secret."""
    kinds = tuple(choices)
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            if not any(isinstance(kind, _NUMBERS) for kind in kinds):
                return "a number"
            return str(value) if isinstance(value, float) or value.bit_length() <= 128 else "a number that long"
        case str():
            if any(isinstance(kind, inspect.LiteralType) for kind in kinds):
                return quoted(value)
            if not any(isinstance(kind, inspect.StrType) for kind in kinds):
                return _TEXT
            return "" if value else "an empty string"
        case list():
            return (
                "a list" if not any(isinstance(kind, inspect.TupleType) for kind in kinds) else f"{len(value)} of them"
            )
        case dict():
            return "a table"
        case date() | time():
            return "a date or time"
    return "this"


def _wanted(choices: Iterable[inspect.Type]) -> str:
    """What types take, in words."""
    found: list[str] = []
    words: list[str] = []
    for kind in choices:
        if isinstance(kind, inspect.LiteralType):
            words += [f'"{word}"' if isinstance(word, str) else str(word) for word in kind.values]
        elif not isinstance(kind, inspect.NoneType):
            found.append(_in_words(kind))
    if words:
        found.append(", ".join(words))
    return " or ".join(dict.fromkeys(found))


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            described = (kind.extra_json_schema or {}).get("description")
            return described if isinstance(described, str) else _in_words(kind.type)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType():
            least, most = kind.min_length or 0, kind.max_length
            if most is not None:
                return f"text of {least} to {most} characters"
            return f"text of at least {least} characters" if least > 1 else "text that is not empty" if least else _TEXT
        case inspect.DateType():
            return "a date such as 2026-01-31"
        case inspect.StructType():
            needed = [field.encode_name for field in kind.fields if field.required]
            if not needed:
                return "a table"
            return f"a table, {{ {', '.join(f'{name} = ...' for name in needed)} }}"
        case inspect.DictType():
            return f"a table of names, each with {_wanted(choices_of(kind.value_type))}"
        case inspect.TupleType():
            return f"a list of {len(kind.item_types)}"
    if isinstance(kind, LISTS):
        of = kind.item_type
        inner = "tables" if isinstance(of, inspect.StructType) else _plural(_wanted(choices_of(of)))
        return f"a list of {inner}"
    return "something else"


def choices_of(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def bare(kind: inspect.Type) -> inspect.Type:
    """A type without the words that describe it."""
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _plural(words: str) -> str:
    return "texts in quotes" if words == _TEXT else words


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    least = kind.ge if kind.ge is not None else kind.gt
    most = kind.le if kind.le is not None else kind.lt
    above = "above " if kind.gt is not None else ""
    if least is not None and most is not None:
        return f" {above}{least} and up to {most}" if above else f" from {least} to {most}"
    if least is not None:
        return f" {above}{least}" if above else f" of at least {least}"
    return f" up to {most}" if most is not None else ""
