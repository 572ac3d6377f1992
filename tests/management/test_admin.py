"""/v1/admin/: what the command line does, over HTTP, in one transaction each."""

from __future__ import annotations

import json

from tests.e2e.conftest import eventually

from fairlead.store import open_store
from fairlead.store.alerts import put

from .conftest import Api


def test_a_key_is_created_used_changed_rotated_and_revoked(fresh: Api) -> None:
    made = fresh("POST", "/v1/admin/keys", {"name": "laptop", "credit_usd": "1.00", "budgets_usd": {"day": "0.50"}})
    assert made.status == 201, made
    key, entry = made.body["key"], made.data
    assert (entry["name"], entry["budgets_usd"], entry["revoked_at"]) == ("laptop", {"day": "0.50"}, None)
    assert "key" not in fresh("GET", f"/v1/admin/keys/{entry['id']}").body
    assert key not in str(fresh("GET", "/v1/admin/keys").body)
    assert fresh.chat(key)[0] == 200
    path = f"/v1/admin/keys/{entry['id']}"
    assert fresh("PATCH", path, {"disabled": True}).data["disabled_at"] is not None
    eventually(lambda: fresh.chat(key)[0] == 401)
    changed = fresh("PATCH", path, {"disabled": False, "name": "desk", "models": ["other"], "budgets_usd": None}).data
    assert (changed["disabled_at"], changed["name"], changed["models"], changed["budgets_usd"]) == (
        None, "desk", ["other"], {},
    )  # fmt: skip
    eventually(lambda: fresh.chat(key)[0] == 403)
    rotated = fresh("POST", f"{path}/rotate")
    assert rotated.status == 200
    assert (rotated.data["name"], rotated.data["models"]) == ("desk", ["other"])
    eventually(lambda: fresh.chat(key)[0] == 401)
    eventually(lambda: fresh.chat(rotated.body["key"])[0] == 403)
    assert fresh("DELETE", f"/v1/admin/keys/{rotated.data['id']}").data["revoked_at"] is not None
    eventually(lambda: fresh.chat(rotated.body["key"])[0] == 401)
    assert fresh("POST", f"{path}/rotate").status == 404
    assert fresh("GET", "/v1/admin/keys/key_none").status == 404


def test_credit_is_granted_withdrawn_refunded_and_redeemed(fresh: Api) -> None:
    account = fresh("POST", "/v1/admin/accounts", {"name": "customer", "limits": {"requests_per_minute": 600}}).data
    assert account["limits"] == {"requests_per_minute": 600}
    key = fresh("POST", "/v1/admin/keys", {"name": "k", "account": account["id"]}).body["key"]
    assert fresh.chat(key)[0] == 402
    move = {"account": account["id"], "amount_usd": "2.00", "note": "invoice 17"}
    assert fresh("POST", "/v1/admin/grants", move).data["remaining_usd"] == "2.00"
    status, headers, _ = fresh.chat(key)
    assert status == 200, "credit that was granted is there for the next call"
    generation = headers["x-fairlead-generation-id"]
    eventually(lambda: fresh("GET", f"/v1/admin/explain/{generation}").status == 200)
    refunded = fresh("POST", "/v1/admin/refunds", {"generation": generation})
    assert refunded.status == 201, refunded
    assert refunded.data["account"] == account["id"]
    assert fresh("POST", "/v1/admin/refunds", {"generation": generation}).status == 400
    (code,) = fresh("POST", "/v1/admin/codes", {"amount_usd": "3"}).data["codes"]
    redeem = {"code": code, "account": account["id"]}
    assert fresh("POST", "/v1/admin/codes/redeem", redeem).data["granted_usd"] == "5.00"
    assert fresh("POST", "/v1/admin/codes/redeem", redeem).status == 404
    eventually(lambda: fresh("POST", "/v1/admin/withdrawals", move | {"amount_usd": "1"}).status == 201)
    assert fresh("POST", "/v1/admin/withdrawals", move | {"amount_usd": "100"}).status == 400
    (balance,) = fresh("GET", f"/v1/admin/balances?account={account['id']}").data
    assert (balance["granted_usd"], balance["remaining_usd"]) == ("4.00", "4.00")
    row = fresh("GET", f"/v1/admin/usage?account={account['id']}").data[0]
    assert (row["id"], row["account"], row["model"]) == (generation, account["id"], "mistral-small-3.2")
    changed = fresh("PATCH", f"/v1/admin/accounts/{account['id']}", {"name": "renamed", "budgets_usd": {"month": "9"}})
    assert (changed.data["name"], changed.data["budgets_usd"]) == ("renamed", {"month": "9.00"})
    actions = [entry["action"] for entry in fresh("GET", f"/v1/admin/audit?account={account['id']}").data]
    assert actions == [
        "account.change", "credit.withdraw", "credit.redeem", "credit.refund", "credit.grant", "key.create",
        "account.create",
    ]  # fmt: skip


def test_the_log_says_which_key_did_it_and_from_where(api: Api) -> None:
    made = api("POST", "/v1/admin/keys", {"name": "audited"}).data
    entry = api("GET", f"/v1/admin/audit?subject={made['id']}").data[0]
    assert (entry["actor_kind"], entry["address"], entry["action"]) == ("management key", "127.0.0.1", "key.create")
    assert entry["actor"].startswith("mkey_")
    assert entry["after"]["name"] == "audited"


