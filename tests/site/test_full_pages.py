"""The pages of a server that has much to show: structure and sizes without a browser, and what a browser adds."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from tests.browsing import needs_chromium, no_barriers, profile
from tests.site.asking import Answer, ask
from tests.site.lively import OFFERS, PATH, LivelyRecords, at_an_address, lively

from fairlead.site.bands import bands
from fairlead.site.marks import letters_of, mark_id
from fairlead.site.model.courses import courses
from fairlead.site.model.usage import effective
from fairlead.site.records import Used
from fairlead.telemetry.figures import Band, ModelDay, Performance, Point
from fairlead.wire.usage import TokenClasses

NOT_DEPLOYED = "/models/openai/gpt-5.5"
PAGES = (
    "/", "/models", "/models?view=cards", "/models?view=chart", "/models/mistralai", PATH, NOT_DEPLOYED,
    "/compare", "/compare/mistral-small-3.2/gpt-oss-120b", "/rankings?period=month", "/status",
)  # fmt: skip
BUDGET_BYTES = 60_000
SCRIPT_BYTES = 10_000
SCREENS = 5
PROVIDERS = [one.provider for one in OFFERS["mistral-small-3.2"]]


@pytest.fixture(scope="module")
def app() -> Starlette:
    return lively()


def get(app: Starlette, *targets: str) -> list[Answer]:
    async def run() -> list[Answer]:
        return [await ask(app, target) for target in targets]

    return asyncio.run(run())


def section(text: str, name: str) -> str:
    """What a page has between the head of a section and the end of it."""
    return text.partition(f'id="{name}"')[2].partition("</section>")[0]


def column(table: str, at: int) -> list[str]:
    """The texts of a column of a table's body, with the words of small print left out."""
    body = re.sub(r"<small>.*?</small>", "", re.split(r"</?tbody[^>]*>", table)[1])
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr")[1:]]
    return [re.sub(r"<[^>]+>", "", row[at]).strip() for row in rows]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_all_its_files_is_small(app: Starlette, path: str) -> None:
    (page,) = get(app, path)
    assert page.status == 200
    files = set(re.findall(r'(?:href|src)="(/(?:static/[^"]+|favicon\.svg))"', page.text))
    bodies = [page.body, *(answer.body for answer in get(app, *files))]
    assert sum(len(gzip.compress(body, 4)) for body in bodies) <= BUDGET_BYTES
    scripts = get(app, *(name for name in files if ".js" in name))
    assert sum(len(gzip.compress(answer.body, 4)) for answer in scripts) <= SCRIPT_BYTES
    assert not re.search(r"<(?:script|img|link rel=.(?:stylesheet|icon))[^>]+https?://", page.text), (
        "only files of ours"
    )


def test_one_chart_has_a_line_and_a_band_of_every_deployment_and_a_table_behind(app: Starlette) -> None:
    (page,) = get(app, PATH)
    shown = section(page.text, "performance")
    first = shown.partition('class="panel"')[2].partition('class="panel"')[0]
    assert first.count('<path class="line') == 2 * len(PROVIDERS), "in the plot and in its legend"
    assert first.count('<path class="band') == len(PROVIDERS)
    assert all(name in first for name in PROVIDERS)
    assert re.search(r"<title>2026-11-24 \d\d:00 UTC, ms: harbour [\d,]+ \(p95 [\d,]+\) · northlight", first)
    assert first.count('<tr><th scope="row" class="when">') == 24
    # A line does not cross the two hours in which that deployment had no calls.
    assert re.search(r'class="line c4" d="M[^M"]+M', first)
    assert shown.count('<svg class="days"') == len(PROVIDERS)
    for measure in ("First token", "Speed", "Latency", "Uptime"):
        assert f">{measure}</label>" in shown


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("", "harbour", "meridian"),
        ("input", "own-gpu", "meridian"),
        ("-output", "meridian", "own-gpu"),
        ("first_token", "own-gpu", "quayside"),
        ("-speed", "own-gpu", "quayside"),
        ("latency", "own-gpu", "quayside"),
        ("context", "quayside", "meridian"),
        ("data", "harbour", "quayside"),
        ("-data", "northlight", "quayside"),
        ("nonsense", "harbour", "meridian"),
    ],
)
def test_providers_are_sorted_by_links(app: Starlette, sort: str, first: str, last: str) -> None:
    (page,) = get(app, f"{PATH}?window=7d&sort={sort}")
    shown = section(page.text, "providers")
    names = column(shown, 0)
    assert sorted(names) == sorted(PROVIDERS)
    assert (names[0], names[-1]) == (first, last)
    links = re.findall(r'<a href="([^"]+)" data-sort="(\w+)"', shown)
    assert len(links) == 11
    assert all("window=7d&amp;sort=" in link and link.endswith("#providers") for link, _ in links)
    if sort.removeprefix("-") in {key for _, key in links}:
        assert shown.count("aria-sort") == 1


