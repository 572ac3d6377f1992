"""From visitor to first call to its receipt, in a browser and a shell: a real server, real Chromium, a scripted provider."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browsing import CHROMIUM, no_barriers, profile
from tests.console.kit import PASSWORD
from tests.e2e.conftest import AT_ONCE, Served, eventually, model, provider, serving

from fairlead.admin.audit import command_line
from fairlead.admin.credit import make_codes
from fairlead.money import Picodollars
from fairlead.people.links import add_link
from fairlead.store import open_store
from fairlead.testing import Reply, ScriptedUpstream

pytestmark = pytest.mark.skipif(
    (CHROMIUM is None or shutil.which("curl") is None) and not os.environ.get("CI"), reason="needs Chromium and curl"
)
REPLY = Reply(text="Good day to you all.", prompt_tokens=11, completion_tokens=5)
PRICE = "0.0000026"  # 11 x 0.10 and 5 x 0.30 dollars per million


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE + '[console]\nsign_up = "open"\n' + provider(upstream.url) + model()
    with serving(tmp_path_factory.mktemp("first"), config) as running:
        yield running


def gives(served: Served) -> tuple[str, str]:
    """A link to sign up with and a code: what an operator hands over where no mail is sent."""
    store = open_store(served.data)
    try:
        with store.write() as connection:
            token, _link = add_link(connection, "sign-up", "bea@example.org", mailed=False)
        return token, make_codes(store, command_line(), Picodollars.parse("5"), 1)[0]
    finally:
        store.close()


def check(page: Page) -> None:
    no_barriers(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def by_the_keyboard(page: Page) -> None:
    """The menu of filters: a key is found by a part of its name, its chip removes it, Escape closes the menu."""
    page.locator(".adding > summary").focus()
    page.keyboard.press("Enter")
    menu = page.get_by_label("Find a filter")
    expect(menu).to_be_focused()
    page.keyboard.type("lapt")
    expect(page.get_by_role("link", name="Key laptop")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    chip = page.get_by_role("link", name="Remove the filter Key: laptop")
    expect(chip).to_be_visible()
    expect(page).to_have_url(re.compile("key=key_"))
    chip.press("Enter")
    expect(chip).to_have_count(0)
    expect(page.locator(".adding > summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(menu).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.locator(".adding > summary")).to_be_focused()


def changes_in_place(page: Page, command: str, upstream: ScriptedUpstream) -> None:
    """On Activity: newer calls appear, filters and parts of charts are chosen, and the page is never loaded again."""
    page.evaluate("window.same = true")
    calls = page.locator('a[href^="/account/calls/gen_"]')
    page.get_by_text("Add filter").click()
    menu = page.get_by_label("Find a filter")
    menu.fill("half typed")
    upstream.enqueue(REPLY)
    subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=True)
    expect(calls).to_have_count(2, timeout=30_000)
    expect(menu).to_be_focused()
    expect(menu).to_have_value("half typed")
    check(page)
    page.get_by_role("link", name="End user “half typed”").click()
    expect(page.get_by_text("No call fits these filters.")).to_be_visible()
    expect(page).to_have_url(re.compile("user=half"))
    page.go_back()
    expect(calls).to_have_count(2)
    by_the_keyboard(page)
    expect(calls).to_have_count(2)
    page.get_by_role("link", name="Compare with the period before").click()
    expect(page.get_by_text("Without comparison")).to_be_visible()
    chart = page.locator("svg[data-read]").first
    chart.focus()
    page.keyboard.press("End")
    expect(page.locator(".tip").first).to_contain_text(f"${2 * Decimal(PRICE)}")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(".chosen").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"time=\d{4}-\d\d-\d\dT\d\d\.\."))
    expect(calls).to_have_count(2)
    check(page)
    page.get_by_role("link", name="Reset", exact=True).click()
    expect(page.get_by_role("link", name="Reset", exact=True)).to_have_count(0)
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20, steps=3)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"time=\d{4}-\d\d-\d\dT\d\d\.\."))
    expect(calls).to_have_count(2)
    assert page.evaluate("window.same")


def test_a_visitor_makes_a_key_calls_with_the_filled_curl_and_finds_the_call_and_its_receipt(
    browser: Browser, served: Served, upstream: ScriptedUpstream
) -> None:
    upstream.enqueue(REPLY)
    token, code = gives(served)
    context = profile(browser, served.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"/confirm#{token}")
    page.get_by_label("Your name").fill("Bea")
    page.get_by_label("Organisation").fill("Bea's")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/account")

    page.get_by_role("link", name="Credit").click()
    page.get_by_label("Redeem a code").fill(code)
    page.get_by_role("button", name="Redeem code").click()
    expect(page.get_by_text("$5.00 of credit was added.")).to_be_visible()

    page.get_by_role("navigation", name="Account").get_by_role("link", name="Keys").click()
    check(page)
    page.get_by_role("link", name="Create your first key").click()
    page.get_by_label("Name").fill("laptop")
    check(page)
    page.get_by_role("button", name="Create key").click()
    key = page.locator("[data-fresh-key]").inner_text()
    assert re.fullmatch(r"sk-fl-[\w-]{40,}", key)
    check(page)
    page.reload()
    assert key not in page.content()  # it was shown once, and the reload has created no other
    assert page.get_by_role("rowheader").count() == 1
    page.evaluate("window.same = true")
    page.get_by_label("Name").fill("nothing has this name")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader")).to_have_count(0)
    page.go_back()
    expect(page.get_by_role("rowheader")).to_have_count(1)
    assert page.evaluate("window.same")

    page.goto("/models/mistralai/mistral-small-3.2")
    curl = page.locator("pre code", has_text="curl").first
    expect(curl).to_contain_text(key)
    command = curl.inner_text()
    stranger = context.new_page()  # another tab has no key
    stranger.goto("/models/mistralai/mistral-small-3.2")
    expect(stranger.locator("pre code", has_text="curl").first).to_contain_text("$FAIRLEAD_API_KEY")
    stranger.close()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"] == REPLY.text
    assert answer["usage"]["cost_usd"] == PRICE

    def is_there() -> bool:
        page.goto("/account/activity?time=24h")
        return page.locator('a[href^="/account/calls/gen_"]').count() == 1

    eventually(is_there)
    row = page.get_by_role("row").filter(has=page.locator('a[href^="/account/calls/gen_"]'))
    expect(row).to_contain_text(f"${PRICE}")
    expect(row).to_contain_text("laptop")
    check(page)
    changes_in_place(page, command, upstream)
    page.get_by_role("row").filter(has=page.locator('a[href^="/account/calls/gen_"]')).get_by_role("link").first.click()
    expect(page.get_by_text("identical to the picodollar")).to_be_visible()
    expect(page.get_by_role("row", name=f"Charged ${PRICE}")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(".on-paper")).to_have_text("Bea's")
    expect(page.get_by_role("row", name=f"Charged ${PRICE}")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.get_by_role("button")).to_have_count(0)
    page.emulate_media(media="screen")
    check(page)
    for path in ("/account/alerts", "/account/content", "/account/members", "/account/projects/new"):
        page.goto(path)
        check(page)
    page.goto("/models/mistralai/mistral-small-3.2")
    page.get_by_role("button", name="Take it out").first.click()
    expect(page.locator("pre code", has_text="curl").first).to_contain_text("$FAIRLEAD_API_KEY")
    assert problems == []
    context.close()
