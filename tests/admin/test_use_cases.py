"""Management without the command line: each use-case is one transaction, and a refused one changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.admin.accounts import account_entry, change_account, create_account, list_accounts
from fairlead.admin.audit import Actor
from fairlead.admin.books import UsageRange, explain, export_usage, verify_books
from fairlead.admin.credit import balances, grant, make_codes, redeem, refund, withdraw
from fairlead.admin.keys import change_key, create_key, key_entry, list_keys, revoke_key
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.store import Store, open_store

OPERATOR = Actor("command line", "root")


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def usd(text: str) -> Picodollars:
    return Picodollars.parse(text)


def test_a_key_with_credit_gets_a_prepaid_account_of_its_own(store: Store) -> None:
    key = create_key(store, OPERATOR, "laptop", credit=usd("2.50"))
    (info,) = list_keys(store)
    assert key.startswith(info.shown)
    ((account, held),) = balances(store)
    assert (account.id, account.prepaid, held.granted) == (info.account_id, True, usd("2.50").value)
    entry = key_entry(info)
    assert (entry["name"], entry["account"], entry["revoked_at"]) == ("laptop", account.id, None)
    assert key not in str(entry)


def test_a_refused_key_leaves_no_account_and_no_credit(store: Store) -> None:
    with pytest.raises(ConfigurationError):
        create_key(store, OPERATOR, "late", credit=usd("1.00"), columns={"expires_at": int(time.time()) - 1})
    with pytest.raises(ConfigurationError):
        create_key(store, OPERATOR, "\n", credit=usd("1.00"))
    create_key(store, OPERATOR, "of the operator")
    operator = list_keys(store)[0].account_id
    with pytest.raises(ConfigurationError):
        create_key(store, OPERATOR, "no credit needed", account_id=operator, credit=usd("1.00"))
    assert [key.name for key in list_keys(store)] == ["of the operator"]
    assert [account.id for account in list_accounts(store)] == [operator]


def test_keys_are_changed_and_revoked_by_id(store: Store) -> None:
    create_key(store, OPERATOR, "laptop")
    key_id = list_keys(store)[0].id
    ends = int(time.time()) + 3_600
    change_key(store, OPERATOR, key_id, {"expires_at": ends})
    revoke_key(store, OPERATOR, key_id)
    (info,) = list_keys(store)
    assert info.expires_at == ends
    assert info.revoked_at is not None
    for refused in (
        lambda: change_key(store, OPERATOR, "key_none", {"expires_at": ends}),
        lambda: revoke_key(store, OPERATOR, "key_none"),
    ):
        with pytest.raises(NotFound, match="key_none"):
            refused()


def test_credit_is_granted_withdrawn_and_redeemed(store: Store) -> None:
    account_id = create_account(store, OPERATOR, "customer", usd("1.00"))
    grant(store, OPERATOR, account_id, usd("0.50"), "invoice")
    withdraw(store, OPERATOR, account_id, usd("0.25"), "")
    (code,) = make_codes(store, OPERATOR, usd("3.00"), 1)
    assert redeem(store, OPERATOR, code, account_id) == usd("3.00")
    assert balances(store, account_id)[0].held.granted == usd("4.25").value
    with pytest.raises(NotFound):
        redeem(store, OPERATOR, code, account_id)
    with pytest.raises(InvalidRequest):
        withdraw(store, OPERATOR, account_id, usd("5.00"), "")
    with pytest.raises(NotFound):
        refund(store, OPERATOR, "gen-none", None, "")
    with pytest.raises(ConfigurationError):
        grant(store, OPERATOR, "acc_none", usd("1.00"), "")
    assert balances(store, account_id)[0].held.granted == usd("4.25").value


def test_an_account_is_changed_and_listed(store: Store) -> None:
    account_id = create_account(store, OPERATOR, "customer", usd("0"))
    change_account(store, OPERATOR, account_id, {"budgets": '{"day": 500000000000}'})
    (account,) = list_accounts(store)
    assert account_entry(account)["budgets_usd"] == {"day": "0.50"}
    with pytest.raises(ConfigurationError):
        change_account(store, OPERATOR, "acc_none", {"budgets": None})


def test_the_books_of_a_new_store_are_right_and_empty(store: Store, tmp_path: Path) -> None:
    totals: list[int] = []

    def begin(total: int) -> Callable[[int], None]:
        totals.append(total)
        return totals.append

    done = verify_books(store, 0, begin)
    assert (done.discrepancy, done.found.records, done.waiting, totals[0]) == (None, 0, 0, 0)
    assert explain(store, "gen-none") is None
    file = tmp_path / "usage.jsonl"
    assert export_usage(store, UsageRange(0, None, None), "jsonl", file) == 0
    assert file.read_bytes() == b""
