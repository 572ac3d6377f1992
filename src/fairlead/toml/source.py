"""A TOML file: its text, its name, and errors with its lines."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from fairlead.errors import ConfigurationError
from fairlead.toml.text import MOST_LEVELS, Path_, Scanner, steps_of

LARGEST_FILE_BYTES = 4 * 1024 * 1024


class Renamed(NamedTuple):
    """A setting that has a new name. `table`: as it is written in a file, such as "models.deployments". The old name is
    read like the new one, with a warning."""

    table: str
    old: str
    new: str


class Source:
    """A file's name and text, for errors with a line. Paths are like `providers[0].base_url`, or tuples."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text
        self._renamed: dict[Path_, str] = {}

    def rename(self, table: Path_, one: Renamed) -> None:
        """Notes a setting under its old name: errors about the new one then have the line of the old one."""
        self._renamed[(*table, one.new)] = one.old

    @property
    def text(self) -> str:
        return self._text

    @property
    def warning(self) -> str:
        """One sentence for all settings under old names, "" when there are none."""
        if not self._renamed:
            return ""
        found = [f"line {self.line(path)}: {old} is now {path[-1]}" for path, old in self._renamed.items()]
        return f"{self.name} has settings under old names, which still work. Rename them: {'; '.join(found)}."

    def line(self, path: str | Path_) -> int | None:
        """The line of a setting, or that of the closest thing around it."""
        steps = (steps_of(path) if isinstance(path, str) else path)[:MOST_LEVELS]
        if steps in self._renamed:
            steps = (*steps[:-1], self._renamed[steps])
        nearest_line, levels = None, 0
        for found, line in Scanner(self._text).scan():
            if levels < len(found) <= len(steps) and steps[: len(found)] == found:
                nearest_line, levels = line, len(found)
                if levels == len(steps):
                    break
        return nearest_line

    def error(self, path: str | Path_, sentence: str) -> ConfigurationError:
        line = self.line(path)
        return ConfigurationError(f"{self.name}:{line}: {sentence}" if line else f"{self.name}: {sentence}")


def read_text(path: Path, largest: int = LARGEST_FILE_BYTES) -> str:
    """The text of a file, with or without a byte order mark. Raises ConfigurationError with one sentence.

    Only regular files: opening a pipe that nobody writes to would wait forever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a Path cannot be opened without waiting
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path} is not a file but {_KINDS.get(stat.S_IFMT(mode), 'a device')}.")
            content = file.read(largest + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from None
    if len(content) > largest:
        raise ConfigurationError(f"{path} is larger than {largest} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8 text.") from None


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
