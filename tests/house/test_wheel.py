"""What is installed by pip is what is in the repository, and runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import openai
import pytest
from hatchling.builders.wheel import WheelBuilder
from tests.e2e.conftest import serving

from fairlead import compiled

ROOT = Path(__file__).parents[2]
BUILT = ("compiled.txt", "compiled.new")  # beside the extensions that they list


@pytest.mark.slow
def test_the_wheel_has_everything_that_the_program_reads_and_nothing_that_was_built() -> None:
    builder = WheelBuilder(str(ROOT))
    with builder.config.set_build_data({"artifacts": [], "force_include": {}, "build_hooks": ()}):
        packed = {file.distribution_path for file in builder.recurse_included_files()}
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "fairlead").rglob("*")
        if path.is_file() and path.suffix not in (".so", ".pyc") and path.name not in BUILT
    }
    wanted |= {f"fairlead/docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*.md")}
    assert wanted - packed == set()
    assert not [name for name in packed if name.endswith((".so", ".pyc"))]
    for kind in (".html", ".gguf", ".toml", ".xz", ".jinja", ".mo", ".css"):
        assert any(name.endswith(kind) for name in packed), kind


def build(root: Path, to: Path) -> Path:
    return Path(next(WheelBuilder(str(root)).build(directory=str(to), versions=["standard"])))


@pytest.mark.slow
def test_a_gateway_installed_from_the_pure_wheel_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAIRLEAD_COMPILE", raising=False)
    wheel = build(ROOT, tmp_path / "dist")
    assert wheel.name.endswith("-py3-none-any.whl")
    # `serving` gives a process what is in "src" of the working directory.
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", "src"]
    subprocess.run([*install, str(wheel)], cwd=tmp_path, check=True, timeout=300)
    monkeypatch.chdir(tmp_path)
    assert b"src/fairlead" in subprocess.check_output(
        [sys.executable, "-c", "import fairlead; print(fairlead.__file__)"], env={**os.environ, "PYTHONPATH": "src"}
    )
    with (
        serving(tmp_path, engine=True, forked=False) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client,
    ):
        answer = client.chat.completions.create(
            model="fairlead-demo", messages=[{"role": "user", "content": "What is a token?"}], max_tokens=8
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0


# In the place of mypyc: an extension that is none, and beside it the one that all share.
COMPILER = """
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from fairlead import compiled
assert not list(Path("src").rglob("*.so")), "what the checkout compiled for itself has no part in it"
Path("src/fairlead/part" + EXTENSION_SUFFIXES[0]).write_bytes(b"no extension")
Path("src/fairlead__mypyc" + EXTENSION_SUFFIXES[0]).write_bytes(b"shared")
Path("src/fairlead/compiled.txt").write_text(compiled.manifest((".py", EXTENSION_SUFFIXES[0])))
"""


def test_a_compiled_wheel_has_extensions_that_are_loaded_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, package = tmp_path / "root", tmp_path / "root" / "src" / "fairlead"
    for folder in (package, root / "docs", root / "tools" / "compile"):
        folder.mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements-build.lock",
        "tools/compile/wheel.py",
        ".gitignore",
    ):
        shutil.copy(ROOT / name, root / name)
    for name in ("__init__.py", "compiled.py"):
        shutil.copy(ROOT / "src" / "fairlead" / name, package)
    (package / "part.py").write_text("WORD = 1\n")
    (package / "old.cpython-1.so").write_bytes(b"of the checkout")
    (root / "docs" / "README.md").write_text("# D\n")
    (root / "tools" / "compile" / "build.py").write_text(COMPILER)

    monkeypatch.setenv("FAIRLEAD_COMPILE", "1")
    builder = WheelBuilder(str(root))
    assert {one.partition("==")[0] for one in builder.config.dependencies} >= {"mypy", "setuptools", "msgspec>=0.18.6"}
    wheel = build(root, tmp_path / "dist")
    assert re.search(r"-(cp3\d+)-\1-(?!any)\w+\.whl$", wheel.name), wheel.name
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
        made = packed.read("fairlead/compiled.txt").decode()
    assert f"part{EXTENSION_SUFFIXES[0]}\t\t" in made, "times of the build are not in it"
    assert (site / f"fairlead__mypyc{EXTENSION_SUFFIXES[0]}").exists()
    assert not list(site.rglob("old.*"))
    assert compiled.stale(str(site / "fairlead")) is None
    (site / "fairlead" / "part.py").write_text("WORD = 2\n")
    assert "part.py has changed" in (compiled.stale(str(site / "fairlead")) or "")


def test_wheels_are_built_for_every_python_and_system_that_is_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheels = project["tool"]["cibuildwheel"]
    assert wheels["build"] == [f"cp3{minor}-*" for minor in (11, 12, 13, 14)]
    assert wheels["environment"] == {"FAIRLEAD_COMPILE": "1"}
    assert wheels["linux"]["archs"] == ["x86_64", "aarch64"]
    # A wheel can be built from what is uploaded as source.
    assert {"src", "docs", "tools/compile", "requirements-build.lock"} <= set(
        project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    )
