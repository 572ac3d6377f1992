"""Histograms of latencies in few bytes: what a roll-up holds of how long its calls took.

The scale is logarithmic, 16 buckets per doubling from 1 ms on, so a quantile is known to 4.4 %. Histograms are merged
by adding them: hours and days add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log2
from typing import Final

import msgspec

PER_DOUBLING: Final = 16
LAST_BUCKET: Final = PER_DOUBLING * 22  # 70 minutes
Histogram = dict[int, int]

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


def quantiles(histogram: Mapping[int, int], shares: Iterable[float]) -> list[float]:
    """The milliseconds below which these shares (0 to 1) of the samples lie; the histogram is not empty."""
    buckets = sorted(histogram.items())
    total = sum(histogram.values())
    found = []
    for share in shares:
        rank, before = share * total, 0
        for bucket, count in buckets:
            if before + count >= rank:
                found.append(2 ** ((bucket + (rank - before) / count) / PER_DOUBLING))
                break
            before += count
    return found
