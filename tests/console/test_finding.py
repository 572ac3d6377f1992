"""What the command palette asks for: actions and things of theirs, for each role, and nothing of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.console.kit import Browser, Kit

from fairlead.accounts.groups import add_group
from fairlead.accounts.keys import add_key
from fairlead.admin.people import join
from fairlead.people import persons
from fairlead.people.persons import memberships_of


def asked(browser: Browser, path: str) -> Any:
    answer = browser.get(path, accept="application/json")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def found(browser: Browser, text: str) -> set[tuple[str, str]]:
    return {(one["kind"], one["name"]) for one in asked(browser, f"/account/find.json?q={text}")}


def actions(browser: Browser) -> set[str]:
    return {one["name"] for one in asked(browser, "/account/here.json")["actions"]}


def test_keys_and_projects_are_found_by_a_part_of_their_name_in_ones_own_organisation(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    with kit.store.write() as connection:
        mine = memberships_of(connection, member.person_id)[0].member_id
        add_key(connection, "harbour laptop", kit.acme, {})
        add_key(connection, "harbour of member", kit.acme, {"member_id": mine})
        add_key(connection, "harbour elsewhere", kit.globex, {})
        add_group(connection, "project", "Harbour plans", kit.acme)
    assert found(owner, "HARBOUR") == {
        ("Key", "harbour laptop"), ("Key", "harbour of member"), ("Project", "Harbour plans"),
    }  # fmt: skip
    assert found(member, "harbour") == {("Key", "harbour of member"), ("Project", "Harbour plans")}
    assert found(kit.as_role("viewer", kit.globex), "harbour") == {("Key", "harbour elsewhere")}
    assert found(kit.person("nobody@example.org"), "harbour") == set()
    assert asked(owner, "/account/find.json?q=h") == []
    [row] = asked(owner, "/account/find.json?q=laptop")
    assert owner.get(row["path"]).status == 200
    [row] = asked(kit.as_role("viewer"), "/account/find.json?q=laptop")
    assert row["path"].startswith("/account/activity?key=")


def test_only_operators_find_accounts_people_and_deployments(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = kit.as_operator()
    monkeypatch.setattr(kit.services.live, "deployments", lambda: [{"id": "meridian/m"}, {"id": "other/x"}])
    assert found(operator, "meridian") == {("Deployment", "meridian/m"), ("Action", "Drain meridian/m")}
    assert ("Account", "Acme") in found(operator, "acme")
    assert ("Person", "operator-0") in found(operator, "operator-")
    owner = kit.as_role("owner")
    assert found(owner, "meridian") == found(owner, "acme") == found(owner, "operator-") == set()


def test_actions_are_those_that_one_may_do_and_switch_between_ones_organisations(kit: Kit) -> None:
    assert {"Create key", "Invite somebody", "Redeem a code", "Sign out"} <= actions(kit.as_role("owner"))
    assert "Create key" not in actions(kit.as_role("viewer"))
    assert "Invite somebody" not in actions(kit.as_role("member"))
    assert actions(kit.person("alone@example.org")) == {"Change the password", "Sign out"}
    assert "Add a provider" in actions(kit.as_operator())
    both = kit.as_role("owner")
    with kit.store.write() as connection:
        person = persons.person_of(connection, both.person_id)
        assert person is not None
        join(connection, person, kit.globex, "viewer")
    for _ in range(2):  # there and back
        [switch] = [one for one in asked(both, "/account/here.json")["actions"] if "account" in one.get("fields", {})]
        assert both.post(switch["post"], dict(switch["fields"])).status == 303
        to_globex = switch["name"] == "Switch to Globex"
        assert to_globex or switch["name"] == "Switch to Acme"
        assert ("Create key" in actions(both)) is not to_globex  # a viewer there


def test_activity_takes_a_key_by_its_name(kit: Kit) -> None:
    owner = kit.as_role("owner")
    with kit.store.write() as connection:
        add_key(connection, "by name", kit.acme, {})
    assert "<b>by name</b>" in owner.get("/account/activity?key=by+na").text
    assert owner.get("/account/activity?key=never").status == 404
