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

from fairlead.admin.audit import Actor, command_line, record
from fairlead.admin.management_keys import create_management_key, list_management_keys, revoke_management_key
from fairlead.errors import ConfigurationError, NotFound
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
    with pytest.raises(ValueError, match="a secret"), store.write() as connection:
        record(connection, OPERATOR, "key.create", "key_1", None, {"members": {"note": f"it is {secret}."}})
    with pytest.raises(ValueError, match="a secret"), store.write() as connection:
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