def test_every_column_of_the_providers_is_there(app: Starlette) -> None:
    (page,) = get(app, PATH)
    shown = section(page.text, "providers")
    assert column(shown, 1) == ["$0.10", "$0.08", "$0.06", "free", "$0.15"]
    assert column(shown, 3) == ["180", "420", "690", "95", "240"]
    assert column(shown, 8) == ["131,072", "65,536", "32,768", "131,072", "131,072"]
    assert column(shown, 9) == ["bf16", "fp8", "int4", "fp8", "bf16"]
    assert column(shown, 10) == ["not kept", "may be kept", "unknown", "not kept", "not kept"]


def test_parameters_have_a_default_and_say_where_they_are_taken(app: Starlette) -> None:
    (page,) = get(app, PATH)
    shown = section(page.text, "parameters")
    names, defaults = column(shown, 0), column(shown, 3)
    by_name = {re.sub(r"\d+$", "", name): default for name, default in zip(names, defaults, strict=True)}
    assert by_name["seed"] == by_name["tools"] == by_name["stop"] == "none"
    assert by_name["temperature"].startswith("0.3")
    assert "unknown" not in defaults
    assert set(column(shown, 4)) == {"yes"}
    assert set(column(shown, 5)) == {"all"}


def test_prices_before_and_30_days_of_calls_are_history(app: Starlette) -> None:
    page, data = get(app, PATH, f"{PATH}.json")
    shown = section(page.text, "history")
    assert "2026-11-10: harbour input $0.15 → $0.10, output $0.45 → $0.30" in re.sub(r"\s+", " ", shown)
    assert shown.count("<figure") == 3
    changed = [one for one in json.loads(data.body)["price_history"] if one["before_input"] is not None]
    assert [one["deployment"] for one in changed] == ["harbour"]


def test_code_is_in_tabs_and_all_of_it_is_in_the_page(app: Starlette) -> None:
    (page,) = get(app, PATH)
    shown = section(page.text, "code")
    assert shown.count('type="radio"') == 5 + 3 * 4 + 5
    assert shown.count(" checked") == 6
    for text in (
        "/v1/responses",
        "/v1/messages",
        "generateContent",
        "import OpenAI from",
        "from anthropic import",
        "ANTHROPIC_BASE_URL",
    ):
        assert text in shown


def test_a_model_that_is_not_deployed_has_list_prices_and_says_whose(app: Starlette) -> None:
    (page,) = get(app, NOT_DEPLOYED)
    assert "listed elsewhere, no price here" in page.text
    assert re.search(r"Elsewhere: \$[\d.]+ for input and \$[\d.]+ for output per million tokens, listed by", page.text)


def test_the_list_has_icons_with_names_and_list_prices_that_say_so(app: Starlette) -> None:
    page, index, vendor = get(app, "/models", "/search.json", "/models/mistralai")
    rows = page.text.partition('<tbody id="rows">')[2].partition("</tbody>")[0].split("<tr")
    (here,) = [row for row in rows if "<code>mistral-small-3.2</code>" in row]
    assert '<title>Tools</title><use href="#a-tools"/>' in here
    assert "elsewhere" not in here
    (there,) = [row for row in rows if "<code>claude-sonnet-5</code>" in row]
    assert re.search(r'class="n elsewhere">\$[\d.]+<small>elsewhere</small>', there)
    used = set(re.findall(r'<use href="#([^"]+)"', page.text))
    assert used <= set(re.findall(r'<symbol id="([^"]+)"', page.text)), "every symbol is in the page"
    marks = {row["g"] for row in json.loads(index.body)["rows"]}
    assert marks <= set(re.findall(r'<symbol id="([^"]+)"', page.text)), "those of rows that the script draws, too"
    assert vendor.text.count('class="mark') > 15
    assert 'id="plane"' in vendor.text


