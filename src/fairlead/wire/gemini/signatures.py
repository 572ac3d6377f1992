"""Reasoning of other providers inside Gemini's thought signatures, so that a conversation can go on anywhere.

A signature is opaque bytes, in JSON as base64, which clients decode and encode again. What another provider must get
back is written as `fairlead:` and a JSON list of OpenRouter's `reasoning_details`. Gemini never gets such a one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from fairlead.wire.answer import ReasoningState

# Gemini 3 refuses a call in the history without its signature; this stands for one that it never made itself.
# https://ai.google.dev/gemini-api/docs/thought-signatures
UNSIGNED: Final = "skip_thought_signature_validator"
_TAG: Final = b"fairlead:"
# How a tagged value begins in JSON, in both alphabets of base64: nine bytes are twelve whole letters.
NEEDLE: Final = b'"ZmFpcmxlYWQ6'
_TO_STANDARD: Final = str.maketrans("-_", "+/")


class Detail(Struct, frozen=True, omit_defaults=True):
    """An entry of `reasoning_details`."""

    type: str = ""
    format: str = ""
    text: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""


_details: Final = msgspec.json.Decoder(list[Detail])
_contents: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_parts: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_string: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.encode


def standard_base64(data: str) -> str:
    """Base64 in the alphabet and with the padding that everybody takes: Google's SDKs write that for URLs."""
    if "-" in data or "_" in data:
        data = data.translate(_TO_STANDARD)
    return data + "=" * (-len(data) % 4)


def tagged(states: Sequence[ReasoningState]) -> str:
    """The signature that stands for these."""
    details = [
        Detail(
            "reasoning.encrypted" if one.data and not one.signature else "reasoning.text",
            one.format, one.text, one.signature, one.data, one.id,
        )
        for one in states
    ]  # fmt: skip
    return base64.b64encode(_TAG + _encode(details)).decode()


def details_of(signature: str) -> list[dict[str, Any]] | None:
    """What a signature stands for; None: it is Gemini's own."""
    if not signature.startswith("ZmFpcmxlYWQ6"):
        return None
    try:
        details = _details.decode(base64.b64decode(standard_base64(signature))[len(_TAG) :])
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return []  # it was cut or changed on its way: nobody takes it
    return [{name: value for name, value in msgspec.structs.asdict(one).items() if value} for one in details]


def without_tagged(contents: Raw) -> bytes:
    """Contents for Gemini: a call that another provider has signed counts as unsigned. Parts without such a signature
    stay the bytes that they were. Raises msgspec.DecodeError."""
    found = _contents.decode(contents) if memoryview(contents)[0] == 0x5B else None
    if found is None:
        return bytes(contents)
    for content in found:
        parts = content.get("parts")
        if parts is None or NEEDLE not in bytes(parts) or memoryview(parts)[0] != 0x5B:
            continue
        content["parts"] = Raw(_encode([_without_tag(part) for part in _parts.decode(parts)]))
    return _encode(found)


def _without_tag(part: dict[str, Raw]) -> dict[str, Raw]:
    kept = dict(part)
    for name in ("thoughtSignature", "thought_signature"):
        value = kept.get(name)
        if value is None or NEEDLE not in bytes(value):
            continue
        if "functionCall" in kept or "function_call" in kept:
            kept[name] = Raw(b'"%b"' % UNSIGNED.encode())
        else:
            del kept[name]
    return kept
