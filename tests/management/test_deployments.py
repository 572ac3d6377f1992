"""Deployments are drained, put back and tested over HTTP and by the command line; projects are archived."""

from __future__ import annotations

import json

from tests.e2e.conftest import eventually, fairlead

from .conftest import Api


def deployment(api: Api) -> str:
    return str(api("GET", "/v1/admin/deployments").data[0]["id"])


def path(api: Api, word: str) -> str:
    return f"/v1/admin/deployments/{deployment(api).replace('/', '%2F')}/{word}"


def test_a_drained_deployment_gets_no_call_until_it_is_put_back(api: Api) -> None:
    name = deployment(api)
    assert api.chat()[0] == 200
    assert api("POST", path(api, "drain")).data == {"id": name, "drained": True}
    eventually(lambda: api.chat()[0] == 503)
    _, _, refused = api.chat()
    assert refused["error"]["code"] == "candidates_resting"
    assert f"{name}: drained" in refused["error"]["message"]
    assert api("GET", "/v1/admin/deployments").data[0]["state"] == "drained"
    assert api("GET", "/v1/admin/events").data[0]["event"] == "drained"
    # Twice is once.
    assert api("POST", path(api, "drain")).status == 200
    assert api.run("deployments", "undrain", name) == f"{name} is in use again.\n"
    eventually(lambda: api.chat()[0] == 200)
    actions = [one["action"] for one in api("GET", f"/v1/admin/audit?subject={name}").data]
    assert actions == ["deployment.undrain", "deployment.drain"]


def test_a_test_of_a_deployment_says_what_came_of_one_call_also_while_it_is_drained(api: Api) -> None:
    name = deployment(api)
    api("POST", path(api, "drain"))
    found = api("POST", path(api, "test")).data
    api("POST", path(api, "undrain"))
    assert (found["deployment"], found["outcome"], found["status"], found["message"]) == (name, "served", 200, None)
    assert found["latency_ms"] >= 0
    assert found["completion_tokens"] >= 1
    refused = api("POST", path(api, "test"), idempotency_key="once")
    assert refused.status == 400
    assert api("POST", "/v1/admin/deployments/none/test").status == 404
    assert api("POST", "/v1/admin/deployments/none/drain").status == 404
    eventually(lambda: api.chat()[0] == 200)


def test_the_command_line_tests_and_lists_deployments(api: Api) -> None:
    served = api.served
    options = ("--config", str(served.data.parent / "fairlead.toml"))
    name = deployment(api)
    done = fairlead("deployments", "test", name, "--json", *options, data=served.data, database=served.database)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "served"
    assert name in api.run("deployments", "list")
    unknown = fairlead("deployments", "drain", "gpu9/x", data=served.data, database=served.database)
    assert unknown.returncode == 1
    assert "There is no deployment 'gpu9/x'" in unknown.stderr


def test_keys_of_an_archived_project_are_refused_until_it_is_restored(api: Api) -> None:
    project = api("POST", "/v1/admin/projects", {"name": "search"}).data["id"]
    made = api("POST", "/v1/admin/keys", {"name": "a", "project": project}).body
    assert api.chat(made["key"])[0] == 200
    assert api("DELETE", f"/v1/admin/projects/{project}").data["archived_at"] is not None
    eventually(lambda: api.chat(made["key"])[0] == 401)
    rules = api("GET", f"/v1/admin/keys/{made['data']['id']}/access").data
    assert rules["refused_by"]["of"] == f"project {project}"
    assert project not in [one["id"] for one in api("GET", "/v1/admin/projects").data]
    assert project in [one["id"] for one in api("GET", "/v1/admin/projects?archived=true").data]
    refused = api("POST", "/v1/admin/keys", {"name": "b", "project": project})
    assert (refused.status, "archived" in refused.body["error"]["message"]) == (400, True)
    assert api.run("projects", "restore", project) == f"{project} is in use.\n"
    eventually(lambda: api.chat(made["key"])[0] == 200)


def test_keys_of_a_disabled_account_are_refused_until_it_is_enabled(api: Api) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "late payer", "credit_usd": "5"}).data["id"]
    made = api("POST", "/v1/admin/keys", {"name": "a", "account": account}).body
    assert api.chat(made["key"])[0] == 200
    assert api("PATCH", f"/v1/admin/accounts/{account}", {"disabled": True}).data["disabled_at"] is not None
    eventually(lambda: api.chat(made["key"])[0] == 401)
    rules = api("GET", f"/v1/admin/keys/{made['data']['id']}/access").data
    assert rules["refused_by"]["of"] == f"account {account}"
    assert api.run("accounts", "enable", account) == f"{account} is in use.\n"
    eventually(lambda: api.chat(made["key"])[0] == 200)