def test_marks_of_vendors_are_letters_in_a_shape() -> None:
    assert [letters_of(name) for name in ("Mistral AI", "OpenAI", "NVIDIA", "xAI", "DeepSeek", "Cohere", "…")] == [
        "MA", "OA", "N", "X", "DS", "C", "?",
    ]  # fmt: skip
    assert len({mark_id(name) for name in ("a b", "ab", "AB", "a_b")}) == 4


def test_what_was_used_by_day_and_the_price_after_caching_are_there(app: Starlette) -> None:
    page, data = get(app, PATH, f"{PATH}.json")
    shown = re.sub(r"\s+", " ", page.text.partition("30 days of this server")[2].partition("</figure>")[0])
    days = json.loads(data.body)["usage_by_day"]
    assert len(days) == 30
    total = sum(one["calls"] for one in days)
    assert f"{total:,} calls" in shown
    assert shown.count('<th scope="row"') == 30
    # harbour's prompts: two thirds from the cache, at the same price as others, for none has one of its own.
    assert "eff." not in section(page.text, "providers")


@pytest.mark.parametrize(("cached", "expected"), [(0, None), (750_000, 325_000)])
def test_a_price_after_caching_needs_tokens_that_were_read_from_a_cache(cached: int, expected: int | None) -> None:
    rates = {"a/m": TokenClasses(input=1_000_000, cached_input=100_000)}
    found = effective([Used("2026-11-29", "a/m", 9, 1_000_000, cached, 5)], rates)
    assert (found["a/m"].input if found else None) == expected
    assert effective([Used("2026-11-29", "a/m", 9, 900, 800, 5)], rates) == {}, "too few tokens"


def test_a_model_that_is_called_now_and_then_opens_with_a_longer_time() -> None:
    class Thin(LivelyRecords):
        async def performance(self, model: str, window: str) -> Performance | None:
            found = await super().performance(model, window)
            if found is None or window not in ("1h", "24h"):
                return found
            few = tuple(structs.replace(one, series=one.series[:2]) for one in (found.total, *found.deployments))
            return structs.replace(found, total=few[0], deployments=few[1:])

    thin = lively(records=Thin)
    page, day = get(thin, PATH, f"{PATH}?window=24h")
    assert re.findall(r'window=(\w+)[^"]*#performance" aria-current', page.text) == ["7d"]
    assert "p50, 7d" in page.text
    assert re.findall(r'window=(\w+)[^"]*#performance" aria-current', day.text) == ["24h"]


def test_four_models_may_be_compared_and_no_more(app: Starlette) -> None:
    four = "/compare/mistral-small-3.2/gpt-oss-120b/gpt-oss-20b/deepseek-v3.2"
    page, more = get(app, four, f"{four}/gemini-2.5-flash")
    assert (page.status, more.status) == (200, 404)
    assert page.text.count('class="dot d"') == 2


def test_a_comparison_says_how_much_differs_and_which_figure_is_better(app: Starlette) -> None:
    page, data = get(app, "/compare/mistral-small-3.2/gpt-oss-120b", "/compare/mistral-small-3.2/gpt-oss-120b.json")
    facts = json.loads(data.body)["facts"]
    differing = sum(one["differs"] for one in facts)
    assert 0 < differing < len(facts)
    assert f"<strong>{100 * differing / len(facts):.0f} % differs</strong>" in page.text
    assert page.text.count('<tr class="differs">') == differing
    speed = page.text.partition("Speed, median of 7 days</th>")[2].partition("</tr>")[0]
    assert re.sub(r"\s+", " ", speed).startswith("<td>142.0 tokens/s</td><td><strong>190.0 tokens/s</strong>")


