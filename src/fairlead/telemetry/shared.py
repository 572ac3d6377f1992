"""What the processes of one data directory have counted since they began: a file each, so that any can tell it all."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec

from fairlead.telemetry.cells import SeriesName
from fairlead.telemetry.layout import Counts

FOLDER = "telemetry"
# A process writes its file at least so often; one that has not for this long has died.
FRESH_SECONDS = 30.0
DEAD_SECONDS = 120.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, str, str, Counts]]).decode


class SharedTotals:
    def __init__(self, directory: Path, process: str) -> None:
        self._folder = directory / FOLDER
        self._process = process
        self._written = b""
        self._written_at = 0.0

    def write(self, totals: dict[SeriesName, Counts]) -> None:
        """Raises nothing: what cannot be written is only missing in what other processes tell."""
        body = _encode([(*name, counts) for name, counts in totals.items()])
        now = time.monotonic()
        if body == self._written and now - self._written_at < FRESH_SECONDS:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fresh = self._folder / f"{self._process}.new"
            fresh.write_bytes(body)
            fresh.replace(self._folder / self._process)
            self._written, self._written_at = body, now

    def others(self) -> dict[str, dict[SeriesName, Counts]]:
        """By process, without this one. The files of processes that have died are removed."""
        found = {}
        with contextlib.suppress(OSError):
            for file in sorted(self._folder.iterdir()):
                if file.name == self._process or file.suffix:
                    continue
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    if time.time() - file.stat().st_mtime > DEAD_SECONDS:
                        file.unlink()
                    else:
                        rows = _decode(file.read_bytes())
                        found[file.name] = {SeriesName(*row[:3]): row[3] for row in rows}
        return found

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            (self._folder / self._process).unlink()
