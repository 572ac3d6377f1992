"""Each page that the site map names is there, whatever its model's facts are."""

from __future__ import annotations

import asyncio
import re

from tests.site.asking import ask, pages_of

from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings


def test_every_page_of_the_site_map_is_there() -> None:
    async def run() -> None:
        app = pages_of(build(Settings(), DIALECTS, supports_prefill))
        pages = re.findall(r"<loc>http://llm.example(/[^<]*)</loc>", (await ask(app, "/sitemap.xml")).text)
        assert len(pages) > 130
        for page in pages:
            shown = await ask(app, page)
            assert shown.status == 200, page
            assert b"<h1" in shown.body, page

    asyncio.run(run())
