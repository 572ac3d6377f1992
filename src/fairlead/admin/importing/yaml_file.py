"""YAML of strangers as plain dicts, lists and scalars: no tags, bounded in size, depth and what aliases expand to."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import yaml

from fairlead.admin.importing.report import Path, shown
from fairlead.errors import ConfigurationError

# Real configurations are below 100 KB. PyYAML reads about 100 KB per second.
LARGEST_BYTES = 1024 * 1024
MOST_LEVELS = 40
# Values with every alias written out. A file of 1 KB can stand for billions ("billion laughs").
MOST_VALUES = 100_000
LONGEST_NUMBER = 100


class Duplicate(NamedTuple):
    """A key that a later one of the same name replaced."""

    path: Path
    line: int
    winner: int

    @property
    def shown(self) -> str:
        return f"{shown(self.path)} (line {self.line})"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Constructs text, whole numbers, decimals, true, false and null. Dates stay text, as `api_version: 2024-10-21`."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_LEVELS:
            raise yaml.MarkedYAMLError(None, None, "it is nested too deeply", self.peek_event().start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_TEXT, _INT, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_KNOWN = {_TEXT, _INT, _FLOAT, "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp"}
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(text: str, name: str) -> tuple[dict[str, object], list[Duplicate]]:
    """The file's table, and the keys that are given twice. Decimals are exact. Raises ConfigurationError with the line;
    no message quotes the file, which may hold secrets."""
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_BYTES:
        raise ConfigurationError(f"{name} is larger than {LARGEST_BYTES} bytes.")
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigurationError(f"{name} is empty.")
        _check_size(node, name, {})
        duplicates: list[Duplicate] = []
        found = _Builder(loader, name, duplicates).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{name}{line}: this is not valid YAML: {_problem(error)}.") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{name} is not valid YAML: it contains characters that are not allowed.") from None
    except RecursionError:
        raise ConfigurationError(f"{name} is nested too deeply.") from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(found, dict):
        raise ConfigurationError(f"{name} is not a table of settings.")
    return found, duplicates


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Without what it quotes of the file."""
    problem = error.problem or "it cannot be read"
    return problem.split("'", maxsplit=1)[0].split('"', maxsplit=1)[0].rstrip(" ,:(") or "it cannot be read"


def _check_size(node: yaml.Node, name: str, known: dict[int, int]) -> int:
    """Values below a node with all aliases expanded, each node looked at once. An alias within itself is refused."""
    if (size := known.get(id(node))) is not None:
        if size < 0:
            raise ConfigurationError(f"{name}:{node.start_mark.line + 1}: an anchor contains its own alias.")
        return size
    known[id(node)] = -1
    size = 1
    if isinstance(node, yaml.MappingNode):
        size += sum(_check_size(one, name, known) for pair in node.value for one in pair)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check_size(one, name, known) for one in node.value)
    if size > MOST_VALUES:
        raise ConfigurationError(f"{name}:{node.start_mark.line + 1}: this stands for more than {MOST_VALUES} values.")
    known[id(node)] = size
    return size


class _Builder:
    """Nodes as values."""

    def __init__(self, loader: _Loader, name: str, duplicates: list[Duplicate]) -> None:
        self._loader, self._name, self._duplicates = loader, name, duplicates

    def value(self, node: yaml.Node, path: Path) -> object:
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._table(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.value(one, (*path, at)) for at, one in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _KNOWN:
            return self._scalar(node)
        raise self._error(node, "tags are not read: write plain values")

    def _table(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        merged: dict[str, object] = {}
        own: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, inner in node.value:
            if key.tag == _MERGE:
                for table in inner.value if isinstance(inner, yaml.SequenceNode) else [inner]:
                    if not isinstance(table, yaml.MappingNode):
                        raise self._error(inner, "'<<' merges only tables")
                    merged = {**self._table(table, path), **merged}
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KNOWN:
                raise self._error(key, "a key must be text")
            word, line = self._text(key), key.start_mark.line + 1
            if word in own:
                known = Duplicate((*path, word), lines[word], line)
                if known not in self._duplicates:
                    self._duplicates.append(known)
            own[word], lines[word] = self.value(inner, (*path, word)), line
        return {**merged, **own}

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text = self._text(node)
        if node.tag in (_INT, _FLOAT):
            if len(text) > LONGEST_NUMBER:
                raise self._error(node, "this number is too long")
            if node.tag == _INT:
                return self._loader.construct_yaml_int(node)
            try:
                number = Decimal(text.replace("_", ""))
            except InvalidOperation:  # .inf, .nan, 1:30.5
                return text
            return number if number.is_finite() and abs(number.adjusted()) < LONGEST_NUMBER else text
        if node.tag.endswith(":bool"):
            return self._loader.construct_yaml_bool(node)
        return None if node.tag.endswith(":null") else text

    def _text(self, node: yaml.ScalarNode) -> str:
        text = str(node.value)
        try:
            # JSON is YAML, and writes a character beyond the first 65,536 as two halves.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._error(node, "half of a surrogate pair is no text") from None

    def _error(self, node: yaml.Node, sentence: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}:{node.start_mark.line + 1}: {sentence}.")
