"""Request bodies that are compressed: gzip and zstd, to a bounded size."""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from fairlead.errors import InvalidRequest, RequestTooLarge, UnsupportedEncoding
from fairlead.http.request import Request

# Of a body once it is decoded: as `max_body_bytes` is by default.
MOST_DECODED_BYTES: Final = 33_554_432
# zstd's decoder keeps so much of what it has written; the format's own advice for decoders is 8 MB.
MOST_WINDOW_BYTES: Final = 8_388_608
# A block of a few bytes may stand for 128 KB: so the input is taken in pieces, and each bounds what it can become.
PIECE_BYTES: Final = 512
_GZIP: Final = 16 + zlib.MAX_WBITS


def decode_body(request: Request) -> None:
    """The body in its place as JSON. Raises UnsupportedEncoding, RequestTooLarge, and InvalidRequest for a body that is
    not what its header says."""
    given = request.header(b"content-encoding")
    if given is None:
        return
    name = given.strip().lower()
    if name in (b"", b"identity"):
        return
    if name == b"zstd":
        decoded = _unzstd(request.body)
    elif name in (b"gzip", b"x-gzip"):
        decoded = _gunzip(request.body)
    else:
        shown = given[:64].decode("latin-1")
        raise UnsupportedEncoding(f"Content-Encoding {shown!r} is not supported: send gzip, zstd or no encoding.")
    request.replace_body(decoded)


def _gunzip(body: bytes) -> bytes:
    decoder = zlib.decompressobj(_GZIP)
    try:
        decoded = decoder.decompress(body, MOST_DECODED_BYTES + 1)
    except zlib.error:
        raise _broken("gzip") from None
    if len(decoded) > MOST_DECODED_BYTES:
        raise _too_large()
    if not decoder.eof or decoder.unused_data:
        raise _broken("gzip")
    return decoded


def _unzstd(body: bytes) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
    found: list[bytes] = []
    rest, size = body, 0
    while True:
        frame = decoder.decompressobj()
        at = 0
        while at < len(rest) and not frame.eof:
            try:
                piece = frame.decompress(rest[at : at + PIECE_BYTES])
            except zstandard.ZstdError:
                raise _broken("zstd") from None
            found.append(piece)
            size += len(piece)
            if size > MOST_DECODED_BYTES:
                raise _too_large()
            at += PIECE_BYTES
        if not frame.eof:
            raise _broken("zstd")
        rest = frame.unused_data + rest[at:]
        if not rest:
            return b"".join(found)


def _broken(name: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not valid {name}, although Content-Encoding says so.")


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"The decoded body is over {MOST_DECODED_BYTES} bytes.")
