"""Idempotency-Key: a POST that is repeated is done once, with one answer, for one key and one request."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from fairlead.api.management.idempotency import LIFE_MS
from fairlead.store import open_store
from fairlead.store.tables import idempotent_answers

from .conftest import Api


def test_a_repetition_gets_the_same_answer_and_is_done_once(fresh: Api) -> None:
    first = fresh("POST", "/v1/admin/keys", {"name": "once"}, Idempotency_Key="a")
    again = fresh("POST", "/v1/admin/keys", {"name": "once"}, Idempotency_Key="a")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert [one["name"] for one in fresh("GET", "/v1/admin/keys").data].count("once") == 1
    other = fresh("POST", "/v1/admin/keys", {"name": "another"}, Idempotency_Key="a")
    assert (other.status, other.body["error"]["code"]) == (422, "idempotency_conflict")
    assert fresh("POST", "/v1/admin/accounts", {"name": "once"}, Idempotency_Key="a").status == 422


def test_a_refused_request_may_be_sent_again_with_the_same_name(api: Api) -> None:
    move = {"account": "acc_none", "amount_usd": "1"}
    assert api("POST", "/v1/admin/grants", move, Idempotency_Key="refused").status == 404
    account = api("POST", "/v1/admin/accounts", {"name": "late"}).data["id"]
    done = api("POST", "/v1/admin/grants", {**move, "account": account}, Idempotency_Key="refused")
    assert done.status == 201


def test_another_key_gets_nothing_of_it(api: Api) -> None:
    first = api("POST", "/v1/admin/keys", {"name": "mine"}, Idempotency_Key="shared")
    other = api.new_key("keys")
    second = api("POST", "/v1/admin/keys", {"name": "mine"}, key=other, Idempotency_Key="shared")
    assert second.status == 201
    assert second.body["key"] != first.body["key"]
    reader = api.new_key("read")
    assert api("POST", "/v1/admin/keys", {"name": "mine"}, key=reader, Idempotency_Key="shared").status == 403


def test_many_at_once_are_one(fresh: Api) -> None:
    account = fresh("POST", "/v1/admin/accounts", {"name": "many"}).data["id"]
    body = {"account": account, "amount_usd": "1"}
    start = threading.Barrier(12)

    def grant(_: int) -> int:
        start.wait()
        return fresh("POST", "/v1/admin/grants", body, Idempotency_Key="g").status

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(grant, range(12)))
    assert set(found) <= {201, 409}
    assert 201 in found
    assert fresh("GET", f"/v1/admin/balances?account={account}").data[0]["granted_usd"] == "1.00"


def test_the_stored_answer_holds_no_key_in_clear_and_is_forgotten_after_a_day(api: Api) -> None:
    made = api("POST", "/v1/admin/keys", {"name": "sealed"}, Idempotency_Key="sealed")
    key = made.body["key"]
    with sqlite3.connect(api.served.data / "fairlead.db") as database:
        text = "\n".join(database.iterdump())
    database.close()
    for secret in (key, api.key, key.encode().hex()):
        assert secret not in text
    store = open_store(api.served.data)
    with store.write() as connection:
        connection.execute(update(idempotent_answers).values(at=int(time.time() * 1000) - LIFE_MS - 1))
    store.close()
    again = api("POST", "/v1/admin/keys", {"name": "sealed"}, Idempotency_Key="sealed")
    assert again.body["key"] != key


@pytest.mark.parametrize("name", ["", "x" * 256, "a\tb"])
def test_a_name_that_cannot_be_one_is_refused(api: Api, name: str) -> None:
    refused = api("POST", "/v1/admin/keys", {"name": "x"}, Idempotency_Key=name)
    assert (refused.status, refused.body["error"]["param"]) == (400, "Idempotency-Key")
