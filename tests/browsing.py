"""Chromium for the tests of pages, the patience that a busy machine needs, and what axe-core finds on a page.

The `browser` of a module is a fixture of tests/conftest.py.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect
from tests.console.kit import PASSWORD

if TYPE_CHECKING:
    from tests.e2e.conftest import Served

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium")
# Nothing on a page is said to be fast: this is what a machine that is busy with ten other things may take.
PATIENCE_MS = 60_000
# Rows of a table are made by one template: axe-core, which takes a tenth of a second for some of them, looks at as many.
MOST_ROWS = 12
expect.set_options(timeout=PATIENCE_MS)


def launched(playwright: Playwright) -> Browser:
    """Without a graphics card there is nothing to gain by Chromium's imitation of one; its microphone beeps, and nobody
    has to be asked for it."""
    microphone = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *microphone])


def profile(browser: Browser, url: str, **more: Any) -> BrowserContext:
    """A new profile of somebody who reads English."""
    context = browser.new_context(**{"base_url": url, "locale": "en-US", **more})
    context.set_default_timeout(PATIENCE_MS)
    return context


@contextmanager
def watched(browser: Browser, url: str, **more: Any) -> Iterator[Page]:
    """A page in a new profile. At the end nothing has gone wrong in it."""
    context = profile(browser, url, **more)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert problems == []


def become_operator(page: Page, served: Served, name: str = "Ann Operator") -> None:
    """Signs the first operator in by the link that the start has printed."""
    [link] = re.findall(r"Sign in as operator, once within a day: (\S+)", served.output)
    page.goto(link)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in as operator").click()
    page.wait_for_url("**/admin/start")


def no_barriers(page: Page) -> None:
    """Nothing that axe-core objects to."""
    found = Axe().run(page, {"exclude": [[f"tbody tr:nth-child(n+{MOST_ROWS + 1})"]]})
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
