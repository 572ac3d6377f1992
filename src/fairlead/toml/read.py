"""TOML files as typed values. What is wrong in one is an error with the file, the line and what would be right.

The shape of a file is a msgspec Struct, and every message is made from that type and the value found: names, ranges
and nearest words come from the type, so a new setting has its messages without a line here.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from fairlead.errors import ConfigurationError
from fairlead.toml.names import closest, cut, quoted
from fairlead.toml.problems import LISTS, MOST_BITS, Problem, bare, choices_of, problems
from fairlead.toml.source import Renamed, Source
from fairlead.toml.text import Path_, Scanner, deepest_line

_MANY_DOTS = 1000

Shape = TypeVar("Shape")


def read(source: Source, text: str, shape: type[Shape], renamed: Sequence[Renamed] = ()) -> Shape:
    """The file as a value of `shape`; `source` notes which settings have an old name in it. Raises ConfigurationError
    with file and line."""
    raw = parse(source, text)
    for one in renamed:
        _rename(source, raw, one)
    kind = _type(cast("Hashable", shape))
    try:
        found = msgspec.convert(raw, shape)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        problem = next(problems(kind, raw), None)
        # The second is for a type that `problems` has no sentence for: less helpful, but never a traceback.
        raise _error(source, problem or Problem((), f"{error}."), kind) from None
    if _has_odd_numbers(raw) and (problem := next(problems(kind, raw), None)):
        raise _error(source, problem, kind)
    return found


class Located(NamedTuple):
    """Something that is wrong, with its place, both from 1; 0: in the file as a whole."""

    line: int
    column: int
    sentence: str


def all_problems(
    source: Source, text: str, shape: type[Shape], renamed: Sequence[Renamed] = (), most: int = 50
) -> list[Located]:
    """All that `read` would refuse one after the other, in the order of the file."""
    try:
        raw = parse(source, text)
        for one in renamed:
            _rename(source, raw, one)
    except ConfigurationError as error:
        return [located(error.message, source)]
    kind = _type(cast("Hashable", shape))
    found = [
        located(_error(source, one, kind).message, source, str(one.path[-1]) if one.path else "")
        for one in islice(problems(kind, raw), most)
    ]
    return sorted(set(found))


def located(message: str, source: Source, word: str = "") -> Located:
    """The place that a sentence of `Source.error` begins with; the column is that of `word` in the line, or of what the
    line begins with."""
    name, _, rest = message.partition(":")
    number, _, sentence = rest.partition(":")
    if name != source.name or not number.strip().isdigit():
        return Located(0, 0, message.removeprefix(f"{source.name}: "))
    line = int(number)
    lines = source.text.split("\n")
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    column = shown.find(word) if word else -1
    return Located(line, (column if column >= 0 else len(shown) - len(shown.lstrip())) + 1, sentence.strip())


def _rename(source: Source, raw: dict[str, Any], one: Renamed) -> None:
    for path, table in list(_tables(raw, tuple(one.table.split(".")), ())):
        if one.old not in table:
            continue
        if one.new in table:
            raise source.error((*path, one.old), f"{one.old!r} is the old name of {one.new!r}: give only {one.new!r}.")
        table[one.new] = table.pop(one.old)
        source.rename(path, one)


def _tables(value: object, steps: tuple[str, ...], path: Path_) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """The tables at a place, alone or in lists, with their paths."""
    entries = [((*path, at), entry) for at, entry in enumerate(value)] if isinstance(value, list) else [(path, value)]
    for here, entry in entries:
        if not isinstance(entry, dict):
            continue
        if not steps:
            yield here, entry
        elif steps[0] in entry:
            yield from _tables(entry[steps[0]], steps[1:], (*here, steps[0]))


def _error(source: Source, problem: Problem, kind: inspect.Type) -> ConfigurationError:
    if problem.known:
        name = str(problem.path[-1])
        homes = [] if closest(name, problem.known, 0.85) else list(_homes(name, kind, ""))
        if homes:
            return source.error(problem.path, f"{quoted(name)} belongs in {' or '.join(homes)}.")
    return source.error(problem.path, problem.sentence)


def _homes(name: str, kind: inspect.Type, path: str) -> Iterator[str]:
    """The tables, as they are written, that have a setting of this name."""
    for choice in map(bare, choices_of(kind)):
        is_list = isinstance(choice, LISTS)
        entry = choice.item_type if isinstance(choice, LISTS) else choice
        if isinstance(entry, inspect.StructType):
            if path and any(field.encode_name == name for field in entry.fields):
                yield f"[[{path}]]" if is_list else f"[{path}]"
            for field in entry.fields:
                yield from _homes(name, field.type, f"{path}.{field.encode_name}" if path else field.encode_name)


def parse(source: Source, text: str) -> dict[str, Any]:
    """The file's tables. Raises ConfigurationError with file and line for what is no TOML."""
    if text.count(".") > _MANY_DOTS and (line := Scanner(text).line_of_long_key()):
        raise ConfigurationError(f"{source.name}:{line}: this is nested too deeply.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" ?\(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(found[1]) if found and found[1] else text.rstrip().count("\n") + 1
        sentence = str(error)[: found.start()] if found else str(error)
        raise ConfigurationError(f"{source.name}:{line}: this is not valid TOML: {cut(sentence, 200)}.") from None
    except RecursionError:
        raise ConfigurationError(f"{source.name}:{deepest_line(text)}: this is nested too deeply.") from None
    except ValueError:  # Python converts no decimal number of more than 4,300 digits
        found = re.search(r"[0-9_]{4000}", text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        raise ConfigurationError(f"{source.name}:{line}: this number is too long.") from None


def _has_odd_numbers(raw: object) -> bool:
    """Whether a number is in it that msgspec lets pass and nothing later can hold: nan, inf, more than 64 bits."""
    stack = [raw]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                return True
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            return True
    return False


@lru_cache(maxsize=16)
def _type(shape: Hashable) -> inspect.Type:
    return inspect.type_info(shape)
