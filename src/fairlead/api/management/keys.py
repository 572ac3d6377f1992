"""/v1/admin/keys and /management-keys: what `fairlead keys`, `access` and `management-keys` do, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.admin import keys, management_keys
from fairlead.admin.access import access, access_entry
from fairlead.admin.management_keys import management_key_entry
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import (
    EachUserBody,
    Id,
    amount_of,
    restrictions_of,
    seconds_of,
)
from fairlead.api.management.confined import ACCOUNT, CONFINED, ONCE, PAGE, account_answer, own_group, own_key
from fairlead.errors import Forbidden, InvalidRequest, NotFound


class NewKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    account: Id | None = None
    credit_usd: str | None = None
    expires_at: str | int | None = None
    models: list[str] | None = None
    networks: list[str] | None = None
    budgets_usd: dict[str, str] | None = None
    continue_with: dict[str, list[str]] | None = None
    limits: dict[str, int] | None = None
    project: Id | None = None
    member: Id | None = None
    each_user: EachUserBody | None = None


class KeyChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    expires_at: str | int | UnsetType | None = UNSET
    models: list[str] | UnsetType | None = UNSET
    networks: list[str] | UnsetType | None = UNSET
    budgets_usd: dict[str, str] | UnsetType | None = UNSET
    continue_with: dict[str, list[str]] | UnsetType | None = UNSET
    limits: dict[str, int] | UnsetType | None = UNSET
    project: Id | UnsetType | None = UNSET
    member: Id | UnsetType | None = UNSET
    each_user: EachUserBody | UnsetType | None = UNSET


class NewManagementKeyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    scopes: list[str]
    account: Id | None = None
    expires_at: str | int | None = None


def _list_keys(call: ManagementCall) -> Answer:
    limit = call.count()
    account = call.account(call.query.get("account"))
    found = keys.page_of_keys(call.store, limit + 1, call.query.get("cursor"), account)
    return Answer(listed([keys.key_entry(one) for one in found], limit, lambda one: one["id"]))


def _create_key(call: ManagementCall) -> Answer:
    body: NewKey = call.body
    amount = None if body.credit_usd is None else amount_of("credit_usd", body.credit_usd)
    if amount is not None and amount.value:
        call.require("money")
    account = call.account(body.account)
    if account is not None:
        account_answer(call, account)
    columns = restrictions_of(body)
    columns |= {"project_id": own_group(call, "project", body.project),
                "member_id": own_group(call, "member", body.member)}  # fmt: skip
    key = keys.create_key(
        call.store, call.actor, body.name, account_id=account, credit=amount,
        columns={name: value for name, value in columns.items() if value is not None},
    )  # fmt: skip
    made = keys.key_by_hash(call.store, keys.hash_of(key))
    return Answer({"data": keys.key_entry(made), "key": key}, credited=made.account_id if amount else "")


def _one_key(call: ManagementCall) -> Answer:
    return Answer({"data": keys.key_entry(own_key(call, call.id))})


def _change_key(call: ManagementCall) -> Answer:
    body: KeyChange = call.body
    own_key(call, call.id)
    columns = restrictions_of(body)
    if body.project is not UNSET:
        columns["project_id"] = own_group(call, "project", body.project)
    if body.member is not UNSET:
        columns["member_id"] = own_group(call, "member", body.member)
    if columns or body.name is not UNSET:
        keys.change_key(call.store, call.actor, call.id, columns, name=None if body.name is UNSET else body.name)
    elif body.disabled is UNSET:
        raise InvalidRequest("Nothing to change.")
    if body.disabled is not UNSET:
        keys.disable_key(call.store, call.actor, call.id, disabled=body.disabled)
    return _one_key(call)


def _access(call: ManagementCall) -> Answer:
    own_key(call, call.id)
    models, aliases = call.live.models()
    return Answer({"data": access_entry(access(call.store, call.id, models, aliases, call.query.get("model")))})


def _revoke_key(call: ManagementCall) -> Answer:
    own_key(call, call.id)
    keys.revoke_key(call.store, call.actor, call.id)
    return _one_key(call)


def _rotate_key(call: ManagementCall) -> Answer:
    own_key(call, call.id)
    key = keys.rotate_key(call.store, call.actor, call.id)
    return Answer({"data": keys.key_entry(keys.key_by_hash(call.store, keys.hash_of(key))), "key": key})


def _list_management_keys(call: ManagementCall) -> Answer:
    own = call.key.account_id
    found = management_keys.list_management_keys(call.store)
    return Answer(
        {"data": [management_key_entry(one) for one in found if own is None or one.account_id == own]}
    )  # fmt: skip


def _create_management_key(call: ManagementCall) -> Answer:
    body: NewManagementKeyBody = call.body
    mine = call.key
    if more := [scope for scope in body.scopes if scope not in mine.scopes]:
        raise Forbidden(
            f"A management key creates only keys with scopes of its own; {mine.id} has no {more[0][:32]!r}."
        )
    account = call.account(body.account)
    if account is not None:
        account_answer(call, account)
    expires_at = None if body.expires_at is None else seconds_of("expires_at", body.expires_at)
    if mine.expires_at is not None and (expires_at is None or expires_at > mine.expires_at):
        raise Forbidden("A management key creates only keys that expire no later than itself.")
    made = management_keys.create_management_key(
        call.store, call.actor, body.name, body.scopes, account_id=account, expires_at=expires_at
    )
    return Answer({"data": management_key_entry(made.info), "key": made.key})


def _revoke_management_key(call: ManagementCall) -> Answer:
    own = call.key.account_id
    known = {one.id: one for one in management_keys.list_management_keys(call.store)}
    if call.id not in known or (own is not None and known[call.id].account_id != own):
        raise NotFound(f"There is no management key {call.id[:64]!r}.")
    management_keys.revoke_management_key(call.store, call.actor, call.id)
    found = next(one for one in management_keys.list_management_keys(call.store) if one.id == call.id)
    return Answer({"data": management_key_entry(found)})


KEYS: Sequence[Action] = (
    Action("GET", "/v1/admin/keys/{id}/access", "read", _access, "Keys",
           "Show what a key may call, and which rule says so.", "As `GET /v1/access` shows it to the key itself.",
           query={"model": "The model to ask about. Default: none; then `models` lists those that may be called."}),
    Action("GET", "/v1/admin/keys", "read", _list_keys, "Keys", "List the keys, oldest first.",
           f"Revoked keys are included. {CONFINED}", query=PAGE | ACCOUNT),
    Action("POST", "/v1/admin/keys", "keys", _create_key, "Keys", "Create a key.",
           "Without `account` it belongs to the operator's own account, or with `credit_usd` to a new prepaid one. "
           f"{ONCE} Credit needs the scope `money` as well.", body=NewKey, status=201),
    Action("GET", "/v1/admin/keys/{id}", "read", _one_key, "Keys", "Retrieve a key."),
    Action("PATCH", "/v1/admin/keys/{id}", "keys", _change_key, "Keys", "Change a key, or disable it for a time.",
           "A given member replaces the current value; null removes it. In force within a second.", body=KeyChange),
    Action("DELETE", "/v1/admin/keys/{id}", "keys", _revoke_key, "Keys", "Revoke a key for good."),
    Action("POST", "/v1/admin/keys/{id}/rotate", "keys", _rotate_key, "Keys",
           "Replace a key by a new one with the same restrictions.",
           f"The old one is revoked. {ONCE} What budgets of the key have spent starts again at zero."),
    Action("GET", "/v1/admin/management-keys", "read", _list_management_keys, "Keys", "List the management keys.",
           CONFINED),
    Action("POST", "/v1/admin/management-keys", "keys", _create_management_key, "Keys", "Create a management key.",
           f"It may have no scope that its maker lacks, expires no later, and is confined as its maker is. {ONCE}",
           body=NewManagementKeyBody, status=201),
    Action("DELETE", "/v1/admin/management-keys/{id}", "keys", _revoke_management_key, "Keys",
           "Revoke a management key, at once."),
)  # fmt: skip
