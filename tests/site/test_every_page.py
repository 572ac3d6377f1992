"""Each page that the site map names is there, whatever its model's facts are."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from tests.e2e.conftest import serving


def test_every_page_of_the_site_map_is_there(tmp_path: Path) -> None:
    with serving(tmp_path) as served, urllib.request.urlopen(f"{served.url}/sitemap.xml") as answer:
        pages = re.findall(r"<loc>([^<]+)</loc>", answer.read().decode())
        assert len(pages) > 130
        for page in pages:
            with urllib.request.urlopen(urllib.request.Request(page, headers={"accept": "text/html"})) as shown:
                assert shown.status == 200, page
                assert b"<h1" in shown.read(), page
