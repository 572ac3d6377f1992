"""TOML files as typed values. What is wrong in one is an error with the file, the line and what would be right.

The shape of a file is a msgspec Struct, and every message is made from that type and the value found: names, ranges
and nearest words come from the type, so a new setting has its messages without a line here.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import stat
import tomllib
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from fairlead.errors import ConfigurationError

LARGEST_FILE_BYTES = 4 * 1024 * 1024
# Names and words longer than this are cut in messages and are not compared with the right ones.
LONGEST_WORD = 80
MOST_BITS = 63
# Deeper than any setting. Longer dotted keys are refused: tomllib takes the square of their length.
MOST_LEVELS = 100
_MANY_DOTS = 1000

Shape = TypeVar("Shape")
Path_ = tuple[str | int, ...]
Place = tuple[Path_, int]
_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


class Problem(NamedTuple):
    """Where something is wrong, as keys and positions from the top of the file, and a sentence about it. For a
    setting that there is not, `known` has those of its table."""

    path: Path_
    sentence: str
    known: tuple[str, ...] = ()


class Renamed(NamedTuple):
    """A setting that has a new name. `table`: as it is written in a file, such as "models.deployments". The old name is
    read like the new one, with a warning."""

    table: str
    old: str
    new: str


class Source:
    """A file's name and text, for errors with a line. Paths are like `providers[0].base_url`, or tuples."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._renamed: dict[Path_, str] = {}

    def rename(self, table: Path_, one: Renamed) -> None:
        """Notes a setting under its old name: errors about the new one then have the line of the old one."""
        self._renamed[(*table, one.new)] = one.old

    @property
    def warning(self) -> str:
        """One sentence for all settings under old names, "" when there are none."""
        if not self._renamed:
            return ""
        found = [f"line {self.line(path)}: {old} is now {path[-1]}" for path, old in self._renamed.items()]
        return f"{self.name} has settings under old names, which still work. Rename them: {'; '.join(found)}."

    def line(self, path: str | Path_) -> int | None:
        """The line of a setting, or that of the closest thing around it."""
        steps = (_steps(path) if isinstance(path, str) else path)[:MOST_LEVELS]
        if steps in self._renamed:
            steps = (*steps[:-1], self._renamed[steps])
        nearest_line, levels = None, 0
        for found, line in _Scanner(self._text).scan():
            if levels < len(found) <= len(steps) and steps[: len(found)] == found:
                nearest_line, levels = line, len(found)
                if levels == len(steps):
                    break
        return nearest_line

    def error(self, path: str | Path_, sentence: str) -> ConfigurationError:
        line = self.line(path)
        return ConfigurationError(f"{self.name}:{line}: {sentence}" if line else f"{self.name}: {sentence}")


