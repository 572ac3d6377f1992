"""A setting is written once: its page is made from its declaration, its default stands nowhere else, and it is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from fairlead.settings import File
from fairlead.settings.reference import doc, renewed, sections

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "fairlead"
DECLARED = SOURCE / "settings" / "sections.py"
# What a setting is called where it has arrived: without what says that it is a limit, or a time for something.
DROPPED = frozenset({"max", "timeout"})


class Setting(NamedTuple):
    section: str
    name: str
    default: Any


def page() -> Path:
    [found] = DOCS.rglob("settings.md")
    return found


def all_settings() -> list[Setting]:
    return [
        Setting(section, field.name, field.default)
        for section, shape in sections()
        for field in msgspec.structs.fields(shape)
    ]


def test_the_page_is_as_the_declarations_make_it() -> None:
    assert page().read_text("utf-8") == renewed(page(), DOCS), "run script/docs"


def test_the_page_has_a_table_for_every_section() -> None:
    blocks = set(re.findall(r"<!-- settings: ([\w.]+) -->", page().read_text("utf-8"))) - {"end"}
    assert {section for section, _ in sections()} <= blocks
    assert set(File.__struct_fields__) <= blocks


def test_every_setting_has_a_line_of_documentation() -> None:
    for section, shape in sections():
        for field in msgspec.structs.fields(shape):
            assert len(doc(shape, field.name).meaning) > 3, (section, field.name)


def test_a_setting_without_a_line_is_refused(tmp_path: Path) -> None:
    class Silent(msgspec.Struct):
        mute: int = 1

    with pytest.raises(ValueError, match="mute has no Doc"):
        doc(Silent, "mute")
    (tmp_path / "settings.md").write_text("<!-- settings: nowhere -->\n<!-- settings: end -->")
    with pytest.raises(KeyError):
        renewed(tmp_path / "settings.md", DOCS)


def test_every_variable_of_ours_is_on_the_page() -> None:
    found = {
        name for file in SOURCE.rglob("*.py") for name in re.findall(r"FAIRLEAD_[A-Z_]+", file.read_text("utf-8"))
    } - {"FAIRLEAD_API_KEY"}  # a caller's, in examples
    described = page().read_text("utf-8")
    assert len(found) > 3
    assert [name for name in sorted(found) if f"| `{name}` |" not in described] == []


# --- one default


def words_of(name: str) -> tuple[str, ...]:
    return tuple(word for word in name.split("_") if word not in DROPPED)


def defaults(tree: ast.AST) -> Iterator[tuple[str, Any, int]]:
    """Every constant that a field of a class or a parameter of a function has when nothing else is given."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        ):
            yield node.target.id, node.value.value, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [*node.args.posonlyargs, *node.args.args]
            pairs = [*zip(given[::-1], node.args.defaults[::-1], strict=False)]
            pairs += [
                (one, value) for one, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value
            ]
            for one, value in pairs:
                if isinstance(value, ast.Constant):
                    yield one.arg, value.value, node.lineno


def written_twice(name: str, value: Any, found: list[Setting]) -> bool:
    return any(
        words_of(name) == words_of(one.name) and value == one.default and type(value) in (int, float, str, bool)
        for one in found
    )


def test_no_default_of_a_setting_is_written_a_second_time() -> None:
    # An empty default means "none"; false and a text are too common to be told from another parameter's.
    known = [one for one in all_settings() if isinstance(one.default, int | float) and one.default is not False]
    assert len(known) > 25
    again = [
        f"{file.relative_to(SOURCE)}:{line}: {name} = {value!r}"
        for file in sorted(SOURCE.rglob("*.py"))
        if file != DECLARED
        for name, value, line in defaults(ast.parse(file.read_text("utf-8")))
        if written_twice(name, value, known)
    ]
    assert again == []


def test_a_second_default_would_be_found() -> None:
    known = [Setting("server", "head_timeout_seconds", 10)]
    tree = ast.parse("class Limits:\n    head_seconds: float = 10\ndef f(*, head_seconds=10, max_head_bytes=1): ...\n")
    assert [name for name, value, _ in defaults(tree) if written_twice(name, value, known)] == ["head_seconds"] * 2


# --- read where it is used


def read_names(source: Path) -> set[str]:
    """The attributes that are read in the files that are given settings, those named in a text for `getattr` too."""
    found: set[str] = set()
    for file in source.rglob("*.py"):
        text = file.read_text("utf-8")
        if "settings" not in text.lower() or file == DECLARED:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_setting_is_read() -> None:
    # Limits and rates are read as a whole: their names are those of the classes that they become.
    from fairlead.accounts.limits import Limits
    from fairlead.wire.usage import CLASSES

    found = read_names(SOURCE) | set(Limits.__struct_fields__) | set(CLASSES)
    assert [one for one in all_settings() if one.name not in found] == []


def test_a_setting_that_nobody_reads_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("def f(settings):\n    settings.unread = 1\n    return settings.server.used\n")
    assert read_names(tmp_path) & {"unread", "used"} == {"used"}
