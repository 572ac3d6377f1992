"""The front page of a running server, as HTTP and in a real Chromium."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browsing import needs_chromium, watched
from tests.e2e.conftest import Served, model, provider, serving
from tests.e2e.test_chat import raw


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = provider("http://127.0.0.1:9/v1") + model()
    config += '[[models]]\nid = "named"\nname = "<script>alert(1)</script>"\n'
    with serving(tmp_path_factory.mktemp("site"), config) as running:
        yield running


def test_the_page_shows_the_models_and_a_curl_that_fits_this_server(served: Served) -> None:
    status, headers, body = raw(served, "GET", "/", Accept="text/html")
    text = body.decode()
    assert status == 200
    assert "mistral-small-3.2" in text
    assert "$0.10" in text
    assert f"{served.url}/v1" in text
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-request-id"]


def test_names_are_text_and_never_markup(served: Served) -> None:
    text = raw(served, "GET", "/models?q=alert")[2].decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_path_that_is_none_is_a_page_for_people_and_json_for_programs(served: Served) -> None:
    status, _, body = raw(served, "GET", "/nothing", Accept="text/html")
    assert (status, b"<html" in body) == (404, True)
    status, _, body = raw(served, "GET", "/nothing")
    assert (status, b'"code":"not_found"' in body) == (404, True)
    status, _, body = raw(served, "GET", "/v1/nothing")
    assert (status, b'"code":"not_found"' in body) == (404, True)
    status, headers, body = raw(served, "DELETE", "/v1/models")
    assert (status, headers["allow"], b'"code":"method_not_allowed"' in body) == (405, "GET", True)


def test_the_static_parts_are_there(served: Served) -> None:
    for path in ("/static/site.css", "/static/site.js", "/favicon.svg", "/robots.txt"):
        assert raw(served, "GET", path)[0] == 200
    assert raw(served, "HEAD", "/")[2] == b""


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_a_real_browser_renders_it(browser: Browser, served: Served, width: int) -> None:
    with watched(browser, served.url, viewport={"width": width, "height": 900}) as page:
        page.goto("/")
        picture = page.screenshot()
        assert size_of(picture) == (width, 900)
        assert len(picture) > 8_000, "an empty page is smaller"
        expect(page.get_by_text("mistral-small-3.2").first).to_be_attached()
        assert page.evaluate("document.styleSheets.length") > 0
