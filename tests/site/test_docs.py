"""The documentation on the site: order, links, search, code to copy, and what is hidden."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browsing import needs_chromium, no_barriers, profile
from tests.e2e.conftest import Served, model, provider, serving
from tests.site.asking import Answer, ask, pages_of

from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings
from fairlead.site.docs_index import parts_of
from fairlead.site.guides import SECTIONS, Guides, path_of

MOST_INDEX_BYTES = 600_000  # 150,000 compressed


def asked(path: str, **site: str) -> Answer:
    async def run() -> Answer:
        return await ask(pages_of(build(Settings(), DIALECTS, supports_prefill), **site), path)

    return asyncio.run(run())


def guides(folder: Path, **texts: str) -> Guides:
    for name, text in texts.items():
        file = folder / f"{name.replace('__', '/')}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Guides(folder)


def test_pages_come_in_the_order_in_which_they_are_linked_and_lead_to_their_neighbours(tmp_path: Path) -> None:
    found = guides(
        tmp_path,
        README="# Docs\n[b](guides/b.md) and [a](guides/a.md#part)\n",
        guides__a="# A",
        guides__b="# B",
        guides__c="# C",
        reference__README="# R",
    )
    assert list(found.sources) == ["README", "guides/b", "guides/a", "guides/c", "reference/README"]
    assert [(one.name, one.title) for one in found.sections] == [("guides", "Guides"), ("reference", "Reference")]
    before, after = found.neighbours("guides/b")
    assert before is not None
    assert after is not None
    assert (before.path, after.path) == ("/docs", "/docs/guides/a")
    assert found.neighbours("README")[0] is None
    assert found.neighbours("reference/README")[1] is None
    assert found.moved("a") == "/docs/guides/a"


def test_marks_are_hidden_markup_is_text_and_code_has_a_button(tmp_path: Path) -> None:
    text = (
        "# T\n\n<!-- setup: gateway -->\n\n<!-- not run: a reason -->\n```sh\necho '<!-- kept -->'\n```\n\n"
        "A <b>bold</b> word<!-- inside -->.\n\n<script>alert(1)</script>\n\n## Is `x` *it*?\n\n![p](x.svg) [f](x.svg)\n"
    )
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "x.svg").write_text("<svg/>")
    found = guides(tmp_path, guides__t=text)
    page = found.get("guides/t")
    assert page is not None
    assert "not run" not in page.html
    assert "setup" not in page.html
    assert "inside" not in page.html
    assert "&lt;!-- kept --&gt;" in page.html
    assert "&lt;b&gt;bold" in page.html
    assert "<script" not in page.html
    assert '<h2 id="is-x-it"><a href="#is-x-it" class="anchor">Is <code>x</code> <em>it</em>?</a></h2>' in page.html
    assert 'src="/docs/guides/x.svg"' in page.html
    assert 'href="/docs/guides/x.svg"' in page.html
    assert found.file("guides/x.svg") == (b"<svg/>", "image/svg+xml")
    assert found.file("guides/t.md") is None


def test_every_heading_is_in_the_index_under_the_anchor_that_its_page_has() -> None:
    found = Guides()
    index = found.index()
    assert len(index) < MOST_INDEX_BYTES
    paths = {row[0] for row in json.loads(index)}
    for name in found.sources:
        page = found.get(name)
        assert page is not None
        assert path_of(name) in paths or page.contents, name
        for heading in page.contents:
            assert f"{path_of(name)}#{heading.anchor}" in paths
    assert {name.partition("/")[0] for name in found.sources if "/" in name} <= set(SECTIONS)


def test_code_and_tables_are_found_and_no_snippet() -> None:
    [first, second] = parts_of("# T\nWords [here](x.md).\n```sh\n# no heading\n```\n## Two\n| a | b |\n")
    assert (first.lines, first.rest) == (["Words [here](x.md)."], ["# no heading"])
    assert (second.anchor, second.heading, second.rest) == ("two", "Two", ["| a | b |"])


def test_addresses_of_pages_that_moved_lead_to_where_they_are() -> None:
    for old, new in (
        ("settings", "reference/settings"),
        ("internals/README", "internals"),
        ("errors.md", "reference/errors.md"),
    ):
        answer = asked(f"/docs/{old}")
        assert (answer.status, answer.headers["location"]) == (301, f"/docs/{new}")
    assert asked("/docs/internals").status == 200
    assert asked("/docs/nothing").status == 404


def test_a_page_can_be_edited_where_the_operator_says() -> None:
    assert "Edit this page" not in asked("/docs/reference/errors").text
    edit = "https://git.example/edit/docs/{path}"
    text = asked("/docs/reference/errors", docs_edit_url=edit).text
    assert 'href="https://git.example/edit/docs/reference/errors.md"' in text
    assert (
        'href="https://git.example/edit/docs/internals/README.md"' in asked("/docs/internals", docs_edit_url=edit).text
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("docs"), provider("http://127.0.0.1:9/v1") + model()) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = profile(browser, served.url, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@needs_chromium
def test_the_search_finds_while_one_types_and_can_be_used_by_keyboard(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/docs")
    page.keyboard.press("/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    field.type("string_above_max_length")
    expect(page.locator("#hits a").first).to_contain_text("Errors of providers")
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"\d+ results?"))
    page.keyboard.press("ArrowDown")
    expect(page.locator("#hits a").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/reference/errors#errors-of-providers")
    field = page.get_by_role("searchbox")
    field.fill("zebrafish")
    expect(page.get_by_role("status")).to_have_text("Nothing found.")
    page.keyboard.press("Escape")
    expect(field).to_have_value("")
    no_barriers(page)


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_without_scripts_every_page_is_in_a_list_and_nothing_is_wider_than_the_screen(
    browser: Browser, served: Served, page: Page, width: int
) -> None:
    context = profile(browser, served.url, java_script_enabled=False, viewport={"width": width, "height": 844})
    plain = context.new_page()
    plain.goto(f"{served.url}/docs/reference/parameters")
    assert not plain.locator("#find").is_visible()
    if width < 960:
        plain.get_by_text("All pages").click()
    expect(plain.get_by_role("navigation", name="Documentation").get_by_role("link", name="Errors")).to_be_visible()
    page.set_viewport_size({"width": width, "height": 844})
    for name in ("parameters", "api", "settings", "cli"):
        page.goto(f"{served.url}/docs/reference/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
