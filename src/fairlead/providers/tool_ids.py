"""Ids of tool calls in the letters that a vendor takes; the same id always becomes the same one. Pure."""

from __future__ import annotations

import hashlib
import re

SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def short_id(tool_id: str) -> str:
    """A tool call's id in nine letters and digits, always the same for the same id."""
    if SHORT_ID.fullmatch(tool_id):
        return tool_id
    number = int.from_bytes(hashlib.sha256(tool_id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    letters = []
    for _ in range(9):
        number, digit = divmod(number, 62)
        letters.append(ALPHABET[digit])
    return "".join(letters)


def plain_id(tool_id: str) -> str:
    """A tool call's id as Anthropic and Bedrock take it, always the same for the same id: other vendors' ids have dots
    and colons."""
    return tool_id if _PLAIN_ID.fullmatch(tool_id) else short_id(tool_id)
