"""What a GGUF file says about its model, read with bounds: the file may come from anywhere.

Nothing is read whole and no count in the file is believed before the file is long enough for it, so a hostile file
costs at most `METADATA_BYTES` of reading and a few megabytes of memory. Format: ggml's docs/gguf.md.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
METADATA_BYTES = 512 * 1024 * 1024
KEYS = 16_384
TENSORS = 262_144
DIMENSIONS = 8
KEY_BYTES = 65_535
KEPT_STRING_BYTES = 1024 * 1024
ARRAY_STRINGS = 4 * 1024 * 1024
KEPT_ARRAY_ITEMS = 4096
BLOCK_BYTES = 1024 * 1024
ALIGNMENT = 32

GENERAL = frozenset(
    {
        "general.architecture",
        "general.type",
        "general.name",
        "general.alignment",
        "split.count",
        "tokenizer.chat_template",
        "tokenizer.ggml.tokens",
    }
)
OF_ARCHITECTURE = frozenset(
    {
        "context_length",
        "block_count",
        "embedding_length",
        "vocab_size",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "pooling_type",
    }
)
KEPT_KEYS = 64

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: _UINT32,
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: _UINT64,
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING = 8
_ARRAY = 9

# ggml type: (values in a block, bytes of a block). A type that is not here is not measured.
_TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class GgufError(Exception):
    """The file is no GGUF file, or a broken one. The text says which, as the end of a sentence: "it ..."."""


@dataclass(frozen=True, slots=True)
class GgufInfo:
    """The metadata that matters here; 0 or "" where the file does not say. Lengths in tokens, sizes in bytes."""

    size: int
    architecture: str
    kind: str
    name: str
    context_length: int
    block_count: int
    embedding_length: int
    head_count: int
    kv_width: int
    vocab_size: int
    chat_template: str
    parts: int
    pooling: int = -1  # of `ggml`'s numbers: 0 none, 1 mean, 2 first token, 3 last token, 4 rank; -1: not said

    @property
    def is_projector(self) -> bool:
        """True for the vision part of a model (an "mmproj" file), which cannot answer by itself."""
        return self.architecture == "clip" or self.kind == "mmproj"

    def kv_bytes_per_token(self) -> int:
        """Bytes of key and value cache for one token of context, as 16-bit floats over all layers."""
        return 2 * self.kv_width


def read_gguf(path: Path) -> GgufInfo:
    """Reads the metadata of `path` and checks that all its tensors are there.

    Raises GgufError for what is no such file, or cut, or hostile; OSError when it cannot be read.
    """
    # Asked before it is opened: to open a pipe waits for its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise GgufError("is not a regular file")
    with path.open("rb", buffering=0) as file:
        return _read(_Cursor(file, os.fstat(file.fileno()).st_size))


class _Cursor:
    """A place in the file; reads ahead by blocks and never past the end or the bound."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        self._end = min(size, METADATA_BYTES)
        self._start = 0
        self._block = b""
        self.at = 0

    def _need(self, count: int) -> int:
        """Makes `count` bytes available; gives their offset in the block."""
        if count > self._end - self.at:
            raise GgufError("is truncated; its download may be incomplete")
        offset = self.at - self._start
        if offset < 0 or offset + count > len(self._block):
            self._file.seek(self.at)
            wanted = min(max(count, BLOCK_BYTES), self._end - self.at)
            self._block = self._file.read(wanted)
            self._start = self.at
            offset = 0
            if len(self._block) < count:
                raise GgufError("was truncated while it was read")
        return offset

    def scalar(self, shape: struct.Struct) -> Any:
        offset = self._need(shape.size)
        self.at += shape.size
        return shape.unpack_from(self._block, offset)[0]

    def take(self, count: int) -> bytes:
        offset = self._need(count)
        self.at += count
        return self._block[offset : offset + count]

    def skip(self, count: int) -> None:
        if count > self._end - self.at:
            raise GgufError("is truncated; its download may be incomplete")
        self.at += count

    def text(self, limit: int) -> str:
        length: int = self.scalar(_UINT64)
        if length > limit:
            raise GgufError(f"has a text of {length} bytes where at most {limit} are allowed")
        return self.take(length).decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        if count > ARRAY_STRINGS or count * 8 > self._end - self.at:
            raise GgufError(f"claims a list of {count} texts, more than its size allows")
        unpack = _UINT64.unpack_from
        for _ in range(count):
            offset = self._need(8)
            self.at += 8
            self.skip(unpack(self._block, offset)[0])


