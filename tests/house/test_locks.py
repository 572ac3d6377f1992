"""The lock files are complete, agree with one another, and are what messages tell people to install."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUN, BUILD, DEV = "requirements.lock", "requirements-build.lock", "requirements-dev.lock"
LANGCHAIN = "tests/e2e/langchain.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def locked(name: str) -> dict[str, str]:
    """Package to version."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", (ROOT / name).read_text("utf-8"), re.MULTILINE))


def test_all_agree() -> None:
    run, build, dev = (locked(name) for name in (RUN, BUILD, DEV))
    assert len(run) > 20
    for part in (run, build):
        assert part.items() <= dev.items()
    assert set(run) & set(build) <= {"typing-extensions"}, (
        "what a server needs is not waited for because of the compiler"
    )


@pytest.mark.parametrize("name", [RUN, BUILD, DEV, LANGCHAIN])
def test_every_package_has_hashes(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == text.count("==") == len(locked(name))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text, "which index it is, is the user's choice"


@pytest.mark.parametrize(("name", "extras"), [(RUN, {"engine"}), (DEV, {"engine", "build", "dev"})])
def test_nothing_is_missing_that_an_installed_package_requires(name: str, extras: set[str]) -> None:
    """script/setup installs without resolving (`--no-deps`)."""
    from importlib.metadata import requires

    known = locked(name)
    todo = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        todo += map(Requirement, PROJECT["optional-dependencies"][extra])
    seen: set[str] = set()
    while todo:
        wanted = todo.pop()
        package = canonicalize_name(wanted.name)
        assert package in known, f"{wanted} is not in {name}: run script/lock"
        assert wanted.specifier.contains(known[package], prereleases=True), (str(wanted), known[package])
        for extra in ("", *wanted.extras):
            if f"{package}[{extra}]" not in seen:
                seen.add(f"{package}[{extra}]")
                lines = map(Requirement, requires(package) or ())
                todo += [line for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})]


def test_wheels_are_looked_for_of_every_python_that_is_supported() -> None:
    looked_for = re.search(r"for version in ([\d. ]+);", (ROOT / "script" / "lock").read_text("utf-8"))
    assert looked_for is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    built = [f"{word[2]}.{word[3:-2]}" for word in project["tool"]["cibuildwheel"]["build"]]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert looked_for[1].split() == built == named


def suggested() -> Iterator[tuple[str, str]]:
    """Each package that a message or a page of ours tells people to install beside Fairlead."""
    for file in (ROOT / "src" / "fairlead").rglob("*.py"):
        text = file.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "pip install" in text else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "pip install" in node.value:
                yield from ((file.name, word) for word in node.value.partition("pip install")[2].split())
    for file in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for line in re.findall(r"\.venv/bin/pip install ([^`\n]+)", file.read_text("utf-8")):
            yield from ((file.name, word) for word in line.split())


def test_what_messages_tell_people_to_install_can_be_had() -> None:
    from fairlead.engines.spec import ENGINE_PACKAGE, install_engine

    optional = PROJECT["optional-dependencies"]
    known = {canonicalize_name(Requirement(line).name) for name in ("otel", "parquet") for line in optional[name]}
    found = set(suggested())
    assert {package for _, package in found} == known, "not fairlead[...]: it is not published"
    assert optional["engine"] == [ENGINE_PACKAGE]
    assert install_engine().endswith(f" -m pip install {ENGINE_PACKAGE}")
