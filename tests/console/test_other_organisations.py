"""Every route of the console and every action of the management API that an organisation may use, tried with the ids of another
organisation: nothing of it is shown, and nothing of it changes.

The routes, their parameters and the names of fields are listed here by the code itself. A new one fails until it has a
sample (`PATHS`, `IDS`, `ACTION_PATHS`, `ACTION_IDS`) or is known to hold no id (`PLAIN`, `ACTION_PLAIN`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from sqlalchemy import insert, select
from tests.console.kit import Browser, Kit
from tests.console.test_developer import SHEET, call, made_key, member_id

import fairlead.console
from fairlead.accounts.groups import add_group
from fairlead.accounts.management_keys import SCOPES, ManagementKey
from fairlead.admin.accounts import change_account
from fairlead.admin.audit import Actor
from fairlead.admin.credit import make_codes, redeem
from fairlead.admin.joining import invite
from fairlead.admin.management_keys import create_management_key
from fairlead.admin.members import list_members
from fairlead.admin.people import list_sessions
from fairlead.api.management.action import Action, ManagementCall
from fairlead.api.management.table import ACTIONS
from fairlead.console.app import PAGES
from fairlead.console.developer import activity, keys
from fairlead.console.page import ConsolePage
from fairlead.console.services import NotLive
from fairlead.content.conversation import Conversation, Part, Turn
from fairlead.content.sealing import sealed_content
from fairlead.errors import FairleadError
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.people.factors import add_factor
from fairlead.people.persons import change_person
from fairlead.people.roles import ROLES
from fairlead.providers.sealed import seal_key
from fairlead.store.alerts import put
from fairlead.store.content import ContentRow, add_rows
from fairlead.store.tables import metadata, responses

# In every name and secret of the other organisation.
MARK = "xglobex"
ACTOR = Actor("server")

# What is filled in for the parameters of each path of the console: the name of a sample.
PATHS: Mapping[str, Mapping[str, str]] = {
    "/account/keys/{key}": {"key": "key"},
    "/account/keys/{key}/state": {"key": "key"},
    "/account/keys/{key}/revoke": {"key": "key"},
    "/account/projects/{project}": {"project": "project"},
    "/account/projects/{project}/state": {"project": "project"},
    "/account/calls/{call}": {"call": "call"},
    "/account/calls/{call}/content": {"call": "call"},
    "/account/alerts/deliveries/{alert}/resend": {"alert": "alert"},
    "/account/invitations/{id}/withdraw": {"id": "invitation"},
    "/account/members/{person}": {"person": "person"},
    "/account/members/{person}/role": {"person": "person"},
    "/account/members/{person}/caps": {"person": "person"},
    "/account/members/{person}/remove": {"person": "person"},
    "/account/security/sessions/{id}/end": {"id": "session"},
    "/account/security/factors/{id}/remove": {"id": "factor"},
    # Operators see all organisations, and nobody else sees these pages.
    "/admin/accounts/{id}": {"id": "account"},
    "/admin/accounts/{id}/grant": {"id": "account"},
    "/admin/accounts/{id}/withdraw": {"id": "account"},
    "/admin/accounts/{id}/disable": {"id": "account"},
    "/admin/accounts/{id}/keys": {"id": "account"},
    "/admin/configuration/{number}": {},
    "/admin/people/{id}": {"id": "person"},
    "/admin/people/requests/{id}": {"id": "invitation"},
    "/admin/people/{id}/reset": {"id": "person"},
    "/admin/people/{id}/disable": {"id": "person"},
    "/admin/people/{id}/operator": {"id": "person"},
    "/admin/people/{id}/role": {"id": "person"},
    "/admin/people/{id}/factors": {"id": "person"},
}
# Fields of forms and addresses that hold ids.
IDS: Mapping[str, str] = {
    "account": "account",
    "key": "key",
    "project": "project",
    "projects": "project",
    "session": "call_session",
    "user": "call_user",
    "people": "person",
    "token": "invitation",
    "alert": "alert",
    "person": "person",
}
# Those that hold none.
PLAIN = {
    "model", "models", "name", "state", "before", "after", "archived", "format", "from", "to", "month", "next", "q",
    "prompt", "iss", "code", "challenge", "credential", "current", "password", "email", "role", "organisation", "accept",
    "seen", "time", "keys", "file", "webhook", "thresholds", "low_credit", "expires", "networks", "disabled", "forfeit", "compare",
    "everything", "detectors", "media", "store_false", "end_user",
}  # fmt: skip
# What a form may need besides, so that it is not refused for that.
PLAUSIBLE = {
    "role": "viewer",
    "name": "taken",
    "disabled": "yes",
    "archived": "yes",
    "keys": "revoke",
    "budget_day": "1",
}
NAME = re.compile(
    r'\b(?:visit|query|form|request|values)\.?(?:text|query\.get|form\.get|form\.getlist|get)\("([\w-]+)"'
)

ACTION_PATHS: Mapping[str, str] = {
    "/v1/keys/{hash}": "hash",
    "/v1/admin/projects/": "project",
    "/v1/admin/members/": "member",
    "/v1/admin/accounts/": "account",
    "/v1/admin/keys/": "key",
    "/v1/admin/management-keys/": "management_key",
    "/v1/admin/explain/": "call",
    "/v1/admin/content/": "call",
    "/v1/admin/people/": "person",
    "/v1/admin/memberships/": "member",
    "/v1/admin/invitations/": "invitation",
}
# Parameters and members of bodies that hold ids.
ACTION_IDS: Mapping[str, str] = {
    "account": "account", "workspace_id": "account", "team_id": "account", "user_id": "account", "key": "key",
    "call": "call", "user": "call_user", "projects": "project", "never": "key", "api_key": "hash", "api_key_hash": "hash", "project": "project", "member": "member", "request_id": "call",
    "session": "call_session", "subject": "key", "actor": "person", "creator_user_id": "person", "keys": "hash", "person": "person",
}  # fmt: skip
ACTION_LISTS = {"keys", "projects", "never"}
ACTION_PLAIN = {
    "since", "state", "from", "to", "include_disabled", "limit", "page", "cursor", "end_date", "model", "summarize",
    "action", "start_date", "offset", "return_full_object", "window", "date", "include_expired", "size", "archived",
    "budget_duration", "max_budget", "blocked", "code_challenge", "key_label", "limits", "metadata", "limit_reset", "name",
    "models", "tpm_limit", "user_alias", "duration", "auto_create_key", "include_byok_in_limit", "key_alias", "user_email",
    "continue_with", "rpm_limit", "disabled", "networks", "expires_at", "code_challenge_method", "max_parallel_requests",
    "each_user", "code", "scopes", "code_verifier", "callback_url", "usage_limit_type", "team_alias", "credit_usd",
    "budgets_usd", "email", "role", "everything", "enabled", "share", "days", "detectors", "patterns", "media",
    "store_false",
}  # fmt: skip


class World:
    """Two organisations: everything that Globex has, by the name of the sample, and browsers of Acme."""

    def __init__(self, directory: Path) -> None:
        self.kit = kit = Kit(directory)
        with kit.store.write() as connection:
            keep_sheets(connection, [SHEET])
            grant(connection, kit.globex, Picodollars.parse("10").value, f"{MARK} invoice 17")
        change_account(kit.store, ACTOR, kit.globex, {"name": f"{MARK} Inc"})
        self.owner = owner = kit.person(f"{MARK}-owner@example.org", "owner", kit.globex)
        member = kit.person(f"{MARK}-member@example.org", "member", kit.globex)
        with kit.store.write() as connection:
            project = add_group(connection, "project", f"{MARK} project", kit.globex)
            add_factor(connection, f"fac_{MARK}0", owner.person_id, "passkey", f"{MARK} passkey", "x", handle=b"x")
            change_person(connection, owner.person_id, name=f"{MARK} owner")
            alert = put(connection, ("webhook",), "budget.threshold", {"name": f"{MARK} alert", "period": "day",
                        "threshold": 0.5, "key": "key_1"}, kit.globex)  # fmt: skip
            row = {"account_id": kit.globex, "id": f"resp_{MARK}", "at": 1, "previous": "", "items": "[]", "body": "{}"}
            connection.execute(insert(responses).values(row))
        columns = {"member_id": member_id(kit, member), "project_id": project}
        key = made_key(kit, kit.globex, f"{MARK} key", **columns)
        record = call(kit, key, "theirs", session="their-session", user="their-user")
        made = Conversation(request=[Turn("user", [Part("text", f"{MARK} prompt")])])
        seal = seal_key(kit.store, make=True)
        nonce, body = sealed_content(seal, kit.globex, record.id, made)
        with kit.store.write() as connection:
            kept = ContentRow(record.id, kit.globex, key.id, "their-user", 1, seal.id, nonce, body)
            add_rows(connection, [kept])
        [code] = make_codes(kit.store, ACTOR, Picodollars.parse("1"), 1)
        redeem(kit.store, ACTOR, code, kit.globex)
        invite(kit.store, ACTOR, kit.globex, f"{MARK}-new@example.org", "member", by_owner=True, mailed=False)
        owner.post("/account/alerts", {"thresholds": "50", "webhook": f"https://{MARK}.example.org/hook"})
        management = create_management_key(kit.store, ACTOR, f"{MARK} management", ["read"], account_id=kit.globex)
        [session] = list_sessions(kit.store, owner.person_id)
        self.samples = {
            "account": kit.globex,
            "key": key.id,
            "hash": key.hash,
            "project": project,
            "member": columns["member_id"],
            "person": member.person_id,
            "call": record.id,
            "call_session": "their-session",
            "call_user": "their-user",
            "alert": alert,
            "invitation": list_members(kit.store, kit.globex)[1][0].id,
            "session": session.id,
            "factor": f"fac_{MARK}0",
            "management_key": management.info.id,
        }
        made_key(kit, kit.acme, "ours")
        people: dict[str, Browser] = {role: kit.as_role(role) for role in ROLES}
        self.people = {**people, "nobody": kit.person("nobody@example.org"), "stranger": kit.stranger()}

    def theirs(self) -> list[str]:
        """All rows that are about Globex or name one of its ids."""
        wanted = (*self.samples.values(), MARK, self.owner.person_id)
        found = []
        with self.kit.store.read() as connection:
            for table in metadata.sorted_tables:
                for row in connection.execute(select(table)):
                    text = f"{table.name} {tuple(row)!r}"
                    if any(one in text for one in wanted) and table.name != "form_attempts":
                        found.append(text)
        return sorted(found)

    def browser(self, who: str) -> Browser:
        """Signed in anew: a page may have ended the session before."""
        known = self.people[who]
        if not known.person_id:
            known.get("/sign-in")
            return known
        return self.kit.signed_in(known.person_id)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.kit.close()


def names_of_fields() -> set[str]:
    """All that pages of organisations and of everybody read of addresses and forms."""
    source = Path(fairlead.console.__file__).parent
    files = [one for one in source.rglob("*.py") if "operating" not in one.parts]
    found = {name for one in files for name in NAME.findall(one.read_text("utf-8"))}
    return found | set(keys.FIELDS) | set(activity.NAMES)


def filled(world: World, path: str) -> str:
    given = PATHS[path] if "{" in path else {}
    for name, sample in given.items():
        path = path.replace(f"{{{name}}}", world.samples[sample])
    return re.sub(r"\{[^}]*\}", "1", path)


def test_every_parameter_of_every_path_has_a_sample_and_every_field_is_known(world: World) -> None:
    with_parameters = {one.path for one in PAGES if "{" in one.path}
    assert with_parameters == set(PATHS), "add a sample for the new path, or remove that of an old one"
    budgets = {name for name in names_of_fields() if name.startswith("budget_") or name in dict(keys.LIMITS)}
    unknown = names_of_fields() - set(IDS) - PLAIN - budgets
    assert unknown == set(), "add the new field to IDS, or to PLAIN if it never holds an id"
    rows = "\n".join(world.theirs())
    for name, sample in world.samples.items():
        assert sample in rows or name == "hash", f"{name} is the id of nothing"


def requests(world: World, page: ConsolePage, *, each: bool) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Method, address and form: with the ids of its path and of its fields, filters one by one or all at once."""
    ids = {name: world.samples[sample] for name, sample in IDS.items()}
    path = filled(world, page.path)
    if "GET" in page.methods:
        for given in [{}, *({name: value} for name, value in ids.items())] if each else [ids]:
            yield "GET", f"{path}?{urlencode(given)}" if given else path, {}
    if "POST" in page.methods:
        yield "POST", path, {**PLAUSIBLE, **ids}


