"""Whatever a model's page shows as a fact leads to a source with a date, on the page of every built-in model."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from typing import Any

from tests.site.asking import ask, pages_of

from fairlead.catalogue.built import load_catalogue
from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
UNKNOWN = "unknown"


class Shown(HTMLParser):
    """What a page shows: (section, kind, text, sources named beside it), and the text of each source by its anchor."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[tuple[str, str, str, list[str]]] = []
        self.sources: dict[str, str] = {}
        self._section = self._source = ""
        self._open: tuple[str, str] | None = None
        self._text: list[str] = []
        self._named: list[str] = []
        self._in_number = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._section = given.get("aria-labelledby", "")
        if tag == "li" and given.get("id", "").startswith("s-"):
            self._source = given["id"]
            self.sources[self._source] = ""
        fact = (tag == "dd" and self._section in ("capabilities", "stats")) or (
            tag == "li" and self._section == "capabilities" and given.get("class") in ("yes", "no")
        )
        if fact or tag == "h1" or (tag == "p" and given.get("class") == "lead"):
            self._open, self._text, self._named = (tag, given.get("class", "")), [], []
        if tag == "a" and given.get("class") == "src":
            self._in_number = True
            self._named.append(given["href"].removeprefix("#"))
            assert DAY.search(given["aria-label"]), given

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_number = False
        if tag == "li":
            self._source = ""
        if self._open is not None and tag == self._open[0]:
            self.facts.append((self._section, tag, "".join(self._text).strip(), self._named))
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None and not self._in_number:
            self._text.append(data)
        if self._source:
            self.sources[self._source] += data


def test_every_fact_on_the_page_of_every_model_names_a_source_that_is_dated() -> None:
    asyncio.run(_check_every_model())


async def _check_every_model() -> None:
    models = load_catalogue().models
    app = pages_of(build(Settings(), DIALECTS, supports_prefill))
    seen = 0
    for model in models.values():
        path = f"/models/{model.vendor}/{model.id}"
        page = Shown()
        page.feed((await ask(app, path)).text)
        for anchor, text in page.sources.items():
            assert DAY.search(text), (model.id, anchor)
        for section, tag, text, named in page.facts:
            if text == UNKNOWN:
                continue
            assert text, (model.id, section, tag)
            assert named, (model.id, section, text)
            assert set(named) <= set(page.sources), (model.id, section, text)
            seen += 1
        given: Any = json.loads((await ask(app, path + ".json")).text)
        for name, fact in given["facts"].items():
            assert fact["value"] is None or DAY.fullmatch(given["sources"][fact["source"]]["read"]), (model.id, name)
    assert seen > 20 * len(models)
