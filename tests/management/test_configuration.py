"""The configuration over HTTP: planned, applied, rolled back and followed, without a secret in any answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import eventually, model, provider

from .conftest import Api, gateway

SECRET = "sk-up-s3cr3t-0123456789"


@pytest.fixture(autouse=True)
def _seal_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in documents are sealed; machines that share a database share this."""
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(bytes(range(32))).decode())


@pytest.fixture
def fresh_workers(tmp_path: Path, database_url: str | None) -> Iterator[Api]:
    yield from gateway(tmp_path, database_url, workers=2)


def document(api: Api, output: str, more: str = "") -> str:
    """As the gateway's own file, with another price."""
    url = provider_url(api)
    text = provider(url).replace('"sk-up"', f'"{SECRET}"') + model()
    return "[routing]\nprobes = false\n" + text.replace('output = "0.30"', f'output = "{output}"') + more


def provider_url(api: Api) -> str:
    shown = api("GET", "/v1/admin/configuration").data["document"]
    return str(next(line for line in shown.splitlines() if line.startswith("base_url")).split('"')[1])


def path(name: str) -> str:
    return f"/v1/admin/configuration{name}"


def cost(api: Api) -> float:
    """Dollars for a million tokens of an answer."""
    status, _, answer = api.chat(api.served.key)
    assert status == 200, answer
    usage = answer["usage"]
    return round((float(usage["cost_usd"]) - 0.1e-6 * usage["prompt_tokens"]) * 1e6 / usage["completion_tokens"], 6)


def test_a_document_is_planned_applied_followed_and_rolled_back(fresh_workers: Api) -> None:
    api = fresh_workers
    shown = api("GET", path(""))
    assert (shown.status, shown.data["source"], shown.data["version"], shown.headers["etag"]) == (200, "file", 0, '"0"')
    planned = api("POST", path("/plan"), {"document": document(api, "0.25")})
    assert "price of mistral-small-3.2 output 0.30 -> 0.25 from now on" in [
        one["words"] for one in planned.data["changes"]
    ]
    applied = api(
        "POST",
        path("/apply"),
        {"document": document(api, "0.25"), "comment": "cheaper", "author": "alice", "expect": 0},
    )
    assert (applied.status, applied.data["number"], applied.data["author"], applied.headers["etag"]) == (
        201, 1, "alice", '"1"',
    )  # fmt: skip

    def followed(number: int) -> bool:
        found = api("GET", path("/status")).data
        return len(found["processes"]) == 2 and {one["version"] for one in found["processes"]} == {number}

    eventually(lambda: followed(1))
    assert api("GET", path("/status")).data["behind"] == []
    assert {cost(api) for _ in range(6)} == {0.25}
    assert api("POST", path("/apply"), {"document": document(api, "0.20")}).data["number"] == 2
    differs = api("GET", path("/diff?from=1&to=2")).data
    assert [one["words"] for one in differs] == ["price of mistral-small-3.2 output 0.25 -> 0.20 from now on"]
    back = api("POST", path("/rollback"), {"version": 1})
    assert (back.status, back.data["number"], back.data["restored"]) == (201, 3, 1)
    eventually(lambda: followed(3))
    assert {cost(api) for _ in range(6)} == {0.25}
    assert [one["number"] for one in api("GET", path("/versions")).data] == [3, 2, 1]
    assert api("GET", path("/versions?limit=1")).data[0]["comment"] == ""
    assert "0.20" in api("GET", path("/versions/2")).data["document"]
    rows = api("GET", "/v1/admin/audit?action=configuration.").data
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("configuration.rollback", "version 3"),
        ("configuration.apply", "version 2"),
        ("configuration.apply", "version 1"),
    ]


def test_of_two_applies_at_once_one_is_told_to_plan_again(fresh: Api) -> None:
    text = document(fresh, "0.25")
    assert fresh("POST", path("/apply"), {"document": text, "expect": 0}).status == 201
    for body, headers in (
        ({"document": text, "expect": 0}, {}),
        ({"document": text}, {"If_Match": '"0"'}),
    ):
        refused = fresh("POST", path("/apply"), body, **headers)
        assert (refused.status, refused.body["error"]["code"]) == (412, "version_conflict")
        assert refused.body["error"]["message"] == "Version 1 was applied meanwhile; plan again."
    assert fresh("POST", path("/rollback"), {"version": 1}, If_Match='"0"').status == 412
    assert fresh("POST", path("/apply"), {"document": text}, If_Match='"1"').status == 201
    assert fresh("POST", path("/apply"), {"document": text, "expect": 1}, If_Match='"2"').status == 400
    assert fresh("POST", path("/apply"), {"document": text}, If_Match="seven").status == 400


def test_a_bad_document_is_refused_with_its_line_and_nothing_is_added(fresh: Api) -> None:
    bad = document(fresh, "0.25").replace('provider = "mock"', 'provider = "mick"')
    for name in ("/plan", "/apply"):
        refused = fresh("POST", path(name), {"document": bad})
        assert refused.status == 400
        assert "document:12: there is no provider 'mick'" in refused.body["error"]["message"]
    assert fresh("POST", path("/rollback"), {"version": 7}).status == 404
    assert fresh("POST", path("/rollback"), {"version": -1}).status == 400
    for number in ("7", "x", "0"):
        assert fresh("GET", path(f"/versions/{number}")).status == 404
    assert fresh("GET", path("/diff?from=1")).status == 400
    assert fresh("GET", path("/versions")).data == []


def test_keys_without_the_scope_change_nothing(api: Api) -> None:
    text = document(api, "0.25")
    reader, others = api.new_key("read"), api.new_key("keys", "money")
    confined = api.new_key("read", "configuration", account=account_of(api))
    for name, body in (("/plan", {"document": text}), ("/apply", {"document": text}), ("/rollback", {"version": 0})):
        for key in (reader, others, confined, api.served.key):
            assert api("POST", path(name), body, key=key).status == 403
    for name in ("", "/versions", "/versions/1", "/status", "/diff?from=1&to=2"):
        for key in (others, confined, api.served.key):
            assert api("GET", path(name), key=key).status == 403
        assert api("GET", path(name), key="").status == 401
    assert api("GET", path(""), key=reader).status == 200
    assert api("GET", path("/versions")).data == []


def account_of(api: Api) -> str:
    return str(api("GET", "/v1/admin/accounts").data[0]["id"])


def test_no_answer_has_a_secret_in_it(fresh: Api) -> None:
    said: list[Any] = []
    for output in ("0.25", "0.20"):
        body = {"document": document(fresh, output) + f"# the key was {SECRET}\n"}
        said += [fresh("POST", path("/plan"), body), fresh("POST", path("/apply"), body)]
    said += [fresh("POST", path("/rollback"), {"version": 1})]
    names = ("", "/versions", "/versions/1", "/status", "/diff?from=1&to=2")
    said += [fresh("GET", path(name)) for name in names]
    said += [fresh("GET", "/v1/admin/audit"), fresh("GET", "/readyz")]
    assert {one.status for one in said} == {200, 201}
    assert SECRET not in json.dumps([one.body for one in said])
    assert SECRET not in fresh.served.output


def test_an_idempotency_key_applies_once(fresh: Api) -> None:
    body = {"document": document(fresh, "0.25")}
    first = fresh("POST", path("/apply"), body, Idempotency_Key="deploy-17")
    again = fresh("POST", path("/apply"), body, Idempotency_Key="deploy-17")
    assert (first.status, again.status, again.data) == (201, 201, first.data)
    assert len(fresh("GET", path("/versions")).data) == 1
