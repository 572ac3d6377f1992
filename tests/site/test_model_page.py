"""The page of a model as a visitor reads it: before and after real calls, with scripts and without."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import openai
import pytest
from playwright.sync_api import Browser
from tests.browsing import needs_chromium, no_barriers, profile
from tests.e2e.conftest import Served, eventually, model, provider, serving
from tests.e2e.test_chat import raw

from fairlead.testing import Reply, ScriptedUpstream

PATH = "/models/mistralai/mistral-small-3.2"
NOT_DEPLOYED = "/models/openai/gpt-oss-120b"
CALLS = 24
BUDGET_BYTES = 60_000

# Each part of the reference page, and where ours has it: a selector and words that are there.
SECTIONS = (
    ("status badge", ".status .state", "Available"),
    ("vendor", ".crumbs", "Mistral"),
    ("name", "h1", "Mistral Small 3.2"),
    ("description", ".lead", "24 billion parameters"),
    ("tags", ".ids", "Tools"),
    ("input tile", ".six", "$0.10"),
    ("output tile", ".six", "$0.30"),
    ("context tile", ".six", "131,072"),
    ("endpoints", "section:has(#pricing)", "/v1/chat/completions"),
    ("capabilities", "section:has(#capabilities)", "Structured outputs"),
    ("modalities", "section:has(#capabilities)", "Image"),
    ("quick stats: context", "section:has(#stats)", "131,072 (128K)"),
    ("quick stats: max output", "section:has(#stats)", "Max output"),
    ("quick stats: mode", "section:has(#stats)", "chat"),
    ("quick stats: tokenizer", "section:has(#stats)", "Tekken"),
    ("quick stats: knowledge cutoff", "section:has(#stats)", "2023-10"),
    ("quick stats: quantization", "section:has(#stats)", "bf16"),
    ("performance", "section:has(#performance)", "Lines: median; bands reach to p95"),
    ("providers", "section:has(#providers)", "p50, ms"),
    ("supported parameters", "section:has(#parameters)", "repetition_penalty"),
    ("default of temperature", "section:has(#parameters)", "0.3"),
    ("pricing", "section:has(#pricing)", "US dollars per million"),
    ("pricing: context and vendor", "section:has(#pricing)", "Vendor"),
    ("code", "section:has(#code)", "chat.completions.create"),
    ("curl", ".code", "curl http"),
    ("a place for the key", "section:has(#code)", "Create an API key"),
    ("question: cost", "section:has(#faq)", "What does Mistral Small 3.2 cost?"),
    ("question: access", "section:has(#faq)", "How do I call Mistral Small 3.2?"),
    ("question: context", "section:has(#faq)", "What is its context window?"),
    ("similar models", "section:has(#similar)", "same family"),
    ("try it", ".actions", "Try it now"),
    ("create a key", ".actions", "Create an API key"),
    ("view all models", ".actions", "View all models"),
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.default = Reply(text="One two three four five six seven eight. " * 5, chunk_delay_seconds=0.004)
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("model"), "[telemetry]\nflush_seconds = 0.1\n" + provider(upstream.url) + model()
    ) as running:
        yield running


@pytest.fixture(scope="module")
def after_calls(served: Served) -> Served:
    """The same server when it has served some calls and shows them."""

    def call(client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(
            model="mistral-small-3.2", messages=[{"role": "user", "content": "Hello!"}], stream=True
        )
        assert list(stream)

    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: call(client), range(CALLS)))
    time.sleep(1)  # what is looked at too early is shown again for half a minute
    eventually(lambda: calls_shown(served) == CALLS, 200)
    return served


def calls_shown(served: Served) -> int:
    time.sleep(0.5)
    performance = json.loads(raw(served, "GET", f"{PATH}.json")[2])["performance"]
    return int(performance["total"]["traffic"]["calls"]) if performance else 0


@needs_chromium
def test_every_part_of_the_reference_page_is_there_without_scripts_and_real_calls_are_shown(
    browser: Browser, after_calls: Served
) -> None:
    context = profile(browser, after_calls.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(PATH)
    for name, selector, words in SECTIONS:
        found = page.locator(selector).all_text_contents()
        assert any(words in re.sub(r"\s+", " ", text) for text in found), name
    row = page.locator("#offers tfoot td").all_inner_texts()
    assert all(float(figure.split()[0].replace(",", "")) >= 0 for figure in row[2:5]), row
    assert row[5].split() == ["100.00", "%", str(CALLS), "calls"]
    assert page.locator("#live .plot path.line").count() == 3, "a picture of first token, of speed and of latency"
    assert page.locator("#live svg.days rect").count() == 90
    page.get_by_label("Prompt tokens").fill("1000000")
    page.get_by_label("Calls", exact=True).fill("2")
    page.get_by_role("button", name="Calculate").click()
    assert "$0.20" in page.locator("#sums").inner_text(), "a million tokens at $0.10, twice"
    context.close()


@needs_chromium
def test_with_scripts_a_sum_is_worked_out_at_once_and_the_curl_is_copied(browser: Browser, served: Served) -> None:
    context = profile(browser, served.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(PATH)
    page.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"curl {served.url}/v1/chat/completions")
    page.get_by_label("Answer tokens").fill("1000000")
    page.locator("#sums", has_text="$300.1").wait_for()
    assert "answer=1000000" in page.url
    page.reload()
    assert page.get_by_label("Answer tokens").input_value() == "1000000"
    assert problems == []
    context.close()


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 390)])
def test_axe_finds_no_barrier_and_nothing_is_wider_than_the_screen(
    browser: Browser, after_calls: Served, scheme: Any, width: int
) -> None:
    context = profile(browser, after_calls.url, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    for path in (PATH, NOT_DEPLOYED, "/keys/new"):
        page.goto(path)
        no_barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if folder := os.environ.get("FAIRLEAD_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{path.rpartition('/')[2]}-{scheme}-{width}.png", full_page=True)
    context.close()


def test_every_fact_shown_has_a_source_with_a_date(served: Served) -> None:
    given = json.loads(raw(served, "GET", f"{PATH}.json")[2])
    for name, fact in given["facts"].items():
        if fact["value"] is not None:
            assert given["sources"][fact["source"]]["read"], name
    text = raw(served, "GET", PATH)[2].decode()
    numbers = re.findall(r'class="src" href="#(s-[^"]+)"', text)
    assert len(numbers) > 20
    assert all(f'id="{one}"' in text for one in numbers)


def test_structured_data_is_allowed_by_its_hash_and_holds_product_trail_and_questions(served: Served) -> None:
    _, headers, body = raw(served, "GET", PATH)
    block = re.search(r'<script type="application/ld\+json">(.*?)</script>', body.decode())
    assert block is not None
    kinds = {one["@type"] for one in json.loads(block[1])["@graph"]}
    assert kinds == {"Product", "BreadcrumbList", "FAQPage"}
    assert "'sha256-" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_a_model_that_is_not_deployed_says_so_and_has_no_price(served: Served) -> None:
    text = raw(served, "GET", NOT_DEPLOYED)[2].decode()
    assert "Not deployed" in text
    assert "it has no price here" in text


def test_other_names_lead_to_the_page_and_unknown_ones_nowhere(served: Served) -> None:
    for asked, wanted in (
        ("/models/mistralai/mistral-small-2506", PATH),
        ("/models/someone/mistral-small-3.2.json", f"{PATH}.json"),
    ):
        connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
        connection.request("GET", asked)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["location"]) == (301, wanted)
        connection.close()
    assert raw(served, "GET", "/models/mistralai/nothing")[0] == 404


def test_the_whole_page_is_small(served: Served) -> None:
    _, _, page = raw(served, "GET", PATH, **{"Accept-Encoding": "gzip"})
    text = raw(served, "GET", PATH)[2].decode()
    files = set(re.findall(r'(?:href|src)="(/(?:static/[^"]+|favicon\.svg))"', text))
    assert len(files) >= 5
    total = len(page) + sum(len(raw(served, "GET", one, **{"Accept-Encoding": "gzip"})[2]) for one in files)
    assert total <= BUDGET_BYTES, total
