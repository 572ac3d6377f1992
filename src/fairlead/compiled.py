"""Decides once, when the package is imported, whether its compiled modules or its sources run.

See docs/internals/compiled.md.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import PathEntryFinder

PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - each start pays for pathlib's objects
# Written by tools/compile/build.py when everything is compiled: without it, extensions are of an unfinished build.
MANIFEST = "compiled.txt"
# Set by the operator, or here: processes that this one starts must run what it runs.
PURE = "FAIRLEAD_PURE"


def choose(package: str = PACKAGE) -> None:
    """Compiled modules run when all sources are as they were compiled; else no extension of the package is loaded, now
    or later, when a build beside this process has ended."""
    if os.environ.get(PURE):
        _load_sources_only(package)
    elif (reason := stale(package)) is not None:
        os.environ[PURE] = "1"
        _load_sources_only(package)
        if reason:
            print(f"fairlead: {reason} Running from the sources; script/compile compiles them.", file=sys.stderr)


def stale(package: str = PACKAGE) -> str | None:
    """None when the compiled modules are those of the sources; a sentence when they are not; "" when there are none."""
    try:
        with open(os.path.join(package, MANIFEST), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        return f"{MANIFEST} cannot be read."
    for line in lines:
        path, _, known = line.partition("\t")
        stamp, _, content = known.partition("\t")
        try:
            # A checkout changes times and not contents; contents are only read where the time differs.
            if _stamp(package, path) != stamp and _content(package, path) != content:
                return f"{path} has changed since it was compiled."
        except (OSError, ValueError):  # ValueError: a NUL in a path
            return f"{path} was there when it was compiled, and is gone."
    return None if lines else f"{MANIFEST} is empty."


def manifest(suffixes: tuple[str, ...], package: str = PACKAGE) -> str:
    """Lines of MANIFEST for the files that end so: path, size and time, and checksum."""
    rows = ((path, _stamp(package, path), _content(package, path)) for path in sorted(_files(package, suffixes)))
    return "".join("\t".join(row) + "\n" for row in rows)


def _files(package: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    for folder, _, names in os.walk(package):
        for name in names:
            if name.endswith(suffixes):
                yield os.path.relpath(os.path.join(folder, name), package)  # noqa: PTH118


def _stamp(package: str, path: str) -> str:
    found = os.stat(os.path.join(package, path))  # noqa: PTH116, PTH118
    return f"{found.st_size} {found.st_mtime_ns}"


def _content(package: str, path: str) -> str:
    with open(os.path.join(package, path), "rb") as file:  # noqa: PTH118, PTH123
        content = file.read()
    return f"{len(content)} {zlib.crc32(content):08x}"


def _load_sources_only(package: str) -> None:
    find = FileFinder.path_hook((SourceFileLoader, SOURCE_SUFFIXES))

    def hook(path: str) -> PathEntryFinder:
        path = os.path.abspath(path)  # noqa: PTH100
        if path != package and not path.startswith(package + os.sep):
            raise ImportError
        return find(path)

    sys.path_hooks.insert(0, hook)
    for path in [path for path in sys.path_importer_cache if path == package or path.startswith(package + os.sep)]:
        del sys.path_importer_cache[path]
