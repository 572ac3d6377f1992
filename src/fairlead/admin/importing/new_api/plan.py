"""What an import would create: accounts with credit, and keys. Written to a file, applied later, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, insert, select

from fairlead.accounts import keys
from fairlead.accounts.accounts import budgets_as_json, check_name
from fairlead.accounts.options import MOST_ENTRIES, as_columns
from fairlead.admin.audit import Actor, Change, record, record_all
from fairlead.errors import ConfigurationError
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.settings import ModelId
from fairlead.store import Store
from fairlead.store.tables import accounts, api_keys

FORMAT = "fairlead accounts and keys 1"
# A key is about 300 bytes: a million of them.
LARGEST_BYTES = 512 * 1024 * 1024
Usd = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z")]
AccountId = Annotated[str, Meta(pattern=r"^acc_[0-9a-f]{12}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class PlannedAccount(Struct, frozen=True, forbid_unknown_fields=True):
    """A prepaid account. Its id is made of the user's, so that the same user is the same account."""

    id: AccountId
    name: Name
    credit_usd: Usd


class PlannedKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`digest`: SHA-256 of the whole key in hexadecimal digits; the key itself is nowhere. `shown`: its beginning.
    `budget_usd`: what it may spend in total, None: what its account has. Times in seconds since 1970."""

    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    shown: Annotated[str, Meta(min_length=1, max_length=16)]
    name: Name
    account: AccountId
    expires_at: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    budget_usd: Usd | None = None
    models: Annotated[list[ModelId], Meta(max_length=MOST_ENTRIES)] | None = None
    networks: Annotated[list[str], Meta(min_length=1, max_length=MOST_ENTRIES)] | None = None


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: where it was read, for the notes of the entries of credit."""

    format: str
    source: str
    accounts: list[PlannedAccount]
    keys: list[PlannedKey]


class Applied(NamedTuple):
    """How many were created, how many were there already, and the credit that was granted."""

    accounts: int
    keys: int
    unchanged: int
    credit: Picodollars


def as_text(plan: Plan) -> str:
    return msgspec.json.format(msgspec.json.encode(plan), indent=2).decode() + "\n"


def read_plan(text: str, name: str) -> Plan:
    """Raises ConfigurationError for what is no plan."""
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{name} is no plan of `fairlead import new-api`: {error}.") from None
    if plan.format != FORMAT:
        raise ConfigurationError(f"{name} is a plan of another version of Fairlead; import again.")
    return plan


def apply_plan(store: Store, actor: Actor, plan: Plan) -> Applied:
    """Creates what is not there yet, everything or nothing. What is there stays as it is: a second run changes nothing,
    and spent credit does not come back. Raises ConfigurationError."""
    created = 0
    credit = Picodollars(0)
    with store.write() as connection:
        known = {row.id for row in connection.execute(select(accounts.c.id))}
        digests = {bytes(row.digest) for row in connection.execute(select(api_keys.c.digest))}
        for account in plan.accounts:
            if account.id not in known:
                credit += _add_account(connection, actor, account, plan.source)
                known.add(account.id)
                created += 1
        missing: dict[bytes, PlannedKey] = {}
        for key in plan.keys:
            if key.account not in known:
                raise ConfigurationError(f"The plan has a key of the account {key.account}, which it does not have.")
            digest = bytes.fromhex(key.digest)
            if digest not in digests:
                missing.setdefault(digest, key)
        made = len(missing)
        _add_keys(connection, actor, missing)
    return Applied(created, made, len(plan.accounts) + len(plan.keys) - created - made, credit)


def _add_account(connection: Connection, actor: Actor, account: PlannedAccount, source: str) -> Picodollars:
    check_name(account.name)
    amount = _amount(account.credit_usd)
    row = {"id": account.id, "name": account.name, "created_at": int(time.time()), "prepaid": True}
    connection.execute(insert(accounts).values(row))
    grant(connection, account.id, amount.value, f"imported from {source}"[:256])
    after = {"name": account.name, "prepaid": True, "credit_usd": amount.dollars()}
    record(connection, actor, "account.import", account.id, None, after, account_id=account.id)
    return amount


def _add_keys(connection: Connection, actor: Actor, planned: Mapping[bytes, PlannedKey]) -> None:
    """All in one statement: a server with the same database waits for the end of this transaction."""
    given = [keys.ImportedKey(one.name, one.account, at, one.shown, _columns(one)) for at, one in planned.items()]
    ids = keys.import_keys(connection, given)
    changes = [
        Change("key.import", id_, None, _audited(one), one.account)
        for id_, one in zip(ids, planned.values(), strict=True)
    ]
    record_all(connection, actor, changes)


def _columns(key: PlannedKey) -> dict[str, Any]:
    columns: dict[str, Any] = {"models": None, "networks": None, "budgets": None, "expires_at": key.expires_at}
    columns |= as_columns(models=key.models, networks=key.networks)
    if key.models == []:  # none, and not all
        columns["models"] = "[]"
    if key.budget_usd is not None:
        columns["budgets"] = budgets_as_json({"total": _amount(key.budget_usd)})
    return columns


def _audited(key: PlannedKey) -> dict[str, Any]:
    return {
        "name": key.name, "account": key.account, "models": key.models, "networks": key.networks,
        "expires_at": key.expires_at, "budgets_usd": {} if key.budget_usd is None else {"total": key.budget_usd},
    }  # fmt: skip


def _amount(text: str) -> Picodollars:
    try:
        return Picodollars.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"The plan has a wrong amount: {error}.") from None
