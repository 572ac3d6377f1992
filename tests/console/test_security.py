"""Sessions, passwords and second factors, as a person uses them and as somebody else tries to."""

from __future__ import annotations

import re
import time

import pytest
from tests.console.kit import PASSWORD, Answer, Browser, Kit

from fairlead.admin.audit import AuditFilter, command_line, list_audit
from fairlead.admin.credentials import reseal
from fairlead.people.totp import PERIOD_SECONDS, code_at
from fairlead.providers.sealed import SealKey, seal_key

EMAIL = "ann@example.org"
PATH = "/account/security"
NEW = "another good password"


class Phone:
    """An authenticator app, with a clock that goes on by a period for each code."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.period = 0

    def code(self) -> str:
        """Another one each time, from the oldest that is taken on: there are three, however slow the test is."""
        self.period = max(self.period + 1, int(time.time() // PERIOD_SECONDS) - 1)
        return code_at(self.secret, self.period)


def with_app(browser: Browser) -> tuple[Phone, list[str]]:
    """Sets an app up; returns it with the recovery codes."""
    page = browser.post(f"{PATH}/app")
    [shown] = re.findall(r"<code>([A-Z2-7 ]+)</code>", page.text)
    phone = Phone(shown.replace(" ", ""))
    done = browser.post(f"{PATH}/app/confirm", {"code": phone.code()})
    codes = re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", done.text)
    assert len(codes) == 10
    return phone, codes


def signing_in(kit: Kit, password: str = PASSWORD) -> tuple[Browser, Answer]:
    browser = kit.stranger()
    browser.get("/sign-in")
    return browser, browser.post("/sign-in", {"email": EMAIL, "password": password})


def test_a_session_is_listed_and_ended_from_another_browser(kit: Kit) -> None:
    one = kit.person(EMAIL, "owner", kit.acme)
    two = kit.signed_in(one.person_id)
    page = one.get(PATH).text
    assert page.count("(this one)") == 1
    [session] = re.findall(r"/sessions/(ses_\w+)/end", page)
    assert two.get("/account").status == 200
    assert one.post(f"{PATH}/sessions/{session}/end").location == PATH
    assert two.get("/account").location.startswith("/sign-in")
    assert one.get("/account").status == 200
    three = kit.signed_in(one.person_id)
    one.post(f"{PATH}/sessions/end")
    assert three.get("/account").status == 303


def test_nobody_ends_the_session_of_somebody_else(kit: Kit) -> None:
    one, other = kit.person(EMAIL, "owner", kit.acme), kit.as_role("owner")
    kit.signed_in(one.person_id)
    [session] = re.findall(r"/sessions/(ses_\w+)/end", one.get(PATH).text)
    assert other.post(f"{PATH}/sessions/{session}/end").status == 404


def test_another_password_needs_the_one_before_and_signs_out_everywhere_else(kit: Kit) -> None:
    one = kit.person(EMAIL, "owner", kit.acme)
    two = kit.signed_in(one.person_id)
    assert one.post(f"{PATH}/password", {"current": "wrong", "password": NEW}).status == 422
    assert one.post(f"{PATH}/password", {"current": PASSWORD, "password": "short"}).status == 422
    before = one.token
    assert one.post(f"{PATH}/password", {"current": PASSWORD, "password": NEW}).location == PATH
    assert one.token != before
    assert "signed out everywhere else" in one.get(PATH).text
    assert two.get("/account").status == 303
    assert signing_in(kit)[1].status == 403
    assert signing_in(kit, NEW)[1].status == 303


def test_with_an_app_a_password_alone_opens_nothing(kit: Kit) -> None:
    phone, _ = with_app(kit.person(EMAIL, "owner", kit.acme))
    browser, answer = signing_in(kit)
    assert answer.location == "/sign-in/second"
    waiting = browser.token
    for path in ("/account", PATH, "/account/members"):
        assert browser.get(path).location.startswith("/sign-in/second?next=")
    assert browser.post(f"{PATH}/password", {"current": PASSWORD, "password": NEW}).location.startswith(
        "/sign-in/second"
    )
    assert browser.post(f"{PATH}/app").location.startswith("/sign-in/second")
    assert browser.post("/sign-in/again", {"password": PASSWORD}).location.startswith("/sign-in/second")
    code = phone.code()
    assert browser.post("/sign-in/second", {"code": "000000"}).status == 403
    assert browser.post("/sign-in/second", {"code": code}).location == "/account"
    assert browser.token != waiting
    assert browser.get("/account").status == 200
    again, _ = signing_in(kit)
    assert again.post("/sign-in/second", {"code": code}).status == 403  # it was used
    assert kit.stranger().get("/account", cookie=f"fairlead={waiting}").status == 303


def test_a_recovery_code_is_good_once_and_new_ones_replace_all(kit: Kit) -> None:
    owner = kit.person(EMAIL, "owner", kit.acme)
    _, codes = with_app(owner)
    assert signing_in(kit)[0].post("/sign-in/second", {"code": codes[0].upper()}).location == "/account"
    assert signing_in(kit)[0].post("/sign-in/second", {"code": codes[0]}).status == 403
    assert "9 codes are left" in owner.get(PATH).text
    owner.post(f"{PATH}/codes")
    assert signing_in(kit)[0].post("/sign-in/second", {"code": codes[1]}).status == 403


def test_guesses_of_codes_are_limited_for_a_person_from_all_addresses(kit: Kit) -> None:
    with_app(kit.person(EMAIL, "owner", kit.acme))
    browser, _ = signing_in(kit)
    statuses = []
    for at in range(12):
        browser.address = f"198.51.100.{at}"
        statuses.append(browser.post("/sign-in/second", {"code": f"{at:06d}"}).status)
    assert statuses == [403] * 10 + [429] * 2
    assert list_audit(kit.store, AuditFilter(action="sign-in.limit"), 5)


def test_a_secret_counts_when_a_code_of_it_was_entered(kit: Kit) -> None:
    owner = kit.person(EMAIL, "owner", kit.acme)
    owner.post(f"{PATH}/app")
    assert "wrong or was used" in owner.post(f"{PATH}/app/confirm", {"code": "123456"}).text
    assert signing_in(kit)[1].location == "/account"


def test_an_app_is_removed_with_its_recovery_codes(kit: Kit) -> None:
    owner = kit.person(EMAIL, "owner", kit.acme)
    with_app(owner)
    [factor] = re.findall(r"/factors/(fac_\w+)/remove", owner.get(PATH).text)
    assert kit.as_role("owner").post(f"{PATH}/factors/{factor}/remove").status == 404
    assert owner.post(f"{PATH}/factors/{factor}/remove").location == PATH
    assert signing_in(kit)[1].location == "/account"
    assert "Recovery codes" not in owner.get(PATH).text


def test_who_has_a_second_factor_proves_again_with_it_and_not_with_the_password(kit: Kit) -> None:
    owner = kit.person(EMAIL, "owner", kit.acme)
    phone, _ = with_app(owner)
    assert owner.post("/sign-in/again", {"password": PASSWORD}).status == 403
    assert 'name="password"' not in owner.get("/sign-in/again").text
    assert owner.post("/sign-in/again", {"code": phone.code(), "next": PATH}).location == PATH


def test_a_new_password_by_link_does_not_go_around_the_second_factor(kit: Kit) -> None:
    from fairlead.people.links import add_link

    owner = kit.person(EMAIL, "owner", kit.acme)
    with_app(owner)
    with kit.store.write() as connection:
        token, _ = add_link(connection, "reset", EMAIL, person_id=owner.person_id)
    browser = kit.stranger()
    browser.get("/reset")
    browser.post("/reset", {"token": token, "password": NEW})
    assert signing_in(kit, NEW)[1].location == "/sign-in/second"


def test_secrets_of_apps_are_sealed_and_move_to_another_key(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, _ = with_app(kit.person(EMAIL, "owner", kit.acme))
    assert phone.secret not in (kit.store.directory / "fairlead.db").read_bytes().decode("latin-1")
    old, raw = seal_key(kit.store), bytes(range(32))
    import base64

    reseal(kit.store, command_line(), old, SealKey(raw))
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(raw).decode())
    assert signing_in(kit)[0].post("/sign-in/second", {"code": phone.code()}).location == "/account"


def test_the_audit_log_has_every_step_and_no_secret(kit: Kit) -> None:
    owner = kit.person(EMAIL, "owner", kit.acme)
    phone, codes = with_app(owner)
    signing_in(kit)[0].post("/sign-in/second", {"code": codes[3]})
    rows = list_audit(kit.store, AuditFilter(), 50)
    assert {"factor.create", "sign-in"} <= {one["action"] for one in rows}
    assert not any(secret in str(rows) for secret in (phone.secret, *codes, owner.token))


@pytest.mark.parametrize(
    "credential", ["", "{}", "[]", "not json", '{"id": "x", "rawId": "x", "response": {}, "type": "public-key"}']
)
def test_what_is_no_passkey_signs_nobody_in(kit: Kit, credential: str) -> None:
    browser = kit.stranger()
    browser.scheme = "https"
    browser.get("/sign-in")
    from fairlead.admin.factors import new_challenge

    for challenge in ("", "x", new_challenge("somebody else's cookie"), new_challenge(browser.token)):
        answer = browser.post("/sign-in/passkey", {"challenge": challenge, "credential": credential})
        assert 400 <= answer.status < 500
    assert browser.get("/account").status == 303
