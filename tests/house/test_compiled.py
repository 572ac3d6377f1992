"""What is compiled runs compiled, and what was compiled of other sources does not run."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tests.conftest import MODE, ROOT, compiled_modules, is_extension

from fairlead import compiled
from fairlead.ledger import spool

SOURCE = ROOT / "src" / "fairlead"


def test_every_module_of_the_data_plane_is_loaded_as_this_run_says() -> None:
    loaded = {name: is_extension(importlib.import_module(name).__file__) for name in compiled_modules()}
    assert len(loaded) > 30
    wanted = os.environ.get(MODE, "compiled" if loaded["fairlead.gateway.gateway"] else "source")
    assert [name for name, extension in loaded.items() if extension != (wanted == "compiled")] == []
    if wanted == "compiled":
        assert compiled.stale() is None


def test_nothing_interpreted_inherits_from_what_is_compiled() -> None:
    """mypyc refuses that only when such a class is made, and only in a compiled run."""
    modules = {SOURCE.parent / f"{name.replace('.', '/')}.py" for name in compiled_modules()}
    trees = {file: ast.parse(file.read_text("utf-8")) for file in SOURCE.rglob("*.py")}
    bases = {
        node.name: [ast.unparse(base) for base in node.bases]
        for file in modules
        for node in trees[file].body
        if isinstance(node, ast.ClassDef)
    }
    native = {name for name, of in bases.items() if "Protocol" not in of}
    assert "Prompt" in native
    found = [
        f"{file.relative_to(SOURCE)}: {node.name}({ast.unparse(base)})"
        for file, tree in trees.items()
        if file not in modules
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if ast.unparse(base) in native
    ]
    assert found == []


def run(package: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a new process makes of `fairlead.part` in a package of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRLEAD_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-P", "-c", "import fairlead.part; print(fairlead.part.__file__)"],
        env={**clean, "PYTHONPATH": str(package.parent), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module and an extension beside it; no test loads that, because it is none."""
    package = tmp_path / "src" / "fairlead"
    package.mkdir(parents=True)
    for name in ("__init__.py", "compiled.py"):
        shutil.copy(SOURCE / name, package / name)
    (package / "part.py").write_text("WORD = 1\n")
    (package / f"part{EXTENSION_SUFFIXES[0]}").write_bytes(b"no extension")
    return package


def test_an_extension_is_loaded_only_while_its_sources_are_what_was_compiled(package: Path) -> None:
    unfinished = run(package)
    assert unfinished.stdout.endswith("part.py\n"), unfinished.stderr
    assert unfinished.stderr == ""
    (package / compiled.MANIFEST).write_text(compiled.manifest((".py", EXTENSION_SUFFIXES[0]), str(package)))
    assert "ImportError" in run(package).stderr, "the extension is what is loaded"
    assert run(package, FAIRLEAD_PURE="1").stdout.endswith("part.py\n")
    os.utime(package / "part.py", (1, 1))
    assert "ImportError" in run(package).stderr, "another time is no other source"
    (package / "part.py").write_text("WORD = 2\n")
    changed = run(package)
    assert changed.stdout.endswith("part.py\n")
    assert changed.stderr.startswith("fairlead: part.py has changed since it was compiled.")
    assert changed.stderr.count("\n") == 1


def test_what_is_stale_is_told(package: Path) -> None:
    assert compiled.stale(str(package)) == ""
    made = package / compiled.MANIFEST
    made.write_text(compiled.manifest((".py", EXTENSION_SUFFIXES[0]), str(package)))
    assert compiled.stale(str(package)) is None
    for name in (f"part{EXTENSION_SUFFIXES[0]}", "part.py"):
        (package / name).unlink()
        assert f"{name} was there" in (compiled.stale(str(package)) or "")
        (package / name).touch()
        made.write_text(compiled.manifest((".py", EXTENSION_SUFFIXES[0]), str(package)))
    for content in (b"", b"\xff\xfe", b"one\ntwo\n", b"\0\t\t\n"):
        made.write_bytes(content)
        assert compiled.stale(str(package)), content


def test_a_run_that_would_test_something_else_ends_before_its_first_test() -> None:
    loaded = is_extension(spool.__file__)
    environment = {**os.environ, MODE: "source" if loaded else "compiled"}
    command = [sys.executable, "-m", "pytest", "-q", "--co", "tests/money", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 4, done.stdout
    assert f"{MODE} is {environment[MODE]}, but " in done.stdout + done.stderr


def test_a_patch_that_compiled_code_would_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for target, name in ((spool, "_new_segment"), (spool, "Spool"), (spool.Spool, "append")):
        with pytest.raises(AssertionError, match="patch what it uses"):
            monkeypatch.setattr(target, name, None)
    with pytest.raises(AssertionError, match="patch what it uses"):
        monkeypatch.setattr("fairlead.ledger.spool.Spool", None)
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 100)
    assert spool.SEGMENT_BYTES == 100
