"""Organisations are renamed, transferred and deleted; people change their e-mail address and delete themselves."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.console.kit import PASSWORD, Browser, Kit
from tests.console.test_developer import SHEET, call, made_key
from tests.console.test_joining import OPEN, URL, Mails
from tests.console.test_members import made_keys

from fairlead.accounts import keys
from fairlead.accounts.accounts import account_info
from fairlead.accounts.key_ring import KeyRing
from fairlead.admin import closing
from fairlead.admin.accounts import disable_account
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.books import verify_books
from fairlead.admin.joining import invite
from fairlead.admin.management_keys import create_management_key, list_management_keys
from fairlead.admin.people_entries import add_membership
from fairlead.errors import ConfigurationError, InvalidRequest
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.funds import balance, credit_scope, grant
from fairlead.money import Picodollars
from fairlead.people import persons, sessions
from fairlead.people.persons import Person
from fairlead.store.tables import funds, leases, metadata, usage_records

SETTINGS = "/account/settings"
SECURITY = "/account/security"
ACTOR = Actor("server")
NEW = "new@example.org"


@pytest.fixture
def mails() -> Mails:
    return Mails()


@pytest.fixture
def kit(tmp_path: Path, mails: Mails) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", OPEN, public_url=URL, has_mail=lambda: True, mail=mails.take)
    yield made
    made.close()


def person_of(kit: Kit, browser: Browser) -> Person | None:
    with kit.store.read() as connection:
        return persons.person_of(connection, browser.person_id)


def roles(kit: Kit, browser: Browser) -> dict[str, str]:
    with kit.store.read() as connection:
        return {one.account_id: one.role for one in persons.memberships_of(connection, browser.person_id)}


def waits(kit: Kit, browser: Browser) -> None:
    """So long after they have signed in that they have to prove again who they are."""
    with kit.store.write() as connection:
        for one in sessions.list_sessions(connection, browser.person_id):
            sessions.change(connection, one.id, proved_at=int(time.time()) - 10_000)


# --- organisations


def test_owners_and_admins_rename_an_organisation(kit: Kit) -> None:
    assert kit.as_role("billing").post(f"{SETTINGS}/name", {"name": "Mine"}).status == 403
    admin = kit.as_role("admin")
    assert admin.post(f"{SETTINGS}/name", {"name": " "}).status == 422
    assert "Name changed" in admin.follow(admin.post(f"{SETTINGS}/name", {"name": "Acme & Sons"})).text
    assert "Acme &amp; Sons" in admin.get("/account").text


def test_ownership_is_transferred_in_one_step_and_counts_at_once(kit: Kit) -> None:
    owner, member, other = kit.as_role("owner"), kit.as_role("member"), kit.as_role("owner", kit.globex)
    before = owner.token
    for somebody in (other.person_id, owner.person_id, "usr_nothing"):
        assert owner.post(f"{SETTINGS}/owner", {"person": somebody}).status == 404
    assert kit.as_role("admin").post(f"{SETTINGS}/owner", {"person": member.person_id}).status == 403
    assert owner.post(f"{SETTINGS}/owner", {"person": member.person_id}).status == 303
    assert (roles(kit, owner), roles(kit, member)) == ({kit.acme: "admin"}, {kit.acme: "owner"})
    assert owner.get(f"{SETTINGS}/delete").status == 403
    assert owner.token != before
    assert member.get(f"{SETTINGS}/delete").status == 200
    [row] = list_audit(kit.store, AuditFilter(action="account.transfer"), 5)
    assert row["after"] == {"owner": member.person_id, "role": "owner"}


def test_an_organisation_is_deleted_with_all_that_it_can_be_used_by_and_the_books_stay(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    with kit.store.write() as connection:
        keep_sheets(connection, [SHEET])
        grant(connection, kit.acme, Picodollars.parse("10").value, "invoice 17")
    [of_member] = made_keys(kit, member).values()
    info = made_key(kit, kit.acme, "service")
    record = call(kit, info, "before")
    with kit.store.write() as connection:
        scope = credit_scope(kit.acme)
        connection.execute(funds.update().where(funds.c.scope == scope).values(spent=record.price))
    create_management_key(kit.store, ACTOR, "m", ["read"], account_id=kit.acme)
    owner.post("/account/members/invite", {"email": "late@example.org", "role": "member"})
    kit.wait()
    ring = KeyRing(kit.store)
    assert ring.read(of_member.encode()) is not None

    page = owner.get(f"{SETTINGS}/delete").text
    for sentence in ("2 keys are revoked", "1 management key", "2 people are no longer members", "1 invitation is",
                     "stay in the books"):  # fmt: skip
        assert sentence in page
    assert re.search(r"Credit of .*\$.* is lost", page)
    for wrong in ({"name": "Acme"}, {"name": "Globex", "forfeit": "yes"}, {"forfeit": "yes"}):
        assert owner.post(f"{SETTINGS}/delete", wrong).status == 422
    assert ring.read(of_member.encode()) is not None
    waits(kit, owner)
    assert "Confirm that it is you" in owner.post(f"{SETTINGS}/delete", {"name": "Acme", "forfeit": "yes"}).text
    again = kit.signed_in(owner.person_id)
    assert again.post(f"{SETTINGS}/delete", {"name": "Acme", "forfeit": "yes"}).location == "/account"

    ring.follow()
    assert ring.read(of_member.encode()) is None
    assert (roles(kit, owner), roles(kit, member)) == ({}, {})
    assert again.get("/account").status == 200
    assert member.get("/account/keys").status == 403
    with kit.store.read() as connection:
        account = account_info(connection, kit.acme)
        held = balance(connection, credit_scope(kit.acme))
        assert all(one.revoked_at is not None for one in keys.list_keys(kit.store.joined(connection)))
        assert [row.id for row in connection.execute(select(usage_records))] == [record.id]
        for table in closing.ERASED:
            assert not connection.execute(select(table).where(table.c.account_id == kit.acme)).all(), table.name
    assert "Acme" not in account.name
    assert account.deleted_at is not None
    assert held is not None
    assert held.granted == held.spent
    assert all(one.revoked_at is not None for one in list_management_keys(kit.store) if one.account_id == kit.acme)
    assert verify_books(kit.store, 0, lambda _count: lambda _more: None).discrepancy is None
    with pytest.raises(ConfigurationError, match="deleted"):
        disable_account(kit.store, ACTOR, kit.acme, disabled=False)
    with pytest.raises(InvalidRequest, match="deleted"):
        invite(kit.store, ACTOR, kit.acme, "new@example.org", "owner", by_owner=True, mailed=False)
    with pytest.raises(InvalidRequest, match="deleted"):
        add_membership(kit.store, ACTOR, kit.acme, member.person_id, "owner")
    [row] = list_audit(kit.store, AuditFilter(action="account.delete"), 5)
    assert (row["before"]["name"], row["actor"], row["after"]["people"]) == ("Acme", owner.person_id, 2)


def test_the_operators_own_account_and_one_with_calls_in_flight_are_not_deleted(kit: Kit) -> None:
    owner = kit.as_role("owner", kit.own)
    assert owner.post(f"{SETTINGS}/delete", {"name": "default"}).status == 422
    busy = kit.as_role("owner")
    with kit.store.write() as connection:
        scope = credit_scope(kit.acme)
        grant(connection, kit.acme, 1_000, "x")
        connection.execute(funds.update().where(funds.c.scope == scope).values(leased=10))
        row = {"process_id": "p", "scope": scope, "remaining": 10, "expires_at": 1 << 40}
        connection.execute(insert(leases).values(row))
    answer = busy.post(f"{SETTINGS}/delete", {"name": "Acme", "forfeit": "yes"})
    assert (answer.status, "in flight" in answer.text) == (422, True)
    assert roles(kit, busy) == {kit.acme: "owner"}


def test_every_table_of_an_organisation_is_kept_or_erased_on_purpose() -> None:
    with_account = {one.name for one in metadata.sorted_tables if "account_id" in one.c}
    assert with_account == closing.KEPT | {one.name for one in closing.ERASED}


# --- an e-mail address


def asked(kit: Kit, browser: Browser, email: str) -> None:
    answer = browser.post(f"{SECURITY}/email", {"email": email})
    assert "link that was sent to the new address" in browser.follow(answer).text
    kit.wait()


def test_a_new_address_counts_when_its_link_was_opened_and_the_old_one_is_told(kit: Kit, mails: Mails) -> None:
    browser = kit.person("ann@example.org", "owner", kit.acme)
    elsewhere, reset = kit.signed_in(browser.person_id), kit.stranger()
    reset.get("/reset")
    reset.post("/reset", {"email": "ann@example.org"})
    kit.wait()
    _, old_link = mails.link()
    asked(kit, browser, " New@Example.ORG ")
    assert mails[-1][0] == NEW
    path, token = mails.link()
    assert path == "/confirm"
    page = browser.post(path, {"token": token})
    assert "instead of ann@example.org" in page.text
    person = person_of(kit, browser)
    assert person is not None
    assert person.email == "ann@example.org", "looking changes nothing"
    before = browser.token
    assert browser.post(path, {"token": token, "accept": "yes"}).location == SECURITY
    kit.wait()
    assert mails[-1][0] == "ann@example.org"
    assert NEW in mails[-1][2]
    assert browser.token != before
    assert kit.stranger().get("/account", cookie=f"fairlead={before}").status == 303
    assert elsewhere.get("/account").status == 303
    assert browser.get("/account").status == 200
    assert reset.post("/reset", {"token": old_link, "password": "another good password"}).status == 403
    assert browser.post(path, {"token": token, "accept": "yes"}).status == 403, "good once"
    for email, status in (("ann@example.org", 403), (NEW, 303)):
        visitor = kit.stranger()
        visitor.get("/sign-in")
        assert visitor.post("/sign-in", {"email": email, "password": PASSWORD}).status == status
    [row] = list_audit(kit.store, AuditFilter(action="email.change"), 5)
    assert (row["before"], row["after"]["email"]) == ({"email": "ann@example.org"}, NEW)


def test_an_address_that_somebody_has_is_answered_in_the_same_words_and_its_owner_is_told(
    kit: Kit, mails: Mails
) -> None:
    browser = kit.person("ann@example.org", "owner", kit.acme)
    kit.person("bob@example.org", "owner", kit.globex)
    answers = []
    for email in ("bob@example.org", NEW):
        answers.append(browser.post(f"{SECURITY}/email", {"email": email}))
        kit.wait()
    assert {(one.status, one.location) for one in answers} == {(303, SECURITY)}
    assert [one[0] for one in mails] == ["bob@example.org", NEW]
    assert "fl-link-" not in mails[0][2]
    assert browser.post(f"{SECURITY}/email", {"email": "no address"}).status == 422


def test_a_link_is_for_who_asked_for_it_alone(kit: Kit, mails: Mails) -> None:
    """Else somebody could make others confirm an address for an account that is not theirs."""
    attacker, victim = (
        kit.person("eve@example.org", "owner", kit.acme),
        kit.person("vic@example.org", "owner", kit.globex),
    )
    asked(kit, attacker, NEW)
    path, token = mails.link()
    stranger = kit.stranger()
    stranger.get(path)
    for browser in (victim, stranger):
        answer = browser.post(path, {"token": token, "accept": "yes"})
        assert (answer.status, "Sign in as the person" in answer.text) == (403, True)
    found = [person_of(kit, one) for one in (attacker, victim)]
    assert [one.email for one in found if one is not None] == ["eve@example.org", "vic@example.org"]
    # Somebody else gets the address first: the link is worth nothing.
    kit.person(NEW)
    assert attacker.post(path, {"token": token, "accept": "yes"}).status == 403


def test_an_earlier_link_is_worth_nothing_and_mails_are_limited(kit: Kit, mails: Mails) -> None:
    browser = kit.person("ann@example.org", "owner", kit.acme)
    asked(kit, browser, "first@example.org")
    path, first = mails.link()
    for _ in range(3):
        asked(kit, browser, NEW)
    assert browser.post(f"{SECURITY}/email", {"email": NEW}).status == 429
    assert browser.post(path, {"token": first, "accept": "yes"}).status == 403


def test_without_a_mail_server_the_operator_hands_the_link_over_and_the_address_is_not_confirmed(kit: Kit) -> None:
    kit.restarted(OPEN)
    browser, operator = kit.person("ann@example.org", "owner", kit.acme), kit.as_operator()
    assert "sends no mail" in browser.follow(browser.post(f"{SECURITY}/email", {"email": NEW})).text
    kit.wait()
    page = operator.get("/admin/people").text
    assert "another e-mail address" in page
    [link] = re.findall(r"/admin/people/requests/(lnk_\w+)", page)
    [token] = re.findall(r"/confirm#(fl-link-[\w-]+)", operator.post(f"/admin/people/requests/{link}").text)
    assert browser.post("/confirm", {"token": token, "accept": "yes"}).status == 303
    person = person_of(kit, browser)
    assert person is not None
    assert (person.email, person.confirmed_at) == (NEW, None)


# --- people


def test_somebody_deletes_themselves_and_their_address_is_free(kit: Kit) -> None:
    kit.as_role("owner")
    browser = kit.person("ann@example.org", "member", kit.acme)
    [key] = made_keys(kit, browser).values()
    elsewhere, ring = kit.signed_in(browser.person_id), KeyRing(kit.store)
    assert ring.read(key.encode()) is not None
    assert "Acme" in browser.get(f"{SECURITY}/delete").text
    assert browser.post(f"{SECURITY}/delete", {"email": "bob@example.org"}).status == 422
    assert browser.post(f"{SECURITY}/delete", {"email": "ann@example.org", "keys": "disable"}).status == 422
    waits(kit, browser)
    assert "Confirm that it is you" in browser.post(f"{SECURITY}/delete", {"email": "ann@example.org"}).text
    again = kit.signed_in(browser.person_id)
    assert again.post(f"{SECURITY}/delete", {"email": "ann@example.org"}).location == "/sign-in"
    ring.follow()
    assert ring.read(key.encode()) is None
    assert person_of(kit, browser) is None
    for one in (browser, elsewhere, again):
        assert one.get("/account").location.startswith("/sign-in")
    with kit.store.read() as connection:
        for table in metadata.sorted_tables:
            if "person_id" in table.c:
                assert not connection.execute(select(table).where(table.c.person_id == browser.person_id)).all()
    kit.person("ann@example.org")
    [row] = list_audit(kit.store, AuditFilter(action="person.delete"), 5)
    assert row["subject"] == browser.person_id


def test_the_last_owner_and_the_last_operator_stay(kit: Kit) -> None:
    owner, operator = kit.person("ann@example.org", "owner", kit.acme), kit.as_operator()
    answer = owner.post(f"{SECURITY}/delete", {"email": "ann@example.org"})
    assert (answer.status, "only owner of Acme" in answer.text) == (422, True)
    person = person_of(kit, operator)
    assert person is not None
    assert "last operator" in operator.post(f"{SECURITY}/delete", {"email": person.email}).text
    kit.as_role("owner")
    assert owner.post(f"{SECURITY}/delete", {"email": "ann@example.org", "keys": "keep"}).status == 303
    assert person_of(kit, owner) is None