@pytest.mark.parametrize("who", [*ROLES, "nobody", "stranger"])
def test_no_page_shows_or_changes_anything_of_another_organisation(world: World, who: str) -> None:
    before = world.theirs()
    for page in PAGES:
        if page.path.startswith("/admin") and who not in ("owner", "stranger"):
            continue  # `test_every_page` holds that no role opens them
        for method, target, given in requests(world, page, each=who == "owner" and "/account" in page.path):
            browser = world.browser(who)
            answer = browser.get(target) if method == "GET" else browser.post(target, given)
            assert answer.status < 500, (method, target, given)
            shown = answer.body.decode("utf-8", "replace").lower()
            assert MARK not in shown.replace(target.lower(), ""), (method, target, given)
            assert MARK not in str(answer.headers).lower(), (method, target, given)
            if "{" in page.path and who != "stranger":
                assert answer.status in (403, 404), (method, target, given, answer.status)
    assert world.theirs() == before


def test_those_of_the_organisation_do_see_what_the_samples_name(world: World) -> None:
    """Else the test above would find nothing, whatever pages did."""
    for page in PAGES:
        if page.path in PATHS and page.path.startswith("/account") and "GET" in page.methods:
            answer = world.owner.get(filled(world, page.path))
            assert answer.status == 200, page.path
            assert MARK in answer.text, page.path
    for path in ("", "/keys", "/projects", "/members", "/alerts", "/credit", "/activity", "/security"):
        assert MARK in world.owner.get(f"/account{path}").text, path


