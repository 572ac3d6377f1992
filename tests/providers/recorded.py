"""The recorded answers in tests/providers/VENDOR/recordings, as their vendors send them."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from msgspec import Raw

from fairlead.doors.openai_chat.door import OPENAI_CHAT
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.routing.protocols import Adapter
from fairlead.wire.apis import CHAT

HERE = Path(__file__).parent
CASES = ("text", "tools", "reasoning", "length")
# Whose recordings each dialect is tried with.
SPOKEN = {"openai": "openai", "azure": "openai", "anthropic": "anthropic", "gemini": "gemini", "bedrock": "bedrock"}
# OpenAI's dialect as callers of other APIs have it read: through events, which are written as chat completions again.
TRANSLATED_OPENAI = "openai, translated"
SPOKEN[TRANSLATED_OPENAI] = "openai"
NOW = 1_760_000_000.0


def whole(vendor: str, case: str) -> bytes:
    return (HERE / vendor / "recordings" / f"{case}.json").read_bytes()


def events(vendor: str, case: str) -> list[bytes]:
    """A stream, event by event."""
    if vendor == "bedrock":
        return [frame(*one) for one in amazon_events(case)]
    parts = (HERE / vendor / "recordings" / f"{case}.sse").read_bytes().split(b"\n\n")
    return [part + b"\n\n" for part in parts if part.strip()]


def amazon_events(case: str) -> list[tuple[str, Any]]:
    lines = (HERE / "bedrock" / "recordings" / f"{case}.frames").read_text("utf-8").splitlines()
    return [(kind, payload) for kind, payload in map(json.loads, lines)]


def frame(kind: str, payload: Any) -> bytes:
    """One event in Amazon's frame; "!" before its type makes an exception of it."""
    said = {":exception-type": kind[1:]} if kind.startswith("!") else {":event-type": kind}
    said |= {":content-type": "application/json", ":message-type": "exception" if kind.startswith("!") else "event"}
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in said.items()
    )
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    rest = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return rest + struct.pack(">I", zlib.crc32(rest))


def adapter(
    dialect: str,
    upstream_model: str = "vendor-model",
    defaults: dict[str, Raw] | None = None,
    most_output: int | None = None,
) -> Adapter:
    row = DIALECTS[dialect.partition(",")[0]]
    binding = Binding(
        row, "public", upstream_model, defaults or {}, lambda: NOW, most_output, api=OPENAI_CHAT.api,
        new_writer=OPENAI_CHAT.new_writer,
    )  # fmt: skip
    operation = VENDORS[row.speaks].operations[CHAT]
    bind = operation.adapter if dialect != TRANSLATED_OPENAI else operation.translated
    assert bind is not None
    made: Adapter = bind(binding)
    return made
