"""Every link of every Markdown file leads to a file, a heading or a page of the site that is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.docs.blocks import ROOT
from tests.site.asking import ask, pages_of

from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings
from fairlead.site.guides import anchor_of

FILES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "bench").rglob("*.md")),
    *sorted((ROOT / "tests").rglob("*.md")),
]
_MARKDOWN = MarkdownIt("commonmark").enable(["table"])
# Of a picture that README shows in two colours, and the like.
_IN_HTML = re.compile(r"""(?:href|src|srcset)=["']([^"'\s]+)""")


def targets(file: Path) -> Iterator[str]:
    for token in _MARKDOWN.parse(file.read_text("utf-8")):
        for part in [token, *(token.children or ())]:
            if part.type == "link_open":
                yield str(part.attrs["href"])
            elif part.type == "image":
                yield str(part.attrs["src"])
            elif part.type in ("html_block", "html_inline"):
                yield from _IN_HTML.findall(part.content)


@cache
def anchors(file: Path) -> frozenset[str]:
    tokens = _MARKDOWN.parse(file.read_text("utf-8"))
    seen: dict[str, int] = {}
    return frozenset(
        anchor_of("".join(one.content for one in following.children or () if one.type in ("text", "code_inline")), seen)
        for token, following in pairwise(tokens)
        if token.type == "heading_open"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in targets(file):
        if re.match(r"[a-z]+:|/", target):
            continue
        name, _, anchor = target.partition("#")
        found = file.parent / name if name else file
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}: the headings are {', '.join(sorted(anchors(found)))}"


def test_every_link_to_the_site_is_a_page_of_it() -> None:
    async def run() -> None:
        app = pages_of(build(Settings(), DIALECTS, supports_prefill))
        for file in FILES:
            for target in targets(file):
                if target.startswith("/"):
                    assert (await ask(app, target.partition("#")[0])).status == 200, f"{file}: {target}"

    asyncio.run(run())
