"""Hatch's build hook: with FAIRLEAD_COMPILE=1 a wheel contains the compiled data plane, for one Python and system.

Modules are compiled in a copy of the sources, so a checkout that runs is not touched and has no part in the result.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "FAIRLEAD_COMPILE"
# mypyc's result depends on its version, and it needs the types of what the modules import.
LOCKED = ("mypy==", "setuptools==")


class CompiledWheel(BuildHookInterface):  # type: ignore[type-arg]
    def dependencies(self) -> list[str]:
        if not os.environ.get(SWITCH):
            return []
        lines = (Path(self.root) / "requirements-build.lock").read_text("utf-8").splitlines()
        locked = [line.partition(" ")[0] for line in lines if line.startswith(LOCKED)]
        return [*locked, *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises CalledProcessError when the sources cannot be compiled: a wheel that was asked for compiled is not
        built from sources alone."""
        self.copy = ""
        if version == "editable" or not os.environ.get(SWITCH):
            return
        self.copy = tempfile.mkdtemp(prefix="fairlead-wheel-")
        built = compile_copy(Path(self.root), Path(self.copy))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update({str(path): name for name, path in built.items()})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if self.copy:
            shutil.rmtree(self.copy, ignore_errors=True)


def compile_copy(root: Path, copy: Path) -> dict[str, Path]:
    """Returns what is packed: its path in the wheel, and the file."""
    source = copy / "src"
    leave = shutil.ignore_patterns("*.so", "compiled.txt", "compiled.new", "__pycache__")
    shutil.copytree(root / "src", source, ignore=leave)
    shutil.copytree(root / "tools" / "compile", copy / "tools" / "compile")
    shutil.copy(root / "pyproject.toml", copy)
    subprocess.run(
        [sys.executable, "tools/compile/build.py"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(source), "FAIRLEAD_PURE": "1"},
        check=True,
    )
    manifest = source / "fairlead" / "compiled.txt"
    # Installed files have other times than those here, so only contents are compared.
    rows = (line.split("\t") for line in manifest.read_text("utf-8").splitlines())
    manifest.write_text("".join(f"{path}\t\t{content}\n" for path, _, content in rows), "utf-8")
    found = [manifest, *source.rglob("*.so")]
    return {str(path.relative_to(source)): path for path in found}