def test_without_models_a_comparison_has_suggestions_with_reasons(app: Starlette) -> None:
    page, data, chosen = get(app, "/compare", "/compare.json", "/compare?model=mistral-small-3.2")
    pairs = json.loads(data.body)["suggestions"]
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) >= 5
    shown = section(page.text, "suggestions").partition("</ul>")[0]
    assert shown.count("<li>") == len(pairs)
    assert "the price" in shown
    links = re.findall(r'href="(/compare/[^"]+)"', shown)
    assert all(answer.status == 200 for answer in get(app, *links))
    others = section(chosen.text, "suggestions").partition("</ul>")[0]
    assert others.count("/compare/mistral-small-3.2/") == others.count("<li>") == 6


def test_rankings_have_shares_by_day_as_bands_that_add_up(app: Starlette) -> None:
    page, data = get(app, "/rankings?period=month", "/rankings.json?period=month")
    plot = page.text.partition('<svg data-read viewBox="0 0 1000 200"')[2].partition("</svg>")[0]
    assert plot.count('<path class="share') == len(OFFERS)
    assert plot.count("<rect") == 30
    assert re.search(r"<title>2026-11-24: [\w.-]+ [\d.]+ % · ", plot)
    given = json.loads(data.body)
    assert all(abs(sum(day["shares"].values()) - 1) < 0.001 for day in given["days"])
    assert abs(sum(one["share"] for one in given["vendors"]) - 1) < 0.001


def test_a_step_without_neighbours_is_a_dot_and_gaps_stay_open() -> None:
    def point(at: int, samples: int) -> Point:
        band = Band(samples, 100.0 if samples >= 5 else None)
        return Point(at, samples, samples, 0, band, band, band)

    series = {"one": [point(60 * at, 9 if at in (0, 1, 4) else 1) for at in range(6)], "none": ()}
    found = courses(series, 360, "ms", lambda one: one.first_token, "p95")
    assert found is not None
    assert [(line.line.count("M"), line.dots.count("M"), line.band) for line in found.lines] == [(1, 1, ""), (0, 0, "")]
    assert [len(step.values) for step in found.steps] == [2, 2, 2]
    assert courses({"one": [point(0, 2)]}, 60, "ms", lambda one: one.first_token, "p95") is None


def test_a_day_without_tokens_is_a_gap_in_the_bands_and_small_models_are_the_others() -> None:
    def day(model: str, on: str, tokens: int) -> ModelDay:
        return ModelDay(model, on, 1, tokens, 0)

    names = [f"m{at}" for at in range(9)]
    days = [day(name, on, 10) for name in names for on in ("2026-11-01", "2026-11-02", "2026-11-04")]
    found = bands(days, names, date(2026, 11, 1), date(2026, 11, 5))
    assert found is not None
    assert [band.name for band in found.bands] == [*names[:7], ""]
    assert [day.shares is None for day in found.days] == [False, False, True, False, True]
    assert found.bands[0].path.count("M") == 2
    assert found.days[0].shares is not None
    assert found.days[0].shares[-1] == pytest.approx(2 / 9)
    assert bands(days, names, date(2026, 11, 2), date(2026, 11, 3)) is None, "one day is no course"


def test_status_has_a_line_of_bars_for_each_model_and_its_deployments_below(app: Starlette) -> None:
    (page,) = get(app, "/status")
    one = page.text.partition("Mistral Small 3.2</a>")[2].partition("</section>")[0]
    assert one.count('<svg class="days"') == 1 + len(PROVIDERS)
    assert "5 deployments</summary>" in one
    assert page.text.index('id="models"') < page.text.index('id="incidents"')
    assert "meridian/mistral-small-3.2" in section(page.text, "incidents")


@pytest.fixture(scope="module")
def address(app: Starlette) -> Iterator[str]:
    with at_an_address(app) as found:
        yield found


def visitor(browser: Browser, address: str, **more: Any) -> BrowserContext:
    size = {"width": more.pop("width", 1280), "height": 800}
    return profile(browser, address, viewport=size, **more)


