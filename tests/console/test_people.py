"""The operator's page of people: requests that no mail answers, and who may sign in."""

from __future__ import annotations

import re

import pytest
from tests.console.kit import PASSWORD, Kit
from tests.console.test_members import made_keys
from tests.console.test_security import with_app

from fairlead.accounts.key_ring import KeyRing
from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.people import persons

PATH = "/admin/people"
OPEN = '[console]\nsign_up = "open"\n'


def link(text: str) -> tuple[str, str]:
    [found] = re.findall(r"<code>http://llm\.example(/[a-z]+)#(fl-link-[\w-]+)</code>", text)
    path, token = found
    return path, token


def test_an_operator_hands_over_the_links_that_no_mail_brings(kit: Kit) -> None:
    kit.restarted(OPEN)
    operator, stranger = kit.as_operator(), kit.stranger()
    known = kit.person("ann@example.org", "owner", kit.acme)
    stranger.get("/sign-up")
    stranger.post("/sign-up", {"email": "new@example.org"})
    stranger.post("/reset", {"email": "ann@example.org"})
    stranger.post("/reset", {"email": "nobody@example.org"})
    kit.wait()
    page = operator.get(PATH).text
    assert "nobody@example.org" not in page
    asked = re.findall(r"/admin/people/requests/(lnk_\w+)", page)
    assert len(asked) == 2
    for one in asked:
        path, token = link(operator.post(f"{PATH}/requests/{one}").text)
        given = {"token": token, "name": "N", "organisation": "New", "password": "another good password"}
        assert stranger.post(path, given).status in (200, 303)
    assert known.get("/account").status == 303  # her password is another one now
    with kit.store.read() as connection:
        found = persons.find_by_email(connection, "new@example.org")
    assert found is not None
    assert found[0].confirmed_at is None  # the operator has seen the link, too
    assert "requests/lnk_" not in operator.get(PATH).text


def test_somebody_who_is_disabled_is_out_at_once_and_cannot_come_back(kit: Kit) -> None:
    operator, member = kit.as_operator(), kit.person("ann@example.org", "owner", kit.acme)
    path = f"{PATH}/{member.person_id}"
    assert "ann@example.org" in operator.get(path).text
    assert operator.post(f"{path}/disable", {"disabled": "yes"}).location == path
    assert member.get("/account").status == 303
    browser = kit.stranger()
    browser.get("/sign-in")
    assert browser.post("/sign-in", {"email": "ann@example.org", "password": PASSWORD}).status == 403
    operator.post(f"{path}/disable", {"disabled": "no"})
    assert browser.post("/sign-in", {"email": "ann@example.org", "password": PASSWORD}).status == 303


@pytest.mark.parametrize("fate", ["", "revoke", "keep"])
def test_keys_of_somebody_who_is_disabled_stop_with_them_unless_the_operator_wants_otherwise(
    kit: Kit, fate: str
) -> None:
    operator, member, other = kit.as_operator(), kit.as_role("member"), kit.as_role("member")
    made = made_keys(kit, member, other)
    key = made[member.person_id].encode()
    ring, path = KeyRing(kit.store), f"{PATH}/{member.person_id}"
    assert ring.read(key) is not None
    assert "The key that they made for Acme" in operator.get(path).text
    assert operator.post(f"{path}/disable", {"disabled": "yes", f"keys-{kit.acme}": "whatever"}).status == 400
    given = {f"keys-{kit.acme}": fate} if fate else {}
    assert operator.post(f"{path}/disable", {"disabled": "yes", **given}).location == path
    ring.follow()
    assert (ring.read(key) is not None) == (fate == "keep")
    assert ring.read(made[other.person_id].encode()) is not None
    operator.post(f"{path}/disable", {"disabled": "no"})
    ring.follow()
    assert (ring.read(key) is not None) == (fate != "revoke")
    [row] = list_audit(kit.store, AuditFilter(action="person.disable"), 5)
    assert row["after"]["organisations"] == {kit.acme: {"keys": fate or "disable", "number_of_keys": 1}}


def test_operators_come_and_go_and_one_stays(kit: Kit) -> None:
    operator, member = kit.as_operator(), kit.as_role("member")
    assert member.get(PATH).status == 403
    operator.post(f"{PATH}/{member.person_id}/operator", {"operator": "yes"})
    assert member.get(PATH).status == 200
    assert member.post(f"{PATH}/{operator.person_id}/operator", {"operator": "no"}).status == 303
    assert operator.get(PATH).status == 403
    for what in ("operator", "disable"):
        answer = member.post(f"{PATH}/{member.person_id}/{what}", {"operator": "no", "disabled": "yes"})
        assert (answer.status, "last operator" in answer.text) == (403, True)


def test_second_factors_are_removed_for_somebody_who_lost_them(kit: Kit) -> None:
    operator, member = kit.as_operator(), kit.person("ann@example.org", "owner", kit.acme)
    with_app(member)
    operator.post(f"{PATH}/{member.person_id}/factors")
    assert member.get("/account").status == 303
    browser = kit.stranger()
    browser.get("/sign-in")
    assert browser.post("/sign-in", {"email": "ann@example.org", "password": PASSWORD}).location == "/account"


def test_a_customer_gets_an_account_and_an_invitation_as_its_owner(kit: Kit) -> None:
    operator = kit.as_operator()
    assert operator.post(f"{PATH}/invite", {"organisation": " ", "email": "a@b.example"}).status == 422
    path, token = link(operator.post(f"{PATH}/invite", {"organisation": "Harbour", "email": "a@b.example"}).text)
    browser = kit.stranger()
    browser.get(path)
    answer = browser.post(path, {"token": token, "name": "Harry", "password": PASSWORD})
    assert "<h1>Harbour" in browser.follow(answer).text


def test_people_are_found_by_the_beginning_of_name_and_address(kit: Kit) -> None:
    operator = kit.as_operator()
    kit.person("ann@example.org", "owner", kit.acme)
    kit.person("bob@example.org", "owner", kit.acme)
    page = operator.get(f"{PATH}?q=AN").text
    assert "ann@example.org" in page
    assert "bob@example.org" not in page
    assert "Nobody is found" in operator.get(f"{PATH}?q=%25").text
