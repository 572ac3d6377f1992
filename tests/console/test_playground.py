"""The key of the playground: for who may have keys, for a minute, one for each person, until it is revoked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.console.kit import Browser, Kit

from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import KeyInfo, list_keys
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.keys import revoke_key
from fairlead.admin.playground import LIFE_SECONDS

PATH = "/account/playground-key"


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path)
    yield made
    made.close()


def here(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.get("/account/here.json", accept="application/json").text)
    return found


def get_key(browser: Browser) -> str:
    answer = browser.post(PATH, {"form_token": None}, x_form_token=here(browser)["token"], accept="application/json")
    assert answer.status == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(json.loads(answer.text)["key"])


def rows(kit: Kit) -> list[KeyInfo]:
    return [one for one in list_keys(kit.store) if one.name == "Playground"]


def test_a_stranger_is_told_nothing_and_gets_no_key(kit: Kit) -> None:
    stranger = kit.stranger()
    stranger.get("/sign-in")
    assert here(stranger) == {"signed_in": False}
    assert stranger.post(PATH, accept="application/json").status == 401
    assert rows(kit) == []


def test_who_may_have_keys_gets_one_that_lasts_a_minute_and_replaces_the_one_before(kit: Kit) -> None:
    member = kit.as_role("member")
    assert here(member)["may_call"] is True
    ring = KeyRing(kit.store)
    first = get_key(member)
    caller = ring.read(first.encode())
    assert caller is not None
    assert caller.account_id == kit.acme
    second = get_key(member)
    ring.follow()
    assert ring.read(first.encode()) is None
    assert ring.read(second.encode()) is not None
    [row] = rows(kit)
    assert row.member_id is not None
    assert row.expires_at is not None
    assert 0 < row.expires_at - time.time() <= LIFE_SECONDS
    get_key(kit.as_role("member"))
    assert len(rows(kit)) == 2, "another person has another one"
    made = [one for one in list_audit(kit.store, AuditFilter(action="key."), 10) if one["subject"] == row.id]
    assert [(one["action"], one["actor"]) for one in made] == [("key.create", member.person_id)]


def test_who_may_have_no_keys_gets_none(kit: Kit) -> None:
    viewer = kit.as_role("viewer")
    assert here(viewer)["may_call"] is False
    assert viewer.post(PATH, accept="application/json").status == 403


def test_a_key_that_was_revoked_does_not_come_back(kit: Kit) -> None:
    member = kit.as_role("member")
    get_key(member)
    [row] = rows(kit)
    revoke_key(kit.store, Actor("server"), row.id)
    answer = member.post(PATH, accept="application/json")
    assert answer.status == 403
    assert "revoked" in answer.text