# --- the management API


def confined(account_id: str) -> ManagementKey:
    return ManagementKey("mgk_acme", "ours", "", frozenset(SCOPES), account_id, 0, None, None)


def bodies(world: World, action: Action) -> Iterator[Any]:
    """What the action takes, with an id of Globex in one member at a time, and in all."""
    if action.body is None:
        yield None
        return
    fields = {one.encode_name: one for one in msgspec.structs.fields(action.body)}
    whole: dict[str, Any] = {}
    for name, one in fields.items():
        if one.required and name not in ACTION_IDS:
            whole[name] = {"scopes": ["read"], "code_challenge": "x" * 43, "callback_url": "https://x"}.get(name, "x")
    ids: dict[str, Any] = {
        name: [world.samples[ACTION_IDS[name]]] if name in ACTION_LISTS else world.samples[ACTION_IDS[name]]
        for name in fields if name in ACTION_IDS
    }  # fmt: skip
    changed = {"name": "taken"} if "name" in fields else {"key_alias": "taken"} if "key_alias" in fields else {}
    required = {name: value for name, value in ids.items() if fields[name].required}
    for given in [{}, *({name: value} for name, value in ids.items()), ids]:
        try:
            yield msgspec.convert({**whole, **changed, **required, **given}, action.body)
        except msgspec.ValidationError:
            continue  # ids of two things that are not given together


