"""Who may call what: every route with every kind of key. The test lists the routes itself, so a new one is in it."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest
from sqlalchemy import update
from tests.e2e.conftest import eventually

from fairlead.accounts.management_keys import SCOPES
from fairlead.api.management.table import ACTIONS
from fairlead.api.routes import Route, all_routes
from fairlead.store import open_store
from fairlead.store.tables import management_keys

from .conftest import Api

ROUTES = {f"{route.method} {route.path}": route for route in all_routes()}


class Keys(NamedTuple):
    account: str
    other: str
    caller: str
    scoped: dict[str, str]
    confined: dict[str, str]
    revoked: str
    expired: str


@pytest.fixture(scope="module")
def keys(api: Api) -> Keys:
    account, other = (
        api("POST", "/v1/admin/accounts", {"name": name, "credit_usd": "5"}).data["id"] for name in ("mine", "other")
    )
    caller = api("POST", "/v1/admin/keys", {"name": "caller", "account": account}).body["key"]
    revoked, expired = api.new_key(*SCOPES), api.new_key(*SCOPES)
    ids = {one["key"]: one["id"] for one in api("GET", "/v1/admin/management-keys").data}
    assert api("DELETE", f"/v1/admin/management-keys/{ids[revoked[:14]]}").status == 200
    store = open_store(api.served.data)
    with store.write() as connection:
        which = management_keys.c.id == ids[expired[:14]]
        connection.execute(update(management_keys).where(which).values(expires_at=int(time.time()) - 1))
    store.close()
    eventually(lambda: api("GET", "/v1/key", key=caller).status == 200)
    return Keys(
        account, other, caller, {scope: api.new_key(scope) for scope in SCOPES},
        {scope: api.new_key(scope, account=account) for scope in SCOPES}, revoked, expired,
    )  # fmt: skip


def target(route: Route) -> str:
    for member in ("{id}", "{hash}", "{model}"):
        route_path = route.path.replace(member, "nothing")
        if route_path != route.path:
            return route_path
    return route.path


def status(api: Api, route: Route, key: str) -> int:
    # An empty object: never enough for a change, and for routes without a body no change either, as nothing has the id.
    return api(route.method, target(route), {} if route.method in ("POST", "PATCH") else None, key=key).status


DENIED = (401, 403)


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_answers_each_kind_of_key_as_its_row_says(api: Api, keys: Keys, name: str) -> None:
    route = ROUTES[name]
    if route.path == "/metrics":
        pytest.skip("closed by default")
    action = next((one for one in ACTIONS if f"{one.method} {one.path}" == name), None)
    for dead in ("", "fl-mgmt-" + "x" * 43, "sk-fl-" + "x" * 51, keys.revoked, keys.expired, "nonsense"):
        found = status(api, route, dead)
        if route.who == "anyone":
            continue
        assert found == 401, (name, dead[:12])
    if route.who == "anyone":
        assert status(api, route, "") not in DENIED or name == "POST /v1/auth/keys"
        return
    caller = status(api, route, keys.caller)
    if route.who == "management":
        assert caller == 403, "a key for calls manages nothing"
    else:
        assert caller not in DENIED, name
    for scope, key in keys.scoped.items():
        found = status(api, route, key)
        if route.who == "key":
            assert found == 401, f"a management key makes no call: {name}"
        elif scope == route.scope:
            assert found not in DENIED, (name, scope, found)
        else:
            assert found == 403, (name, scope, found)
    for scope, key in keys.confined.items():
        found = status(api, route, key)
        if route.who == "key":
            assert found == 401
        elif scope != route.scope or (action is not None and not action.confined):
            assert found == 403, (name, scope, found)
        else:
            assert found not in DENIED, (name, scope, found)


WHOLE = {
    "POST /v1/admin/accounts": {"name": "x"},
    "POST /v1/admin/keys": {"name": "x"},
    "POST /v1/admin/projects": {"name": "x"},
    "POST /v1/admin/members": {"name": "x"},
    "POST /v1/admin/memberships": {"person": "usr_x", "account": "acc_x"},
    "POST /v1/admin/invitations": {"email": "x@example.org"},
    "POST /v1/admin/management-keys": {"name": "x", "scopes": ["read"]},
    "POST /v1/admin/grants": {"account": "acc_x", "amount_usd": "1"},
    "POST /v1/admin/withdrawals": {"account": "acc_x", "amount_usd": "1"},
    "POST /v1/admin/refunds": {"generation": "gen_x"},
    "POST /v1/admin/codes": {"amount_usd": "1"},
    "POST /v1/admin/codes/redeem": {"code": "x", "account": "acc_x"},
    "POST /v1/admin/configuration/plan": {"document": ""},
    "POST /v1/admin/configuration/apply": {"document": ""},
    "POST /v1/admin/configuration/rollback": {"version": 0},
    "POST /v1/admin/credentials": {"name": "x", "secret": "y"},
    "POST /v1/keys": {"name": "x"},
    "POST /key/generate": {},
    "POST /key/update": {"key": "x"},
    "POST /key/delete": {"keys": ["x"]},
    "POST /team/new": {"team_alias": "x"},
    "POST /user/new": {},
    "POST /v1/auth/keys/code": {"callback_url": "https://x", "code_challenge": "x" * 43},
}


def test_a_whole_body_does_not_help_a_key_without_the_scope(api: Api, keys: Keys) -> None:
    listed = {
        f"{one.method} {one.path}" for one in ACTIONS if one.method == "POST" and one.body and one.open_to != "anyone"
    }
    assert listed <= set(WHOLE), "add a whole body for the new endpoint"
    before = api("GET", "/v1/admin/audit?limit=1").data[0]["id"]
    for name in sorted(listed):
        scope = next(one.scope for one in ACTIONS if f"{one.method} {one.path}" == name)
        for other, key in (*keys.scoped.items(), *keys.confined.items()):
            if other != scope:
                assert api("POST", name.removeprefix("POST "), WHOLE[name], key=key).status == 403, (name, other)
    assert api("GET", "/v1/admin/audit?limit=1").data[0]["id"] == before, "nothing was changed"


def test_a_confined_key_sees_and_changes_nothing_of_other_accounts(api: Api, keys: Keys) -> None:
    theirs = api("POST", "/v1/admin/keys", {"name": "theirs", "account": keys.other})
    key_id, hash_ = theirs.data["id"], theirs.data["hash"]
    whole_mine = api(
        "POST", "/v1/admin/management-keys", {"name": "w", "scopes": list(SCOPES), "account": keys.account}
    )
    mine = whole_mine.body["key"]
    outside = api("POST", "/v1/admin/management-keys", {"name": "o", "scopes": ["read"]}).data["id"]
    code = api("POST", "/v1/admin/codes", {"amount_usd": "1"}).data["codes"][0]
    attempts = [
        ("GET", f"/v1/admin/accounts/{keys.other}", None), ("GET", f"/v1/admin/keys/{key_id}", None),
        ("PATCH", f"/v1/admin/keys/{key_id}", {"name": "taken"}), ("DELETE", f"/v1/admin/keys/{key_id}", None),
        ("POST", f"/v1/admin/keys/{key_id}/rotate", None), ("GET", f"/v1/keys/{hash_}", None),
        ("PATCH", f"/v1/keys/{hash_}", {"disabled": True}), ("DELETE", f"/v1/keys/{hash_}", None),
        ("POST", "/v1/admin/keys", {"name": "x", "account": keys.other}),
        ("POST", "/v1/keys", {"name": "x", "workspace_id": keys.other}),
        ("GET", f"/v1/admin/keys?account={keys.other}", None), ("GET", f"/v1/keys?workspace_id={keys.other}", None),
        ("GET", f"/v1/admin/balances?account={keys.other}", None), ("GET", f"/v1/admin/usage?account={keys.other}", None),
        ("GET", f"/v1/admin/audit?account={keys.other}", None), ("GET", f"/v1/activity?user_id={keys.other}", None),
        ("GET", f"/v1/activity?api_key_hash={hash_}", None),
        ("DELETE", f"/v1/admin/management-keys/{outside}", None),
        ("GET", f"/key/info?key={hash_}", None), ("POST", "/key/update", {"key": hash_, "key_alias": "taken"}),
        ("POST", "/key/delete", {"keys": [hash_]}), ("POST", "/key/generate", {"team_id": keys.other}),
        ("GET", f"/key/list?team_id={keys.other}", None), ("GET", f"/spend/logs?user_id={keys.other}", None),
        ("GET", f"/spend/logs?api_key={hash_}", None),
        ("POST", "/v1/admin/codes/redeem", {"code": code, "account": keys.other}),
        ("POST", "/v1/admin/management-keys", {"name": "x", "scopes": ["read"], "account": keys.other}),
        ("POST", "/v1/auth/keys/code", {
            "callback_url": "https://x", "code_challenge": "x" * 43, "workspace_id": keys.other}),
    ]  # fmt: skip
    before = api("GET", "/v1/admin/audit?limit=1").data[0]["id"]
    for method, path, body in attempts:
        assert api(method, path, body, key=mine).status == 404, (method, path)
    assert api("GET", "/v1/admin/audit?limit=1").data[0]["id"] == before, "nothing was changed"
    for path in ("/v1/admin/accounts", "/v1/admin/keys", "/v1/keys", "/v1/admin/balances", "/v1/admin/audit?limit=1000",
                 "/v1/admin/usage", "/v1/activity", "/key/list", "/spend/logs", "/v1/admin/management-keys"):  # fmt: skip
        answered = api("GET", path, key=mine)
        assert answered.status == 200
        assert keys.other not in str(answered.body)
        assert key_id not in str(answered.body)
    made = api("POST", "/v1/admin/keys", {"name": "own"}, key=mine)
    assert made.data["account"] == keys.account, "its own account, where it names none"
    weaker = api("POST", "/v1/admin/management-keys", {"name": "own", "scopes": ["read"]}, key=mine)
    assert weaker.data["account"] == keys.account, "a confined key makes confined ones"


def test_a_restricted_key_for_calls_cannot_make_an_unrestricted_one(api: Api, keys: Keys) -> None:
    body = {"callback_url": "https://x", "code_challenge": "x" * 43}
    assert api("POST", "/v1/auth/keys/code", body, key=keys.caller).status == 200
    for bound in ({"models": ["m"]}, {"budgets_usd": {"day": "1"}}, {"limits": {"requests_per_day": 9}},
                  {"networks": ["127.0.0.0/8"]}, {"expires_at": int(time.time()) + 3600}):  # fmt: skip
        made = api("POST", "/v1/admin/keys", {"name": "bound", "account": keys.account, **bound})
        assert made.status == 201
        key = made.body["key"]
        eventually(lambda key=key: api("GET", "/v1/key", key=key).status == 200)
        assert api("POST", "/v1/auth/keys/code", body, key=key).status == 403, bound
    other = api("POST", "/v1/auth/keys/code", {**body, "workspace_id": keys.other}, key=keys.caller)
    assert other.status == 404
