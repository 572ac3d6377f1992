"""Each endpoint of the management API once, in an order in which each finds what it needs. What they answer is also what
the reference shows: `python -m tests.management.tour` writes it to examples.json."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from tests.e2e.conftest import eventually

from fairlead.people import persons, sessions
from fairlead.store import open_store
from fairlead.store.alerts import event_body, new_event_id
from fairlead.store.configuration import node_name
from fairlead.store.tables import alert_outbox

from .conftest import Api, gateway

EXAMPLES = Path(__file__).parents[2] / "src" / "fairlead" / "api" / "examples.json"
VERIFIER = "a-verifier-of-forty-three-characters-at-least-0"
DOCUMENT = """[[providers]]
id = "gpu1"
base_url = "https://8.8.8.8/v1"
dialect = "vllm"
probe = "off"

[[models]]
id = "mistral-small-3.2"

[[models.deployments]]
provider = "gpu1"
upstream_model = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
price = { input = "0.10", output = "0.30" }

[alerts.webhook]
url = "https://hooks.example.org/fairlead"
secret = { env = "ALERT_SECRET" }
"""
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def tour(api: Api) -> Iterator[tuple[str, Any, Any]]:
    """The route, the body of the request (None: none) and that of the answer."""

    def call(method: str, path: str, body: Any = None, shown: str = "", **given: Any) -> Any:
        answered = api(method, path, body, **given)
        assert answered.status in (200, 201), (method, path, answered)
        seen.append((f"{method} {shown or path.partition('?')[0]}", body, answered.body))
        return answered.body

    seen: list[tuple[str, Any, Any]] = []
    account = call("POST", "/v1/admin/accounts", {"name": "Harbour Ltd", "credit_usd": "25.00"})["data"]["id"]
    one = "/v1/admin/accounts/{id}"
    call("GET", f"/v1/admin/accounts/{account}", shown=one)
    call("PATCH", f"/v1/admin/accounts/{account}", {"budgets_usd": {"month": "100.00"}}, shown=one)
    call("GET", "/v1/admin/accounts?limit=10")
    for kind, name in (("project", "search"), ("member", "Ada")):
        base = f"/v1/admin/{kind}s"
        body = {"name": name, "account": account, "budgets_usd": {"month": "50.00"}}
        group = call("POST", base, body)["data"]["id"]
        cap = {"each_user": {"budgets_usd": {"day": "0.50"}, "limits": {"requests_per_minute": 20}}}
        call("PATCH", f"{base}/{group}", cap, shown=f"{base}/{{id}}")
        call("GET", f"{base}/{group}", shown=f"{base}/{{id}}")
        call("GET", f"{base}?account={account}")
        call("DELETE", f"{base}/{group}", shown=f"{base}/{{id}}")
        call("POST", f"{base}/{group}/restore", shown=f"{base}/{{id}}/restore")
    body = {"name": "laptop", "account": account, "budgets_usd": {"day": "5.00"}, "models": ["mistral-small-3.2"]}
    made = call("POST", "/v1/admin/keys", body)
    key = made["key"]
    path, shown = f"/v1/admin/keys/{made['data']['id']}", "/v1/admin/keys/{id}"
    call("GET", path, shown=shown)
    call("GET", f"{path}/access?model=mistral-small-3.2", shown=f"{shown}/access")
    call("PATCH", path, {"disabled": False, "limits": {"requests_per_minute": 60}}, shown=shown)
    call("GET", f"/v1/admin/keys?account={account}")
    shown, policy = "/v1/admin/accounts/{id}/content", f"/v1/admin/accounts/{account}/content"
    call("PATCH", policy, {"enabled": True, "days": 14, "patterns": ["EMP-[0-9]{6}"]}, shown=shown)
    reader = api.new_key("read", account=account)
    eventually(lambda: _kept(api, key, reader))
    status, headers, _ = api.chat(key)
    assert status == 200
    generation = headers["x-fairlead-generation-id"]
    eventually(lambda: api("GET", f"/v1/admin/content/{generation}", key=reader).status == 200)
    call("GET", f"/v1/admin/content/{generation}", shown="/v1/admin/content/{id}", key=reader)
    call("GET", policy, shown=shown)
    call("DELETE", f"{policy}?call={generation}", shown=shown)
    shown = "/v1/admin/keys/{id}"
    eventually(lambda: api("GET", f"/v1/admin/explain/{generation}").status == 200)
    call("GET", f"/v1/admin/explain/{generation}", shown="/v1/admin/explain/{id}")
    call("GET", f"/v1/admin/usage?account={account}")
    call("POST", f"{path}/rotate", shown="/v1/admin/keys/{id}/rotate")
    spare = api("POST", "/v1/admin/keys", {"name": "spare", "account": account}).data["id"]
    call("DELETE", f"/v1/admin/keys/{spare}", shown=shown)
    management = call("POST", "/v1/admin/management-keys", {"name": "terraform", "scopes": ["read", "keys"]})
    call("GET", "/v1/admin/management-keys")
    call("DELETE", f"/v1/admin/management-keys/{management['data']['id']}", shown="/v1/admin/management-keys/{id}")
    move = {"account": account, "amount_usd": "10.00", "note": "invoice 17"}
    call("POST", "/v1/admin/grants", move)
    eventually(lambda: api("POST", "/v1/admin/withdrawals", {**move, "amount_usd": "1.00"}).status == 201)
    call("POST", "/v1/admin/withdrawals", {**move, "amount_usd": "1.00", "note": "granted by mistake"})
    call("POST", "/v1/admin/refunds", {"generation": generation, "note": "outage"})
    codes = call("POST", "/v1/admin/codes", {"amount_usd": "5.00", "count": 2})
    call("POST", "/v1/admin/codes/redeem", {"code": codes["data"]["codes"][0], "account": account})
    call("GET", f"/v1/admin/balances?account={account}")
    call("GET", "/v1/admin/deployments")
    deployment = api("GET", "/v1/admin/deployments").data[0]["id"].replace("/", "%2F")
    for word in ("drain", "undrain", "test"):
        call("POST", f"/v1/admin/deployments/{deployment}/{word}", shown=f"/v1/admin/deployments/{{id}}/{word}")
    call("GET", "/v1/admin/events?limit=10")
    call("GET", "/v1/admin/verify")
    call("GET", "/v1/admin/shadow?window=24h")
    alert = new_event_id()
    store = open_store(api.served.data)
    with store.write() as connection:
        body = event_body(alert, "alerts.test", 0, {})
        values = {"at": 1, "attempts": 3, "next_at": 1, "claimed_until": 0, "error": "503", "state": "dead"}
        connection.execute(
            insert(alert_outbox).values(event=alert, kind="alerts.test", channel="webhook", body=body, **values)
        )
    store.close()
    call("GET", "/v1/admin/alerts?state=dead")
    call("POST", f"/v1/admin/alerts/{alert}/retry", shown="/v1/admin/alerts/{id}/retry")
    call("GET", f"/v1/admin/audit?account={account}&action=account.create")
    body = {"name": "laptop", "limit": 20, "limit_reset": "monthly", "workspace_id": account}
    theirs = call("POST", "/v1/keys", body)
    eventually(lambda: api.chat(theirs["key"])[0] == 200)
    one = f"/v1/keys/{theirs['data']['hash']}"
    eventually(lambda: api("GET", one).data["usage"] > 0)
    call("GET", one, shown="/v1/keys/{hash}")
    call("GET", f"/v1/keys?workspace_id={account}")
    call("PATCH", one, {"disabled": True}, shown="/v1/keys/{hash}")
    call("DELETE", one, shown="/v1/keys/{hash}")
    call("GET", f"/v1/activity?user_id={account}")
    body = {"callback_url": "https://app.example/callback", "code_challenge": CHALLENGE, "workspace_id": account}
    code = call("POST", "/v1/auth/keys/code", body)["data"]["id"]
    call("POST", "/v1/auth/keys", {"code": code, "code_verifier": VERIFIER}, key="")
    team = call("POST", "/team/new", {"team_alias": "research", "max_budget": 500, "budget_duration": "30d"})["team_id"]
    body = {"key_alias": "notebook", "team_id": team, "max_budget": 10, "budget_duration": "1d", "duration": "90d"}
    theirs = call("POST", "/key/generate", body)["key"]
    call("GET", f"/key/info?key={hashlib.sha256(theirs.encode()).hexdigest()}")
    call("POST", "/key/update", {"key": theirs, "max_budget": 20, "rpm_limit": 60})
    call("GET", f"/key/list?team_id={team}&return_full_object=true")
    assert api.chat(theirs)[0] == 200
    eventually(lambda: api("GET", f"/spend/logs?team_id={team}").body)
    call("GET", f"/spend/logs?team_id={team}")
    call("POST", "/key/delete", {"keys": [theirs]})
    call("POST", "/user/new", {"user_email": "alice@example.org", "max_budget": 50})
    tour_of_people(api, call, account)
    call("POST", "/v1/admin/credentials", {"name": "openai", "secret": "sk-proj-an-openai-key"})
    call("GET", "/v1/admin/credentials")
    call("DELETE", "/v1/admin/credentials/openai", shown="/v1/admin/credentials/{id}")
    base = "/v1/admin/configuration"
    call("GET", base)
    call("POST", f"{base}/plan", {"document": DOCUMENT})
    first = {"document": DOCUMENT, "comment": "the new GPU server", "author": "alice", "expect": 0}
    call("POST", f"{base}/apply", first)
    eventually(lambda: not api("GET", f"{base}/status").data["behind"])
    call("GET", f"{base}/status")
    call("POST", "/v1/admin/alerts/test")
    cheaper = DOCUMENT.replace('output = "0.30"', 'output = "0.25"')
    assert api("POST", f"{base}/apply", {"document": cheaper, "comment": "cheaper"}).status == 201
    call("GET", f"{base}/versions")
    call("GET", f"{base}/versions/1", shown=f"{base}/versions/{{id}}")
    call("GET", f"{base}/diff?from=1&to=2")
    call("POST", f"{base}/rollback", {"version": 1, "comment": "complaints", "expect": 2})
    assert api("POST", f"{base}/rollback", {"version": 0}).status == 201
    yield from seen


def tour_of_people(api: Api, call: Any, account: str) -> None:
    """People: one who signs in here already, and one who is invited."""
    store = open_store(api.served.data)
    with store.write() as connection:
        person = persons.add_person(connection, "ada@example.org", "Ada", None, confirmed=True)
        for at in range(2):
            sessions.begin(connection, person.id, 3600, method="password", address="192.0.2.7", agent=f"Browser {at}")
    store.close()
    invited = call("POST", "/v1/admin/invitations", {"email": "bob@example.org", "account": account, "role": "owner"})
    call("GET", f"/v1/admin/invitations?account={account}")
    call("DELETE", f"/v1/admin/invitations/{invited['data']['id']}", shown="/v1/admin/invitations/{id}")
    body = {"person": person.id, "account": account, "role": "admin"}
    membership = call("POST", "/v1/admin/memberships", body)["data"]["id"]
    path, shown = f"/v1/admin/memberships/{membership}", "/v1/admin/memberships/{id}"
    call("PATCH", path, {"role": "member"}, shown=shown)
    call("GET", f"/v1/admin/memberships?account={account}")
    call("GET", f"/v1/admin/people?account={account}")
    path, one = f"/v1/admin/people/{person.id}", "/v1/admin/people/{id}"
    call("GET", path, shown=one)
    call("GET", f"{path}/sessions", shown=f"{one}/sessions")
    call("DELETE", f"{path}/sessions", shown=f"{one}/sessions")
    call("PATCH", path, {"disabled": True, "keys": "disable"}, shown=one)
    call("DELETE", f"/v1/admin/memberships/{membership}?keys=revoke", shown=shown)


def _kept(api: Api, key: str, reader: str) -> bool:
    """Whether content is kept already: the policy is in force within a second, the content is stored a moment later."""
    generation = api.chat(key)[1].get("x-fairlead-generation-id", "none")
    for _ in range(20):
        if api("GET", f"/v1/admin/content/{generation}", key=reader).status == 200:
            return True
        time.sleep(0.1)  # the key may make 60 calls in a minute
    return False


def _scrubbed(value: Any, directory: Path) -> Any:
    """Keys and codes are shortened, so that nobody takes one for a real one; names of this machine are replaced."""
    text = json.dumps(value).replace(str(directory), "/etc/fairlead").replace(f'"{node_name()}"', '"gateway-1"')
    text = text.replace("https://8.8.8.8/", "https://gpu1.example.org/")  # no name has to be resolved for the tour
    text = re.sub(r"http://127\.0\.0\.1:[0-9]+", "http://gpu1:8000", text)
    text = re.sub(r"((?:sk-fl-|fl-mgmt-|fl-code-|fl-auth-|fl-link-)[A-Za-z0-9_-]{6})[A-Za-z0-9_-]+", r"\1...", text)
    return json.loads(text)


def main() -> None:
    known = json.loads(EXAMPLES.read_text("utf-8"))
    directory = Path(tempfile.mkdtemp())
    with contextlib.contextmanager(gateway)(directory) as api:
        for name, request, response in tour(api):
            known[name] = {"response": _scrubbed(response, directory)}
            if request is not None:
                known[name] = {"request": _scrubbed(request, directory), **known[name]}
        for path in ("/v1/providers", "/v1/models/count", "/v1/endpoints/zdr"):
            known[f"GET {path}"] = {"response": api("GET", path, key="").body}
        for path in ("/health/liveliness", "/health/readiness", "/model/info"):
            known[f"GET {path}"] = {"response": api("GET", path, key="").body}
        key = api("POST", "/v1/admin/keys", {"name": "laptop", "credit_usd": "5", "budgets_usd": {"day": "0.5"}}).body[
            "key"
        ]
        known["GET /v1/models/user"] = {"response": api("GET", "/v1/models/user", key=key).body}
        generation = api.chat(key)[1]["x-fairlead-generation-id"]
        known["GET /v1/generation"] = {"response": api("GET", f"/v1/generation?id={generation}", key=key).body}
        known["GET /v1/key"] = {"response": api("GET", "/v1/key", key=key).body}
        known["GET /v1/model/{id}"] = {"response": api("GET", "/v1/model/mistral-small-3.2", key="").body}
        path = "/v1/models/mistral-small-3.2/endpoints"
        known["GET /v1/models/{id}/endpoints"] = {"response": api("GET", path, key="").body}
    known["POST /v1/admin/alerts/test"]["response"]["data"][0]["error"] = None
    EXAMPLES.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