def test_lists_are_read_a_page_at_a_time_and_each_entry_once(api: Api) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "pages"}).data["id"]
    made = {api("POST", "/v1/admin/keys", {"name": f"k{n}", "account": account}).data["id"] for n in range(5)}
    found: list[str] = []
    cursor = ""
    while True:
        page = api("GET", f"/v1/admin/keys?account={account}&limit=2{cursor}").body
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == sorted(made)
    assert page["next_cursor"] is None
    log = api("GET", f"/v1/admin/audit?account={account}&limit=4").body
    rest = api("GET", f"/v1/admin/audit?account={account}&limit=4&cursor={log['next_cursor']}").body
    assert [len(log["data"]), len(rest["data"]), rest["has_more"]] == [4, 2, False]


def test_a_management_key_makes_weaker_ones_only(api: Api) -> None:
    made = api("POST", "/v1/admin/management-keys", {"name": "reader", "scopes": ["read"]})
    assert made.status == 201
    reader = made.body["key"]
    assert api("GET", "/v1/admin/keys", key=reader).status == 200
    assert api("POST", "/v1/admin/keys", {"name": "x"}, key=reader).status == 403
    keeper = api.new_key("keys", expires="30d")
    refused = api("POST", "/v1/admin/management-keys", {"name": "x", "scopes": ["keys", "money"]}, key=keeper)
    assert (refused.status, "scopes of its own" in refused.body["error"]["message"]) == (403, True)
    refused = api("POST", "/v1/admin/management-keys", {"name": "x", "scopes": ["keys"]}, key=keeper)
    assert (refused.status, "expire no later" in refused.body["error"]["message"]) == (403, True)
    assert api("DELETE", f"/v1/admin/management-keys/{made.data['id']}").data["revoked_at"] is not None
    assert api("GET", "/v1/admin/keys", key=reader).status == 401, "at once"
    assert reader not in str(api("GET", "/v1/admin/management-keys").body)


def test_deployments_are_listed_with_their_health(api: Api) -> None:
    (one,) = api("GET", "/v1/admin/deployments").data
    assert (one["model"], one["provider"], one["state"]) == ("mistral-small-3.2", "mock", "closed")


def test_credit_for_a_new_key_needs_the_scope_money(api: Api) -> None:
    keeper = api.new_key("keys")
    for path in ("/v1/admin/keys", "/v1/admin/accounts"):
        refused = api("POST", path, {"name": "x", "credit_usd": "1"}, key=keeper)
        assert (refused.status, "`money`" in refused.body["error"]["message"]) == (403, True)
        assert api("POST", path, {"name": "x"}, key=keeper).status == 201


def test_a_budget_names_the_models_that_it_goes_on_with(fresh: Api) -> None:
    terms = {"budgets_usd": {"day": "0.50", "session": "0.10"}, "continue_with": {"day": ["small", "free"]}}
    made = fresh("POST", "/v1/admin/keys", {"name": "k", **terms}).data
    assert (made["budgets_usd"], made["continue_with"]) == (terms["budgets_usd"], terms["continue_with"])
    path = f"/v1/admin/keys/{made['id']}"
    assert "continue_with" not in fresh("PATCH", path, {"budgets_usd": {"day": "1"}}).data
    wrong = fresh("PATCH", path, {"budgets_usd": {"day": "1"}, "continue_with": {"week": ["small"]}})
    assert (wrong.status, "continue_with: give the budget of 'week' too" in str(wrong.body)) == (400, True)


def test_alerts_of_one_account_are_listed_without_anybody_elses(api: Api) -> None:
    made = [api("POST", "/v1/admin/accounts", {"name": name}).data["id"] for name in ("Acme", "Globex")]
    store = open_store(api.served.data, api.served.database)
    with store.write() as connection:
        theirs = {
            account: [put(connection, ("webhook",), "credit.low", {"n": n}, account) for n in range(count)]
            for account, count in zip(made, (2, 1), strict=True)
        }
        servers = put(connection, ("webhook",), "alerts.test", {})
    store.close()
    for account, events in theirs.items():
        found = api("GET", f"/v1/admin/alerts?account={account}").data
        assert [one["id"] for one in found] == events[::-1], "newest first"
        by_command = json.loads(api.run("alerts", "list", "--account", account, "--json"))
        assert [one["id"] for one in by_command] == events[::-1]
        rows = api.run("alerts", "list", "--account", account).splitlines()[1:]
        assert len(rows) == len(events)
        assert all(event in row for event, row in zip(events[::-1], rows, strict=True))
    assert [one["id"] for one in api("GET", f"/v1/admin/alerts?account={made[0]}&limit=1").data] == theirs[made[0]][-1:]
    assert [one["id"] for one in api("GET", "/v1/admin/alerts").data] == [servers], "by default the server's own"
    assert servers in api.run("alerts", "list")
    assert theirs[made[0]][0] not in api.run("alerts", "list")
    assert api("GET", "/v1/admin/alerts?account=acc_nobody").data == []
    confined = api.new_key("read", account=made[0])
    assert api("GET", f"/v1/admin/alerts?account={made[0]}", key=confined).status == 403
