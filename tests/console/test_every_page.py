"""Every page of the console, as its own table lists them, tried by everybody who may not see it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.kit import Browser, Kit

from fairlead.compose.pages import BESIDE_ADMIN, CONSOLE
from fairlead.console.app import AREAS, PAGES, STEP_UP_SECONDS
from fairlead.console.page import ConsolePage
from fairlead.people.roles import ROLES, allows
from fairlead.people.sessions import change, list_sessions

FORMS = [one for one in PAGES if "POST" in one.methods]
GUARDED = [one for one in PAGES if one.need != "anyone"]
REFUSED = (403, 404)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(tmp_path_factory.mktemp("every"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def browsers(kit: Kit) -> dict[str, Browser]:
    found = {role: kit.as_role(role) for role in ROLES}
    return {**found, "operator": kit.as_operator(), "nobody": kit.person("nobody@example.org")}


def name(page: ConsolePage) -> str:
    return f"{page.methods[0]} {page.path}"


def filled(path: str) -> str:
    """With something in the place of each parameter that nobody has."""
    return re.sub(r"\{[^}]*\}", "nothing-of-yours", path)


def ask(browser: Browser, page: ConsolePage) -> int:
    if "POST" in page.methods:
        return browser.post(filled(page.path)).status
    return browser.get(filled(page.path)).status


@pytest.mark.parametrize("page", GUARDED, ids=name)
def test_a_stranger_is_led_to_the_sign_in(kit: Kit, page: ConsolePage) -> None:
    stranger = kit.stranger()
    stranger.get("/sign-in")
    path = filled(page.path)
    answer = stranger.post(path) if "POST" in page.methods else stranger.get(path)
    assert answer.status == 303
    assert answer.location.startswith("/sign-in?next=")
    as_json = (
        stranger.get(path, accept="application/json")
        if "GET" in page.methods
        else stranger.post(path, accept="application/json")
    )
    assert as_json.status == 401


@pytest.mark.parametrize("page", GUARDED, ids=name)
def test_each_role_may_what_the_table_says_and_nothing_else(browsers: dict[str, Browser], page: ConsolePage) -> None:
    if page.path == "/sign-out":
        return  # would end the sessions that the other tests use; anybody may
    for role in (*ROLES, "operator", "nobody"):
        known = role if role in ROLES else None
        allowed = page.need == "person" or allows(known, role == "operator", page.need)  # type: ignore[arg-type]
        status = ask(browsers[role], page)
        assert status < 500, (role, status)
        if not allowed:
            assert status == 403, (role, status)
        elif "{" not in page.path and "GET" in page.methods:
            assert status in (200, 303), (role, status)


@pytest.mark.parametrize("page", FORMS, ids=name)
def test_a_form_without_its_token_or_from_elsewhere_is_refused(browsers: dict[str, Browser], page: ConsolePage) -> None:
    path = filled(page.path)
    for role in ("owner", "operator"):
        browser = browsers[role]
        for answer in (
            browser.post(path, {"form_token": None}),
            browser.post(path, {"form_token": "A" * 86}),
            browser.post(path, sec_fetch_site="cross-site"),
            browser.post(path, sec_fetch_site="same-site"),
            browser.post(path, origin="https://evil.example"),
            browser.post(path, origin="null"),
            browser.post(path, origin="", sec_fetch_site=""),
        ):
            assert answer.status == 403


@pytest.mark.parametrize("page", [one for one in PAGES if one.step_up], ids=name)
def test_what_needs_a_step_up_leads_there_after_a_while(kit: Kit, page: ConsolePage) -> None:
    browser = kit.as_operator() if page.need == "operate" else kit.as_role("owner")
    with kit.store.write() as connection:
        [session] = list_sessions(connection, browser.person_id)
        change(connection, session.id, proved_at=int(time.time()) - STEP_UP_SECONDS - 1)
    path = filled(page.path)
    if "POST" not in page.methods:
        answer = browser.get(path)
        assert (answer.status, answer.location.split("?")[0]) == (303, "/sign-in/again")
        return
    # A form is not lost: the page that asks sends it again (`test_step_up.py`).
    answer = browser.post(path, {"note": "what was typed"})
    assert (answer.status, answer.location) == (200, "")
    assert "Confirm that it is you" in answer.text
    assert '<input type="hidden" name="note" value="what was typed">' in answer.text
    assert browser.post(path, accept="application/json").location.startswith("/sign-in/again")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_answer_is_kept_framed_or_runs_a_foreign_script(browsers: dict[str, Browser], page: ConsolePage) -> None:
    if page.path == "/sign-out":
        return
    path = filled(page.path)
    browser = browsers["nobody"]
    headers = (browser.get(path) if "GET" in page.methods else browser.post(path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_the_gateway_knows_the_first_parts_of_all_paths() -> None:
    # "admin" and the paths of links are there before their pages are.
    assert {one.path[1:].partition("/")[0] for one in PAGES} | {"console"} <= CONSOLE
    assert BESIDE_ADMIN <= CONSOLE
    assert {one.path[1:] for one in AREAS} <= CONSOLE


def test_no_page_has_a_script_or_a_style_inside() -> None:
    for file in (Path(__file__).parents[2] / "src" / "fairlead" / "console" / "templates").rglob("*.html"):
        text = file.read_text("utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text), file


@pytest.mark.parametrize(
    "path",
    ["/account/", "/account/nothing", "/sign-in/%2e%2e/x", "/console/static/../app.py", "/console/static/nothing.js"],
)
def test_an_unknown_path_is_a_page_that_says_so(kit: Kit, path: str) -> None:
    answer = kit.stranger().get(path)
    assert answer.status == 404
    if "static" not in path:
        assert "<h1>There is no page at this address</h1>" in answer.text
        assert 'href="/sign-in"' in answer.text


def test_an_unknown_path_keeps_the_navigation_of_somebody_who_has_signed_in(browsers: dict[str, Browser]) -> None:
    answer = browsers["owner"].get("/account/nothing")
    assert answer.status == 404
    assert 'href="/account/activity"' in answer.text
    assert "Sign out" in answer.text


def test_a_refusal_says_what_is_wrong_as_its_heading_and_then_what_to_do(browsers: dict[str, Browser]) -> None:
    answer = browsers["owner"].get("/admin")
    assert answer.status == 403
    assert "<h1>Your role does not allow this</h1>" in answer.text
    assert "<p>Ask an owner or admin of the organisation.</p>" in answer.text
