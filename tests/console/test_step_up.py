"""Somebody has to prove again who they are in the middle of a form: what they typed is not lost, and nothing happens twice or
without the proof."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from tests.console.kit import PASSWORD, Answer, Browser, Kit
from tests.console.test_closing import waits
from tests.console.test_security import with_app

import fairlead.console
from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.console.app import PAGES
from fairlead.console.forms import is_secret
from fairlead.ledger.funds import balance, credit_scope

PROVIDER = "/admin/start/provider"


def fields(answer: Answer) -> dict[str, str]:
    """Those that the page sends again."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', answer.text)
    return {name: unescape(value) for name, value in found if name != "form_token"}


def granted(kit: Kit) -> int:
    with kit.store.read() as connection:
        found = balance(connection, credit_scope(kit.acme))
    return 0 if found is None else found.granted


@pytest.fixture
def operator(kit: Kit) -> Browser:
    made = kit.as_operator()
    waits(kit, made)
    return made


def test_the_action_goes_on_with_what_was_typed_once_the_password_is_there(kit: Kit, operator: Browser) -> None:
    path, before = f"/admin/accounts/{kit.acme}/grant", operator.token
    typed = {"amount": "12.50", "note": 'for "A & B" <b>'}
    page = operator.post(path, typed)
    assert f'action="{path}"' in page.text
    held = fields(page)
    assert held.items() >= typed.items()
    assert granted(kit) == 0
    wrong = operator.post(path, {**held, "step-up-password": "wrong"})
    assert (wrong.status, granted(kit)) == (403, 0)
    assert fields(wrong) == held, "still there"
    assert operator.token == before
    done = operator.post(path, {**fields(wrong), "step-up-password": PASSWORD})
    assert done.status == 303, done.text
    assert granted(kit) == 12_500_000_000_000
    assert operator.token != before, "another token, as after every proof"
    [row] = list_audit(kit.store, AuditFilter(action="credit.grant"), 5)
    assert row["after"]["note"] == typed["note"]
    assert operator.get("/admin/credit").status == 200, "not asked again"
    assert [one["action"] for one in list_audit(kit.store, AuditFilter(actor=operator.person_id), 3)] == [
        "credit.grant",
        "sign-in.prove",
        "sign-in.refuse",
    ]


def test_an_old_page_that_is_sent_again_is_refused(kit: Kit, operator: Browser) -> None:
    from fairlead.console.forms import form_token

    path = f"/admin/accounts/{kit.acme}/grant"
    operator.post(path, {"amount": "1"})
    old = form_token(operator.token)
    sent = {"amount": "1", "step-up-password": PASSWORD}
    assert operator.post(path, dict(sent)).status == 303
    assert operator.post(path, {**sent, "form_token": old}).status == 403, "its token ended with the proof"
    assert granted(kit) == 1_000_000_000_000


def test_no_proof_no_action_however_the_form_is_sent(kit: Kit, operator: Browser) -> None:
    path = f"/admin/accounts/{kit.acme}/grant"
    for proof in ({}, {"step-up-password": ""}, {"step-up-code": "000000"}, {"step-up-credential": "{}"},
                  {"password": PASSWORD}, {"step-up-secret": "x", "step-up-password": PASSWORD}):  # fmt: skip
        answer = operator.post(path, {"amount": "1", **proof})
        assert answer.status in (200, 400, 403, 422), proof
        assert granted(kit) == 0, proof
    for answer in (
        operator.post(path, {"amount": "1", "step-up-password": PASSWORD, "form_token": None}),
        operator.post(path, {"amount": "1", "step-up-password": PASSWORD}, sec_fetch_site="cross-site"),
    ):
        assert (answer.status, granted(kit)) == (403, 0)
    member = kit.as_role("member")
    assert member.post(path, {"amount": "1", "step-up-password": PASSWORD}).status == 403


def test_guesses_of_the_password_are_limited(kit: Kit, operator: Browser) -> None:
    statuses = [
        operator.post(f"/admin/accounts/{kit.acme}/grant", {"amount": "1", "step-up-password": f"wrong {at}"}).status
        for at in range(12)
    ]
    assert statuses == [403] * 10 + [429] * 2
    assert granted(kit) == 0


def test_a_secret_is_not_in_the_page_and_is_asked_for_again(kit: Kit, operator: Browser) -> None:
    typed = {"preset": "groq", "id": "groq", "key": "gsk-very-secret"}
    page = operator.post(f"{PROVIDER}", typed)
    assert "gsk-very-secret" not in page.text
    held = fields(page)
    assert "key" not in held
    assert (held["preset"], held["step-up-secret"]) == ("groq", "key")
    assert 'name="key" type="password"' in page.text
    without = operator.post(PROVIDER, {**held, "step-up-password": PASSWORD})
    assert "Enter it again." in without.text
    assert fields(without) == held
    assert not list_audit(kit.store, AuditFilter(action="sign-in.prove"), 5)


def test_with_a_second_factor_a_code_is_asked_for_and_not_the_password(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    phone, _ = with_app(owner)
    waits(kit, owner)
    sent = {"person": member.person_id}
    page = owner.post("/account/settings/owner", sent)
    assert 'name="step-up-code"' in page.text
    assert 'name="step-up-password"' not in page.text
    assert owner.post("/account/settings/owner", {**sent, "step-up-password": PASSWORD}).status == 403
    assert owner.post("/account/settings/owner", {**sent, "step-up-code": phone.code()}).status == 303


def test_no_secret_of_any_form_that_asks_for_a_proof_is_held() -> None:
    """A field of a new form whose type is "password" has to be in `forms.SECRETS`."""
    paths = {one.path for one in PAGES if one.step_up and "POST" in one.methods}
    assert PROVIDER in paths
    for file in (Path(fairlead.console.__file__).parent / "templates").rglob("*.html"):
        if file.parent.name in ("admin", "account"):
            text = file.read_text("utf-8")
            names = re.findall(r'field\(\s*"([\w-]+)"[^}]*?type="password"', text)
            names += re.findall(r'<input[^>]*type="password"[^>]*name="([\w-]+)"', text)
            assert all(is_secret(name) for name in names), (file.name, names)
