"""The dialects of the contract, their recordings, and Amazon's frames written by hand."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Raw

from fairlead.providers.anthropic_messages import AnthropicMessages
from fairlead.providers.bedrock import BedrockConverse
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.gemini import Gemini
from fairlead.providers.openai_chat import OpenAIChat
from fairlead.wire.chat import parse_chat

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_760_000_000.0
HELLO = [{"role": "user", "content": "Hello"}]
# A model of each vendor that takes sampling parameters and a budget for thinking.
MODELS = {
    "openai": "vendor-model",
    "azure": "my-deployment",
    "anthropic": "claude-sonnet-4-5-20250929",
    "gemini": "gemini-2.5-flash",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}


def adapter(dialect: str, model: str | None = None, defaults: Mapping[str, Raw] | None = None) -> Any:
    row, named = DIALECTS[dialect], model or MODELS[dialect]
    if row.speaks == "openai":
        return OpenAIChat(row, "public", named, defaults)
    kind: Any = {"anthropic": AnthropicMessages, "gemini": Gemini, "bedrock": BedrockConverse}[row.speaks]
    return kind(row, "public", named, defaults, clock=lambda: NOW)


def called(dialect: str, model: str | None = None, **members: Any) -> Any:
    request = parse_chat(json.dumps({"model": "public", "messages": HELLO, **members}).encode())
    return adapter(dialect, model).to_vendor(request)


def body_of(dialect: str, model: str | None = None, **members: Any) -> Any:
    return json.loads(b"".join(called(dialect, model, **members).body))


def frame(name: str, payload: Any) -> bytes:
    """One frame of Amazon's event stream; `!` before the name of an exception."""
    kind = "exception" if name.startswith("!") else "event"
    headers = b""
    for key, value in (
        (f":{kind}-type", name.lstrip("!")),
        (":content-type", "application/json"),
        (":message-type", kind),
    ):
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload, ensure_ascii=False).encode()
    start = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    start += struct.pack(">I", zlib.crc32(start)) + headers + body
    return start + struct.pack(">I", zlib.crc32(start))


def stream_of(dialect: str, case: str) -> bytes:
    """What the vendor sends for a case, as bytes on the wire."""
    folder = RECORDINGS / ("openai" if dialect == "azure" else dialect)
    if dialect == "bedrock":
        lines = (folder / f"{case}.frames").read_text("utf-8").splitlines()
        return b"".join(frame(*json.loads(line)) for line in lines)
    return (folder / f"{case}.sse").read_bytes()


def document_of(dialect: str, case: str) -> bytes:
    return (RECORDINGS / ("openai" if dialect == "azure" else dialect) / f"{case}.json").read_bytes()
