"""Finished answers, kept compressed and bounded until what they were made of changes."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.visit import Visit

# What is found by more than this is not kept: it is made of what one visitor has written.
MOST_KEY_BYTES = 1_024
ENTRY_BYTES = 400  # of a page and its place, besides body and key
# Nearly all of what there is to win, in a third of the time of 9.
COMPRESSION = 4
# Below this a compressed answer is no packet fewer.
LEAST_COMPRESSED_BYTES = 1_000
COMPRESSED_ALREADY = ("image/png",)


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A finished answer and what its headers say. Kept in one form only, compressed where that makes it smaller:
    hardly anybody asks for the other."""

    body: bytes
    packed: bool
    headers: tuple[tuple[bytes, bytes], ...]
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str, cache: str, more: Mapping[str, str] | None = None) -> CachedPage:
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        lines = {
            "content-type": media_type,
            "cache-control": cache,
            "etag": etag,
            "vary": "accept-encoding",
            **(more or {}),
        }
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items())
        if len(body) >= LEAST_COMPRESSED_BYTES and media_type not in COMPRESSED_ALREADY:
            packed = gzip.compress(body, COMPRESSION, mtime=0)
            if len(packed) < len(body):
                return cls(packed, True, headers, etag)
        return cls(body, False, headers, etag)

    def answer(self, request: Request, status: int = 200) -> Response:
        headers = request.headers
        response = Response(status_code=status)
        response.raw_headers = list(self.headers)
        if status == 200 and self.etag in headers.get("if-none-match", ""):
            response.status_code = 304
        elif self.packed and "gzip" in headers.get("accept-encoding", ""):
            response.raw_headers.append((b"content-encoding", b"gzip"))
            response.body = self.body
        else:
            response.body = gzip.decompress(self.body) if self.packed else self.body
        return response


class CachedPages:
    """Pages by what they depend on; the least used go first. At most `most`, and `most_bytes` of bodies and keys."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, tuple[CachedPage, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> CachedPage | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, made: CachedPage) -> None:
        size = key_bytes(key)
        if size > MOST_KEY_BYTES:
            return
        size += len(made.body) + ENTRY_BYTES
        before = self._kept.pop(key, None)
        self._kept[key] = made, size
        self.bytes += size - (0 if before is None else before[1])
        while len(self._kept) > 1 and (len(self._kept) > self._most or self.bytes > self._most_bytes):
            self.bytes -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


def key_bytes(key: object) -> int:
    """What the words in a key take: paths, hosts and queries are a visitor's, the rest is shared with the catalogue."""
    if isinstance(key, str):
        return len(key) * (1 if key.isascii() else 4)
    if isinstance(key, Visit):
        return key_bytes(key.origin) + key_bytes(key.path)
    return sum(map(key_bytes, key)) if isinstance(key, tuple) else 0
