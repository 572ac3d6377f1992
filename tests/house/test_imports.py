"""The import graph of the package: downward only, no circle - not even for the type checker -, and none between
siblings."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "fairlead"

# Top to bottom. What stands together is on one level and must not import each other, except as ALLOWED says.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"demo"}),
    frozenset({"workers"}),
    frozenset({"runtime"}),
    frozenset({"compose"}),
    frozenset({"console"}),
    frozenset({"api", "site"}),
    frozenset({"admin"}),
    frozenset({"gateway", "doors", "content"}),
    frozenset({"serving"}),
    frozenset({"operations"}),
    frozenset({"routing"}),
    frozenset({"catalogue", "providers", "ledger", "accounts", "people", "telemetry", "engines", "alerts"}),
    frozenset({"store", "http", "prices", "schemas", "processes", "settings", "tokens"}),
    frozenset({"wire"}),
    frozenset({"money"}),
    frozenset({"toml"}),
    frozenset({"errors", "background", "threads", "clock"}),
    frozenset({"compiled"}),
)
TESTING_MAY_IMPORT = frozenset({"http", "wire", "errors", "ledger", "accounts", "routing"})
Graph = dict[str, set[str]]


def part_of(module: str) -> str | None:
    """`fairlead.http.server` is in the part `http`; None for the package itself, which holds only the version."""
    names = module.split(".")
    return None if names[0] != "fairlead" or len(names) == 1 else names[1]


@cache
def imports(file: Path) -> set[str]:
    """All of them: those inside functions and those for the type checker alone, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(file: Path, source: Path = SOURCE) -> str:
    return ".".join(("fairlead", *file.relative_to(source).with_suffix("").parts)).removesuffix(".__init__")


def draw() -> Graph:
    graph: Graph = {}
    for file in SOURCE.rglob("*.py"):
        part = part_of(module_of(file))
        if part is not None:
            graph.setdefault(part, set()).update(filter(None, map(part_of, imports(file))))
    for part, others in graph.items():
        others.discard(part)
        others.discard("__version__")
    return graph


def wrong_arrows(graph: Graph) -> list[str]:
    level = {part: at for at, parts in enumerate(LAYERS) for part in parts}
    wrong = []
    for part, others in graph.items():
        for other in others:
            if part == "demo" and other == "testing":
                right = True  # its providers are scripted
            elif part == "testing":
                right = other in TESTING_MAY_IMPORT
            else:
                right = other in level and part in level and level[part] < level[other]
            if not right:
                wrong.append(f"{part} -> {other}")
    return sorted(wrong)


def circle(graph: Graph) -> str | None:
    """The first circle as "a -> b -> a", or None."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> str | None:
        if name in path:
            return " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := visit(other, (*path, name)):
                    return found
            done.add(name)
        return None

    return next(filter(None, (visit(name, ()) for name in sorted(graph))), None)


def test_imports_go_downward_only() -> None:
    graph = draw()
    assert {"compose", "http", "wire", "gateway", "providers"} <= set(graph)
    assert wrong_arrows(graph) == []


def between_modules(source: Path) -> Graph:
    modules = {module_of(file, source): file for file in source.rglob("*.py")}
    return {
        name: {
            other
            for found in imports(file)
            for other in (found, found.rpartition(".")[0])
            if other in modules and other != name
        }
        for name, file in modules.items()
    }


def test_no_module_is_part_of_a_circle_not_even_for_the_type_checker() -> None:
    known = between_modules(SOURCE)
    assert sum(map(len, known.values())) > len(known), "the graph has arrows at all"
    assert circle(known) is None


def test_the_check_finds_an_upward_arrow_and_one_between_siblings() -> None:
    assert wrong_arrows({"http": {"gateway"}}) == ["http -> gateway"]
    assert wrong_arrows({"providers": {"catalogue"}}) == ["providers -> catalogue"]
    assert wrong_arrows({"testing": {"app"}}) == ["testing -> app"]
    assert wrong_arrows({"api": {"gateway", "errors"}}) == []


def test_the_check_finds_a_circle() -> None:
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    assert circle({"z": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}) == "a -> b -> c -> a"


def test_imports_inside_functions_are_arrows_too(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_text(
        "def f():\n    import fairlead.app\n    from fairlead import cli\n    from fairlead.wire.chat import x\n"
    )
    assert {part_of(name) for name in imports(file)} == {"app", "cli", "wire"}


def test_an_import_for_the_type_checker_closes_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from fairlead.b import B\n")
    (tmp_path / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fairlead.a import A\n"
    )
    assert circle(between_modules(tmp_path)) == "fairlead.a -> fairlead.b -> fairlead.a"
