"""What of a request a page may depend on."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.site.language import Language


@dataclass(frozen=True, slots=True)
class Visit:
    """What of a request a page may depend on: its language, the address that it was asked at, and its path."""

    language: Language
    origin: str  # "https://llm.example.org"
    path: str  # without the language's prefix

    @property
    def api(self) -> str:
        return self.origin + "/v1"

    def href(self, path: str) -> str:
        """A path of this site in the visitor's language."""
        return self.language.prefix + path
