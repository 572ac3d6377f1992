"""Files that importers write: always new ones, never through a link."""

from __future__ import annotations

import os
from pathlib import Path

from fairlead.errors import ConfigurationError

PRIVATE, READABLE = 0o600, 0o644


def write_new(path: Path, text: str, mode: int = READABLE) -> None:
    """Creates a file with these permissions. Raises ConfigurationError when something of that name is there, a link
    included: what it leads to may be anything."""
    body = text.encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot be opened exclusively with a mode
            os.fchmod(descriptor, mode)
            file.write(body)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; name a new file, or move that one away.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path} cannot be written: {reason}.") from None


def new_directory(path: Path) -> None:
    """Creates a directory that only its owner may enter. Raises ConfigurationError when something of that name is
    there, a link included."""
    try:
        path.mkdir(0o700)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already; name a new directory with --output.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{path} cannot be created: {reason}.") from None
