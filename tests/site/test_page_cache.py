"""What the page cache keeps, and for how long."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Hashable, Mapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.budget import Busy, PageBudget
from fairlead.site.cached_page import MOST_KEY_BYTES, CachedPage, CachedPages
from fairlead.site.language import ENGLISH, languages
from fairlead.site.page_cache import (
    JSON,
    MOST_PART_CHARACTERS,
    MOST_QUERIED_BYTES,
    MOST_QUERIED_PAGES,
    PageCache,
)
from fairlead.site.visit import Visit

HERE = Visit(ENGLISH, "http://localhost", "/models/a/b")


class Printer:
    """A part with one sentence; counts how often it was written."""

    def __init__(self) -> None:
        self.cache = PageCache(languages=languages())
        self.written = 0

    def part(self, depends: Hashable, sentence: str = "What it says.", visit: Visit = HERE) -> str:
        def values() -> Mapping[str, object]:
            self.written += 1
            return {"status": sentence, "sentence": ""}

        return self.cache.parts(visit, ("error.html",), depends, values)["error.html"]


def test_a_part_is_written_once_until_what_it_depends_on_is_another() -> None:
    printer = Printer()
    assert "What it says." in printer.part((1, "a"))
    assert "What it says." in printer.part((1, "a"), "What nobody writes.")
    assert printer.written == 1
    assert "The next." in printer.part((2, "a"), "The next.")
    assert "Elsewhere." in printer.part((1, "a"), "Elsewhere.", Visit(ENGLISH, "http://other", "/models/a/b"))
    assert printer.written == 3


def test_what_a_part_is_made_of_is_escaped() -> None:
    assert "&lt;b&gt;" in Printer().part(1, "<b>")


def test_parts_together_take_half_a_megabyte_at_most_and_the_least_used_go_first() -> None:
    printer = Printer()
    fifth = "x" * (MOST_PART_CHARACTERS // 5)  # it stands in a part twice
    for depends in (1, 2, 1, 3):
        printer.part(depends, fifth)
    assert printer.written == 3
    printer.part(1)
    assert printer.written == 3, "it was used after 2"
    printer.part(2)
    assert printer.written == 4, "it had to go"


@pytest.mark.parametrize(
    ("code", "word"), [("en", "Create an API key"), ("de", "API-Schlüssel erstellen"), ("zh", "创建 API 密钥")]
)
def test_sentences_and_words_of_a_template_are_in_the_language_of_the_visit(code: str, word: str) -> None:
    language = next(one for one in languages() if one.code == code)
    found = PageCache(languages=languages()).render(Visit(language, "http://localhost", "/keys/new"), "key.html", {})
    assert f"<h1>{word}</h1>" in found
    assert f'aria-label="{word}"' in found


def scope_of(query: bytes) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/keys/new", "query_string": query, "headers": []}


def page(cache: PageCache, depends: Hashable, query: bytes = b"") -> Response:
    """A page that shows what it depends on."""
    values = {"status": depends, "sentence": "x" * 2_000}
    return asyncio.run(cache.page(Request(scope_of(query)), HERE, "error.html", depends, lambda: values))


def test_pages_with_a_query_push_out_one_another_and_no_plain_page() -> None:
    cache = PageCache(languages=languages(), budget=PageBudget(1e9, 1e9))
    page(cache, "plain")
    for at in range(MOST_QUERIED_PAGES + 20):
        page(cache, f"query {at}", b"q=%d" % at)
    assert len(cache.plain) == 1
    assert 200 < len(cache.queried) <= MOST_QUERIED_PAGES
    assert 0 < cache.queried.bytes <= MOST_QUERIED_BYTES


def test_what_pages_are_found_by_counts_too_and_a_page_found_by_too_much_is_not_kept() -> None:
    made = CachedPage.of(b"page", "text/plain", "no-cache")
    pages = CachedPages(10_000, 100_000)
    for at in range(1_000):
        pages.put(("template", HERE, (at, f"{at:0>900}")), made)
    assert pages.bytes <= 100_000
    assert len(pages) < 100, "a key of 900 letters takes more than its page of four"
    pages.put(("template", HERE, "x" * (MOST_KEY_BYTES + 1)), made)
    pages.put(("template", Visit(ENGLISH, "http://localhost", "/" + "x" * MOST_KEY_BYTES), 1), made)
    assert pages.get(("template", HERE, "x" * (MOST_KEY_BYTES + 1))) is None
    pages.clear()
    assert (pages.bytes, len(pages)) == (0, 0)


def test_a_cached_page_is_served_while_the_budget_is_used_up_and_the_rest_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fairlead.site.budget.WAIT_SECONDS", 0.0)

    class Later:
        def cancel(self) -> None:
            """Nobody comes back to it."""

    cache = PageCache(languages=languages(), budget=PageBudget(0.1, 1.0, lambda: 0.0, lambda _seconds, _call: Later()))
    first = page(cache, "printed")
    cache.budget._left = 0.0
    assert page(cache, "printed").body == first.body
    for query in (b"", b"q=1"):
        with pytest.raises(Busy):
            page(cache, "another", query)
    assert cache.error(Request(scope_of(b"")), ENGLISH, 404, "Nothing here.").status_code == 404


class Cycle:
    """What only the collector can free, as templates leave it with all the text of a page."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_page_was_made_of_is_freed_when_it_is_rendered_however_seldom_the_collector_comes() -> None:
    cache = PageCache(languages=languages())
    scope = scope_of(b"")
    left: list[weakref.ref[Cycle]] = []

    def values() -> Mapping[str, object]:
        left.append(weakref.ref(Cycle()))
        return {}

    gc.disable()
    try:
        asyncio.run(cache.page(Request(scope), HERE, "key.html", (), values))
        assert [one() for one in left] == [None]
    finally:
        gc.enable()


def test_pages_are_made_in_a_thread_and_what_has_begun_is_finished_when_its_visitor_leaves() -> None:
    cache = PageCache(languages=languages(), budget=PageBudget(1e9, 1e9))
    request = Request({"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": []})
    visit = Visit(languages()[0], "http://a", "/x")
    made: list[tuple[str, int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        assert go_on.wait(60)
        made.append(("slow", threading.get_ident()))
        return b"slow"

    def quick() -> bytes:
        made.append(("quick", threading.get_ident()))
        return b"quick"

    async def scene() -> None:
        first = asyncio.create_task(cache.data(request, visit, "a", JSON, 1, slow))
        while not begun.is_set():  # noqa: ASYNC110 - the loop turns while a page is made
            await asyncio.sleep(0.001)
        second = asyncio.create_task(cache.data(request, visit, "b", JSON, 1, quick))
        first.cancel()
        await asyncio.sleep(0.01)
        assert not first.done()
        assert not made
        go_on.set()
        assert (await second).body == b"quick"
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(scene())
    assert [name for name, _ in made] == ["slow", "quick"]
    assert threading.get_ident() not in {thread for _, thread in made}
