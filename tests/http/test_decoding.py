"""Compressed bodies are decoded up to a bound, whatever they hold."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
import zstandard

from fairlead.errors import InvalidRequest, RequestTooLarge, UnsupportedEncoding
from fairlead.http.decoding import MOST_DECODED_BYTES, decode_body
from fairlead.http.request import Request

TEXT = b'{"messages": [' + b'"words and words",' * 2_000 + b'""]}'


def decoded(body: bytes, encoding: bytes | None) -> bytes:
    headers = [] if encoding is None else [(b"content-encoding", encoding)]
    request = Request("POST", b"/v1/messages", headers, body, "1.1")
    decode_body(request)
    return request.body


def streamed(text: bytes) -> bytes:
    """Without the size of what it holds in its head."""
    made = zstandard.ZstdCompressor().compressobj()
    return made.compress(text) + made.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, None),
        (TEXT, b"identity"),
        (gzip.compress(TEXT), b"gzip"),
        (gzip.compress(TEXT), b"X-GZIP"),
        (zstandard.compress(TEXT), b"zstd"),
        (streamed(TEXT), b" zstd "),
        (streamed(TEXT[:100]) + zstandard.compress(TEXT[100:]), b"zstd"),
    ],
)
def test_what_was_compressed_is_read(body: bytes, encoding: bytes | None) -> None:
    assert decoded(body, encoding) == TEXT


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, zstd", b"\xff"])
def test_other_encodings_are_refused(encoding: bytes) -> None:
    with pytest.raises(UnsupportedEncoding, match="zstd"):
        decoded(TEXT, encoding)


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd"])
@pytest.mark.parametrize("broken", ["plain", "cut", "more", "empty"])
def test_a_broken_body_is_refused(encoding: bytes, broken: str) -> None:
    body = gzip.compress(TEXT) if encoding == b"gzip" else zstandard.compress(TEXT)
    sent = {"plain": TEXT, "cut": body[:-5], "more": body + b"garbage", "empty": b""}[broken]
    with pytest.raises(InvalidRequest, match=encoding.decode()):
        decoded(sent, encoding)


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd"])
def test_a_bomb_is_refused_before_it_fills_the_memory(encoding: bytes) -> None:
    zeros = bytes(16 * MOST_DECODED_BYTES)
    bomb = gzip.compress(zeros, 1) if encoding == b"gzip" else zstandard.compress(zeros)
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(RequestTooLarge):
            decoded(bomb, encoding)
        assert tracemalloc.get_traced_memory()[1] < 3 * MOST_DECODED_BYTES
    finally:
        tracemalloc.stop()


def test_a_window_that_would_take_much_memory_is_refused() -> None:
    made = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    ).compressobj()
    with pytest.raises(InvalidRequest):
        decoded(made.compress(bytes(10_000_000)) + made.flush(), b"zstd")
