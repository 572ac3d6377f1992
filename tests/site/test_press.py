"""The press: what it keeps of pages, and for how long."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Hashable, Mapping

import pytest
from starlette.requests import Request

from fairlead.site.language import ENGLISH, languages
from fairlead.site.press import MOST_PART_CHARACTERS, Press, Visit

HERE = Visit(ENGLISH, "http://localhost", "/models/a/b")


class Printer:
    """A part with one sentence; counts how often it was written."""

    def __init__(self) -> None:
        self.press = Press(languages=languages())
        self.written = 0

    def part(self, depends: Hashable, sentence: str = "What it says.", visit: Visit = HERE) -> str:
        def values() -> Mapping[str, object]:
            self.written += 1
            return {"status": sentence, "sentence": ""}

        return self.press.parts(visit, ("error.html",), depends, values)["error.html"]


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
    found = Press(languages=languages()).render(Visit(language, "http://localhost", "/keys/new"), "key.html", {})
    assert f"<h1>{word}</h1>" in found
    assert f'aria-label="{word}"' in found


class Cycle:
    """What only the collector can free, as templates leave it with all the text of a page."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_page_was_made_of_is_let_go_when_it_is_printed_however_seldom_the_collector_comes() -> None:
    press = Press(languages=languages())
    scope = {"type": "http", "method": "GET", "path": "/keys/new", "query_string": b"", "headers": []}
    left: list[weakref.ref[Cycle]] = []

    def values() -> Mapping[str, object]:
        left.append(weakref.ref(Cycle()))
        return {}

    gc.disable()
    try:
        press.page(Request(scope), HERE, "key.html", (), values)
        assert [one() for one in left] == [None]
    finally:
        gc.enable()
