"""Directories for Unix sockets: for this user only, with paths short enough for the kernel, gone with their process."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes with the closing zero on Linux, 104 elsewhere.
LONGEST_PATH_BYTES = 103
SOCKET_NAME = "e.sock"

_OURS = re.compile(r"fairlead-(\d+)-[0-9a-f]{8}")


def make_socket_directory(data_dir: Path) -> Path:
    """A fresh directory (0700): in `data_dir`/run, or in the temporary directory when that path would be too long.

    Removes those that dead processes of this user have left in either place. Raises OSError.
    """
    name = f"fairlead-{os.getpid()}-{secrets.token_hex(4)}"
    run = data_dir.absolute() / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.gettempdir())
    for parent in (run, temporary):
        remove_stale(parent)
    parent = run if len(os.fsencode(run / name / SOCKET_NAME)) <= LONGEST_PATH_BYTES else temporary
    directory = parent / name
    # Fails when it exists: nobody else can have put it there first.
    directory.mkdir(mode=0o700)
    return directory


def remove_stale(parent: Path) -> None:
    """Removes the socket directories in `parent` that belong to this user and to no living process."""
    for entry in parent.iterdir():
        found = _OURS.fullmatch(entry.name)
        if found is None or _is_alive(int(found[1])):
            continue
        try:
            if entry.lstat().st_uid == os.getuid() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
        except FileNotFoundError:
            continue


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
