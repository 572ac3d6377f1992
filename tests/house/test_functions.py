"""Functions stay small enough to be read at once: few are long, and few have many branches."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fairlead"
LONGEST_LINES = 50
MOST_COMPLEX = 15
# Of all functions, how many may be longer or more complex: one in two hundred.
SHARE = 0.005


@cache
def functions(source: Path) -> dict[str, int]:
    """Each function's name and its lines."""
    return dict(lines_of(source))


def lines_of(source: Path) -> Iterator[tuple[str, int]]:
    for file in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{file.relative_to(source)}:{node.name}", node.end_lineno - node.lineno + 1


def complex_functions(source: Path) -> list[str]:
    """Those with a cyclomatic complexity (McCabe) of more than MOST_COMPLEX, by ruff's rule C901."""
    command = [
        sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "C901", "--output-format", "json",
        "--config", f"lint.mccabe.max-complexity={MOST_COMPLEX}", str(source),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode in (0, 1), done.stderr
    return [f"{one['filename']}: {one['message']}" for one in json.loads(done.stdout)]


def test_few_functions_are_long() -> None:
    found = functions(SOURCE)
    long = [f"{name}: {lines} lines" for name, lines in found.items() if lines > LONGEST_LINES]
    assert len(found) > 1_000
    assert len(long) <= SHARE * len(found), long


def test_few_functions_are_complex() -> None:
    found = complex_functions(SOURCE)
    assert len(found) <= SHARE * len(functions(SOURCE)), found


def test_a_long_and_a_complex_function_are_found(tmp_path: Path) -> None:
    branches = "".join(f"    if x == {at}:\n        return {at}\n" for at in range(MOST_COMPLEX))
    (tmp_path / "m.py").write_text(f"def short(x):\n    return x\ndef many(x):\n{branches}")
    assert functions(tmp_path) == {"m.py:short": 2, "m.py:many": 1 + 2 * MOST_COMPLEX}
    [sentence] = complex_functions(tmp_path)
    assert "`many` is too complex" in sentence
