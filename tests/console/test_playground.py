"""The key of the playground: for who may have keys, for a minute, one for each person, until it is revoked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.console.kit import PASSWORD, Browser, Kit
from tests.console.test_members import rejoin

import fairlead
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import KeyInfo, list_keys
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.keys import revoke_key
from fairlead.admin.people import list_sessions, visit
from fairlead.admin.playground import LIFE_SECONDS, playground_key
from fairlead.errors import Forbidden
from fairlead.people import sessions

PATH = "/account/playground-key"


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path)
    yield made
    made.close()


def here(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.get("/account/here.json", accept="application/json").text)
    return found


def get_key(browser: Browser) -> str:
    answer = browser.post(PATH, {"form_token": None}, x_form_token=here(browser)["token"], accept="application/json")
    assert answer.status == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(json.loads(answer.text)["key"])


def rows(kit: Kit) -> list[KeyInfo]:
    return [one for one in list_keys(kit.store) if one.name == "Playground"]


def test_a_stranger_is_told_nothing_and_gets_no_key(kit: Kit) -> None:
    stranger = kit.stranger()
    stranger.get("/sign-in")
    assert here(stranger) == {"signed_in": False}
    assert stranger.post(PATH, accept="application/json").status == 401
    assert rows(kit) == []


def test_who_may_have_keys_gets_one_that_lasts_a_minute_and_replaces_the_one_before(kit: Kit) -> None:
    member = kit.as_role("member")
    assert here(member)["may_call"] is True
    ring = KeyRing(kit.store)
    first = get_key(member)
    caller = ring.read(first.encode())
    assert caller is not None
    assert caller.account_id == kit.acme
    second = get_key(member)
    ring.follow()
    assert ring.read(first.encode()) is None
    assert ring.read(second.encode()) is not None
    [row] = rows(kit)
    assert row.member_id is not None
    assert row.expires_at is not None
    assert 0 < row.expires_at - time.time() <= LIFE_SECONDS
    get_key(kit.as_role("member"))
    assert len(rows(kit)) == 2, "another person has another one"
    made = [one for one in list_audit(kit.store, AuditFilter(action="key."), 10) if one["subject"] == row.id]
    assert [(one["action"], one["actor"]) for one in made] == [("key.create", member.person_id)]


def sign_out(_kit: Kit, member: Browser, _owner: Browser) -> None:
    assert member.post("/sign-out").status == 303


def end_session(kit: Kit, member: Browser, _owner: Browser) -> None:
    [session] = list_sessions(kit.store, member.person_id)
    elsewhere = kit.signed_in(member.person_id)
    assert elsewhere.post(f"/account/security/sessions/{session.id}/end").status == 303


def end_others(kit: Kit, member: Browser, _owner: Browser) -> None:
    assert kit.signed_in(member.person_id).post("/account/security/sessions/end").status == 303


def lose_role(_kit: Kit, member: Browser, owner: Browser) -> None:
    assert owner.post(f"/account/members/{member.person_id}/role", {"role": "viewer"}).status == 303


def be_removed(_kit: Kit, member: Browser, owner: Browser) -> None:
    assert owner.post(f"/account/members/{member.person_id}/remove", {"keys": "keep"}).status == 303


def be_disabled(kit: Kit, member: Browser, _owner: Browser) -> None:
    given = {"disabled": "yes", f"keys-{kit.acme}": "keep"}
    assert kit.as_operator().post(f"/admin/people/{member.person_id}/disable", given).status == 303


def lose_factors(kit: Kit, member: Browser, _owner: Browser) -> None:
    assert kit.as_operator().post(f"/admin/people/{member.person_id}/factors").status == 303


def change_password(_kit: Kit, member: Browser, _owner: Browser) -> None:
    given = {"current": PASSWORD, "password": "another good password"}
    assert member.post("/account/security/password", given).status == 303


ENDINGS = (sign_out, end_session, end_others, lose_role, be_removed, be_disabled, lose_factors, change_password)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda one: one.__name__)
def test_the_key_ends_with_what_it_was_made_for(kit: Kit, ending: Callable[[Kit, Browser, Browser], None]) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    ring = KeyRing(kit.store)
    key, of_owner = get_key(member).encode(), get_key(owner).encode()
    assert ring.read(key) is not None
    ending(kit, member, owner)
    ring.follow()
    found = ring.read(key)
    assert found is None or (found.expires_at is not None and found.expires_at <= time.time())
    assert ring.read(of_owner) is not None, "and no other"


def test_nobody_ends_sessions_without_their_keys() -> None:
    source = Path(fairlead.__file__).parent
    for file in source.rglob("*.py"):
        if file.parts[-2:] not in (("admin", "ending.py"), ("people", "sessions.py")):
            assert not re.search(r"\bsessions\.(end|end_all|renew_all)\(", file.read_text("utf-8")), file


def test_a_key_is_not_made_for_a_session_that_ended_while_it_was_asked_for(kit: Kit) -> None:
    member = kit.as_role("member")
    signed_in = visit(kit.store, member.token, "")
    assert signed_in is not None
    [session] = list_sessions(kit.store, member.person_id)
    member.post("/sign-out")
    assert session.id == signed_in.session.id
    with pytest.raises(Forbidden):
        playground_key(kit.store, Actor("person", member.person_id), signed_in, signed_in.memberships[0])
    assert rows(kit) == []


def test_who_comes_back_to_an_organisation_has_a_key_again(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    get_key(member)
    owner.post(f"/account/members/{member.person_id}/remove", {"keys": "revoke"})
    rejoin(kit, owner, member)
    get_key(member)


def test_a_key_does_not_outlast_its_session(kit: Kit) -> None:
    member = kit.as_role("member")
    with kit.store.write() as connection:
        [session] = list_sessions(kit.store.joined(connection), member.person_id)
        sessions.change(connection, session.id, expires_at=int(time.time()) + 20)
    get_key(member)
    [row] = rows(kit)
    assert row.expires_at is not None
    assert row.expires_at <= time.time() + 20


def test_who_may_have_no_keys_gets_none(kit: Kit) -> None:
    viewer = kit.as_role("viewer")
    assert here(viewer)["may_call"] is False
    assert viewer.post(PATH, accept="application/json").status == 403


def test_a_key_that_was_revoked_does_not_come_back(kit: Kit) -> None:
    member = kit.as_role("member")
    get_key(member)
    [row] = rows(kit)
    revoke_key(kit.store, Actor("server"), row.id)
    answer = member.post(PATH, accept="application/json")
    assert answer.status == 403
    assert "revoked" in answer.text
