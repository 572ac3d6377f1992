"""Makes the files of a release from a commit. Called by script/release.

Everything is built from an export of the commit, with its time in place of the clock, so the same bytes are made again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).parents[1]
TESTED = Path("build") / "tested"  # script/test writes the commit there that it has passed
NAMESPACE = uuid.UUID("5f3f0d6c-6c0e-5d0b-9f0a-2f6f1f5d8a11")
# Names in the provenance what this file does.
BUILD_TYPE = "urn:fairlead:script:release:1"
LOCKS = ("requirements.lock", "requirements-build.lock")


class Package(NamedTuple):
    """One of a lock file. `via`: the packages that need it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    via: tuple[str, ...]


class Commit(NamedTuple):
    id: str
    seconds: int


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(prog="script/release")
    options.add_argument("--pure", action="store_true", help="no compiled wheel")
    options.add_argument("--untested", action="store_true", help="also without a passing script/test of this commit")
    options.add_argument("--output", type=Path, help="default: dist/release-VERSION")
    given = options.parse_args(argv)
    version = checked_version()
    commit = checked_commit(untested=given.untested)
    notes = checked_notes(version)
    out = given.output or ROOT / "dist" / f"release-{version}"
    if out.exists():
        fail(f"{out} exists already; remove it first.")
    with tempfile.TemporaryDirectory(prefix="fairlead-release-") as directory:
        made = Path(directory) / "made"
        made.mkdir()
        build(export(commit, Path(directory)), made, commit, compiled=not given.pure)
        (made / "NOTES.md").write_text(notes, "utf-8")
        write_json(made / f"fairlead-{version}.cdx.json", sbom(version, commit))
        subjects = sorted(path for path in made.iterdir())
        write_json(made / f"fairlead-{version}.provenance.json", provenance(version, commit, subjects))
        sums = "".join(f"{sha256(path)}  {path.name}\n" for path in sorted(made.iterdir()))
        (made / "SHA256SUMS").write_text(sums, "utf-8")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, out)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>12,}  {path}")
    print(f"Next: sign {out / 'SHA256SUMS'}, tag {commit.id[:12]} as v{version}, and upload these files.")


def fail(sentence: str) -> NoReturn:
    print(f"script/release: {sentence}", file=sys.stderr)
    sys.exit(2)


def git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()


# --- what must be so before


def checked_version() -> str:
    project: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    found = re.search(r'^__version__ = "(.*)"$', (ROOT / "src/fairlead/__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None or found[1] != project:
        fail(f"pyproject.toml has the version {project}, src/fairlead/__init__.py {found and found[1]}.")
    if git("tag", "--list", f"v{project}"):
        fail(f"The tag v{project} exists already: raise the version in pyproject.toml and src/fairlead/__init__.py.")
    return project


def checked_commit(*, untested: bool) -> Commit:
    if changed := git("status", "--porcelain"):
        fail(f"The tree is not clean: commit or remove\n{changed}")
    commit = Commit(git("rev-parse", "HEAD"), int(git("show", "--no-patch", "--format=%ct", "HEAD")))
    tested = ROOT / TESTED
    if not untested and (not tested.is_file() or tested.read_text("utf-8").strip() != commit.id):
        fail(f"script/test has not passed for {commit.id[:12]}. Run it (--untested skips this).")
    return commit


def checked_notes(version: str) -> str:
    """The section of the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        fail(f'CHANGELOG.md has no section "## [{version}] - YYYY-MM-DD": rename "## [Unreleased]".')
    return found[1].strip() + "\n"


# --- wheels and the source archive


def export(commit: Commit, directory: Path) -> Path:
    """The files of the commit and no others."""
    archive = directory / "source.tar"
    git("archive", "--format=tar", "--output", str(archive), commit.id)
    with tarfile.open(archive) as packed:
        packed.extractall(directory / "source", filter="data")
    return directory / "source"


def build(source: Path, out: Path, commit: Commit, *, compiled: bool) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(commit.seconds), "PYTHONHASHSEED": "0"}
    # Debug information has the path of a temporary directory.
    environment["CFLAGS"] = f"{environment.get('CFLAGS', '')} -g0".strip()
    for kind, compile_ in (("sdist", ""), ("wheel", ""), *((("wheel", "1"),) if compiled else ())):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", out],
            cwd=source, env={**environment, "FAIRLEAD_COMPILE": compile_}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip


# --- the bill of materials


def packages(lock: Path) -> Iterator[Package]:
    """https://pip.pypa.io/en/stable/reference/requirements-file-format/, as pip-compile writes it."""
    blocks = re.split(r"^(?=[a-z0-9])", lock.read_text("utf-8"), flags=re.MULTILINE)
    for block in blocks:
        if head := re.match(r"([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ \n\\;]+)", block):
            via = re.findall(r"^ +# +(?:via )?([a-z0-9][a-z0-9._-]*)(?: \(.*\))?$", block, re.MULTILINE)
            hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
            yield Package(head[1], head[2], hashes, tuple(name for name in via if name != "via"))


def sbom(version: str, commit: Commit) -> dict[str, Any]:
    """CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/"""
    found = list(packages(ROOT / LOCKS[0]))
    own = f"pkg:pypi/fairlead@{version}"
    refs = {one.name: f"pkg:pypi/{one.name}@{one.version}" for one in found} | {"fairlead": own}
    needs: dict[str, list[str]] = {ref: [] for ref in refs.values()}
    for one in found:
        for parent in one.via:
            if parent in refs:
                needs[refs[parent]].append(refs[one.name])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, f'{version} {commit.id}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(commit.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "fairlead",
                "version": version,
                "purl": own,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": [component(one) for one in found],
        "dependencies": [{"ref": ref, "dependsOn": sorted(set(names))} for ref, names in sorted(needs.items())],
    }


def component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "scope": "required",
        # One for each of its archives; pip accepts any of them.
        "properties": [{"name": "fairlead:archive:sha256", "value": one} for one in package.hashes],
    }
    if licence := licence_of(package):
        entry["licenses"] = [licence]
    return entry


def licence_of(package: Package) -> dict[str, Any] | None:
    """As the package itself says; None where it is not installed here in this version, or says nothing."""
    try:
        found = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if found.version != package.version:
        return None
    if expression := found.metadata.get("License-Expression"):
        return {"expression": expression}
    named = [
        one.rpartition(" :: ")[2] for one in found.metadata.get_all("Classifier") or () if one.startswith("License")
    ]
    return {"license": {"name": named[0]}} if named else None


# --- provenance


def provenance(version: str, commit: Commit, subjects: list[Path]) -> dict[str, Any]:
    """An in-toto statement with SLSA's predicate: https://slsa.dev/spec/v1.0/provenance"""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": sha256(path)}} for path in subjects],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"version": version, "commit": commit.id},
                "internalParameters": {"python": sys.version.split()[0], "platform": sys.platform},
                "resolvedDependencies": [
                    {"uri": "git+.", "digest": {"gitCommit": commit.id}},
                    *({"uri": f"file:{name}", "digest": {"sha256": sha256(ROOT / name)}} for name in LOCKS),
                ],
            },
            "runDetails": {"builder": {"id": "urn:fairlead:builder:local"}},
        },
    }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
