"""The console as a visitor sees it: a real server, real Chromium, with scripts and without."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.console.kit import PASSWORD
from tests.e2e.conftest import Served, fairlead, serving
from tests.e2e.test_chat import raw

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("console"), '[console]\nsign_up = "open"\n') as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def operator(browser: Browser, served: Served) -> Iterator[BrowserContext]:
    """The first operator, signed in by the link that the start has printed."""
    [link] = re.findall(r"Sign in as operator, once within a day: (\S+)", served.output)
    context = browser.new_context(base_url=served.url, locale="en-US")
    page = context.new_page()
    page.goto(link)
    page.get_by_label("Your name").fill("Ann Operator")
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in as operator").click()
    page.wait_for_url("**/account")
    yield context
    context.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context(base_url=served.url, locale="en-US")
    found = context.new_page()
    problems: list[str] = []
    found.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: problems.append(str(error)))
    yield found
    context.close()
    assert problems == []


def check(page: Page) -> None:
    """Nothing that axe-core objects to."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_first_link_signs_the_operator_in_and_its_token_is_in_no_address(operator: BrowserContext) -> None:
    [page] = operator.pages
    expect(page.get_by_role("heading", level=1)).to_have_text("default")
    check(page)
    page.goto("/sign-in")
    expect(page).to_have_url(re.compile("/account$"))


def test_a_link_can_be_pasted_where_no_script_runs(browser: Browser, served: Served) -> None:
    link = fairlead("operator", "link", "--url", served.url, data=served.data).stdout.strip()
    context = browser.new_context(base_url=served.url, java_script_enabled=False, locale="en-US")
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_text("I have a one-time link").click()
    page.get_by_label("What follows # in the link").fill(link.partition("#")[2])
    page.get_by_role("button", name="Use the link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You operate this server")
    context.close()


def test_pages_for_strangers_have_nothing_that_axe_objects_to(page: Page) -> None:
    for path in ("/sign-in", "/sign-up"):
        page.goto(path)
        check(page)


def test_the_public_pages_lead_to_the_sign_in_and_are_the_same_for_all(
    served: Served, operator: BrowserContext
) -> None:
    [cookie] = [one for one in operator.cookies() if one["name"] == "fairlead"]
    _, _, plain = raw(served, "GET", "/models")
    _, headers, known = raw(served, "GET", "/models", None, Cookie=f"fairlead={cookie['value']}")
    assert plain == known
    assert b'href="/sign-in"' in plain
    assert "set-cookie" not in headers


def test_a_form_of_a_stranger_is_bounded(served: Served) -> None:
    status, _, body = raw(
        served, "POST", "/sign-in", b"a" * 70_000,
        **{"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url},
    )  # fmt: skip
    assert status == 413, body
