"""Signing in and out, as a visitor sees it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.console.kit import PASSWORD, Kit

from fairlead.admin.audit import AuditFilter, command_line, list_audit
from fairlead.admin.operator_links import first_operator_link, make_operator_link
from fairlead.errors import InvalidRequest

EMAIL = "ann@example.org"


def test_the_first_operator_comes_by_a_link_chooses_a_password_and_signs_in_with_it(kit: Kit) -> None:
    token = first_operator_link(kit.store)
    assert token is not None
    browser = kit.stranger()
    browser.get("/sign-in")
    page = browser.post("/sign-in/link", {"token": token})
    assert "You operate this server" in page.text
    given = {"token": token, "name": "Ann", "email": "Ann@Example.org"}
    short = browser.post("/sign-in/link", {**given, "password": "short"})
    assert short.status == 422
    assert "12 to 256 characters" in short.text
    entered = browser.post("/sign-in/link", {**given, "password": PASSWORD})
    assert entered.location == "/admin/start"
    assert "First steps" in browser.follow(entered).text
    assert "default" in browser.get("/account").text  # the operator's own account
    assert first_operator_link(kit.store) is None
    again = kit.stranger()
    again.get("/sign-in")
    assert again.post("/sign-in/link", {**given, "password": PASSWORD}).status == 403  # it was used
    assert again.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).location == "/account"
    assert [one["action"] for one in list_audit(kit.store, AuditFilter(), 10)][:3] == [
        "sign-in", "sign-in", "person.create",
    ]  # fmt: skip


def test_a_further_link_signs_an_operator_in_and_ends_the_one_before(kit: Kit) -> None:
    operator = kit.as_operator()
    email = "operator-0@example.org"
    first, second = (make_operator_link(kit.store, command_line(), email) for _ in range(2))
    browser = kit.stranger()
    browser.get("/sign-in")
    assert browser.post("/sign-in/link", {"token": first}).status == 403
    assert browser.post("/sign-in/link", {"token": second}).location == "/admin", "the first steps are taken"
    assert operator.get("/account").status == 200
    with pytest.raises(InvalidRequest, match="No operator"):
        make_operator_link(kit.store, command_line(), "who@example.org")


def test_signing_in_gives_another_token_and_signing_out_ends_it(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    browser.get("/sign-in")
    before = browser.token
    answer = browser.post("/sign-in", {"email": f" {EMAIL.upper()}", "password": PASSWORD})
    assert (answer.status, answer.location) == (303, "/account")
    assert browser.token != before
    assert "HttpOnly" in answer.cookies[0]
    assert "SameSite=lax" in answer.cookies[0]
    assert "Acme" in browser.follow(answer).text
    copy = browser.token
    assert browser.post("/sign-out").location == "/sign-in"
    browser.cookies = {"fairlead": copy}
    assert browser.get("/account").status == 303


def test_a_cookie_says_which_areas_one_may_enter_and_is_removed_with_the_sign_in(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    browser.get("/sign-in")
    assert "entered" not in browser.cookies
    browser.follow(browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD}))
    assert browser.cookies["entered"] == "account"
    [operators] = [one for one in kit.as_operator().get("/account").cookies if one.startswith("entered=")]
    assert operators.startswith("entered=admin;")
    assert "HttpOnly" not in operators
    browser.cookies["entered"] = "account.admin"  # whoever writes it enters nothing
    assert browser.get("/admin").status == 403
    assert browser.cookies["entered"] == "account"
    browser.follow(browser.post("/sign-out"))
    assert browser.cookies["entered"] == '""'


def test_a_token_that_somebody_else_chose_signs_nobody_in(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    planted = "A" * 43
    browser.cookies["fairlead"] = planted
    assert browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).status == 303
    assert browser.token != planted
    assert kit.stranger().get("/account", cookie=f"fairlead={planted}").status == 303


def test_unknown_people_and_wrong_passwords_are_refused_in_the_same_words(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    answers = []
    for email in (EMAIL, "who@example.org"):
        browser = kit.stranger()
        browser.get("/sign-in")
        answer = browser.post("/sign-in", {"email": email, "password": "wrong password!"})
        answers.append((answer.status, answer.text.replace(email, "").count("<"), "is wrong" in answer.text))
    assert answers[0] == answers[1] == (403, answers[0][1], True)


def test_guesses_at_one_account_are_limited_from_all_addresses_and_guesses_of_one_address_at_all_accounts(
    kit: Kit,
) -> None:
    def guesses(guess: Callable[[int], int]) -> int:
        """How many are answered before one is refused. While they take their time, some more become possible."""
        for at in range(100):
            status = guess(at)
            if status == 429:
                return at
            assert status == 403
        raise AssertionError("none is refused")

    def from_an_address_each(at: int) -> int:
        browser = kit.stranger(f"198.51.100.{at}")
        browser.get("/sign-in")
        return browser.post("/sign-in", {"email": EMAIL, "password": "guess"}).status

    assert 10 <= guesses(from_an_address_each) < 20
    browser = kit.stranger()
    browser.get("/sign-in")
    made = guesses(lambda at: browser.post("/sign-in", {"email": f"{at}@example.org", "password": "guess"}).status)
    assert 20 <= made < 40


@pytest.mark.parametrize(
    "given", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\tx", "\\\\evil"]
)
def test_no_sign_in_leads_to_another_site(kit: Kit, given: str) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    browser.get("/sign-in")
    assert browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD, "next": given}).location == "/account"


def test_a_sign_in_leads_where_the_visitor_wanted_to_go(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    to = browser.get("/account?a=1&b=2").location
    assert to == "/sign-in?next=%2Faccount%3Fa%3D1%26b%3D2"
    assert 'name="next" value="/account?a=1&amp;b=2"' in browser.get(to).text
    answer = browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD, "next": "/account?a=1&b=2"})
    assert answer.location == "/account?a=1&b=2"


def test_behind_tls_the_cookie_is_of_this_host_alone(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = kit.stranger()
    browser.scheme = "https"
    page = browser.get("/sign-in")
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    answer = browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert answer.cookies[0].startswith("__Host-fairlead=")
    assert "Secure" in answer.cookies[0]
    assert browser.get("/account").status == 200


def test_the_chosen_organisation_is_kept_and_must_be_ones_own(kit: Kit) -> None:
    browser = kit.as_role("member")
    assert browser.post("/account/organisation", {"account": kit.globex}).status == 404
    from fairlead.admin.people import join
    from fairlead.people.persons import person_of

    with kit.store.write() as connection:
        person = person_of(connection, browser.person_id)
        assert person is not None
        join(connection, person, kit.globex, "owner")
    assert "<h1>Acme" in browser.follow(browser.post("/account/organisation", {"account": kit.acme})).text
    assert "<h1>Globex" in browser.follow(browser.post("/account/organisation", {"account": kit.globex})).text


def test_proving_who_one_is_gives_another_token(kit: Kit) -> None:
    browser = kit.as_role("owner")
    before = browser.token
    assert browser.post("/sign-in/again", {"password": "wrong", "next": "/account"}).status == 403
    assert browser.post("/sign-in/again", {"password": PASSWORD, "next": "/account"}).location == "/account"
    assert browser.token != before
    assert kit.stranger().get("/account", cookie=f"fairlead={before}").status == 303
    assert browser.get("/account").status == 200


def test_people_live_in_both_databases(tmp_path: Path, database_url: str | None) -> None:
    from tests.console.test_security import with_app

    kit = Kit(tmp_path / "data", '[console]\nsign_up = "open"\n', database_url=database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(bytes(32)).decode())
        owner, member = kit.person(EMAIL, "owner", kit.acme), kit.as_role("member")
        phone, codes = with_app(owner)
        for code in (phone.code(), codes[0]):
            browser = kit.stranger()
            browser.get("/sign-in")
            assert browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).location == "/sign-in/second"
            assert browser.post("/sign-in/second", {"code": code}).location == "/account"
        owner.post(f"/account/members/{member.person_id}/role", {"role": "viewer"})
        assert member.get("/account/members").status == 200
        page = owner.post("/account/members/invite", {"email": "new@example.org", "role": "billing"})
        assert "/invitation#fl-link-" in page.text
        statuses = []
        for _ in range(12):
            browser = kit.stranger()
            browser.get("/sign-in")
            statuses.append(browser.post("/sign-in", {"email": "who@example.org", "password": "\0"}).status)
        assert statuses[-1] == 429
        assert "new@example.org" in owner.get("/account/members").text
        operator = kit.as_operator()
        assert EMAIL in operator.get("/admin/people?q=ann").text
    kit.close()
