"""What happens when a budget is used up: the call is refused, or goes on with a model that the budget names."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import AT_ONCE, Served, fairlead, provider, serving
from .test_credit import FLAT, HELLO, ask, new_key

OTHERS = """
[[models]]
id = "cheap"
[[models.deployments]]
provider = "mock"
upstream_model = "cheap-1"
price = { input = "0", output = "0", request = "0.001" }

[[models]]
id = "gratis"
[[models.deployments]]
provider = "mock"
upstream_model = "gratis-1"
price = "free"
"""
DOORS = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/responses": {"input": "Hello!"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 20},
    "/v1beta/models/flat:generateContent": {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("cap"), AT_ONCE + provider(upstream.url) + FLAT + OTHERS) as running:
        yield running


def call(served: Served, key: str, path: str = "/v1/chat/completions", **more: Any) -> httpx2.Response:
    body: dict[str, Any] = {**DOORS[path], **more}
    if not path.startswith("/v1beta"):
        body.setdefault("model", "flat")
    headers = {"Authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    if session := body.pop("session", None):
        headers["x-session-id"] = session
    if body.get("stream") and path.startswith("/v1beta"):
        body.pop("stream")
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.post(served.url + path, headers=headers, json=body)


def receipt(served: Served, key: str, answer: httpx2.Response) -> Any:
    return ask(served, key, f"/v1/receipts/{answer.headers['x-fairlead-generation-id']}")[1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", DOORS)
def test_a_call_goes_on_with_the_first_model_that_fits_at_every_door(served: Served, path: str, stream: bool) -> None:
    key = new_key(served, "--budget", "total=0.011", "--continue-with", "total=unknown,flat,cheap,gratis")
    first = call(served, key, path, stream=stream)
    assert (first.status_code, first.headers.get("x-fairlead-fallback")) == (200, None)
    second, third = (call(served, key, path, stream=stream) for _ in range(2))
    assert (second.status_code, second.headers.get("x-fairlead-fallback")) == (200, "budget; model=cheap")
    assert "data:" in second.text if stream else json.loads(second.text)
    assert (third.status_code, third.headers.get("x-fairlead-fallback")) == (200, "budget; model=gratis")
    assert third.headers["x-fairlead-deployment"] == "mock/gratis-1"
    shown = receipt(served, key, second)
    assert (shown["model"], shown["charged_usd"]) == ("cheap", "0.001")
    assert shown["fallback"] == {"reason": "budget", "asked": "flat"}
    assert receipt(served, key, first)["fallback"] is None
    verified = fairlead("verify", data=served.data)
    assert verified.returncode == 0, verified.stdout


def test_without_a_choice_a_call_is_refused_as_before(served: Served) -> None:
    key = new_key(served, "--budget", "total=0.01")
    assert [call(served, key).status_code for _ in range(2)] == [200, 402]


def test_a_budget_of_another_period_does_not_choose(served: Served) -> None:
    key = new_key(served, "--budget", "total=0.01", "--budget", "day=5", "--continue-with", "day=gratis")
    assert [call(served, key).status_code for _ in range(2)] == [200, 402]


def test_a_model_that_the_key_may_not_use_is_left_out(served: Served) -> None:
    key = new_key(served, "--budget", "total=0.01", "--continue-with", "total=gratis,cheap", "--model", "flat")
    assert call(served, key).status_code == 200
    refused = call(served, key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert "x-fairlead-fallback" not in refused.headers


def test_for_want_of_credit_only_a_free_model_helps(served: Served) -> None:
    key = new_key(served, "--credit", "0.015", "--budget", "total=5", "--continue-with", "total=cheap,gratis")
    assert call(served, key).status_code == 200
    answer = call(served, key)
    assert (answer.status_code, answer.headers["x-fairlead-fallback"]) == (200, "budget; model=gratis")
    paid_alone = new_key(served, "--credit", "0.015", "--budget", "total=5", "--continue-with", "total=cheap")
    assert [call(served, paid_alone).status_code for _ in range(2)] == [200, 402]


def test_limits_of_the_model_that_a_call_goes_on_with_count(served: Served) -> None:
    limit = ("--limit", "gratis:requests_per_day=1", "--limit", "flat:requests_per_day=100")
    key = new_key(served, "--budget", "total=0.01", "--continue-with", "total=gratis", *limit)
    assert [call(served, key).status_code for _ in range(3)] == [200, 200, 402]


def test_what_a_budget_goes_on_with_is_checked_and_listed(served: Served) -> None:
    def create(*options: str) -> Any:
        return fairlead("keys", "create", "--name", "x", *options, data=served.data)

    assert "give the budget of 'day' too" in create("--continue-with", "day=cheap").stderr
    assert "There are day, week" in create("--budget", "day=1", "--continue-with", "dya=cheap").stderr
    assert create("--budget", "day=1", "--continue-with", "day=cheap,gratis").returncode == 0
    assert "day=1.00 then cheap,gratis" in fairlead("keys", "list", data=served.data).stdout
    entries = json.loads(fairlead("keys", "list", "--json", data=served.data).stdout)
    assert {"day": ["cheap", "gratis"]} in [one.get("continue_with") for one in entries]


# --- sessions


def test_each_session_of_a_key_has_a_budget_of_its_own(served: Served) -> None:
    key = new_key(served, "--budget", "session=0.02")
    statuses = [call(served, key, session=name).status_code for name in ("a", "a", "b", "a", "b", "b")]
    assert statuses == [200, 200, 200, 402, 200, 402]
    refused = call(served, key, session="a").json()["error"]
    assert refused["code"] == "budget_exceeded"
    assert "USD per session" in refused["message"]
    assert [call(served, key).status_code for _ in range(3)] == [200] * 3  # calls that name none are not bounded by it
    other = new_key(served, "--budget", "session=0.02")
    assert call(served, other, session="a").status_code == 200
    assert fairlead("verify", data=served.data).returncode == 0


def test_a_session_that_is_used_up_goes_on_too(served: Served) -> None:
    key = new_key(served, "--budget", "session=0.01", "--continue-with", "session=gratis")
    found = [call(served, key, session=name).headers.get("x-fairlead-fallback") for name in ("a", "a", "b")]
    assert found == [None, "budget; model=gratis", None]


def test_a_session_that_the_body_names_counts_and_its_name_is_not_in_the_funds(served: Served) -> None:
    key = new_key(served, "--budget", "session=0.01")
    assert [call(served, key, session_id="a-secret-name").status_code for _ in range(2)] == [200, 402]
    with contextlib.closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        scopes = [row[0] for row in database.execute("SELECT scope FROM funds WHERE scope LIKE '%/session/%'")]
    assert scopes
    assert not any("a-secret-name" in scope for scope in scopes)
    shown = ask(served, key, "/v1/key")[1]["data"]
    assert shown["budgets"] == []
