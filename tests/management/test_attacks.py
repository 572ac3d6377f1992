"""Hostile requests to the management API: none changes what it must not, and each gets a clear error."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from fairlead.api.management.endpoint import MOST_BODY_BYTES, MOST_STRANGE_BODY_BYTES
from fairlead.api.management.table import ACTIONS

from .conftest import Api

BODIES = {f"{one.method} {one.path}": one for one in ACTIONS if one.body is not None}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    "member",
    ["id", "hash", "digest", "key", "prepaid", "revoked_at", "is_management_key", "scope", "__class__", "account_id"],
)
def test_a_member_that_is_not_a_caller_s_to_set_is_refused_by_name(api: Api, name: str, member: str) -> None:
    action = BODIES[name]
    assert action.body is not None
    if member in (field.name for field in msgspec.structs.fields(action.body)):
        return
    path = action.path.replace("{id}", "x").replace("{hash}", "x")
    refused = api(action.method, path, {member: "x"})
    message = refused.body["error"]["message"]
    assert (refused.status, f"`{member}`" in message or "missing required" in message) == (400, True), refused


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"1", b'"x"', b"{", b'{"name":', b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 100_000,
     b'{"a":' * 10_000, b'{"name": 1}', b'{"name": null}', b'{"name": ""}', b'{"name": "a\\u0000b"}',
     b'{"name": "' + b"x" * 129 + b'"}', b'{"name": "x", "name2": "y"}', b'{"name": "x", "limit": NaN}'],
    ids=lambda body: body[:18].decode("latin-1"),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/admin/keys", "/v1/keys", "/v1/admin/accounts"])
def test_a_body_that_is_none_is_a_400(api: Api, path: str, body: bytes) -> None:
    refused = api("POST", path, body)
    assert refused.status == 400, refused
    assert "Traceback" not in api.served.output


@pytest.mark.parametrize(
    "limit",
    ["1e400", "-1", "1e-400", "1e999999999", '"NaN"', '"Infinity"', "true", "[]", '"0x10"', "0.0000000000001", "1e30"],
)
def test_an_amount_that_is_none_is_a_400_and_quick(api: Api, limit: str) -> None:
    refused = api("POST", "/v1/keys", b'{"name": "x", "limit": %b}' % limit.encode())
    assert refused.status == 400, refused
    refused = api("POST", "/v1/admin/grants", {"account": "acc_x", "amount_usd": limit.strip('"')})
    assert refused.status in (400, 404)


@pytest.mark.parametrize(
    "value",
    ["' OR 1=1 --", "%27", "%00", "..", "%2e%2e%2f", "%", "_", "\\", "key_%25", "acc_' UNION SELECT 1", "x" * 4000],
)
def test_no_id_or_filter_is_read_as_anything_else(api: Api, value: str) -> None:
    escaped = value.replace(" ", "%20").replace("\\", "%5C")
    for path in ("/v1/admin/keys/", "/v1/admin/accounts/", "/v1/keys/", "/v1/admin/explain/"):
        assert api("GET", path + escaped).status in (400, 404), path
    for path in ("/v1/admin/keys?account=", "/v1/admin/usage?session=", "/v1/admin/audit?action=",
                 "/v1/admin/keys?cursor=key_z", "/v1/admin/audit?cursor=", "/v1/keys?offset="):  # fmt: skip
        answered = api("GET", path + escaped)
        assert answered.status in (200, 400), answered
        assert answered.status == 400 or answered.data == [], path


def test_a_filter_that_there_is_not_or_comes_twice_is_refused(api: Api) -> None:
    for query in ("acount=acc_1", "limit=1&limit=2", "limit=0", "limit=1001", "limit=-1", "limit=1e3", "limit=%D9%A3"):
        assert api("GET", f"/v1/admin/keys?{query}").status == 400, query


def head(api: Api, path: str, key: str, length: int, sent: int) -> tuple[int, Any]:
    """A body of this length, of which so much is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", api.served.port, timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("authorization", f"Bearer {key}")
    connection.putheader("content-length", str(length))
    connection.endheaders()
    connection.send(b" " * sent)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def test_a_long_body_is_not_read(api: Api) -> None:
    stranger = "fl-mgmt-" + "x" * 43
    assert head(api, "/v1/admin/keys", stranger, MOST_STRANGE_BODY_BYTES + 1, 0)[0] == 401
    assert head(api, "/v1/auth/keys", "", MOST_STRANGE_BODY_BYTES + 1, 0)[0] == 413
    assert head(api, "/v1/admin/keys", "", 10, 0)[0] == 401
    assert api("GET", "/v1/admin/keys").status == 200
    assert head(api, "/v1/admin/keys", api.key, MOST_BODY_BYTES + 1, 0)[0] == 413
    whole = json.dumps({"name": "x", "models": ["m" * 100] * 3_000}).encode()
    assert len(whole) > MOST_STRANGE_BODY_BYTES
    assert api("POST", "/v1/admin/keys", whole).status == 400, "more models than a key may have"


def test_a_thousand_at_once_are_all_answered_and_calls_go_on(api: Api) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "crowd"}).data["id"]
    key = api("POST", "/v1/admin/keys", {"name": "caller"}).body["key"]
    body = {"account": account, "amount_usd": "0.01"}

    def one(number: int) -> int:
        if number % 10 == 0:
            return api.chat(key)[0]
        if number % 10 < 4:
            return api("GET", "/v1/admin/keys?limit=5", key="fl-mgmt-" + f"{number:043d}").status
        if number % 10 < 8:
            return api("GET", f"/v1/admin/balances?account={account}").status
        return api("POST", "/v1/admin/grants", body).status

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(one, range(1_000)))
    assert Counter(found) == {200: 500, 401: 300, 201: 200}
    assert api("GET", f"/v1/admin/balances?account={account}").data[0]["granted_usd"] == "2.00"
