"""/v1/admin/accounts, /projects, /members: what `fairlead accounts`, `projects` and `members` do, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.accounts.groups import GroupKind
from fairlead.admin import accounts, groups
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import (
    EachUserBody,
    Id,
    amount_of,
    restrictions_of,
)
from fairlead.api.management.confined import ACCOUNT, CONFINED, PAGE, account_answer, own_group
from fairlead.errors import InvalidRequest


class NewAccount(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    credit_usd: str = "0"
    budgets_usd: dict[str, str] | UnsetType | None = UNSET
    continue_with: dict[str, list[str]] | UnsetType | None = UNSET
    limits: dict[str, int] | UnsetType | None = UNSET
    models: list[str] | UnsetType | None = UNSET
    each_user: EachUserBody | UnsetType | None = UNSET


class AccountChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str | UnsetType = UNSET
    budgets_usd: dict[str, str] | UnsetType | None = UNSET
    continue_with: dict[str, list[str]] | UnsetType | None = UNSET
    limits: dict[str, int] | UnsetType | None = UNSET
    models: list[str] | UnsetType | None = UNSET
    each_user: EachUserBody | UnsetType | None = UNSET


class AccountUpdate(AccountChange, forbid_unknown_fields=True, frozen=True):
    disabled: bool | UnsetType = UNSET


class NewGroup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    account: Id | None = None
    budgets_usd: dict[str, str] | None = None
    continue_with: dict[str, list[str]] | None = None
    limits: dict[str, int] | None = None
    models: list[str] | None = None
    each_user: EachUserBody | None = None


def _list_accounts(call: ManagementCall) -> Answer:
    limit = call.count()
    own = call.key.account_id
    found = accounts.page_of_accounts(call.store, limit + 1, call.query.get("cursor"), own)
    return Answer(listed([accounts.account_entry(one) for one in found], limit, lambda one: one["id"]))


def _create_account(call: ManagementCall) -> Answer:
    body: NewAccount = call.body
    amount = amount_of("credit_usd", body.credit_usd)
    if amount.value:
        call.require("money")
    columns = restrictions_of(body)
    made = accounts.create_account(call.store, call.actor, body.name, amount, columns)
    return account_answer(call, made)


def _one_account(call: ManagementCall) -> Answer:
    call.account(call.id)
    return account_answer(call, call.id)


def _change_account(call: ManagementCall) -> Answer:
    body: AccountUpdate = call.body
    columns = restrictions_of(body)
    if body.name is not UNSET:
        columns["name"] = body.name
    if not columns and body.disabled is UNSET:
        raise InvalidRequest("Nothing to change: give name, budgets_usd, limits, models, each_user or disabled.")
    account_answer(call, call.id)
    if columns:
        accounts.change_account(call.store, call.actor, call.id, columns)
    if body.disabled is not UNSET:
        accounts.disable_account(call.store, call.actor, call.id, disabled=body.disabled)
    return account_answer(call, call.id)


def _list_groups(kind: GroupKind, call: ManagementCall) -> Answer:
    limit = call.count()
    account = call.account(call.query.get("account"))
    archived = call.query.get("archived", "false")
    if archived not in ("true", "false"):
        raise InvalidRequest("archived must be true or false.", param="archived")
    found = groups.page_of_groups(
        call.store, kind, limit + 1, call.query.get("cursor"), account, archived=archived == "true"
    )
    return Answer(listed([groups.group_entry(one) for one in found], limit, lambda one: one["id"]))


def _create_group(kind: GroupKind, call: ManagementCall) -> Answer:
    body: NewGroup = call.body
    account = call.account(body.account)
    if account is not None:
        account_answer(call, account)
    columns = restrictions_of(body)
    return _group(kind, call, groups.create_group(call.store, call.actor, kind, body.name, account, columns))


def _one_group(kind: GroupKind, call: ManagementCall) -> Answer:
    own_group(call, kind, call.id)
    return _group(kind, call, call.id)


def _change_group(kind: GroupKind, call: ManagementCall) -> Answer:
    body: AccountChange = call.body
    own_group(call, kind, call.id)
    columns = restrictions_of(body)
    if body.name is not UNSET:
        columns["name"] = body.name
    if not columns:
        raise InvalidRequest("Nothing to change: give name, budgets_usd, limits, models or each_user.")
    groups.change_group(call.store, call.actor, kind, call.id, columns)
    return _group(kind, call, call.id)


def _archive_group(kind: GroupKind, archived: bool, call: ManagementCall) -> Answer:
    own_group(call, kind, call.id)
    groups.archive_group(call.store, call.actor, kind, call.id, archived=archived)
    return _group(kind, call, call.id)


def _group(kind: GroupKind, call: ManagementCall, group_id: str) -> Answer:
    return Answer({"data": groups.group_entry(groups.group_info(call.store, kind, group_id))})


def _group_actions(kind: GroupKind) -> Sequence[Action]:
    path, tag, one = f"/v1/admin/{kind}s", f"{kind.capitalize()}s", f"/v1/admin/{kind}s/{{id}}"
    return (
        Action("GET", path, "read", partial(_list_groups, kind), tag, f"List the {kind}s, oldest first.", CONFINED,
               query=PAGE | ACCOUNT | {"archived": "true: the archived ones as well. Default: false."}),
        Action("POST", path, "keys", partial(_create_group, kind), tag, f"Create a {kind}.",
               "Without `account` of the operator's own.", body=NewGroup, status=201),
        Action("GET", one, "read", partial(_one_group, kind), tag, f"Retrieve a {kind}."),
        Action("PATCH", one, "keys", partial(_change_group, kind), tag,
               f"Change what the keys of a {kind} share, or its name.",
               "A given member replaces the current value; null removes it.", body=AccountChange),
        Action("DELETE", one, "keys", partial(_archive_group, kind, True), tag, f"Archive a {kind}.",
               "Its keys are refused within a second, and lists leave it out. What it has spent stays in the books."),
        Action("POST", f"{one}/restore", "keys", partial(_archive_group, kind, False), tag, f"Restore a {kind}.",
               "Its keys work again."),
    )  # fmt: skip


ACCOUNTS: Sequence[Action] = (
    *_group_actions("project"),
    *_group_actions("member"),
    Action("GET", "/v1/admin/accounts", "read", _list_accounts, "Accounts", "List the accounts, oldest first.",
           CONFINED, query=PAGE),
    Action("POST", "/v1/admin/accounts", "keys", _create_account, "Accounts", "Create a prepaid account.",
           "Initial credit needs the scope `money` as well.", body=NewAccount, confined=False, status=201),
    Action("GET", "/v1/admin/accounts/{id}", "read", _one_account, "Accounts", "Retrieve an account."),
    Action("PATCH", "/v1/admin/accounts/{id}", "keys", _change_account, "Accounts",
           "Change the name, the budgets or the limits of an account, or disable it for a time.",
           "A given member replaces the current value; null removes it. Keys of a disabled account are refused "
           "within a second.", body=AccountUpdate, confined=False),
)  # fmt: skip
