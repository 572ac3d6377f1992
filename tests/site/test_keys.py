"""The command palette, the keys of every page, and tables that change without a new page, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browsing import become_operator, needs_chromium, no_barriers, profile
from tests.console.kit import PASSWORD
from tests.e2e.conftest import Served, model, provider, serving

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("keys"), provider("http://127.0.0.1:9/v1") + model()) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = profile(browser, served.url)
    found = context.new_page()
    problems: list[str] = []
    found.on("pageerror", lambda error: problems.append(str(error)))
    yield found
    context.close()
    assert problems == []


def test_the_palette_finds_models_pages_and_docs_and_goes_there_by_keys_alone(page: Page) -> None:
    page.goto("/docs")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Models, pages, docs or the id of a call")
    expect(field).to_be_focused()
    expect(page.locator("#palette").get_by_role("option").first).to_contain_text("Fairlead")  # without words: the pages
    page.keyboard.type("small 3.2")
    expect(page.locator("#palette").get_by_role("option", selected=True)).to_contain_text("mistral-small-3.2")
    no_barriers(page)
    first = field.get_attribute("aria-activedescendant")
    page.keyboard.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant") != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/models/mistralai/mistral-small-3.2$"))
    page.get_by_role("button", name="Search and go to").click()
    field.fill("receipt and audit")
    expect(page.locator("#palette").get_by_role("option").first).to_contain_text("Docs")
    field.fill("no such thing at all")
    expect(page.locator("#palette-told")).to_have_text("Nothing matches.")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(page.get_by_role("button", name="Search and go to")).to_be_focused()


def test_keys_lead_to_pages_but_not_while_somebody_writes(page: Page) -> None:
    page.goto("/models")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    no_barriers(page)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("gd?")
    expect(page.get_by_role("searchbox")).to_have_value("gd?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("/docs$"))


def test_the_palette_of_somebody_who_has_signed_in_has_their_pages_and_calls(page: Page, served: Served) -> None:
    become_operator(page, served, "Ann")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette").get_by_role("option").nth(1)).to_have_text("First stepsPage")  # its area first
    page.goto("/models")
    page.keyboard.press("Control+k")
    page.keyboard.type("account: over")
    expect(page.locator("#palette").get_by_role("option").first).to_contain_text("Account: Overview")
    field = page.get_by_role("combobox", name="Models, pages, docs or the id of a call")
    field.fill(f"gen_{'0' * 32}")
    expect(page.locator("#palette").get_by_role("option")).to_have_count(1)
    expect(page.locator("#palette").get_by_role("option")).to_contain_text("Call")
    field.fill("crky")  # letters of it are enough
    expect(page.locator("#palette").get_by_role("option", selected=True)).to_contain_text("Create key")
    assert page.locator("#palette mark").all_inner_texts()[:2] == ["Cr", "k"]
    no_barriers(page)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/account/keys/new$"))
    page.keyboard.press("Control+k")
    expect(page.locator("#palette").get_by_role("option", selected=True)).to_contain_text("Create keyRecent")
    field.fill("mistral-small drain")
    expect(page.locator("#palette").get_by_role("option", selected=True)).to_contain_text("Drain")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Drain")).to_be_focused()
    page.keyboard.press("Control+k")
    field.fill("dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.keyboard.press("Control+k")
    field.fill("sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert page.evaluate("localStorage.getItem('recent')") is None


def test_somebody_who_has_signed_in_needs_no_key_in_the_playground(page: Page, served: Served) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/account")
    page.goto("/playground?model=mistral-small-3.2")
    page.wait_for_selector("[data-ready]")
    expect(page.locator("#whose")).to_have_text("as Ann")
    expect(page.get_by_role("banner").get_by_role("link", name="Account")).to_be_visible()
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    # The provider of this server is not there: what is refused by it was let through by the key.
    expect(page.locator(".turn.assistant .problem")).to_contain_text(re.compile("provider|upstream|connect|deployment"))
    assert page.evaluate("sessionStorage.length") == 0


TABLE = """<!doctype html><html lang="en"><head><title>Keys</title><script type="module" src="/static/craft.js"></script></head>
<body><main><h1>Keys</h1>{notice}<table><tr><td>one</td><td><time datetime="{at}" title="then">at some time</time></td>
<td><form data-live method="post" action="/account/example"><button name="off" value="{value}">{text}</button></form></td></tr></table>
</main></body></html>"""


def table(text: str, notice: str = "") -> str:
    return TABLE.format(text=text, value=text, notice=notice, at="2020-01-01T00:00:00Z")


def test_a_live_form_shows_that_it_is_under_way_then_the_servers_page_and_tells_when_it_failed(page: Page) -> None:
    answers: list[tuple[int, str]] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(status=200, content_type="text/html", body=table("Disable"))
        else:
            assert "off=" in (route.request.post_data or "")
            held.append(route)

    def release() -> None:
        while not held:  # a form shows that it is under way before its request is routed
            page.wait_for_timeout(10)
        status, body = answers.pop(0)
        held.pop().fulfill(status=status, content_type="text/html", body=body)

    page.route("**/account/example", answer)
    page.goto("/account/example")
    expect(page.locator("time")).to_have_text(re.compile(r"^\d+ years ago$"))
    undo = '<p class="notice" role="status">Disabled. <button>Undo</button></p>'
    answers += [(409, "<main><p class='problem'>It is <b>gone</b>.</p></main>"), (200, table("Enable", undo))]
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("tr.pending")).to_have_count(1)
    page.wait_for_function("document.querySelector('tr').getAttribute('aria-busy') === 'true'")
    release()
    expect(page.get_by_role("alert")).to_have_text("It is gone.")
    expect(page.locator("tr.pending")).to_have_count(0)
    expect(page.get_by_role("button", name="Disable")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tr.pending")).to_have_count(1)
    release()
    expect(page.get_by_role("status")).to_contain_text("Disabled.")
    expect(page.get_by_role("button", name="Undo")).to_have_count(1)
    expect(page.get_by_role("button", name="Enable")).to_be_focused()
