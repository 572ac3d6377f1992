"""The audit log: one row per change, in the transaction of the change, that nothing can edit and no secret enters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError
from tests.e2e.fork_server import run

from fairlead.accounts.options import as_columns
from fairlead.admin.accounts import change_account, create_account
from fairlead.admin.audit import Actor, AuditFilter, command_line, export_audit, list_audit, record
from fairlead.admin.credit import grant, make_codes, redeem, withdraw
from fairlead.admin.keys import (
    change_key,
    create_key,
    disable_key,
    hash_of,
    key_by_hash,
    list_keys,
    revoke_key,
    rotate_key,
)
from fairlead.admin.management_keys import create_management_key, list_management_keys, revoke_management_key
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.store import Store, open_store
from fairlead.store.tables import audit_log

OPERATOR = Actor("command line", "root")


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def rows(store: Store) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(select(audit_log).order_by(audit_log.c.id)))


def test_a_row_says_who_did_what_from_where_and_what_it_was_before(store: Store) -> None:
    with store.write() as connection:
        record(
            connection, Actor("management key", "mkey_1", "10.0.0.7"), "key.change", "key_1", {"a": 1}, {"a": None},
            account_id="acc_1",
        )  # fmt: skip
    (row,) = rows(store)
    assert (row.actor_kind, row.actor, row.address) == ("management key", "mkey_1", "10.0.0.7")
    assert (row.action, row.subject, row.account_id) == ("key.change", "key_1", "acc_1")
    assert (json.loads(row.before), json.loads(row.after)) == ({"a": 1}, {"a": None})
    assert row.at > 1_700_000_000_000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody else'",
        "DELETE FROM audit_log",
        (
            "INSERT OR REPLACE INTO audit_log (id, at, actor_kind, actor, address, action, subject) "
            "VALUES (1, 1, '', '', '', '', '')"
        ),
        "TRUNCATE audit_log",
    ],
)
def test_the_database_refuses_to_change_or_remove_a_row(store: Store, statement: str) -> None:
    if ("TRUNCATE" in statement) != store.is_shared and ("REPLACE" in statement or "TRUNCATE" in statement):
        pytest.skip("this database has no such statement")
    with store.write() as connection:
        record(connection, OPERATOR, "key.revoke", "key_1", None, None)
    before = rows(store)
    with pytest.raises(DatabaseError, match="append-only"), store.write() as connection:
        connection.execute(text(statement))
    assert rows(store) == before


def test_a_change_that_fails_leaves_no_row_and_a_row_that_fails_no_change(store: Store) -> None:
    with pytest.raises(ConfigurationError):
        create_management_key(store, OPERATOR, "", ["read"])
    with pytest.raises(NotFound):
        revoke_management_key(store, OPERATOR, "mkey_none")
    assert rows(store) == []
    with store.write() as connection:
        connection.execute(text("DROP TABLE audit_log"))
    with pytest.raises(DatabaseError):
        create_management_key(store, OPERATOR, "x", ["read"])
    assert list_management_keys(store) == []


@pytest.mark.parametrize("start", ["sk-fl-", "fl-mgmt-", "fl-code-"])
def test_a_secret_of_ours_is_never_written(store: Store, start: str) -> None:
    secret = start + "aB3" * 12
    with pytest.raises(InvalidRequest, match="a key or a code"), store.write() as connection:
        record(connection, OPERATOR, "key.create", "key_1", None, {"members": {"note": f"it is {secret}."}})
    with pytest.raises(InvalidRequest, match="a key or a code"), store.write() as connection:
        record(connection, OPERATOR, "key.create", secret, None, None)
    assert rows(store) == []


def test_a_management_key_is_made_and_revoked_once_and_both_are_in_the_log(store: Store) -> None:
    made = create_management_key(store, OPERATOR, "terraform", ["keys", "read"])
    assert made.key.startswith("fl-mgmt-")
    for _ in range(2):
        revoke_management_key(store, OPERATOR, made.info.id)
    (info,) = list_management_keys(store)
    assert (info.scopes, info.account_id, info.in_force) == ({"read", "keys"}, None, False)
    found = rows(store)
    assert [(row.action, row.subject) for row in found] == [
        ("management_key.create", made.info.id), ("management_key.revoke", made.info.id),
    ]  # fmt: skip
    assert json.loads(found[0].after)["scopes"] == ["read", "keys"]
    assert made.key not in str(found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scopes": []}, "at least one scope"),
        ({"scopes": ["root"]}, "no scope 'root'"),
        ({"scopes": ["read"], "account_id": "acc_none"}, "no account 'acc_none'"),
        ({"scopes": ["read"], "expires_at": 1}, "expired already"),
    ],
)
def test_a_management_key_that_could_not_be_used_is_refused(store: Store, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        create_management_key(store, OPERATOR, "x", **given)
    assert list_management_keys(store) == []


def test_the_command_line_makes_lists_and_revokes_management_keys(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "d"))
    made = run("management-keys", "create", "--name", "ci", "--scope", "read", "--scope", "keys", *data)
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1]
    (entry,) = json.loads(run("management-keys", "list", "--json", *data).stdout)
    assert (entry["name"], entry["scopes"], entry["account"]) == ("ci", ["read", "keys"], None)
    assert run("management-keys", "revoke", entry["id"], *data).returncode == 0
    table = run("management-keys", "list", *data).stdout
    assert "revoked" in table
    assert key not in table
    assert run("management-keys", "create", "--name", "x", "--scope", "all", *data).returncode == 2
    store = open_store(tmp_path / "d")
    found = rows(store)
    store.close()
    assert [row.actor_kind for row in found] == ["command line", "command line"]
    assert found[0].actor == command_line().id


def usd(text: str) -> Picodollars:
    return Picodollars.parse(text)


def test_every_change_is_in_the_log_with_what_it_was_before_and_without_a_secret(store: Store, tmp_path: Path) -> None:
    account = create_account(store, OPERATOR, "customer", usd("5"))
    change_account(store, OPERATOR, account, as_columns(budgets={"day": usd("1")}))
    change_account(store, OPERATOR, account, as_columns(budgets={"day": usd("1")}))  # nothing changes: no row
    key = create_key(store, OPERATOR, "laptop", account_id=account, credit=usd("1"))
    (info,) = list_keys(store)
    change_key(store, OPERATOR, info.id, as_columns(models=["m"], networks=["10.0.0.0/8"]), name="desk")
    disable_key(store, OPERATOR, info.id, disabled=True)
    disable_key(store, OPERATOR, info.id, disabled=False)
    rotated = rotate_key(store, OPERATOR, info.id)
    fresh = key_by_hash(store, hash_of(rotated))
    assert (fresh.name, fresh.models, fresh.account_id) == ("desk", ["m"], account)
    revoke_key(store, OPERATOR, fresh.id)
    revoke_key(store, OPERATOR, fresh.id)
    grant(store, OPERATOR, account, usd("2"), "invoice 17")
    withdraw(store, OPERATOR, account, usd("1"), "")
    codes = make_codes(store, OPERATOR, usd("3"), 2)
    redeem(store, OPERATOR, codes[0], account)
    made = create_management_key(store, OPERATOR, "ci", ["read"], account_id=account)
    revoke_management_key(store, OPERATOR, made.info.id)
    found = rows(store)
    assert [row.action for row in found] == [
        "account.create", "account.change", "key.create", "key.change", "key.disable", "key.enable", "key.rotate",
        "key.revoke", "credit.grant", "credit.withdraw", "credit.codes", "credit.redeem", "management_key.create",
        "management_key.revoke",
    ]  # fmt: skip
    changed = found[3]
    assert json.loads(changed.before) == {"name": "laptop", "models": None, "networks": None}
    assert json.loads(changed.after) == {"name": "desk", "models": ["m"], "networks": ["10.0.0.0/8"]}
    assert json.loads(found[1].before) == {"budgets_usd": {}}
    assert all(row.account_id == account for row in found if row.action != "credit.codes")
    out = tmp_path / "log"
    for kind in ("jsonl", "csv"):
        with out.open("wb") as file:
            assert export_audit(store, AuditFilter(), kind, file) == len(found)
        text = out.read_text("utf-8")
        assert len(text.splitlines()) == len(found) + (kind == "csv")
        for secret in (key, rotated, made.key, *codes):
            assert secret not in text
            assert hash_of(secret) not in text


def test_the_log_is_read_newest_first_a_page_at_a_time_and_by_what_was_changed(store: Store) -> None:
    for number in range(5):
        create_key(store, OPERATOR, f"key {number}")
    revoke_key(store, Actor("management key", "mkey_1", "10.0.0.7"), list_keys(store)[0].id)
    first = list_audit(store, AuditFilter(), 4)
    rest = list_audit(store, AuditFilter(), 4, first[-1]["id"])
    assert [entry["action"] for entry in (*first, *rest)] == ["key.revoke", *["key.create"] * 5]
    assert [entry["action"] for entry in list_audit(store, AuditFilter(action="key.r"), 9)] == ["key.revoke"]
    assert list_audit(store, AuditFilter(action="%"), 9) == []
    assert list_audit(store, AuditFilter(subject=list_keys(store)[0].id), 9)[0]["address"] == "10.0.0.7"
    assert list_audit(store, AuditFilter(until=0), 9) == []


def test_a_key_pasted_into_a_note_changes_nothing(store: Store) -> None:
    key = create_key(store, OPERATOR, "k")
    account = create_account(store, OPERATOR, "c", usd("0"))
    before = rows(store)
    with pytest.raises(InvalidRequest, match="must not contain a key"):
        grant(store, OPERATOR, account, usd("1"), f"for {key}")
    assert rows(store) == before


def test_the_command_line_shows_and_exports_the_log(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "d"))
    key = run("keys", "create", "--name", "laptop", *data).stdout.splitlines()[-1]
    (entry,) = json.loads(run("audit", "list", "--json", *data).stdout)
    assert (entry["action"], entry["actor_kind"], entry["address"]) == ("key.create", "command line", "")
    assert "key.create" in run("audit", "list", *data).stdout
    exported = run("audit", "export", "--format", "csv", *data).stdout
    assert exported.splitlines()[0].startswith("id,at,actor_kind")
    assert key not in exported
    out = tmp_path / "log.jsonl"
    assert run("audit", "export", "--output", str(out), "--since", "2020-01-01", *data).returncode == 0
    assert json.loads(out.read_text("utf-8"))["subject"] == entry["subject"]