def _read(cursor: _Cursor) -> GgufInfo:
    if cursor.size < 24 or cursor.take(4) != MAGIC:
        raise GgufError("is not a GGUF file")
    version = cursor.scalar(_UINT32)
    if version not in VERSIONS:
        raise GgufError(f"has the unsupported GGUF version {version}")
    tensors: int = cursor.scalar(_UINT64)
    keys: int = cursor.scalar(_UINT64)
    if keys > KEYS or tensors > TENSORS:
        raise GgufError(f"claims {keys} keys and {tensors} tensors, more than are allowed")
    fields: dict[str, Any] = {}
    for _ in range(keys):
        key = cursor.text(KEY_BYTES)
        value = _value(cursor, key)
        # Only what is used is kept: thousands of keys with a megabyte each would fill the memory.
        if key in GENERAL or key.partition(".")[2] in OF_ARCHITECTURE:
            fields[key] = value
        if len(fields) > KEPT_KEYS:
            raise GgufError("describes more than one model")
    _check_tensors(cursor, tensors, _number(fields, "general.alignment") or ALIGNMENT)
    return _info(cursor.size, fields)


def _value(cursor: _Cursor, key: str) -> Any:
    kind = cursor.scalar(_UINT32)
    if kind in _SCALARS:
        return cursor.scalar(_SCALARS[kind])
    if kind == _STRING:
        return cursor.text(KEPT_STRING_BYTES)
    if kind == _ARRAY:
        item = cursor.scalar(_UINT32)
        count: int = cursor.scalar(_UINT64)
        if item == _STRING:
            cursor.skip_strings(count)
            return _Length(count)
        if item in _SCALARS:
            shape = _SCALARS[item]
            if count > KEPT_ARRAY_ITEMS:
                cursor.skip(count * shape.size)
                return _Length(count)
            return [cursor.scalar(shape) for _ in range(count)]
    raise GgufError(f"has a value of an unknown type under {key!r:.80}")


@dataclass(frozen=True, slots=True)
class _Length:
    """Stands for a list that was not kept."""

    items: int


def _check_tensors(cursor: _Cursor, count: int, alignment: int) -> None:
    if count * 24 > cursor.size - cursor.at:
        raise GgufError("is truncated; its download may be incomplete")
    if alignment & (alignment - 1):
        raise GgufError(f"has an alignment of {alignment}, which is not a power of two")
    end = 0
    for _ in range(count):
        cursor.text(KEY_BYTES)
        dimensions = cursor.scalar(_UINT32)
        if dimensions > DIMENSIONS:
            raise GgufError(f"has a tensor of {dimensions} dimensions")
        values = 1
        for _ in range(dimensions):
            values *= cursor.scalar(_UINT64)
        per_block, block_bytes = _TENSOR_TYPES.get(cursor.scalar(_UINT32), (1, 0))
        offset: int = cursor.scalar(_UINT64)
        end = max(end, offset + values // per_block * block_bytes)
    start = -(-cursor.at // alignment) * alignment
    if count and start + end > cursor.size:
        missing = start + end - cursor.size
        raise GgufError(f"is truncated: {missing} bytes of its tensors are missing")


def _number(fields: dict[str, Any], key: str, absent: int = 0) -> int:
    value = fields.get(key)
    if type(value) is int:
        return value if 0 <= value < 2**53 else absent
    return absent


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _info(size: int, fields: dict[str, Any]) -> GgufInfo:
    architecture = _text(fields, "general.architecture")
    blocks = _number(fields, f"{architecture}.block_count")
    embedding = _number(fields, f"{architecture}.embedding_length")
    heads = _first(fields, f"{architecture}.attention.head_count")
    head = embedding // heads if heads else 0
    widths = (_number(fields, f"{architecture}.attention.{which}_length") or head for which in ("key", "value"))
    kv_heads = fields.get(f"{architecture}.attention.head_count_kv")
    if isinstance(kv_heads, list) and all(type(count) is int for count in kv_heads):
        layers_times_heads = sum(kv_heads)
    else:
        layers_times_heads = blocks * (_number(fields, f"{architecture}.attention.head_count_kv") or heads)
    tokens = fields.get("tokenizer.ggml.tokens")
    return GgufInfo(
        size=size,
        architecture=architecture,
        kind=_text(fields, "general.type"),
        name=_text(fields, "general.name"),
        context_length=_number(fields, f"{architecture}.context_length"),
        block_count=blocks,
        embedding_length=embedding,
        head_count=heads,
        kv_width=layers_times_heads * sum(widths),
        vocab_size=tokens.items if isinstance(tokens, _Length) else _number(fields, f"{architecture}.vocab_size"),
        chat_template=_text(fields, "tokenizer.chat_template"),
        parts=_number(fields, "split.count") or 1,
        pooling=_number(fields, f"{architecture}.pooling_type", absent=-1),
    )


def _first(fields: dict[str, Any], key: str) -> int:
    value = fields.get(key)
    if isinstance(value, list):
        return max((count for count in value if type(count) is int), default=0)
    return _number(fields, key)
