"""Histograms of latencies in few bytes: what a roll-up holds of how long its calls took.

The scale is logarithmic, 16 buckets per doubling from 1 ms on, so a quantile is known to 4.4 %. Histograms are merged
by adding them: hours and days add up exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from math import log2
from typing import Final

import msgspec

PER_DOUBLING: Final = 16
LAST_BUCKET: Final = PER_DOUBLING * 22  # 70 minutes
Histogram = dict[int, int]

# Sums that are kept, at most half a kilobyte each, and of how many histograms at least.
MOST_KEPT: Final = 1_000
LEAST_KEPT: Final = 4
KEY_BYTES: Final = 16
_kept: Final[dict[bytes, bytes]] = {}

_decoder = msgspec.msgpack.Decoder(Histogram)
_encode = msgspec.msgpack.Encoder().encode


def bucket_of(milliseconds: int) -> int:
    return 0 if milliseconds < 1 else min(LAST_BUCKET, int(log2(milliseconds) * PER_DOUBLING))


def read(body: bytes) -> Histogram:
    """What `written` made; empty for no bytes."""
    return _decoder.decode(body) if body else {}


def written(histogram: Mapping[int, int]) -> bytes:
    return _encode(histogram) if histogram else b""


def add(into: Histogram, other: Mapping[int, int]) -> None:
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def merged(bodies: Iterable[bytes]) -> Histogram:
    """What `written` made of many, added up; at once, for a page may have a thousand of them."""
    counts = [0] * (LAST_BUCKET + 1)
    decode = _decoder.decode
    for body in bodies:
        if body:
            for bucket, count in decode(body).items():
                counts[bucket] += count
    return {bucket: count for bucket, count in enumerate(counts) if count}


def merged_again(bodies: Sequence[bytes]) -> Histogram:
    """The same for the steps of a chart, most of which are over and come to the same each time: what they came to is
    known by their digest."""
    if len(bodies) < LEAST_KEPT:
        return merged(bodies)
    key = blake2b(b"".join(bodies), digest_size=KEY_BYTES).digest()  # each body says how long it is
    known = _kept.get(key)
    if known is not None:
        return read(known)
    made = merged(bodies)
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[key] = written(made)
    return made


def quantiles(histogram: Mapping[int, int], shares: Iterable[float]) -> list[float]:
    """The milliseconds below which these shares (0 to 1) of the samples lie; the histogram is not empty."""
    buckets = sorted(histogram)
    reached = list(accumulate(map(histogram.__getitem__, buckets)))
    found = []
    for share in shares:
        rank = share * reached[-1]
        at = min(bisect_left(reached, rank), len(buckets) - 1)
        before = reached[at - 1] if at else 0
        found.append(2 ** ((buckets[at] + (rank - before) / histogram[buckets[at]]) / PER_DOUBLING))
    return found
