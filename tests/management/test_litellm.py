"""The endpoints that scripts of LiteLLM's users call, in its shapes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from tests.e2e.conftest import eventually

from .conftest import Api


def test_a_key_of_a_team_is_generated_shown_updated_and_deleted(fresh: Api) -> None:
    team = fresh("POST", "/team/new", {"team_alias": "research", "max_budget": 5, "tpm_limit": 100_000}).body
    assert (team["team_alias"], team["max_budget"], team["budget_duration"], team["tpm_limit"]) == (
        "research", 5, None, 100_000,
    )  # fmt: skip
    body = {"key_alias": "ci", "team_id": team["team_id"], "max_budget": 0.5, "budget_duration": "30d", "rpm_limit": 60,
            "duration": "30d", "models": ["mistral-small-3.2"], "metadata": {"owner": "alice"}}  # fmt: skip
    made = fresh("POST", "/key/generate", body).body
    key = made["key"]
    assert made["token"] == hashlib.sha256(key.encode()).hexdigest()
    assert (made["max_budget"], made["budget_duration"], made["rpm_limit"], made["models"], made["team_id"]) == (
        0.5, "30d", 60, ["mistral-small-3.2"], team["team_id"],
    )  # fmt: skip
    days = (datetime.fromisoformat(made["expires"]) - datetime.now(UTC)).days
    assert days in (29, 30)
    assert fresh.chat(key)[0] == 200, "it needs no credit"
    eventually(lambda: fresh("GET", f"/key/info?key={key}").body["info"]["spend"] > 0)
    mine = fresh("GET", "/key/info", key=key).body
    assert (mine["key"], mine["info"]["key_alias"]) == (made["token"], "ci")
    other = fresh("POST", "/key/generate", {"team_id": team["team_id"]}).body["key"]
    assert fresh("GET", f"/key/info?key={other}", key=key).status == 404, "a key sees itself alone"
    changed = fresh("POST", "/key/update", {"key": key, "max_budget": 2, "tpm_limit": 1000, "duration": None}).body
    assert (changed["max_budget"], changed["budget_duration"], changed["rpm_limit"], changed["tpm_limit"]) == (
        2, "30d", 60, 1000,
    )  # fmt: skip
    assert changed["expires"] is None
    listed = fresh("GET", f"/key/list?team_id={team['team_id']}&size=1").body
    assert (listed["total_count"], listed["total_pages"], len(listed["keys"])) == (2, 2, 1)
    assert fresh("POST", "/key/update", {"key": key, "blocked": True}).body["blocked"] is True
    eventually(lambda: fresh.chat(key)[0] == 401)
    assert fresh("POST", "/key/delete", {"keys": [key, made["token"]]}).body == {"deleted_keys": [key, made["token"]]}
    assert fresh("GET", f"/key/list?team_id={team['team_id']}").body["total_count"] == 1


def test_a_user_gets_an_account_and_a_key(api: Api) -> None:
    made = api("POST", "/user/new", {"user_email": "alice@example.org", "max_budget": 1}).body
    assert api.chat(made["key"])[0] == 200
    shown = api("GET", f"/key/info?key={made['key']}").body["info"]
    assert (shown["user_id"], shown["team_id"]) == (made["user_id"], None)
    (group,) = [one for one in api("GET", "/v1/admin/members").data if one["id"] == made["user_id"]]
    assert (group["name"], group["budgets_usd"]) == ("alice@example.org", {"total": "1.00"})
    assert api("POST", "/user/new", {"user_alias": "bob", "auto_create_key": False}).body["key"] == ""


def test_spending_is_shown_by_day_and_by_call(api: Api) -> None:
    made = api("POST", "/user/new", {"user_alias": "carol"}).body
    generation = api.chat(made["key"])[1]["x-fairlead-generation-id"]
    eventually(lambda: api("GET", f"/spend/logs?request_id={generation}").status == 200)
    (call,) = api("GET", f"/spend/logs?request_id={generation}").body
    assert (call["model"], call["user"], call["total_tokens"] > 0) == ("mistral-small-3.2", call["team_id"], True)
    today = datetime.now(UTC).date().isoformat()
    (day,) = api("GET", f"/spend/logs?api_key={made['key']}&start_date={today}&end_date={today}").body
    assert api("GET", f"/spend/logs?user_id={made['user_id']}").body == [day]
    assert (day["startTime"], day["models"]) == (today, {"mistral-small-3.2": call["spend"]})


def test_what_would_be_lost_is_refused_by_name(api: Api) -> None:
    for member, value in (("soft_budget", 1), ("aliases", {"a": "b"}), ("allowed_routes", []), ("budget_duration", "2h"),
                          ("budget_duration", "30d"), ("duration", "soon"), ("max_budget", -1)):  # fmt: skip
        refused = api("POST", "/key/generate", {member: value})
        assert (refused.status, member in refused.body["error"]["message"]) == (400, True), (member, refused)


def test_calls_are_answered_without_v1_where_its_clients_make_them(api: Api) -> None:
    """Roo and Cline in their LiteLLM mode, and SDKs whose base URL is LiteLLM's own."""
    key = api("POST", "/key/generate", {}).body["key"]
    asked = {"model": "mistral-small-3.2", "messages": [{"role": "user", "content": "Hi"}]}
    made = api("POST", "/chat/completions", asked, key=key)
    assert (made.status, made.body["object"]) == (200, "chat.completion")
    refused = api("POST", "/chat/completions", asked, key="sk-fl-nobody")
    assert (refused.status, refused.body["error"]["code"]) == (401, "invalid_api_key")
    for path in ("/completions", "/embeddings", "/moderations", "/rerank", "/v2/rerank"):
        told = api(
            "POST", path, {"model": "nobody", "input": "a", "prompt": "a", "query": "a", "documents": ["a"]}, key=key
        )
        assert (told.status, told.body["error"]["code"]) == (404, "model_not_found"), path
    assert api("GET", "/chat/completions", key=key).status == 405


def test_health_and_models_are_where_it_has_them(api: Api) -> None:
    assert api("GET", "/health/liveliness", key="").body == "I'm alive!"
    ready = api("GET", "/health/readiness", key="").body
    assert (ready["status"], ready["db"]) == ("healthy", "connected")
    assert api("GET", "/model/info", key="").body == api("GET", "/v1/model/info", key="").body
