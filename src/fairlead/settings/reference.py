"""The tables of docs/reference/settings.md, made from the declarations. `script/docs` writes them into the page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from fairlead.settings.environment import VARIABLES
from fairlead.settings.sections import RENAMED, Doc, File, PriceSettings

Link = Callable[[str], str]
# A block is replaced as a whole; what stands around it is written by hand.
_BLOCK: Final = re.compile(r"(<!-- settings: ([\w.]+) -->\n).*?(<!-- settings: end -->)", re.DOTALL)
_PAGE_OR_CODE: Final = re.compile(r"\[([\w-]+)\](?!\()|`[^`]*`")
# Where a page is looked for: what a user reads comes before how it is built.
_FOLDERS: Final = (".", "reference", "guides", "internals")


def renewed(page: Path, docs: Path) -> str:
    """The text of a page with its blocks as they should be. Links lead to pages anywhere below `docs`.

    Raises KeyError for a block of an unknown name."""
    tables = dict(_tables(partial(_link, page, docs)))
    return _BLOCK.sub(lambda block: f"{block[1]}\n{tables[block[2]]}\n{block[3]}", page.read_text("utf-8"))


def _link(page: Path, docs: Path, name: str) -> str:
    found = next(file for folder in _FOLDERS if (file := docs / folder / f"{name}.md").is_file())
    return os.path.relpath(found, page.parent)


def _tables(link: Link) -> Iterator[tuple[str, str]]:
    for path, shape in sections():
        yield path, _table(("setting", "default", "range", "meaning"), _rows(shape), link)
    yield (
        "rates",
        _table(
            ("rate", "without it", "for"),
            ((name, default, meaning) for name, default, _, meaning in _rows(PriceSettings)),
            link,
        ),
    )
    names = [(", ".join(f"`{name}`" for name in one.name.split(", ")), one.meaning) for one in VARIABLES]
    yield "environment", _table(("variable", "meaning"), names, link)
    old = [(f"`{one.old}`", f"`{one.new}`", f"`{_heading(one.table)}`") for one in RENAMED]
    yield "renamed", _table(("old name", "name", "where"), old, link)


def sections() -> Iterator[tuple[str, type]]:
    """The tables of a configuration file with their classes, such as "server" and "models.deployments"."""
    for name, hint in get_type_hints(File).items():
        shape = _entry(hint) or hint
        yield name, shape
        for inner, deeper in get_type_hints(shape).items():
            if entry := _entry(deeper):
                yield f"{name}.{inner}", entry


def doc(shape: type, name: str) -> Doc:
    """What the reference says of a setting. Raises ValueError when it is declared without."""
    for given in getattr(get_type_hints(shape, include_extras=True)[name], "__metadata__", ()):
        if isinstance(given, Doc):
            return given
    raise ValueError(f"{shape.__name__}.{name} has no Doc")


def _entry(hint: Any) -> type | None:
    """The class of a list of tables."""
    first = get_args(hint)[:1]
    return first[0] if first and isinstance(first[0], type) and issubclass(first[0], msgspec.Struct) else None


def _heading(table: str) -> str:
    """A table as it is written in a file."""
    return f"[[{table}]]" if _entry(get_type_hints(File)[table.split(".", maxsplit=1)[0]]) else f"[{table}]"


def _rows(shape: type) -> Iterator[tuple[str, ...]]:
    described = inspect.type_info(shape)
    assert isinstance(described, inspect.StructType)
    hints = get_type_hints(shape)
    for field in described.fields:
        said = doc(shape, field.name)
        range_ = said.takes or taken(field.type, tuple(_words(hints[field.name])))
        yield f"`{field.encode_name}`", said.default or _default(field), range_, said.meaning


def _words(hint: Any) -> Iterator[str]:
    """The words of a `Literal` in their order: msgspec sorts them."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for inner in get_args(hint):
            yield from _words(inner)


def _default(field: inspect.Field) -> str:
    if field.required:
        return "needed"
    match field.default:
        case bool():
            return "true" if field.default else "false"
        case int() | float():
            return str(field.default)
        case str():
            return f'"{field.default}"'
    return "none"


def taken(kind: inspect.Type, words: Sequence[str] = ()) -> str:
    """What a setting takes. `words`: the order of those that it takes."""
    match kind:
        case inspect.UnionType():
            return " or ".join(taken(one, words) for one in kind.types if not isinstance(one, inspect.NoneType))
        case inspect.Metadata():
            described = (kind.extra_json_schema or {}).get("description")
            return described if isinstance(described, str) else taken(kind.type, words)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _range(kind)
        case inspect.StrType():
            return f"{kind.min_length or 0} to {kind.max_length} characters" if kind.max_length else "text"
        case inspect.LiteralType():
            *first, last = [f'"{word}"' for word in words]
            return f"{', '.join(first)} or {last}" if first else last
        case inspect.VarTupleType():
            return f"list of {taken(kind.item_type, words)}"
    raise ValueError(f"no words for {type(kind).__name__}: give the setting a Doc with `takes`")


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    most = _number(kind.le)
    return f"above {_number(kind.gt)}, up to {most}" if kind.gt is not None else f"{_number(kind.ge)} to {most}"


def _number(value: float | None) -> str:
    if value is None:
        raise ValueError("a number without a range")
    return f"{value:,}" if value < 10**13 else f"10^{len(str(value)) - 1}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], link: Link) -> str:
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, *rows])
    text = text.replace("\n", f"\n|{'---|' * len(heads)}\n", 1)
    return _PAGE_OR_CODE.sub(lambda found: f"[{found[1]}]({link(found[1])})" if found[1] else found[0], text)
