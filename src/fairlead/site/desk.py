"""The desk: what every page has at hand. One per app, found through the request."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from fairlead.catalogue.snapshot import Snapshot
from fairlead.site.language import ENGLISH, Language, chosen
from fairlead.site.listing import Entry
from fairlead.site.press import Press, Visit
from fairlead.site.records import Fresh
from fairlead.site.sources import Sources


@dataclass(slots=True)
class Desk:
    sources: Sources
    press: Press
    languages: tuple[Language, ...] = (ENGLISH,)
    fresh: Fresh = field(default_factory=Fresh)
    listed: tuple[Hashable, tuple[Entry, ...]] | None = None
    listed_at: float = 0.0
    listed_from: Snapshot | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _seen: tuple[Snapshot, int] | None = None

    @staticmethod
    def of(request: Request) -> Desk:
        return cast("Desk", request.app.state.desk)

    def visit(self, request: Request) -> Visit:
        return self.press.visit(request, chosen(request, self.languages))

    def version(self) -> int:
        """Another number for every snapshot: what pages of the catalogue depend on."""
        snapshot = self.sources.snapshot()
        if self._seen is None or self._seen[0] is not snapshot:
            self._seen = snapshot, next(self._numbers)
        return self._seen[1]

    def not_found(self, request: Request, sentence: str) -> Response:
        """A 404 for people who look for something by its name."""
        visit = self.visit(request)
        return self.press.page(
            request, visit, "error.html", (404, sentence), lambda: {"status": 404, "sentence": sentence}, 404
        )
