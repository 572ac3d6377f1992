"""Roles and caps of members, and that they leave: in force with the next request."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.console.kit import Browser, Kit

from fairlead.accounts import keys
from fairlead.accounts.accounts import account_info
from fairlead.accounts.key_ring import KeyRing
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.groups import one_group
from fairlead.admin.keys import disable_key, hash_of, key_by_hash, rotate_key
from fairlead.people import persons


def path(browser: Browser, what: str = "") -> str:
    return f"/account/members/{browser.person_id}{what}"


def test_another_role_counts_at_once_and_gives_the_browser_another_token(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("admin")
    assert member.get("/account/members").text.count(">Edit<") == 2
    before = member.token
    assert owner.post(path(member, "/role"), {"role": "viewer"}).location == "/account/members"
    page = member.get("/account/members")
    assert ">Edit<" not in page.text
    assert member.token != before
    assert kit.stranger().get("/account", cookie=f"fairlead={before}").status == 303
    assert member.get("/account").status == 200
    [row] = list_audit(kit.store, AuditFilter(action="membership.change"), 5)
    assert (row["before"], row["after"], row["actor"]) == ({"role": "admin"}, {"role": "viewer"}, owner.person_id)


def test_admins_do_not_touch_owners_and_one_owner_stays(kit: Kit) -> None:
    owner, admin, member = kit.as_role("owner"), kit.as_role("admin"), kit.as_role("member")
    for answer in (
        admin.post(path(owner, "/role"), {"role": "member"}),
        admin.post(path(owner, "/remove")),
        admin.post(path(member, "/role"), {"role": "owner"}),
        admin.post(path(admin, "/role"), {"role": "owner"}),
        owner.post(path(owner, "/role"), {"role": "admin"}),
        owner.post(path(owner, "/remove")),
    ):
        assert answer.status == 403
    assert owner.post(path(admin, "/role"), {"role": "owner"}).status == 303
    assert owner.post(path(owner, "/role"), {"role": "admin"}).status == 303


def test_a_role_is_changed_in_its_row_and_taken_back(kit: Kit) -> None:
    owner, admin, member = kit.as_role("owner"), kit.as_role("admin"), kit.as_role("member")
    rows = re.findall(r"<form[^>]*/members/(\w+)/role.*?</form>", admin.get("/account/members").text, re.DOTALL)
    assert owner.person_id not in rows  # which an admin may not change
    assert member.person_id in rows
    assert 'value="owner"' not in re.sub(r"<th.*?</th>", "", admin.get("/account/members").text)
    page = owner.follow(owner.post(path(member, "/role"), {"role": "billing"})).text
    [undo] = re.findall(rf'<form class="action"[^>]*action="{path(member, "/role")}"[^>]*>.*?</form>', page, re.DOTALL)
    assert 'name="role" value="member"' in undo
    assert "Undo" not in owner.follow(owner.post(path(member, "/role"), {"role": "billing"})).text  # nothing changed
    assert "Undo" not in admin.follow(admin.post(path(admin, "/role"), {"role": "viewer"})).text  # which they may not


def test_operators_change_roles_in_the_list_of_people(kit: Kit) -> None:
    operator, member = kit.as_operator(), kit.as_role("member")
    listed = operator.get("/admin/people").text
    assert f'action="/admin/people/{member.person_id}/role"' in listed
    sent = {"account": kit.acme, "role": "admin", "from": "/admin/people?q=mem"}
    answer = operator.post(f"/admin/people/{member.person_id}/role", sent)
    assert answer.location == "/admin/people?q=mem"
    assert 'name="role" value="member"' in operator.follow(answer).text  # Undo
    [row] = list_audit(kit.store, AuditFilter(action="membership.change"), 2)
    assert (row["before"], row["after"], row["actor"]) == ({"role": "member"}, {"role": "admin"}, operator.person_id)
    elsewhere = operator.post(f"/admin/people/{member.person_id}/role", {**sent, "from": "//evil.example"})
    assert elsewhere.location == f"/admin/people/{member.person_id}"
    assert operator.post(f"/admin/people/{member.person_id}/role", {**sent, "account": kit.globex}).status == 404


def made_keys(kit: Kit, *browsers: Browser) -> dict[str, str]:
    """A key of each of these members of Acme, by the id of the person."""
    found = {}
    with kit.store.write() as connection:
        for browser in browsers:
            membership = persons.membership_of(connection, browser.person_id, kit.acme)
            assert membership is not None
            found[browser.person_id] = keys.add_key(connection, "k", kit.acme, {"member_id": membership.member_id})
    return found


def rejoin(kit: Kit, owner: Browser, member: Browser) -> None:
    """Is invited again, and accepts."""
    kit.restarted('[console]\nsign_up = "invitation"\n')
    for browser in (owner, member):
        browser.app = kit.app
    with kit.store.read() as connection:
        person = persons.person_of(connection, member.person_id)
    assert person is not None
    page = owner.post("/account/members/invite", {"email": person.email, "role": "member"}).text
    [token] = re.findall(r"fl-link-[\w-]+", page)
    assert member.post("/invitation", {"token": token, "accept": "yes"}).location == "/account"


@pytest.mark.parametrize("fate", ["disable", "revoke", "keep"])
def test_what_becomes_of_the_keys_of_a_member_who_leaves_and_comes_back(kit: Kit, fate: str) -> None:
    owner, member, other = kit.as_role("owner"), kit.as_role("member"), kit.as_role("member")
    made = made_keys(kit, member, other)
    key = made[member.person_id].encode()
    ring = KeyRing(kit.store)
    assert ring.read(key) is not None
    page = owner.get(path(member)).text
    assert "The key that they made here" in page
    assert re.search(r'value="disable" checked', page), "what is done by default"
    assert owner.post(path(member, "/remove"), {"keys": fate}).status == 303
    ring.follow()
    assert (ring.read(key) is not None) == (fate == "keep")
    assert ring.read(made[other.person_id].encode()) is not None
    rejoin(kit, owner, member)
    ring.follow()
    assert (ring.read(key) is not None) == (fate != "revoke")
    assert ring.read(made[other.person_id].encode()) is not None
    [row] = list_audit(kit.store, AuditFilter(action="membership.remove"), 5)
    assert row["after"] == {"keys": fate, "number_of_keys": 1}
    if fate == "disable":  # with the caps that they had
        with kit.store.read() as connection:
            membership = persons.membership_of(connection, member.person_id, kit.acme)
            assert membership is not None
            assert keys.keys_where(connection, kit.acme, keys.api_keys.c.member_id == membership.member_id) != []
        assert one_group(kit.store, "member", membership.member_id).archived_at is None


def test_a_key_that_was_disabled_before_or_since_does_not_come_back_with_its_member(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    [before] = made_keys(kit, member).values()
    [since] = made_keys(kit, member).values()
    ids = {one: hash_of(one) for one in (before, since)}
    disable_key(kit.store, Actor("server"), key_by_hash(kit.store, ids[before]).id, disabled=True)
    owner.post(path(member, "/remove"))
    # Somebody has looked at it in the meantime.
    with kit.store.write() as connection:
        keys.change_key(connection, key_by_hash(kit.store.joined(connection), ids[since]).id, {"disabled_at": 1})
    rejoin(kit, owner, member)
    assert all(key_by_hash(kit.store, hash_).disabled_at is not None for hash_ in ids.values())


def test_keys_that_an_admin_made_for_the_organisation_go_as_well_and_those_of_others_stay(kit: Kit) -> None:
    owner, admin = kit.as_role("owner"), kit.as_role("admin")
    for browser in (owner, admin):
        assert browser.post("/account/keys/new", {"name": f"of {browser.person_id}"}).status == 200
    [of_admin] = [one for one in keys.list_keys(kit.store) if admin.person_id in one.name]
    assert of_admin.member_id is None
    rotate_key(kit.store, Actor("person", admin.person_id), of_admin.id)
    owner.post(path(admin, "/remove"))
    left = {one.name: one.disabled_at for one in keys.list_keys(kit.store) if one.revoked_at is None}
    assert left[f"of {owner.person_id}"] is None
    assert left[f"of {admin.person_id}"] is not None


def test_a_member_who_leaves_loses_the_pages_and_their_keys_and_nobody_elses(kit: Kit) -> None:
    owner, member, other = kit.as_role("owner"), kit.as_role("member"), kit.as_role("member")
    made_keys(kit, member, other)
    assert owner.post(path(member, "/remove"), {"keys": "revoke"}).status == 303
    assert member.get("/account/members").status == 403
    assert member.get(path(owner)).status == 403
    with kit.store.read() as connection:
        listed = {one.member_id: one.revoked_at for one in keys.page_of_keys(
            connection, 10, None, kit.acme, offset=0, disabled=True, revoked=True, expired=True)}  # fmt: skip
    assert sorted(one is None for one in listed.values()) == [False, True]
    assert "made here are revoked" in owner.get("/account/members").text


def test_caps_of_a_member_are_those_of_their_keys(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    bad = owner.post(path(member, "/caps"), {"budget_day": "much", "requests_per_minute": "-3"})
    assert bad.status == 422
    assert "Enter an amount" in bad.text
    assert "Enter a whole number" in bad.text
    given = {"budget_day": "2.50", "requests_per_minute": "60"}
    assert owner.post(path(member, "/caps"), given).status == 303
    with kit.store.read() as connection:
        membership = persons.membership_of(connection, member.person_id, kit.acme)
    assert membership is not None
    group = one_group(kit.store, "member", membership.member_id)
    assert [(one.period, one.picodollars) for one in group.budgets] == [("day", 2_500_000_000_000)]
    assert group.limits is not None
    assert group.limits.by_name() == {"requests_per_minute": 60}
    page = owner.get("/account/members").text
    assert "$2.5" in page
    assert "60 requests per minute" in page
    owner.post(path(member, "/caps"), {})
    assert one_group(kit.store, "member", membership.member_id).budgets == ()


@pytest.mark.parametrize("what", ["", "/role", "/caps", "/remove"])
def test_members_of_another_organisation_do_not_exist_here(kit: Kit, what: str) -> None:
    owner, other = kit.as_role("owner"), kit.as_role("member", kit.globex)
    answer = owner.post(path(other, what), {"role": "viewer"}) if what else owner.get(path(other))
    assert answer.status == 404
    with kit.store.read() as connection:
        assert [one.role for one in persons.memberships_of(connection, other.person_id)] == ["member"]
        assert account_info(connection, kit.globex).limits is None
    assert "Globex" not in owner.get("/account/members").text


def test_markup_in_a_name_is_text(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    evil = '"><script>alert(1)</script>{{ 7 * 7 }}'
    with kit.store.write() as connection:
        persons.change_person(connection, member.person_id, name=evil)
    for page in (owner.get("/account/members"), owner.get(path(member)), member.get("/account")):
        assert "<script>alert" not in page.text
        assert "49" not in page.text.partition("alert")[2][:40]


def test_the_form_keeps_what_it_does_not_show(kit: Kit) -> None:
    owner, member = kit.as_role("owner"), kit.as_role("member")
    from fairlead.accounts.options import as_columns
    from fairlead.admin.audit import command_line
    from fairlead.admin.groups import change_group
    from fairlead.money import Picodollars

    with kit.store.read() as connection:
        membership = persons.membership_of(connection, member.person_id, kit.acme)
    assert membership is not None
    columns = as_columns(budgets={"total": Picodollars.parse("9")}, given_limits=["concurrent_requests=2"])
    change_group(kit.store, command_line(), "member", membership.member_id, columns)
    owner.post(path(member, "/caps"), {"budget_day": "1"})
    group = one_group(kit.store, "member", membership.member_id)
    assert {one.period for one in group.budgets} == {"day", "total"}
    assert group.limits is not None
    assert group.limits.by_name() == {"concurrent_requests": 2}


def test_pages_of_an_organisation_ask_the_database_as_often_for_many_people_as_for_few(kit: Kit) -> None:
    owner = kit.as_role("owner")
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    def statements(target: str) -> int:
        assert owner.get(target).status == 200  # what is read once is read
        asked.clear()
        owner.get(target)
        return len(asked)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        pages = ("/account/members", "/account/alerts", path(owner))
        few = [statements(one) for one in pages]
        for role in ("admin", "member", "viewer", "billing", "owner"):
            kit.as_role(role)
        assert [statements(one) for one in pages] == few
    finally:
        event.remove(Engine, "before_cursor_execute", note)
