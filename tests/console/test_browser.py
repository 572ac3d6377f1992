"""The console as a visitor sees it: a real server, real Chromium, with scripts and without."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import cast

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browsing import become_operator, needs_chromium, no_barriers, profile, watched
from tests.console.kit import PASSWORD
from tests.e2e.conftest import Served, fairlead, serving
from tests.e2e.test_chat import raw

from fairlead.accounts.accounts import add_account
from fairlead.admin.people import join
from fairlead.people import persons
from fairlead.people.roles import Role
from fairlead.store import open_store

DEADLINE_SECONDS = 60
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("console"), '[console]\nsign_up = "open"\n') as running:
        yield running


@pytest.fixture(scope="module")
def operator(browser: Browser, served: Served) -> Iterator[BrowserContext]:
    """The first operator, signed in by the link that the start has printed."""
    context = profile(browser, served.url)
    become_operator(context.new_page(), served)
    yield context
    context.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with watched(browser, served.url) as found:
        yield found


def test_the_first_link_signs_the_operator_in_and_its_token_is_in_no_address(operator: BrowserContext) -> None:
    [page] = operator.pages
    expect(page.get_by_role("heading", level=1)).to_have_text("First steps")
    no_barriers(page)
    page.goto("/sign-in")
    expect(page).to_have_url(re.compile("/account$"))


def test_a_link_can_be_pasted_where_no_script_runs(browser: Browser, served: Served) -> None:
    link = fairlead("operator", "link", "--url", served.url, data=served.data).stdout.strip()
    context = profile(browser, served.url, java_script_enabled=False)
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
        no_barriers(page)


def test_the_public_pages_lead_to_the_sign_in_and_are_the_same_for_all(
    served: Served, operator: BrowserContext
) -> None:
    [cookie] = [one for one in operator.cookies() if one["name"] == "fairlead"]
    _, _, plain = raw(served, "GET", "/models")
    _, headers, known = raw(served, "GET", "/models", None, Cookie=f"fairlead={cookie['value']}; entered=account.admin")
    assert plain == known
    assert b'href="/sign-in"' in plain
    assert "set-cookie" not in headers


def test_public_pages_lead_those_who_are_signed_in_into_the_console(
    browser: Browser, served: Served, operator: BrowserContext
) -> None:
    page = operator.new_page()
    page.goto("/models")
    head = page.get_by_role("banner")
    expect(head.get_by_role("link", name="Sign in")).to_be_hidden()
    expect(head.get_by_role("link", name="Operate")).to_be_visible()
    head.get_by_role("link", name="Account").click()
    expect(page).to_have_url(re.compile("/account$"))
    page.close()
    context = profile(browser, served.url)
    page = context.new_page()
    page.goto("/models")
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    for name in ("Account", "Operate"):
        expect(page.get_by_role("banner").get_by_role("link", name=name)).to_be_hidden()
    context.close()


def test_a_role_is_saved_where_it_stands_and_taken_back(served: Served, operator: BrowserContext) -> None:
    store = open_store(served.data)
    try:
        with store.write() as connection:
            account = add_account(connection, "Roles", prepaid=True)
            for name, role in (("Olga", "owner"), ("Uwe", "member")):
                one = persons.add_person(connection, f"{name.lower()}@example.org", name, None, confirmed=True)
                join(connection, one, account, cast("Role", role))
    finally:
        store.close()
    page = operator.new_page()
    page.goto("/admin/people")
    page.evaluate("window.same = true")
    row = page.get_by_role("row").filter(has_text="uwe@example.org")
    row.get_by_role("combobox").select_option("viewer")
    expect(row.get_by_text("Saved")).to_be_visible()
    expect(row.get_by_role("combobox")).to_be_focused()
    no_barriers(page)
    row.get_by_role("button", name="Undo").click()
    expect(row.get_by_role("combobox")).to_have_value("member")
    expect(row.get_by_text("Saved")).to_be_visible()
    # One owner stays: the list says why it was refused, and shows what holds.
    row = page.get_by_role("row").filter(has_text="olga@example.org")
    row.get_by_role("combobox").select_option("member")
    expect(row.get_by_role("alert")).to_contain_text("one owner")
    expect(row.get_by_role("combobox")).to_have_value("owner")
    assert page.evaluate("window.same")
    page.close()


def test_a_form_of_a_stranger_is_bounded(served: Served) -> None:
    status, _, body = raw(
        served, "POST", "/sign-in", b"a" * 70_000,
        **{"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url},
    )  # fmt: skip
    assert status == 413, body


def test_a_passkey_is_added_and_signs_in_without_a_password(browser: Browser, served: Served) -> None:
    home = served.url.replace("127.0.0.1", "localhost")  # an address can have no passkeys
    link = fairlead("operator", "link", "--url", home, data=served.data).stdout.strip()
    context = profile(browser, home)
    page = context.new_page()
    device = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    page.goto(link)
    page.get_by_label("Your name").fill("Pat Key")
    page.get_by_label("E-mail address").fill("pat@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in as operator").click()
    page.goto("/account/security")
    no_barriers(page)
    page.get_by_role("link", name="Add a passkey").click()
    no_barriers(page)
    page.get_by_label("Name").fill("Virtual key")
    page.get_by_role("button", name="Add passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    no_barriers(page)
    page.get_by_role("link", name="I have stored them").click()
    expect(page.get_by_role("row", name=re.compile("Virtual key"))).to_be_visible()
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("/account$"))
    # With the password the passkey is asked for as second factor.
    context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill("pat@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Second factor")
    no_barriers(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/account$"))
    context.close()


def test_a_session_that_is_ended_in_one_browser_is_over_in_the_other(
    browser: Browser, served: Served, operator: BrowserContext
) -> None:
    other = profile(browser, served.url)
    page = other.new_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/account$"))
    [first] = operator.pages
    first.goto("/account/security")
    first.get_by_role("button", name="End all other sessions").click()
    expect(first.get_by_role("status")).to_have_text("All other sessions ended")
    page.reload()
    expect(page).to_have_url(re.compile("/sign-in"))
    other.close()


def test_on_a_narrow_screen_rows_are_cards_that_fit_and_stay_a_table(operator: BrowserContext) -> None:
    page = operator.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    for path, name in (("/account/security", "Where you are signed in"), ("/admin/accounts", "Accounts")):
        page.goto(path)
        table = page.get_by_role("table", name=name)
        assert table.evaluate("one => one.scrollWidth <= one.parentElement.clientWidth")
        assert table.get_by_role("row").count() > 1
        assert table.get_by_role("columnheader").count() > 1
        cell = table.get_by_role("row").nth(1).get_by_role("cell").last
        label = cell.evaluate("one => getComputedStyle(one, '::before').content")
        assert cell.get_attribute("data-label") is None or str(cell.get_attribute("data-label")) in label
        no_barriers(page)
    page.close()


def seconds_until_refused(served: Served, key: str) -> float:
    """From now on, for calls over the API."""
    began = time.monotonic()
    while raw(served, "GET", "/v1/key", None, Authorization=f"Bearer {key}")[0] != 401:
        assert time.monotonic() - began < DEADLINE_SECONDS
        time.sleep(0.02)
    return time.monotonic() - began


def new_key(page: Page, name: str) -> str:
    page.goto("/account/keys/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create key").click()
    return page.locator("code[data-fresh-key]").inner_text()


def playground_key(page: Page) -> str:
    """As the script of the playground asks for one."""
    return str(
        page.evaluate(
            """async () => {
                const here = await (await fetch("/account/here.json")).json();
                const sent = { method: "POST", headers: { "x-form-token": here.token, accept: "application/json" } };
                return (await (await fetch("/account/playground-key", sent)).json()).key;
            }"""
        )
    )


def test_a_key_a_role_and_a_membership_that_end_in_one_browser_are_over_in_the_other(
    browser: Browser, served: Served, operator: BrowserContext
) -> None:
    [account] = [one for one in json.loads(fairlead("accounts", "list", "--json", data=served.data).stdout)
                 if not one["prepaid"]]  # fmt: skip
    invited = fairlead("people", "invite", "kim@example.org", "--account", account["id"], data=served.data).stdout
    other = profile(browser, served.url)
    page = other.new_page()
    page.goto(served.url + invited.splitlines()[-1])
    page.get_by_label("Your name").fill("Kim")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    page.wait_for_url("**/account")
    revoked, kept = new_key(page, "revoked"), new_key(page, "kept")
    first = operator.new_page()

    first.goto("/account/keys")
    first.get_by_role("link", name="Edit revoked").click()
    first.get_by_text("Revoke this key").click()
    first.get_by_role("button", name="Revoke for good").click()
    first.wait_for_url("**/account/keys*")
    print(f"key: refused {seconds_until_refused(served, revoked):.2f} s after the page that says so")
    assert raw(served, "GET", "/v1/key", None, Authorization=f"Bearer {kept}")[0] == 200

    short = playground_key(page)
    assert raw(served, "GET", "/v1/key", None, Authorization=f"Bearer {short}")[0] == 200
    first.goto("/account/members")
    first.get_by_role("row", name=re.compile("kim@example.org")).get_by_role("link", name="Edit").click()
    first.get_by_role("radio", name=re.compile("^viewer")).check()
    first.get_by_role("button", name="Change role").click()
    expect(first.get_by_role("status")).to_contain_text("Role changed")
    print(f"role: playground key refused {seconds_until_refused(served, short):.2f} s after the page that says so")
    page.goto("/account/keys/new")
    expect(page.get_by_text("Your role does not allow this")).to_be_visible()

    first.get_by_role("row", name=re.compile("kim@example.org")).get_by_role("link", name="Edit").click()
    no_barriers(first)
    first.get_by_role("button", name="Remove from the organisation").click()
    expect(first.get_by_role("status")).to_contain_text("are disabled")
    print(f"membership: key refused {seconds_until_refused(served, kept):.2f} s after the page that says so")
    page.goto("/account")
    expect(page.get_by_text("You are not a member of an organisation.")).to_be_visible()
    first.close()
    other.close()


def test_the_pages_that_transfer_and_delete_have_nothing_that_axe_objects_to(operator: BrowserContext) -> None:
    page = operator.new_page()
    for path in ("/account/settings", "/account/settings/delete", "/account/security/delete"):
        page.goto(path)
        no_barriers(page)
    page.close()
