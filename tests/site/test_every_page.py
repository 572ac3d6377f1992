"""Each page that the site map names is there, whatever its model's facts are."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

from tests.site.asking import ask, pages_of

from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings
from fairlead.site.app import site
from fairlead.site.sources import Sources


def test_every_page_of_the_site_map_is_there() -> None:
    async def run() -> None:
        app = pages_of(build(Settings(), DIALECTS, supports_prefill))
        pages = re.findall(r"<loc>http://llm.example(/[^<]*)</loc>", (await ask(app, "/sitemap.xml")).text)
        assert len(pages) > 130
        for page in pages:
            shown = await ask(app, page)
            assert shown.status == 200, page
            assert b"<h1" in shown.body, page
        assert len(app.state.context.cache.plain) == len(pages) + 1, (
            "who sees all of them, and the map, pushes none out"
        )

    asyncio.run(run())


def test_the_page_of_a_model_that_nobody_serves_is_made_once_an_hour() -> None:
    async def run() -> None:
        now = datetime(2026, 11, 30, 12, 34, 56, tzinfo=UTC)
        snapshot = build(Settings(), DIALECTS, supports_prefill)
        app = site(Sources(lambda: snapshot, lambda _: None, lambda: now))
        kept = app.state.context.cache.plain
        page = "/models/openai/gpt-oss-120b"
        # The time at which its page was first asked for, never one before the catalogue was there.
        assert "12:34" in (await ask(app, page)).text
        now += timedelta(minutes=20)
        assert "12:34" in (await ask(app, page)).text
        assert len(kept) == 1
        now += timedelta(minutes=20)
        assert "13:00" in (await ask(app, page)).text
        assert len(kept) == 2

    asyncio.run(run())
