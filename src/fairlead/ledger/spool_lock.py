"""Who a spool's directory belongs to: the process that holds its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def made_and_locked(directory: Path) -> int:
    """Makes a directory that nobody sees before its lock is held: another process would take it for a dead one's."""
    hidden = directory.with_name(f".{directory.name}")
    hidden.mkdir(mode=0o700, parents=True)
    lock = lock_directory(hidden)
    hidden.rename(directory)
    return lock


def lock_directory(directory: Path) -> int:
    """Takes the lock. Raises BlockingIOError when another process holds it, OSError when it cannot be opened."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(lock)
        raise
    return lock


def is_held(directory: Path) -> bool:
    """Whether its process lives, as far as can be seen without writing there."""
    try:
        lock = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
