"""Where the GGUF files are that may be run: below these folders, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fairlead.engines.gguf import GgufError, GgufInfo, read_gguf
from fairlead.errors import ConfigurationError

# Below the data directory, for those who set nothing.
OWN: Final = "models"
ENDING: Final = ".gguf"
# Files that a list has, and how deep they are looked for.
MOST_FILES: Final = 200
DEEPEST: Final = 5
MOST_LOOKED_AT: Final = 20_000
KNOWN: Final = 256


class ModelFile(NamedTuple):
    """`name`: below its folder, as a configuration may write it; `info` or else `problem`, the end of a sentence."""

    path: Path
    name: str
    size: int
    info: GgufInfo | None
    problem: str = ""


def model_folders(data_dir: Path, others: Sequence[str]) -> tuple[Path, ...]:
    """All folders, that of the data directory first. `others`: those of the settings."""
    return (data_dir.absolute() / OWN, *map(Path, others))


def allowed_file(file: str, folders: Sequence[Path]) -> Path:
    """The path of a file, which need not be there. Raises ConfigurationError for one that is not below a folder of
    models, also when a link leads out of it."""
    if "\0" in file:
        raise ConfigurationError("A path has no NUL characters.")
    given = Path(file)
    places = [given] if given.is_absolute() else [folder / given for folder in folders]
    allowed = [place for place in places if _is_below(place, folders)]
    if not allowed:
        raise ConfigurationError(
            f"{file[:200]!r} is not below a folder of models: {', '.join(map(str, folders))}. Others are named by "
            "model_folders of [configuration]."
        )
    return next((place for place in allowed if place.is_file()), allowed[0])


def _is_below(place: Path, folders: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(place))
    return any(real != (at := Path(os.path.realpath(folder))) and real.is_relative_to(at) for folder in folders)


def find_files(folders: Sequence[Path]) -> list[ModelFile]:
    """The GGUF files in these folders: of a model in several files the first one."""
    found = [
        _described(path, str(path.relative_to(folder)) if at == 0 else str(path))
        for at, folder in enumerate(folders)
        for path in _files_in(folder, folders)
    ]
    return sorted(found, key=lambda one: one.name.lower())[:MOST_FILES]


def _files_in(folder: Path, folders: Sequence[Path]) -> Iterator[Path]:
    looked_at = 0
    for root, names, files in os.walk(folder):
        place = Path(root)
        if len(place.relative_to(folder).parts) >= DEEPEST:
            names.clear()
        for name in sorted(files):
            looked_at += 1
            if looked_at > MOST_LOOKED_AT:
                return
            later_part = "-of-" in name and not name.rpartition("-of-")[0].endswith("-00001")
            if name.lower().endswith(ENDING) and not later_part and _is_below(place / name, folders):
                yield place / name


def _described(path: Path, name: str) -> ModelFile:
    try:
        stat = path.stat()
    except OSError as error:
        return ModelFile(path, name, 0, None, f"cannot be read: {(error.strerror or '').lower()}")
    info, problem = _read(path, stat.st_mtime_ns, stat.st_size)
    size = stat.st_size
    if info is not None and info.parts > 1:
        stem = path.name.rpartition("-00001-of-")[0]
        size = sum(one.stat().st_size for one in path.parent.iterdir() if one.name.startswith(f"{stem}-"))
    return ModelFile(path, name, size, info, problem)


@lru_cache(maxsize=KNOWN)
def _read(path: Path, changed: int, size: int) -> tuple[GgufInfo | None, str]:  # noqa: ARG001 - when it is read again
    try:
        return read_gguf(path), ""
    except GgufError as error:
        return None, str(error)
    except OSError as error:
        return None, f"cannot be read: {(error.strerror or '').lower()}"
