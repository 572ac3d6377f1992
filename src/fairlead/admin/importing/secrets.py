"""Secrets of imported files: never shown, always named by an environment variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_REFERENCES = (
    re.compile(r"os\.environ/(.+)"),
    re.compile(r"env/(.+)"),
    re.compile(r"\$\{(\w+)(:?-[^}]*)?\}"),
    re.compile(r"\$([A-Z_][A-Z0-9_]*)"),
)


def variable(text: str) -> str | None:
    """The environment variable that a text refers to: os.environ/NAME, env/NAME, ${NAME}, ${NAME:-default}, $NAME."""
    for pattern in _REFERENCES:
        if (found := pattern.fullmatch(text.strip())) and _NAME.fullmatch(found[1].strip()):
            return found[1].strip()
    return None


def has_default(text: str) -> bool:
    """Whether a reference brings a value of its own, which is not taken over."""
    return re.fullmatch(r"\$\{[^}:]+:?-[^}]+\}", text.strip()) is not None


class Vault:
    """Names for secrets that stand in a file as they are. The same secret gets the same name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._used: set[str] = set()

    def name_for(self, secret: str, wanted: str) -> str:
        if secret not in self._names:
            word = re.sub(r"[^A-Z0-9]+", "_", wanted.upper()).strip("_") or "SECRET"
            word = word if word[0].isalpha() else f"KEY_{word}"
            name, at = word[:100], 1
            while name in self._used:
                at += 1
                name = f"{word[:100]}_{at}"
            self._used.add(name)
            self._names[secret] = name
        return self._names[secret]

    def reserve(self, name: str) -> None:
        """A name that the file uses for something else."""
        self._used.add(name)

    @property
    def secrets(self) -> Mapping[str, str]:
        """The values by their names."""
        return {name: secret for secret, name in self._names.items()}

    def __repr__(self) -> str:  # it holds secrets
        return "Vault()"


def as_env(name: str) -> dict[str, Any]:
    return {"env": name}
