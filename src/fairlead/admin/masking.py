"""A configuration file as it may be shown: as it was written, without the secrets that stand in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

from fairlead.providers.scrub import holds_secret
from fairlead.settings import secret_settings
from fairlead.toml.text import Path_, Scanner

MASK: Final = '"(hidden)"'
# Secrets that are tables: what is secret is one level below.
_TABLES: Final = (["telemetry", "otlp_headers"], ["alerts", "webhook"])
MASKED_COMMENT: Final = "# (hidden: a comment that may hold a secret)"
# What a comment may hold that was a setting once, or stands beside one.
_ASSIGNED = re.compile(
    r"(key|secret|token|passw|credential|authorization|header)[\w-]*[\"']?\s*[=:]\s*\S", re.IGNORECASE
)
_WITH_USER = re.compile(r"://[^\s/@]*@")
_LONG_WORD = re.compile(r"(?=[\w+/=.-]*[0-9])(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{20,}")


def masked(text: str) -> str:
    """The text with its secrets and suspicious comments replaced. `text` is TOML."""
    pieces, at = [], 0
    for (start, end), shown in sorted(_replacements(text)):
        pieces += [text[at:start], shown]
        at = end
    return "".join((*pieces, text[at:]))


def is_masked(text: str) -> bool:
    """Whether a secret is the mask itself: what was shown is not what can be applied."""
    scanner = Scanner(text)
    list(scanner.scan())
    return any(text[start:end] == MASK and _is_secret(path) for path, (start, end) in scanner.values)


def _replacements(text: str) -> Iterator[tuple[tuple[int, int], str]]:
    scanner = Scanner(text)
    list(scanner.scan())
    secrets = set()
    for path, span in scanner.values:
        if _is_secret(path):
            secrets.add(_value(text[slice(*span)]))
            yield span, MASK
    for span in scanner.comments:
        if _suspicious(text[slice(*span)], secrets):
            yield span, MASKED_COMMENT


def _is_secret(path: Path_) -> bool:
    """Whether a value may be a secret by its place. What names the place of one is none."""
    names = [step for step in path if isinstance(step, str)]
    if tuple(names[:2]) not in secret_settings():
        return False
    depth = 3 if names[:2] in _TABLES else 2
    return not (len(names) == depth + 1 and names[-1] in ("env", "file", "sealed", "refresh_seconds"))


def _value(token: str) -> str:
    try:
        return str(tomllib.loads(f"x = {token}")["x"])
    except tomllib.TOMLDecodeError:
        return token


def _suspicious(comment: str, secrets: set[str]) -> bool:
    return bool(
        _ASSIGNED.search(comment)
        or _WITH_USER.search(comment)
        or holds_secret(comment)
        or _LONG_WORD.search(comment)
        or any(secret and secret in comment for secret in secrets)
    )
