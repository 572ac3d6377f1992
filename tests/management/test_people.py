"""People over the management API and on the command line: in process, with a console beside it that shows what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.console.kit import PASSWORD, Browser, Kit
from tests.console.test_members import made_keys
from tests.e2e.conftest import fairlead

from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.management_keys import SCOPES, ManagementKey
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.api.management.action import ManagementCall
from fairlead.api.management.people import PEOPLE
from fairlead.api.management.table import ACTIONS
from fairlead.console.services import NotLive
from fairlead.errors import Forbidden, InvalidRequest, NotFound


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path)
    yield made
    made.close()


def ask(kit: Kit, method: str, path: str, body: Any = None, *, account: str | None = None, **query: str) -> Any:
    """What the API answers a key with every scope, confined to `account`. Raises what it would answer as an error."""
    start, _, member = path.partition(":")
    for action in ACTIONS:
        if (action.method, action.path) == (method, f"/v1/admin/{start}"):
            break
    else:
        raise AssertionError(f"no action {method} {start}")
    key = ManagementKey("mgk_1", "test", "", frozenset(SCOPES), account, 0, None, None)
    given = None if action.body is None else msgspec.convert(body, action.body)
    with kit.store.write() as connection:
        joined = kit.store.joined(connection)
        call = ManagementCall(joined, key, Actor("management key", key.id), NotLive(), member, query, given)
        return action.run(call).body


def membership_id(kit: Kit, browser: Browser) -> str:
    [one] = ask(kit, "GET", "memberships", person=browser.person_id)["data"]
    return str(one["id"])


def run(kit: Kit, *arguments: str) -> str:
    done = fairlead("people", *arguments, data=kit.store.directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


def join_by(kit: Kit, path: str, name: str) -> Browser:
    """Somebody new follows a link."""
    browser = kit.stranger()
    page, token = path.split("#")
    browser.get(page)
    assert browser.post(page, {"token": token, "name": name, "password": PASSWORD}).location == "/account"
    return browser


def test_who_signs_in_is_seen_with_the_scope_for_people_only() -> None:
    assert {action.scope for action in PEOPLE} == {"people"}


def test_somebody_is_invited_by_the_api_and_joins_with_that_role(kit: Kit) -> None:
    made = ask(kit, "POST", "invitations", {"email": "Ada@example.org", "account": kit.acme, "role": "viewer"})
    assert [one["id"] for one in ask(kit, "GET", "invitations")["data"]] == [made["data"]["id"]]
    join_by(kit, made["path"], "Ada")
    assert ask(kit, "GET", "invitations")["data"] == []
    [person] = ask(kit, "GET", "people", email="ADA@example.org")["data"]
    assert [(one["account"], one["role"]) for one in person["memberships"]] == [(kit.acme, "viewer")]
    with pytest.raises(InvalidRequest):
        ask(kit, "POST", "invitations", {"email": "no address", "account": kit.acme})
    with pytest.raises(InvalidRequest):
        ask(kit, "POST", "invitations", {"email": "x@example.org", "account": kit.acme, "role": "king"})
    with pytest.raises(InvalidRequest):
        ask(kit, "POST", "invitations", {"email": "x@example.org"})


def test_roles_change_and_memberships_end_at_once_and_keys_with_them(kit: Kit) -> None:
    kit.as_role("owner")
    member = kit.as_role("member")
    [key] = made_keys(kit, member).values()
    ring, mine = KeyRing(kit.store), membership_id(kit, member)
    assert ring.read(key.encode()) is not None
    assert member.get("/account/members").text.count(">Edit<") == 0
    ask(kit, "PATCH", f"memberships/{{id}}:{mine}", {"role": "admin"})
    assert member.get("/account/members").text.count(">Edit<") == 2
    done = ask(kit, "DELETE", f"memberships/{{id}}:{mine}", keys="revoke")
    assert done["data"]["number_of_keys"] == 1
    ring.follow()
    assert ring.read(key.encode()) is None
    assert member.get("/account/members").status == 403
    again = ask(kit, "POST", "memberships", {"person": member.person_id, "account": kit.acme, "role": "billing"})
    assert again["data"]["id"] != mine
    with pytest.raises(InvalidRequest, match="already"):
        ask(kit, "POST", "memberships", {"person": member.person_id, "account": kit.acme})
    rows = list_audit(kit.store, AuditFilter(action="membership."), 9)
    assert {(one["actor_kind"], one["actor"]) for one in rows} == {("management key", "mgk_1")}


def test_sessions_end_and_people_are_disabled_and_enabled(kit: Kit) -> None:
    owner = kit.as_role("owner")
    second = kit.signed_in(owner.person_id)
    path = f"people/{{id}}/sessions:{owner.person_id}"
    listed = ask(kit, "GET", path)["data"]
    assert len(listed) == 2
    assert not any(word in str(listed) for word in (owner.token, second.token))
    assert ask(kit, "DELETE", path, session=listed[0]["id"])["data"] == {"sessions_ended": 1}
    assert sorted(one.get("/account").status for one in (owner, second)) == [200, 303]
    with pytest.raises(NotFound):
        ask(kit, "DELETE", path, session="ses_nothing")
    ask(kit, "DELETE", path)
    assert {one.get("/account").status for one in (owner, second)} == {303}
    third = kit.signed_in(owner.person_id)
    one = f"people/{{id}}:{owner.person_id}"
    assert ask(kit, "PATCH", one, {"disabled": True})["data"]["disabled_at"] is not None
    assert third.get("/account").status == 303
    assert ask(kit, "PATCH", one, {"disabled": False})["data"]["disabled_at"] is None
    operator = kit.as_operator()
    with pytest.raises(Forbidden, match="last operator"):
        ask(kit, "PATCH", f"people/{{id}}:{operator.person_id}", {"disabled": True})


def test_a_confined_key_does_what_an_admin_of_its_account_does_and_sees_no_other_organisation(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    other = kit.as_role("owner", kit.globex)
    ask(kit, "POST", "memberships", {"person": member.person_id, "account": kit.globex, "role": "viewer"})
    seen = ask_confined(kit, "GET", "people")
    assert {one["id"] for one in seen["data"]} == {owner.person_id, member.person_id}
    assert kit.globex not in json.dumps(seen)
    with pytest.raises(NotFound):
        ask_confined(kit, "GET", f"people/{{id}}:{other.person_id}")
    mine = [one for one in ask_confined(kit, "GET", "memberships")["data"] if one["person"] == owner.person_id]
    for attempt in (
        lambda: ask_confined(kit, "POST", "invitations", {"email": "x@example.org", "role": "owner"}),
        lambda: ask_confined(kit, "PATCH", f"memberships/{{id}}:{mine[0]['id']}", {"role": "viewer"}),
        lambda: ask_confined(kit, "DELETE", f"memberships/{{id}}:{mine[0]['id']}"),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert ask_confined(kit, "POST", "invitations", {"email": "x@example.org"})["data"]["account"] == kit.acme


def ask_confined(kit: Kit, method: str, path: str, body: Any = None) -> Any:
    return ask(kit, method, path, body, account=kit.acme)


def test_the_command_line_does_the_same(kit: Kit) -> None:
    kit.person("owner@example.org", "owner", kit.acme)
    path = run(kit, "invite", "ada@example.org", "--account", kit.acme, "--role", "member").splitlines()[-1]
    ada = join_by(kit, path, "Ada")
    run(kit, "invite", "late@example.org", "--account", kit.acme)
    [link] = re.findall(r"lnk_\w+", run(kit, "invitations", "--account", kit.acme))
    run(kit, "withdraw", link)
    assert json.loads(run(kit, "invitations", "--json")) == {"invitations": []}
    assert "ada@example.org" in run(kit, "list", "--account", kit.acme)
    run(kit, "role", "ada@example.org", "admin", "--account", kit.acme)
    run(kit, "add", "ada@example.org", "--account", kit.globex, "--role", "viewer")
    people = {one["email"]: one for one in json.loads(run(kit, "list", "--json"))["people"]}
    ada_id = people["ada@example.org"]["id"]
    listed = json.loads(run(kit, "memberships", "--json"))["memberships"]
    assert {(one["account"], one["role"]) for one in listed if one["person"] == ada_id} == {
        (kit.acme, "admin"), (kit.globex, "viewer"),
    }  # fmt: skip
    assert "password" in run(kit, "sessions", ada_id) or "link" in run(kit, "sessions", ada_id)
    assert ada.get("/account").status == 200
    assert "Ended 1 session." in run(kit, "sign-out", "ada@example.org")
    assert ada.get("/account").status == 303
    run(kit, "disable", "ada@example.org", "--keys", "keep")
    assert "disabled" in run(kit, "list")
    run(kit, "enable", "ada@example.org")
    run(kit, "remove", "ada@example.org", "--account", kit.acme)
    refused = fairlead("people", "remove", "owner@example.org", "--account", kit.acme, data=kit.store.directory)
    assert refused.returncode == 1
    assert "keeps one owner" in refused.stderr
    assert fairlead("people", "enable", "no@example.org", data=kit.store.directory).returncode == 1
