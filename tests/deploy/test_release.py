"""A release is made from a commit that was tested, has all that it should, and is the same each time."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
SECTION = "## [0.1.0] - 2026-12-01\n\n### Added\n\n- Everything.\n\n## [0.0.1] - 2026-01-01\n\n- Nothing.\n"


def git(clone: Path, *arguments: str) -> str:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.check_output(["git", *named, *arguments], cwd=clone, text=True).strip()


def release(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/release.py", "--pure", *arguments],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what is here, committed and ready for a release."""
    directory = tmp_path_factory.mktemp("clone")
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, names.split("\0")):
        # What is tested otherwise would only take time.
        if not name.startswith(("tests/", "bench/", "src/fairlead/catalogue/models/")) and (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)
    (directory / "CHANGELOG.md").write_text(f"# Changelog\n\n{SECTION}")
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "Release")
    (directory / "build").mkdir()
    (directory / "build" / "tested").write_text(git(directory, "rev-parse", "HEAD") + "\n")
    return directory


@pytest.fixture(scope="module")
def made(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "out"
    done = release(clone, "--output", str(out))
    assert done.returncode == 0, done.stderr
    return out


def entry(made: Path, kind: str) -> Any:
    return json.loads((made / f"fairlead-0.1.0.{kind}.json").read_text())


@pytest.mark.slow
def test_twice_the_same_bytes(clone: Path, made: Path, tmp_path: Path) -> None:
    (clone / "build" / "left-over.py").write_text("not in the commit")
    assert release(clone, "--output", str(tmp_path / "again")).returncode == 0
    names = sorted(path.name for path in made.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (made / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.slow
def test_the_files_are_those_of_the_checksums_and_the_provenance(clone: Path, made: Path) -> None:
    sums = dict(line.split("  ")[::-1] for line in (made / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.iterdir()}
    assert {name: one for name, one in files.items() if name != "SHA256SUMS"} == sums
    statement = entry(made, "provenance")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert subjects == {name: one for name, one in files.items() if not name.startswith("SHA") and "prov" not in name}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0]["digest"] == {"gitCommit": git(clone, "rev-parse", "HEAD")}
    assert statement["predicate"]["runDetails"]["builder"]["id"]
    assert (made / "NOTES.md").read_text() == "### Added\n\n- Everything.\n"


@pytest.mark.slow
def test_the_bill_of_materials_conforms_to_its_schema_and_has_every_locked_package(made: Path) -> None:
    text = (made / "fairlead-0.1.0.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {one["name"]: one["version"] for one in found["components"]} == locked
    needs = {one["ref"]: one["dependsOn"] for one in found["dependencies"]}
    assert f"pkg:pypi/sqlalchemy@{locked['sqlalchemy']}" in needs["pkg:pypi/fairlead@0.1.0"]
    assert f"pkg:pypi/mako@{locked['mako']}" in needs[f"pkg:pypi/alembic@{locked['alembic']}"]
    assert sum("licenses" in one for one in found["components"]) > len(locked) * 0.8
    assert all(one["properties"] for one in found["components"])


@pytest.mark.slow
def test_wheel_and_source_archive_hold_the_program(made: Path) -> None:
    with zipfile.ZipFile(made / "fairlead-0.1.0-py3-none-any.whl") as wheel:
        assert "fairlead/cli/main.py" in wheel.namelist()
    with tarfile.open(made / "fairlead-0.1.0.tar.gz") as source:
        names = source.getnames()
    assert {
        f"fairlead-0.1.0/{name}" for name in ("pyproject.toml", "deploy/Containerfile", "requirements.lock")
    } <= set(names)


def refusal(clone: Path) -> str:
    done = release(clone, "--output", str(clone / "build" / "never"))
    assert done.returncode == 2
    assert not (clone / "build" / "never").exists()
    return done.stderr


def test_what_is_not_ready_is_refused(clone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns("src", "docs", "deploy"))
    (copy / "src" / "fairlead").mkdir(parents=True)
    shutil.copy(clone / "src" / "fairlead" / "__init__.py", copy / "src" / "fairlead")
    assert "The tree is not clean" in refusal(copy)
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "x")
    assert "script/test has not passed" in refusal(copy)
    (copy / "build" / "tested").write_text(git(copy, "rev-parse", "HEAD"))
    (copy / "CHANGELOG.md").write_text("## [Unreleased]\n\n- x\n")
    git(copy, "commit", "--all", "--quiet", "--message", "x")
    (copy / "build" / "tested").write_text(git(copy, "rev-parse", "HEAD"))
    assert "CHANGELOG.md has no section" in refusal(copy)
    (copy / "src" / "fairlead" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    assert "pyproject.toml has the version 0.1.0" in refusal(copy)
    git(copy, "checkout", "--quiet", ".")
    git(copy, "tag", "v0.1.0")
    assert "The tag v0.1.0 exists already" in refusal(copy)
