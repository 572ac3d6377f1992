"""Real clients from npm: as they are installed here, or installed for a run of CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_SECONDS = 120


def client(name: str, variable: str, package: str, program: str, folder: Path) -> str:
    """The path of a client: from an environment variable or PATH; in CI it is installed into `folder`, where `program` is
    a pattern below node_modules. Skips where it cannot be had: what it sent is replayed by other tests."""
    found = os.environ.get(variable) or shutil.which(name)
    if found:
        return found
    npm = shutil.which("npm")
    if os.environ.get("CI") != "true" or npm is None:
        pytest.skip(f"{name} is not installed (npm package {package}); what it sent is replayed by other tests")
    try:
        subprocess.run(
            [npm, "install", "--prefix", str(folder), "--no-fund", package],
            check=True, capture_output=True, timeout=INSTALL_SECONDS,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{name} could not be installed ({type(error).__name__}); what it sent is replayed by other tests")
    [path] = folder.glob(f"node_modules/{program}")
    return str(path)


def packages(variable: str, wanted: tuple[str, ...], folder: Path) -> Path:
    """A folder whose node_modules has packages that a script imports: named by an environment variable, or in CI
    installed into `folder`. Skips where they cannot be had."""
    return _folder(variable, folder, ", ".join(wanted), "install", *wanted)


def locked_packages(variable: str, lock: Path, folder: Path) -> Path:
    """The same for the packages of a folder's package.json, by the versions and hashes of its package-lock.json. None of
    their scripts is run."""
    if variable not in os.environ:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(lock / name, folder / name)
    return _folder(variable, folder, f"the packages of {lock.name}", "ci", "--ignore-scripts")


def _folder(variable: str, folder: Path, what: str, *command: str) -> Path:
    if found := os.environ.get(variable):
        return Path(found)
    npm = shutil.which("npm")
    if os.environ.get("CI") != "true" or npm is None or shutil.which("node") is None:
        pytest.skip(f"{variable} names no folder with {what}")
    try:
        subprocess.run(
            [npm, *command, "--prefix", str(folder), "--no-fund", "--no-audit"],
            check=True, capture_output=True, timeout=INSTALL_SECONDS,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{what} could not be installed ({type(error).__name__})")
    return folder
