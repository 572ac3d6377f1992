"""A team's keys share its money and its limits; each end user has a cap of their own; access says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, model, provider, serving
from .test_credit import FLAT, ask, new_key

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ScriptedUpstream() as upstream:
        config = AT_ONCE + provider(upstream.url) + model() + FLAT
        with serving(tmp_path_factory.mktemp("groups"), config) as running:
            yield running


def run(served: Served, *arguments: str) -> str:
    done = fairlead(*arguments, data=served.data, database=served.database)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def call(served: Served, key: str, name: str = "flat", user: str = "", headers: dict[str, str] | None = None) -> int:
    body: dict[str, Any] = {"model": name, "messages": HELLO} | ({"user": user} if user else {})
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.post(
            served.url + "/v1/chat/completions",
            headers={"Authorization": f"Bearer {key}", **(headers or {})},
            json=body,
        ).status_code


def test_the_keys_of_a_project_spend_one_budget_and_access_says_so(served: Served) -> None:
    project = run(served, "projects", "create", "--name", "search", "--budget", "total=0.02").split()[-1]
    keys = [new_key(served, "--project", project) for _ in range(2)]
    assert [call(served, key) for key in (*keys, keys[0])] == [200, 200, 402]
    eventually(lambda: not ask(served, keys[0], "/v1/access?model=flat")[1]["allowed"])
    status, found = ask(served, keys[1], "/v1/access?model=flat")
    assert status == 200
    assert found["refused_by"]["of"] == f"project {project}"
    assert (found["refused_by"]["rule"], found["project"]) == ("budget", project)
    run(served, "projects", "set", project, "--budget", "total=5", "--model", MODEL)
    eventually(lambda: call(served, keys[1], MODEL) == 200)
    assert call(served, keys[0]) == 403
    listed = json.loads(run(served, "projects", "list", "--json"))
    assert (listed[0]["id"], listed[0]["models"]) == (project, [MODEL])
    assert project in run(served, "projects", "list")
    assert ask(served, keys[0], "/v1/access")[1]["models"] == [MODEL]
    refused = fairlead("access", found["key"], "flat", data=served.data, database=served.database)
    assert refused.returncode == 1
    assert f"models of project {project}" in refused.stdout


def test_each_end_user_has_a_cap_by_the_body_and_by_open_webuis_headers(served: Served) -> None:
    member = run(served, "members", "create", "--name", "ada").split()[-1]
    key = new_key(served, "--member", member, "--each-user", "total=0.01")
    assert [call(served, key, user="one") for _ in range(2)] == [200, 402]
    assert [call(served, key, headers={"x-openwebui-user-id": "two"}) for _ in range(2)] == [200, 402]
    assert [call(served, key) for _ in range(2)] == [200, 402], "those without a name count together"
    fast = new_key(served, "--each-user", "requests_per_day=1")
    assert [call(served, fast, MODEL, user=user) for user in ("a", "a", "b")] == [200, 429, 200]
    run(served, "members", "set", member, "--limit", "requests_per_day=1")
    assert member in run(served, "members", "list")
    eventually(lambda: call(served, key, MODEL, user="three") == 429)
