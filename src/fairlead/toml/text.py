"""TOML as text: where each key and value stands, by line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Iterator

# Deeper than any setting. Longer dotted keys are refused: tomllib takes the square of their length.
MOST_LEVELS = 100

Path_ = tuple[str | int, ...]
Place = tuple[Path_, int]
_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


class Scanner:
    """Walks over the tokens of TOML once, without recursion, however deep the values are."""

    _TOKEN = re.compile(
        r'(?P<string>"""(?:\\.|(?!""")[^\\])*"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\')'
        r"|(?P<skip>[ \t\r]+|#[^\n]*)|(?P<mark>[\n\[\]{},.=])|(?P<word>[^ \t\r\n\[\]{},.=\"'#]+)",
        re.DOTALL,
    )

    def __init__(self, text: str) -> None:
        self._tokens = self._split(text)
        self._counts: dict[Path_, int] = {}
        self._span = (0, 0)  # of the last token
        # Where values and comments stand in the text that was scanned.
        self.values: list[tuple[Path_, tuple[int, int]]] = []
        self.comments: list[tuple[int, int]] = []

    def _split(self, text: str) -> Iterator[tuple[str, str, int]]:
        """(kind, text, line) of each token that is no space and no comment; at the end one line feed."""
        line = 1
        for token in self._TOKEN.finditer(text):
            kind, found = token.lastgroup or "", token[0]
            if kind != "skip":
                self._span = token.span()
                yield kind, found, line
            elif found[0] == "#":
                self.comments.append(token.span())
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
            elif not is_mark:
                self.values.append((path, self._span))

    @staticmethod
    def _name(kind: str, text: str) -> str:
        if kind != "string":
            return text
        return next(iter(tomllib.loads(f"{text} = 0"))) if "\\" in text else text[1:-1]


def steps_of(path: str) -> Path_:
    return tuple(int(at) if at else name for at, name in _STEP.findall(path))


def deepest_line(text: str) -> int:
    """The line with the most opening brackets: a guess, but a near one."""
    lines = {at: line.count("[") + line.count("{") for at, line in enumerate(text.split("\n"), 1)}
    return max(lines, key=lambda at: lines[at])
