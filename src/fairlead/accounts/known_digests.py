"""Whether a key can be one of the database's, without a trip there: strangers with invented keys cause none."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

# Of each digest. Two keys that share them, of a million, are one in 37 million.
KEPT_BYTES = 8
# New digests that are kept apart, unsorted, until they are merged into the others.
MOST_UNSORTED = 4_096


class KnownDigests:
    """The first 8 bytes of every digest, sorted: 8 MB for a million. One thread adds, others may ask meanwhile."""

    __slots__ = ("_sorted", "_unsorted")

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._unsorted: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._unsorted)

    def __contains__(self, digest: bytes) -> bool:
        start = int.from_bytes(digest[:KEPT_BYTES], "big")
        if start in self._unsorted:
            return True
        known = self._sorted
        at = bisect_left(known, start)
        return at < len(known) and known[at] == start

    def extend(self, digests: Iterable[bytes]) -> None:
        """Adds digests that are in order, none of which is less than those that are there. Before anybody asks."""
        chunk = array("Q", b"".join([digest[:KEPT_BYTES] for digest in digests]))
        if sys.byteorder == "little":
            chunk.byteswap()
        self._sorted += chunk

    def add(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            if digest not in self:
                self._unsorted.add(int.from_bytes(digest[:KEPT_BYTES], "big"))
        if len(self._unsorted) > MOST_UNSORTED:
            self._merge()

    def _merge(self) -> None:
        old, merged, at = self._sorted, array("Q"), 0
        for start in sorted(self._unsorted):
            to = bisect_left(old, start, at)
            merged += old[at:to]
            merged.append(start)
            at = to
        merged += old[at:]
        self._sorted = merged  # before the others go, so that none is missing in between
        self._unsorted = set()
