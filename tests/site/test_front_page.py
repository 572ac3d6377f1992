"""The front page of a running server, as HTTP and in a real Chromium."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Served, model, provider, serving
from tests.e2e.test_chat import raw

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


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


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_real_browser_renders_it(served: Served, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    picture = tmp_path / "page.png"
    base = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"]
    subprocess.run([*base, f"--screenshot={picture}", served.url], check=True, capture_output=True, timeout=60)
    assert size_of(picture.read_bytes()) == (width, 900)
    assert len(picture.read_bytes()) > 8_000, "an empty page is smaller"
    dom = subprocess.run(
        [*base, "--dump-dom", served.url], check=True, capture_output=True, timeout=60, text=True
    ).stdout
    assert "mistral-small-3.2" in dom
    assert 'rel="stylesheet"' in dom
