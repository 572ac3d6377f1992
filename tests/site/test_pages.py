"""The pages of the catalogue as a visitor sees them: a real server, real Chromium, with scripts and without."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browsing import needs_chromium, no_barriers, profile, watched
from tests.e2e.conftest import Served, model, provider, serving
from tests.e2e.test_chat import raw

from fairlead.site.guides import Guides, path_of

MANY, SOME = 2_000, 60
LEAST_MS = 50
PAGES = (
    "/",
    "/models",
    "/models?view=cards&capability=tools",
    "/models?view=chart",
    "/models/mistralai",
    "/compare",
    "/compare/mistral-small-3.2/many-1",
    "/rankings",
    "/status",
    "/docs",
    "/docs/internals/wire",
)


def many(number: int) -> str:
    """Models beside the package's own."""
    words = ("fast", "careful", "small", "tiny", "long", "cheap", "seeing", "reading")
    lines = []
    for at in range(number):
        lines.append(
            f'[[models]]\nid = "many-{at}"\nname = "Many {at} {words[at % 8]}"\nvendor = "vendor-{at % 20}"\n'
            f'description = "A {words[at % 8]} model, number {at} of the synthetic catalogue, {words[(at + 3) % 8]}."\n'
            f"context_length = {8192 * (1 + at % 16)}\n"
            f'input_modalities = ["text"{", " + chr(34) + "image" + chr(34) if at % 3 == 0 else ""}]\n'
            f'[[models.deployments]]\nprovider = "mock"\nupstream_model = "many-{at}"\n'
            f'price = {{ input = "0.{at % 90 + 10}", output = "1.{at % 90 + 10}" }}\n'
        )
    return "".join(lines)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("pages"), provider("http://127.0.0.1:9/v1") + model() + many(MANY)) as running:
        yield running


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With fewer models, where pages have every kind of row but not so many of each."""
    with serving(tmp_path_factory.mktemp("some"), provider("http://127.0.0.1:9/v1") + model() + many(SOME)) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with watched(browser, served.url) as found:
        yield found


@needs_chromium
def test_a_visitor_finds_a_model_by_search_and_reaches_its_page(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Models", exact=True).first.click()
    page.get_by_role("searchbox").press_sequentially("mistral-small-3.2")
    expect(page.locator("#rows tr")).to_have_count(1)
    assert page.url.endswith("/models?q=mistral-small-3.2")
    assert page.get_by_role("status").inner_text().startswith("1 model of 2,")
    page.get_by_role("link", name="Mistral Small 3.2").click()
    expect(page).to_have_url(re.compile("/models/mistralai/mistral-small-3.2$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mistral Small 3.2")


@needs_chromium
def test_filters_order_and_address_are_the_same_with_the_script_as_without(
    page: Page, browser: Browser, served: Served
) -> None:
    page.goto("/models")
    page.get_by_role("checkbox", name="Image").first.check()
    page.get_by_label("Context of at least").select_option("32768")
    page.get_by_label("Sort by").select_option("-price")
    page.get_by_label("then by").select_option("context")
    expect(page).to_have_url(re.compile("input=image&sort=-price&sort=context$"))
    expect(page.locator("#rows tr:first-child td:nth-child(5)")).to_have_text("$0.97")
    row = "rows => rows.map(row => row.innerText.trim().replace(/\\s+/g, ' '))"
    drawn = page.locator("#rows tr").evaluate_all(row)
    plain = profile(browser, served.url, java_script_enabled=False).new_page()
    plain.goto(page.url)
    assert page.locator("#found").inner_text() == plain.locator("#found").inner_text()
    texts = plain.locator("#rows tr").all_inner_texts()
    assert [re.sub(r"\s+", " ", text).strip() for text in texts] == drawn
    assert len(drawn) == 100
    plain.context.close()


@needs_chromium
def test_without_scripts_the_form_filters_and_the_pages_can_be_turned(browser: Browser, served: Served) -> None:
    context = profile(browser, served.url, java_script_enabled=False)
    plain = context.new_page()
    plain.goto("/models")
    plain.get_by_role("searchbox").fill("careful")
    plain.get_by_role("button", name="Show models").first.click()
    assert "q=careful" in plain.url
    assert plain.locator("#found").inner_text().startswith("500 models of 2,")
    plain.get_by_role("link", name="Next page").click()
    assert "Page 2 of 5" in plain.locator("nav.pages").inner_text()
    context.close()


@needs_chromium
def test_two_thousand_models_are_filtered_and_drawn_within_50_ms(page: Page) -> None:
    page.goto("/models")
    page.get_by_role("searchbox").focus()
    page.wait_for_load_state("networkidle")
    took = page.evaluate(
        """async () => {
          const box = document.querySelector('[name=q]'), best = {};
          const median = () => Object.values(best).sort((a, b) => a - b)[5];
          for (let round = 0; round < 60 && !(median() <= LIMIT); round++) for (const words of ['m', 'ma', 'man', 'many', 'many 1', 'careful', 'tiny reading', '', 'many 77', 'vendor']) {
            box.value = words;
            performance.clearMeasures();
            box.dispatchEvent(new Event('input', {bubbles: true}));
            while (!performance.getEntriesByName('filtered').length) await new Promise(done => setTimeout(done));
            const before = performance.now();
            document.body.offsetHeight; // the layout is part of what a visitor waits for
            const took = performance.getEntriesByName('filtered')[0].duration + performance.now() - before;
            best[words] = Math.min(best[words] ?? Infinity, took); // others use the machine, too
          }
          return Object.values(best);
        }""".replace("LIMIT", str(LEAST_MS))
    )
    assert statistics.median(took) <= LEAST_MS, took
    print("ms:", [round(one, 1) for one in took])


@needs_chromium
# Light at 1280 and dark at 390 are in test_full_pages.py.
@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_no_page_has_a_barrier_that_axe_finds_or_is_wider_than_the_screen(
    browser: Browser, some: Served, scheme: Any, width: int
) -> None:
    context = profile(browser, some.url, color_scheme=scheme, viewport={"width": width, "height": 900}, locale="de")
    one = context.new_page()
    for path in PAGES:
        one.goto(path)
        no_barriers(one)
        assert one.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


@pytest.mark.parametrize("path", [*PAGES, "/?lang=de", "/models?lang=zh"])
def test_every_page_is_complete_html_with_its_policy_and_is_not_sent_twice(served: Served, path: str) -> None:
    status, headers, body = raw(served, "GET", path, Accept="text/html")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert b"<h1" in body
    assert not re.search(rb"<script(?! (type=\"module\" )?src=)|style=\"| on\w+=\"", body)
    # Figures may have been read again between two requests.
    for _ in range(5):
        status, headers, _ = raw(served, "GET", path, Accept="text/html", **{"If-None-Match": headers["etag"]})
        if status == 304:
            break
    assert status == 304
    small = raw(served, "GET", path, **{"Accept-Encoding": "gzip"})[2]
    assert len(small) < len(body)


@pytest.mark.parametrize(
    "path",
    [
        "/index",
        "/models",
        "/models/mistralai",
        "/compare/mistral-small-3.2/many-1",
        "/rankings",
        "/status",
        "/docs/internals/wire",
    ],
)
def test_every_page_is_also_json_and_markdown(served: Served, path: str) -> None:
    status, headers, body = raw(served, "GET", f"{path}.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)
    status, headers, body = raw(served, "GET", f"{path}.md")
    assert (status, headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert body.startswith(b"# ")


def test_a_language_is_chosen_by_the_browser_or_the_switch_and_remembered(served: Served) -> None:
    status, headers, body = raw(served, "GET", "/models", **{"Accept-Language": "de-DE,de;q=0.9"})
    assert (status, b'lang="de"' in body, "set-cookie" in headers) == (200, True, False)
    assert "accept-language" in headers["vary"]
    _, headers, body = raw(served, "GET", "/models?lang=zh")
    assert b'<html lang="zh">' in body
    assert headers["set-cookie"].startswith("lang=zh;")
    assert b'<html lang="zh">' in raw(served, "GET", "/models", Cookie="lang=zh")[2]
    canonical = re.search(rb'rel="canonical" href="([^"]+)"', body)
    assert canonical is not None
    assert canonical[1].decode() == f"{served.url}/models"
    assert len(re.findall(rb'hreflang="(?:en|de|zh|x-default)"', body.split(b"</head>")[0])) == 4


def test_before_the_first_call_nothing_is_known_and_the_page_says_so(served: Served) -> None:
    text = raw(served, "GET", "/models/mistralai/mistral-small-3.2")[2].decode()
    assert "of calls served in 30 minutes" not in text
    assert "not enough data" in text
    assert "No traffic in the last 90 days, so there is no uptime data." in text


def test_programs_find_the_site(served: Served) -> None:
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    root = ET.fromstring(raw(served, "GET", "/sitemap.xml")[2])
    found = {one.findtext(f"{space}loc") for one in root}
    assert {
        f"{served.url}/models/mistralai/mistral-small-3.2",
        f"{served.url}/status",
        f"{served.url}/docs/internals/wire",
    } <= found
    assert f"Sitemap: {served.url}/sitemap.xml" in raw(served, "GET", "/robots.txt")[2].decode()
    text = raw(served, "GET", "/llms.txt")[2].decode()
    assert text.startswith("# Fairlead\n\n> ")
    assert f"{served.url}/openapi.json" in text
    assert raw(served, "GET", "/status.atom")[1]["content-type"].startswith("application/atom+xml")


def test_the_documentation_leads_from_page_to_page_and_runs_no_markup_of_its_own(served: Served) -> None:
    text = raw(served, "GET", "/docs")[2].decode()
    links = set(re.findall(r'href="(/docs/[^"#]+)"', text))
    assert len(links) > 20
    assert links <= {path_of(name) for name in Guides().sources}  # each of which test_docs.py renders
    for link in sorted(links)[::8]:
        assert raw(served, "GET", link)[0] == 200, link
    assert '<h2 id="response-headers">' in raw(served, "GET", "/docs/reference/headers")[2].decode()
    assert raw(served, "GET", "/docs/../pyproject.toml")[0] == 404
    assert raw(served, "GET", "/docs/nothing")[0] == 404


def test_a_comparison_marks_what_differs_and_asks_when_a_model_is_unknown(served: Served) -> None:
    text = raw(served, "GET", "/compare/mistral-small-3.2/many-1")[2].decode()
    assert re.search(
        r'<tr class="differs"><th scope="row">Lowest input price, per million tokens</th><td><strong>\$0.10</strong></td><td>\$0.11</td>',
        text,
    )
    assert re.search(r"<tr><th scope=\"row\">State</th>", text), "both are up"
    assert "<h1>Many 1 " in raw(served, "GET", "/compare?model=many-1&model=many-2&model=")[2].decode()
    assert "Unknown model: nobody." in raw(served, "GET", "/compare?model=nobody&model=many-2")[2].decode()
    assert raw(served, "GET", "/compare/many-1/nobody")[0] == 404


def test_scripts_are_small(served: Served) -> None:
    for script in (Path(__file__).parents[2] / "src" / "fairlead" / "site" / "static").glob("*.js"):
        if not script.name.startswith("playground"):  # an application of its own
            assert len(raw(served, "GET", f"/static/{script.name}")[2]) < 10_000, script.name