def visible(page: Page, selector: str) -> list[bool]:
    return [one.is_visible() for one in page.locator(selector).all()]


@needs_chromium
@pytest.mark.parametrize("script", [True, False])
def test_tabs_work_with_and_without_a_script(browser: Browser, address: str, script: bool) -> None:
    context = visitor(browser, address, java_script_enabled=script)
    page = context.new_page()
    page.goto(PATH)
    code = ".call .endpoints > .panels > .panel:nth-child(1) .panel"
    assert visible(page, code) == [True, False, False]
    page.locator(".call").get_by_text("Python", exact=True).first.click()
    assert visible(page, code) == [False, True, False]
    page.keyboard.press("ArrowRight")
    assert visible(page, code) == [False, False, True], "the arrow keys go on"
    page.locator("[for=measure-uptime]").click()
    assert page.locator(".uptimes").is_visible()
    assert page.locator("#live .courses").first.is_hidden()
    context.close()


@needs_chromium
def test_a_chosen_tab_is_remembered_and_nothing_moves(browser: Browser, address: str) -> None:
    context = visitor(browser, address)
    page = context.new_page()
    page.goto(PATH)
    page.locator(".call").get_by_text("Python", exact=True).first.click()
    page.locator(".call").get_by_text("Messages", exact=True).click()
    assert page.locator("pre:visible", has_text="from anthropic import Anthropic").count() == 1, "the same language"
    page.goto(NOT_DEPLOYED)
    assert page.locator("pre:visible", has_text="from anthropic import Anthropic").count() == 1
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver(list => { for (const one of list.getEntries()) moved += one.value; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    for path in PAGES:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.moved") == 0, path
    context.close()


@needs_chromium
def test_a_comparison_shows_only_what_differs_without_a_script(browser: Browser, address: str) -> None:
    context = visitor(browser, address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/compare/mistral-small-3.2/gpt-oss-120b")
    all_ = page.locator(".facts tbody tr:visible").count()
    page.get_by_label("Show only what differs").check()
    assert page.locator(".facts tbody tr.differs:visible").count() == page.locator(".facts tr.differs").count()
    assert page.locator(".facts tbody tr:visible").count() < all_
    assert page.locator(".facts tbody tr:not(.differs, .group):visible").count() == 0
    context.close()


@needs_chromium
def test_providers_change_places_at_once_and_a_point_is_read(browser: Browser, address: str) -> None:
    context = visitor(browser, address)
    page = context.new_page()
    page.goto(PATH)
    page.evaluate("window.same = true")
    names = page.locator("#offers tbody th")
    page.locator("#offers [data-sort=first_token]").click()
    assert names.first.inner_text().startswith("own-gpu")
    page.locator("#offers [data-sort=first_token]").click()
    assert names.first.inner_text().startswith("quayside")
    assert page.locator("#offers th[aria-sort=descending]").inner_text().startswith("First token")
    assert page.evaluate("window.same"), "no other page was loaded"
    assert page.url.endswith("sort=-first_token")
    page.reload()
    assert names.first.inner_text().startswith("quayside")
    plot = page.locator("#live .plot svg").first
    plot.focus()
    page.keyboard.press("Home")
    assert "harbour" in page.locator("#live .at").first.inner_text()
    context.close()


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_barrier_and_a_models_page_has_few_screens(
    browser: Browser, address: str, scheme: Any, width: int
) -> None:
    context = visitor(browser, address, color_scheme=scheme, width=width)
    page = context.new_page()
    for path in (PATH, NOT_DEPLOYED, "/rankings?period=month", "/compare"):
        page.goto(path)
        no_barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if folder := os.environ.get("FAIRLEAD_SCREENSHOTS"):
            name = re.sub(r"\W+", "-", path).strip("-") or "front"
            page.screenshot(path=Path(folder) / f"{name}-{scheme}-{width}.png", full_page=True)
        if path == PATH and width == 1280:
            assert page.evaluate("document.documentElement.scrollHeight") <= SCREENS * 800
    context.close()
