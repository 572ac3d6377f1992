"""Pictures: what networks show of a page, the cloud of prices, and charts that are read by keys."""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Iterator

import openai
import pytest
from playwright.sync_api import Browser, expect
from tests.browsing import needs_chromium, no_barriers, profile
from tests.e2e.conftest import Served, eventually, model, provider, serving
from tests.e2e.test_chat import raw

from fairlead.site.picture import HEIGHT, WIDTH, Canvas, Letters
from fairlead.site.scatter import spread
from fairlead.testing import Reply, ScriptedUpstream

PATH = "/models/mistralai/mistral-small-3.2"
PUBLIC = "https://llm.example.org"
TEXT = "One two three four five six seven eight. " * 5


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text=TEXT, chunk_delay_seconds=0.004)
        config = (
            f'[server]\npublic_url = "{PUBLIC}"\n[telemetry]\nflush_seconds = 0.1\n' + provider(upstream.url) + model()
        )
        config += '[[models]]\nid = "plain/id"\nname = "模型"\nvendor = "acme"\n'
        with serving(tmp_path_factory.mktemp("pictures"), config) as running:
            with openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key) as client:
                for _ in range(6):
                    stream = client.chat.completions.create(
                        model="mistral-small-3.2", messages=[{"role": "user", "content": "Hello!"}], stream=True
                    )
                    assert list(stream)
            time.sleep(1)  # what is looked at too early is shown again for half a minute
            eventually(lambda: b'class="course' in raw(running, "GET", PATH)[2], 200)
            yield running


def dots_of(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the dots of an indexed PNG without filters, after its checksums were looked at."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        found[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", found[b"IHDR"][:10])
    assert (depth, colour) == (8, 3)
    rows = zlib.decompress(found[b"IDAT"])
    return width, height, b"".join(rows[row * (width + 1) + 1 : (row + 1) * (width + 1)] for row in range(height))


def test_letters_are_drawn_where_they_are_asked_for_and_long_lines_are_cut() -> None:
    letters = Letters()
    canvas = Canvas(letters)
    end = canvas.text(100, 50, "figure", "131,072", "ink")
    width, height, dots = dots_of(canvas.png())
    assert (width, height) == (WIDTH, HEIGHT)
    assert end - 100 == letters.width("figure", "131,072")
    inked = {(at % WIDTH, at // WIDTH) for at, dot in enumerate(dots) if dot}
    assert len(inked) > 500
    assert min(x for x, _ in inked) >= 100
    assert max(x for x, _ in inked) <= end
    assert all(50 <= y <= 50 + letters.height("figure") for _, y in inked)
    lines = letters.lines("text", "word " * 100, 600, 2)
    assert len(lines) == 2
    assert lines[1].endswith("word…")
    assert all(letters.width("text", line) <= 600 for line in lines)


def test_networks_find_a_picture_of_each_model_at_the_public_address(served: Served) -> None:
    page = raw(served, "GET", PATH)[2].decode()
    head = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', page))
    assert head["og:image"] == f"{PUBLIC}{PATH}.png"
    assert head["twitter:card"] == "summary_large_image"
    assert "Mistral Small 3.2, Mistral AI; 131,072 (128K) tokens of context" in head["og:image:alt"]
    status, headers, body = raw(served, "GET", f"{PATH}.png")
    assert (status, headers["content-type"]) == (200, "image/png")
    width, height, dots = dots_of(body)
    assert (str(width), str(height)) == (head["og:image:width"], head["og:image:height"]) == ("1200", "630")
    assert len(set(dots)) > 20, "letters with soft edges"
    assert len(body) < 60_000
    assert raw(served, "GET", f"{PATH}.png", **{"If-None-Match": headers["etag"]})[0] == 304
    assert raw(served, "GET", "/models/acme/plain%2Fid.png")[0] == 200, "a name in other letters: its id is drawn"
    assert raw(served, "GET", "/models/acme/nothing.png")[0] == 404


def test_addresses_are_the_public_one_whatever_host_is_asked_for(served: Served) -> None:
    for path in (PATH, "/sitemap.xml", "/llms.txt", "/robots.txt", "/status.atom"):
        body = raw(served, "GET", path, Host="evil.example")[2].decode()
        assert PUBLIC in body, path
        assert "evil.example" not in body, path
    canonical = re.search(r'rel="canonical" href="([^"]+)"', raw(served, "GET", "/status")[2].decode())
    assert canonical is not None
    assert canonical[1] == f"{PUBLIC}/status"


@needs_chromium
def test_charts_are_read_by_arrow_keys_and_by_pointing(browser: Browser, served: Served) -> None:
    context = profile(browser, served.url)
    page = context.new_page()
    page.goto(PATH)
    page.locator('label[for="measure-uptime"]').click()
    days = page.locator(".uptimes").get_by_role("slider").first
    days.focus()
    said = page.locator(".uptimes .read .at").first
    expect(said).to_contain_text("100.00 %")
    days.press("ArrowLeft")
    expect(said).to_contain_text("no traffic")
    assert days.get_attribute("aria-valuenow") == "88"
    assert days.get_attribute("aria-valuetext") == said.inner_text()
    days.press("Home")
    assert days.get_attribute("aria-valuenow") == "0"
    days.press("End")
    expect(said).to_contain_text("100.00 %")
    assert days.evaluate("chart => getComputedStyle(chart).outlineStyle") != "none", "the focus is seen"
    page.locator('label[for="measure-first_token"]').click()
    course = page.locator("figure.courses svg").first
    course.hover()
    # So few calls are one line; when a minute has passed between them, each deployment may have one.
    expect(page.locator("figure.courses .at").first).to_contain_text(re.compile("ms: (All calls|mock) "))
    no_barriers(page)
    context.close()


@needs_chromium
@pytest.mark.parametrize("scripts", [True, False])
def test_the_cloud_of_prices_leads_to_the_models_and_follows_the_filters(
    browser: Browser, served: Served, scripts: bool
) -> None:
    context = profile(browser, served.url, java_script_enabled=scripts)
    page = context.new_page()
    page.goto("/models?view=chart&q=mistral")
    seen = page.locator(".cloud a:visible")
    matching = seen.count()
    assert 5 < matching < page.locator(".cloud a").count()
    if scripts:
        assert page.locator('.cloud a[tabindex="0"]').count() == 1, "one stop for the tab key"
        page.get_by_role("searchbox").fill("")
        expect(page.locator(".cloud a:visible")).to_have_count(page.locator(".cloud a").count())
        page.locator('.cloud a[tabindex="0"]').focus()
        page.keyboard.press("End")
        expect(page.locator(".chart .at")).to_contain_text("tokens")
        no_barriers(page)
    here = page.locator('.cloud a[data-i="mistral-small-3.2"]')
    assert here.locator("circle.here").count() == 1
    here.locator("circle").click(force=True)
    page.wait_for_url(f"**{PATH}")
    context.close()


def test_labels_do_not_lie_over_one_another() -> None:
    found = spread([(100, 100, "one name"), (104, 102, "another"), (940, 100, "at the edge")], 960)
    assert all(label is not None for label in found)
    first, second, last = found
    assert abs(first.y - second.y) >= 14  # type: ignore[union-attr]
    assert last.end  # type: ignore[union-attr]
    assert spread([(10, 10, "x")] * 9, 960).count(None) == 4, "no place near enough"