def test_every_parameter_of_every_action_has_a_sample(world: World) -> None:
    mine = [one for one in ACTIONS if one.confined]
    for action in mine:
        if "{" in action.path:
            assert any(action.path.startswith(one) for one in ACTION_PATHS), f"add a sample for {action.path}"
    names = {name for one in mine for name in one.query}
    names |= {field.encode_name for one in mine if one.body for field in msgspec.structs.fields(one.body)}
    assert names - set(ACTION_IDS) - ACTION_PLAIN == set(), "add the new name to ACTION_IDS or to ACTION_PLAIN"
    assert set(ACTION_PATHS.values()) | set(ACTION_IDS.values()) <= set(world.samples)


@pytest.mark.parametrize("action", [one for one in ACTIONS if one.confined], ids=lambda one: f"{one.method} {one.path}")
def test_no_action_of_a_confined_key_shows_or_changes_anything_of_another_organisation(
    world: World, action: Action
) -> None:
    store, before = world.kit.store, world.theirs()
    sample = next((name for start, name in ACTION_PATHS.items() if action.path.startswith(start)), None)
    member = world.samples[sample] if sample is not None and "{" in action.path else ""
    ids = {name: world.samples[ACTION_IDS[name]] for name in action.query if name in ACTION_IDS}
    for query in [{}, *({name: value} for name, value in ids.items())]:
        for body in bodies(world, action):
            own = confined(world.kit.acme)
            try:
                with store.write() as connection:
                    joined = store.joined(connection)
                    call = ManagementCall(joined, own, Actor("management key", own.id), NotLive(), member, query, body)
                    answer = action.run(call)
            except FairleadError as error:
                text, status = error.message, error.status
            else:
                text, status = json.dumps(msgspec.to_builtins(answer.body)), 200
            assert status < 500, (query, body)
            assert MARK not in text.lower(), (query, body)
            if member:
                assert status == 404, (query, body, text)
    assert world.theirs() == before
