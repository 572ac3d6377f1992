"""Sealed credentials over HTTP: stored and removed, never read back, by nobody and nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import eventually, fairlead

from fairlead.testing import ScriptedUpstream

from .conftest import Api

SECRET = "hunter2correcthorsebatterystaple"


def test_a_credential_is_stored_listed_replaced_and_removed(api: Api) -> None:
    first = api("POST", "/v1/admin/credentials", {"name": "one", "secret": SECRET})
    assert (first.status, first.data) == (201, {"name": "one", "replaced": False})
    assert api("POST", "/v1/admin/credentials", {"name": "one", "secret": SECRET}).data["replaced"]
    (listed,) = [one for one in api("GET", "/v1/admin/credentials").data if one["name"] == "one"]
    assert set(listed) == {"name", "sealed_with", "created_at", "changed_at"}
    assert api("DELETE", "/v1/admin/credentials/one").status == 200
    assert api("DELETE", "/v1/admin/credentials/one").status == 404
    audited = api("GET", "/v1/admin/audit?limit=20")
    assert [one["action"] for one in audited.data if one["subject"] == "one"] == [
        "credential.remove", "credential.set", "credential.set",
    ]  # fmt: skip
    assert SECRET not in str(audited.body)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a b", "secret": "x"}, {"name": "../x", "secret": "x"}, {"name": "x", "secret": "two words"},
        {"name": "x", "secret": ""}, {"name": "x", "secret": "x" * 16_385}, {"name": "x"}, {"secret": "x"},
        {"name": "x", "secret": SECRET + "\n"}, {"name": "x", "secret": SECRET, "more": 1}, {"name": 1, "secret": SECRET},
    ],
)  # fmt: skip
def test_what_is_no_credential_is_refused_without_repeating_it(api: Api, body: dict[str, object]) -> None:
    refused = api("POST", "/v1/admin/credentials", body)
    assert refused.status == 400
    assert SECRET not in str(refused.body)


def test_a_credential_and_a_version_that_uses_it_serve_calls_without_a_restart(api: Api, tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        assert api("POST", "/v1/admin/credentials", {"name": "mine", "secret": SECRET}).status == 201
        allowed = '[configuration]\nallow_networks = ["127.0.0.0/8"]\n'
        document = (
            f'{allowed}[[providers]]\nid = "p"\nbase_url = "{upstream.url}"\napi_key = {{ sealed = "mine" }}\n'
            '[[models]]\nid = "sealed-model"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\nprice = "free"\n'
        )
        private = api("POST", "/v1/admin/configuration/apply", {"document": document})
        assert (private.status, private.body["error"]["code"]) == (403, "forbidden")
        file = tmp_path / "allowed.toml"
        file.write_text(allowed)
        assert fairlead("config", "apply", str(file), "--yes", data=api.served.data).returncode == 0
        applied = api("POST", "/v1/admin/configuration/apply", {"document": document})
        assert applied.status == 201, applied.body
        try:
            key = api("POST", "/v1/admin/keys", {"name": "caller"}).body["key"]
            eventually(lambda: api.chat(key, "sealed-model")[0] == 200)
            assert {one.headers["authorization"] for one in upstream.requests} == {f"Bearer {SECRET}"}
        finally:
            assert api("POST", "/v1/admin/configuration/rollback", {"version": 0}).status == 201
