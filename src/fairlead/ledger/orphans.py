"""Spools of processes that have died, adopted by the next one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fairlead.ledger.spool import Reader
from fairlead.ledger.spool_lock import is_held, lock_directory


class Orphan:
    """The spool of a process that has died, held by its adopter."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.name = directory.name
        self.reader = Reader(directory)
        self.reader.to_first()
        self._directory = directory
        self._lock = lock

    def remove(self) -> None:
        """Everything is in the database."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)

    def leave(self) -> None:
        os.close(self._lock)


def orphans(root: Path, closed: Callable[[Path, OSError], None]) -> Iterator[Orphan]:
    """Spools whose process is gone. The caller removes or keeps each. `closed` is called for those
    that cannot be read: they belong to another user, or are on a read-only disk."""
    try:
        found = sorted(one for one in root.iterdir() if not one.name.startswith(".") and one.is_dir())
    except FileNotFoundError:
        return
    except OSError as error:
        closed(root, error)
        return
    for directory in found:
        try:
            lock = lock_directory(directory)
        except (BlockingIOError, FileNotFoundError):
            continue
        except OSError as error:
            if not is_held(directory):
                closed(directory, error)
            continue
        yield Orphan(directory, lock)