def read_text(path: Path) -> str:
    """The text of a file, with or without a byte order mark. Raises ConfigurationError with one sentence.

    Only regular files: opening a pipe that nobody writes to would wait forever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a Path cannot be opened without waiting
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path} is not a file but {_KINDS.get(stat.S_IFMT(mode), 'a device')}.")
            content = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from None
    if len(content) > LARGEST_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {LARGEST_FILE_BYTES} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8 text.") from None


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


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
        homes = [] if _near(name, problem.known, 0.85) else list(_homes(name, kind, ""))
        if homes:
            return source.error(problem.path, f"{_quoted(name)} belongs in {' or '.join(homes)}.")
    return source.error(problem.path, problem.sentence)


def _homes(name: str, kind: inspect.Type, path: str) -> Iterator[str]:
    """The tables, as they are written, that have a setting of this name."""
    for choice in map(_plain, _choices(kind)):
        is_list = isinstance(choice, _LISTS)
        entry = choice.item_type if isinstance(choice, _LISTS) else choice
        if isinstance(entry, inspect.StructType):
            if path and any(field.encode_name == name for field in entry.fields):
                yield f"[[{path}]]" if is_list else f"[{path}]"
            for field in entry.fields:
                yield from _homes(name, field.type, f"{path}.{field.encode_name}" if path else field.encode_name)


def parse(source: Source, text: str) -> dict[str, Any]:
    """The file's tables. Raises ConfigurationError with file and line for what is no TOML."""
    if text.count(".") > _MANY_DOTS and (line := _Scanner(text).line_of_long_key()):
        raise ConfigurationError(f"{source.name}:{line}: this is nested too deep.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" ?\(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(found[1]) if found and found[1] else text.rstrip().count("\n") + 1
        sentence = str(error)[: found.start()] if found else str(error)
        raise ConfigurationError(f"{source.name}:{line}: this is not valid TOML: {_cut(sentence, 200)}.") from None
    except RecursionError:
        raise ConfigurationError(f"{source.name}:{_deepest_line(text)}: this is nested too deep.") from None
    except ValueError:  # Python converts no decimal number of more than 4,300 digits
        found = re.search(r"[0-9_]{4000}", text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        raise ConfigurationError(f"{source.name}:{line}: this number is too long.") from None


class _Scanner:
    """Walks over the tokens of TOML once, without recursion, however deep the values are."""

    _TOKEN = re.compile(
        r'(?P<string>"""(?:\\.|(?!""")[^\\])*"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\')'
        r"|(?P<skip>[ \t\r]+|#[^\n]*)|(?P<mark>[\n\[\]{},.=])|(?P<word>[^ \t\r\n\[\]{},.=\"'#]+)",
        re.DOTALL,
    )

    def __init__(self, text: str) -> None:
        self._tokens = self._split(text)
        self._counts: dict[Path_, int] = {}

    def _split(self, text: str) -> Iterator[tuple[str, str, int]]:
        """(kind, text, line) of each token that is no space and no comment; at the end one line feed."""
        line = 1
        for token in self._TOKEN.finditer(text):
            kind, found = token.lastgroup or "", token[0]
            if kind != "skip":
                yield kind, found, line
            line += found.count("\n")
        yield "mark", "\n", line

    def line_of_long_key(self) -> int | None:
        """The line with a dotted key of too many parts, in a text that need not be valid."""
        dots = 0
        was_dot = True
        for kind, text, line in self._tokens:
            is_dot = kind == "mark" and text == "."
            dots = dots + 1 if is_dot else dots if was_dot and kind != "mark" else 0
            was_dot = is_dot
            if dots > MOST_LEVELS:
                return line
        return None

    def scan(self) -> Iterator[Place]:
        """The path and the line of every key and of every element of an array, in the order of the file. Paths are
        whole up to MOST_LEVELS."""
        table: Path_ = ()
        for kind, text, line in self._tokens:
            if text == "\n" and kind == "mark":
                continue
            if kind == "mark" and text == "[":
                table = yield from self._header(line)
            else:
                path = yield from self._key(table, (kind, text, line))
                yield from self._value(path)

    def _header(self, line: int) -> Generator[Place, None, Path_]:
        kind, text, _ = token = next(self._tokens)
        is_array = kind == "mark" and text == "["
        keys = [] if is_array else [self._name(*token[:2])]
        for kind, text, _ in self._tokens:
            if kind == "mark" and text == "\n":
                break
            if kind != "mark":
                keys.append(self._name(kind, text))
        path: Path_ = ()
        for at, key in enumerate(keys):
            path = (*path, key)
            yield path, line
            if is_array and at == len(keys) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                yield path, line
        return path

    def _key(self, table: Path_, token: tuple[str, str, int]) -> Generator[Place, None, Path_]:
        """A key, dotted or not, up to its equals sign."""
        path, line = table, token[2]
        while token[:2] != ("mark", "="):
            if token[0] != "mark":
                path = (*path, self._name(*token[:2]))
                yield path, line
            token = next(self._tokens)
        return path

    def _value(self, path: Path_) -> Iterator[Place]:
        """A value up to the end of its line, or of the bracket around it."""
        # For each open bracket: the path of what it belongs to, and the position in an array, or None in a table.
        open_: list[tuple[Path_, int | None]] = []
        begins = False
        for token in self._tokens:
            kind, text, line = token
            is_mark = kind == "mark"
            if not open_:
                if is_mark and text == "\n":
                    return
            elif is_mark and text == "\n":
                continue
            elif is_mark and text in "]}":
                open_.pop()
                begins = False
                continue
            elif is_mark and text == ",":
                if open_[-1][1] is not None:
                    open_[-1] = open_[-1][0], open_[-1][1] + 1
                begins = True
                continue
            elif begins:
                begins = False
                around, at = open_[-1]
                if at is None:
                    path = yield from self._key(around, token)
                    continue
                path = (*around[:MOST_LEVELS], at)
                yield path, line
            if is_mark and text in "[{":
                open_.append((path, 0 if text == "[" else None))
                begins = True

    @staticmethod
    def _name(kind: str, text: str) -> str:
        if kind != "string":
            return text
        return next(iter(tomllib.loads(f"{text} = 0"))) if "\\" in text else text[1:-1]


def problems(kind: inspect.Type, value: object, path: Path_ = (), name: str = "") -> Iterator[Problem]:
    """What is wrong with a value for a type, in the order of the file. Pure; takes as many steps as the type is deep,
    however deep the value is."""
    choices = _choices(kind)
    fitting = [_plain(choice) for choice in choices if _fits(choice, value)]
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
                yield Problem((*path, name), f"{_quoted(name)} is not a valid name: names take {wanted}.")
            shown = _quoted(name) if len(name) > LONGEST_WORD or not name.isprintable() else name
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
    elif isinstance(kind, _LISTS):
        for at, entry in enumerate(value):
            yield from problems(kind.item_type, entry, (*path, at), name)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is none of those known, with the nearest or with all of them."""
    return f"there is no {what} {_quoted(name)}; {nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """'did you mean "x"?', or the names that there are."""
    names = list(known)
    near = _near(name, names)
    return f"did you mean {near!r}?" if near else f"known here: {', '.join(names)}."


def _near(name: str, known: Iterable[str], alike: float = 0.5) -> str | None:
    """The known name that is nearest. A long one is not compared: that would take the square of its length."""
    if len(name) > LONGEST_WORD:
        return None
    return next(iter(difflib.get_close_matches(name.lower(), list(known), 1, alike)), None)


_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


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
            return isinstance(kind, _LISTS) and isinstance(value, list)


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
    plain = tuple(_plain(choice) for choice in choices)
    if not path:
        return "the file must hold a table."
    table = ".".join(step for step in path if isinstance(step, str))
    if isinstance(value, dict) and any(
        isinstance(kind, _LISTS) and isinstance(kind.item_type, inspect.StructType) for kind in plain
    ):
        return f"there may be several: write [[{table}]], with two brackets."
    if isinstance(value, list) and any(isinstance(kind, inspect.StructType) for kind in plain):
        return f"{name} takes one table: write [{table}], with one bracket."
    words = [word for kind in plain if isinstance(kind, inspect.LiteralType) for word in kind.values]
    shown = _shown(plain, value)
    sentence = f"{name} takes {_wanted(choices)}" + (f", not {shown}" if shown else "")
    if isinstance(value, str):
        if words:
            near = _near(value, map(str, words))
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
                return _quoted(value)
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
            return f"a table of names, each with {_wanted(_choices(kind.value_type))}"
        case inspect.TupleType():
            return f"a list of {len(kind.item_types)}"
    if isinstance(kind, _LISTS):
        of = kind.item_type
        inner = "tables" if isinstance(of, inspect.StructType) else _plural(_wanted(_choices(of)))
        return f"a list of {inner}"
    return "something else"


def _choices(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _plain(kind: inspect.Type) -> inspect.Type:
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


def _steps(path: str) -> Path_:
    return tuple(int(at) if at else name for at, name in _STEP.findall(path))


def _deepest_line(text: str) -> int:
    """The line with the most opening brackets: a guess, but a near one."""
    lines = {at: line.count("[") + line.count("{") for at, line in enumerate(text.split("\n"), 1)}
    return max(lines, key=lambda at: lines[at])


def _quoted(word: str) -> str:
    return repr(_cut(word, LONGEST_WORD))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
