"""/v1/admin/: accounts, keys, credit, the books and the audit log; what the command line does, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.accounts.groups import GroupKind
from fairlead.accounts.keys import KeyInfo
from fairlead.admin import accounts, alerts, audit, books, credit, groups, keys, management_keys, shadow
from fairlead.admin.access import access, access_entry
from fairlead.admin.audit import AuditFilter
from fairlead.admin.management_keys import management_key_entry
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import EachUserBody, amount_of, day_of, iso, restrictions, seconds_of
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.money import Picodollars
from fairlead.store.health import page_of_events
from fairlead.telemetry.reader import WINDOWS

MOST_NAMED: Final = 100
PAGE: Final = {"limit": "How many, from 1 to 1,000. Default: 100.", "cursor": "`next_cursor` of the page before."}
ACCOUNT: Final = {"account": "Only of this account."}


Note = Annotated[str, msgspec.Meta(max_length=256)]
Id = Annotated[str, msgspec.Meta(max_length=128)]


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


class NewGroup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    account: Id | None = None
    budgets_usd: dict[str, str] | None = None
    continue_with: dict[str, list[str]] | None = None
    limits: dict[str, int] | None = None
    models: list[str] | None = None
    each_user: EachUserBody | None = None


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


class CreditMove(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    account: Id
    amount_usd: str
    note: Note = ""


class Refund(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    generation: Id
    amount_usd: str | None = None
    note: Note = ""


class NewCodes(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    amount_usd: str
    count: int = 1


class CodeRedemption(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    code: Id
    account: Id


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
    columns = restrictions(
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        models=body.models,
        each_user=body.each_user,
    )
    made = accounts.create_account(call.store, call.actor, body.name, amount, columns)
    return _account(call, made)


def _one_account(call: ManagementCall) -> Answer:
    call.account(call.id)
    return _account(call, call.id)


def _change_account(call: ManagementCall) -> Answer:
    body: AccountChange = call.body
    columns = restrictions(
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        models=body.models,
        each_user=body.each_user,
    )
    if body.name is not UNSET:
        columns["name"] = body.name
    if not columns:
        raise InvalidRequest("Nothing to change: give name, budgets_usd, limits, models or each_user.")
    _account(call, call.id)
    accounts.change_account(call.store, call.actor, call.id, columns)
    return _account(call, call.id)


def _account(call: ManagementCall, account_id: str) -> Answer:
    return Answer({"data": accounts.account_entry(accounts.one_account(call.store, account_id))})


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
        _account(call, account)
    columns = restrictions(
        expires_at=body.expires_at,
        models=body.models,
        networks=body.networks,
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        each_user=body.each_user,
    )
    columns |= {"project_id": _own_group(call, "project", body.project),
                "member_id": _own_group(call, "member", body.member)}  # fmt: skip
    key = keys.create_key(
        call.store, call.actor, body.name, account_id=account, credit=amount,
        columns={name: value for name, value in columns.items() if value is not None},
    )  # fmt: skip
    made = keys.key_by_hash(call.store, keys.hash_of(key))
    return Answer({"data": keys.key_entry(made), "key": key}, credited=made.account_id if amount else "")


def own_key(call: ManagementCall, key_id: str) -> KeyInfo:
    """Raises NotFound, also for a key of another account than the caller may touch."""
    found = keys.key_info(call.store, key_id)
    call.check_account(found.account_id, NotFound(f"There is no key {key_id[:64]!r}."))
    return found


def _one_key(call: ManagementCall) -> Answer:
    return Answer({"data": keys.key_entry(own_key(call, call.id))})


def _change_key(call: ManagementCall) -> Answer:
    body: KeyChange = call.body
    own_key(call, call.id)
    columns = restrictions(
        expires_at=body.expires_at,
        models=body.models,
        networks=body.networks,
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        each_user=body.each_user,
    )
    if body.project is not UNSET:
        columns["project_id"] = _own_group(call, "project", body.project)
    if body.member is not UNSET:
        columns["member_id"] = _own_group(call, "member", body.member)
    if columns or body.name is not UNSET:
        keys.change_key(call.store, call.actor, call.id, columns, name=None if body.name is UNSET else body.name)
    elif body.disabled is UNSET:
        raise InvalidRequest("Nothing to change.")
    if body.disabled is not UNSET:
        keys.disable_key(call.store, call.actor, call.id, disabled=body.disabled)
    return _one_key(call)


def _own_group(call: ManagementCall, kind: GroupKind, group_id: str | None) -> str | None:
    """Raises NotFound, also for a project or a member of another account than the caller may touch."""
    if group_id is not None:
        refusal = NotFound(f"There is no {kind} {group_id[:64]!r}.", param=kind)
        call.check_account(groups.group_info(call.store, kind, group_id).account_id, refusal)
    return group_id


def _list_groups(kind: GroupKind, call: ManagementCall) -> Answer:
    limit = call.count()
    account = call.account(call.query.get("account"))
    found = groups.page_of_groups(call.store, kind, limit + 1, call.query.get("cursor"), account)
    return Answer(listed([groups.group_entry(one) for one in found], limit, lambda one: one["id"]))


def _create_group(kind: GroupKind, call: ManagementCall) -> Answer:
    body: NewGroup = call.body
    account = call.account(body.account)
    if account is not None:
        _account(call, account)
    columns = restrictions(
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        models=body.models,
        each_user=body.each_user,
    )
    return _group(kind, call, groups.create_group(call.store, call.actor, kind, body.name, account, columns))


def _one_group(kind: GroupKind, call: ManagementCall) -> Answer:
    _own_group(call, kind, call.id)
    return _group(kind, call, call.id)


def _change_group(kind: GroupKind, call: ManagementCall) -> Answer:
    body: AccountChange = call.body
    _own_group(call, kind, call.id)
    columns = restrictions(
        budgets_usd=body.budgets_usd,
        continue_with=body.continue_with,
        limits=body.limits,
        models=body.models,
        each_user=body.each_user,
    )
    if body.name is not UNSET:
        columns["name"] = body.name
    if not columns:
        raise InvalidRequest("Nothing to change: give name, budgets_usd, limits, models or each_user.")
    groups.change_group(call.store, call.actor, kind, call.id, columns)
    return _group(kind, call, call.id)


def _group(kind: GroupKind, call: ManagementCall, group_id: str) -> Answer:
    return Answer({"data": groups.group_entry(groups.group_info(call.store, kind, group_id))})


def _access(call: ManagementCall) -> Answer:
    own_key(call, call.id)
    models, aliases = call.live.models()
    return Answer({"data": access_entry(access(call.store, call.id, models, aliases, call.query.get("model")))})


def _group_actions(kind: GroupKind) -> Sequence[Action]:
    path, tag, one = f"/v1/admin/{kind}s", f"{kind.capitalize()}s", f"/v1/admin/{kind}s/{{id}}"
    return (
        Action("GET", path, "read", partial(_list_groups, kind), tag, f"List the {kind}s, oldest first.", CONFINED,
               query=PAGE | ACCOUNT),
        Action("POST", path, "keys", partial(_create_group, kind), tag, f"Create a {kind}.",
               "Without `account` of the operator's own.", body=NewGroup, status=201),
        Action("GET", one, "read", partial(_one_group, kind), tag, f"Retrieve a {kind}."),
        Action("PATCH", one, "keys", partial(_change_group, kind), tag,
               f"Change what the keys of a {kind} share, or its name.",
               "A given member replaces the current value; null removes it.", body=AccountChange),
    )  # fmt: skip


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
        _account(call, account)
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


def _grant(call: ManagementCall) -> Answer:
    body: CreditMove = call.body
    _account(call, body.account)
    amount = _positive("amount_usd", body.amount_usd)
    credit.grant(call.store, call.actor, body.account, amount, body.note)
    return _balance(call, body.account, credited=body.account)


def _withdraw(call: ManagementCall) -> Answer:
    body: CreditMove = call.body
    _account(call, body.account)
    amount = _positive("amount_usd", body.amount_usd)
    credit.withdraw(call.store, call.actor, body.account, amount, body.note)
    return _balance(call, body.account)


def _refund(call: ManagementCall) -> Answer:
    body: Refund = call.body
    amount = None if body.amount_usd is None else _positive("amount_usd", body.amount_usd)
    done = credit.refund(call.store, call.actor, body.generation, amount, body.note)
    entry = {"account": done.account_id, "refunded_usd": _usd(done.picodollars)}
    return Answer({"data": entry}, credited=done.account_id)


def _make_codes(call: ManagementCall) -> Answer:
    body: NewCodes = call.body
    made = credit.make_codes(call.store, call.actor, _positive("amount_usd", body.amount_usd), body.count)
    return Answer({"data": {"amount_usd": amount_of("amount_usd", body.amount_usd).dollars(), "codes": made}})


def _redeem(call: ManagementCall) -> Answer:
    body: CodeRedemption = call.body
    call.account(body.account)
    _account(call, body.account)
    credit.redeem(call.store, call.actor, body.code, body.account)
    return _balance(call, body.account, credited=body.account)


def _usd(picodollars: int) -> str:
    return Picodollars(picodollars).dollars()


def _positive(name: str, text: str) -> Picodollars:
    amount = amount_of(name, text)
    if not amount.value:
        raise InvalidRequest(f"{name} must be above 0.", param=name)
    return amount


def _balances(call: ManagementCall) -> Answer:
    account = call.account(call.query.get("account"))
    if account is not None:
        _account(call, account)
    limit = call.count()
    found = credit.page_of_balances(call.store, limit + 1, call.query.get("cursor"), account)
    return Answer(listed([_balance_entry(one) for one in found], limit, lambda one: one["account"]))


def _balance(call: ManagementCall, account_id: str, *, credited: str = "") -> Answer:
    (found,) = credit.balances(call.store, account_id)
    return Answer({"data": _balance_entry(found)}, credited=credited)


def _balance_entry(found: credit.AccountBalance) -> dict[str, Any]:
    account, held = found
    prepaid = account.prepaid
    return {
        "account": account.id,
        "name": account.name,
        "prepaid": prepaid,
        "granted_usd": _usd(held.granted) if prepaid else None,
        "spent_usd": _usd(held.spent) if prepaid else None,
        "remaining_usd": _usd(held.granted - held.spent) if prepaid else None,
    }


def _explain(call: ManagementCall) -> Answer:
    refusal = NotFound(f"There is no record of {call.id[:64]!r}. Records are written with a short delay.")
    found = books.explain(call.store, call.id)
    owner = books.account_of_call(call.store, call.id)
    if found is None or (call.key.account_id is not None and owner != call.key.account_id):
        raise refusal
    return Answer({"data": found})


def _usage(call: ManagementCall) -> Answer:
    limit = call.count()
    account = call.account(call.query.get("account"))
    after = call.number("cursor", 0, 0, 2**62)
    found = books.page_of_usage(call.store, limit + 1, after, account, call.query.get("session"))
    entries = [{"number": number, **row} for number, row in found]
    return Answer(listed(entries, limit, lambda one: str(one["number"])))


def _deployments(call: ManagementCall) -> Answer:
    return Answer({"data": call.live.deployments()})


def _events(call: ManagementCall) -> Answer:
    limit = call.count()
    before = call.number("cursor", 0, 0, 2**62) or None
    with call.store.read() as connection:
        found = page_of_events(connection, limit + 1, before)
    entries = [
        {"id": number, "at": iso(one.at / 1000), "provider": one.provider, "deployment": one.deployment or None,
         "event": one.event, "reason": one.reason or None}
        for number, one in found
    ]  # fmt: skip
    return Answer(listed(entries, limit, lambda one: str(one["id"])))


def _list_alerts(call: ManagementCall) -> Answer:
    state = call.query.get("state")
    if state not in (None, "waiting", "delivered", "dead"):
        raise InvalidRequest("state must be waiting, delivered or dead.", param="state")
    return Answer({"data": alerts.list_alerts(call.store, state, call.count())})


def _retry_alert(call: ManagementCall) -> Answer:
    return Answer({"data": {"id": call.id, "channels": alerts.retry_alert(call.store, call.actor, call.id)}})


def _shadow(call: ManagementCall) -> Answer:
    window = call.query.get("window", "24h")
    if window not in WINDOWS:
        raise InvalidRequest(f"window must be one of {', '.join(WINDOWS)}.", param="window")
    return Answer({"data": [shadow.mirrored_entry(one) for one in shadow.shadow_report(call.store, window)]})


def _verify(call: ManagementCall) -> Answer:
    day = day_of("since", call.query.get("since", datetime.now(UTC).date().isoformat()))
    since = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    done = books.verify_books(call.store, since, lambda _total: lambda _more: None)
    found = done.found
    entry = {
        "since": day, "discrepancy": done.discrepancy, "records": found.records, "price_sheets": found.sheets,
        "charged_usd": _usd(found.charged), "without_reported_usage": found.missing,
        "implausible": list(found.implausible[:MOST_NAMED]), "not_stored_yet": done.waiting,
    }  # fmt: skip
    return Answer({"data": entry})


def _audit(call: ManagementCall) -> Answer:
    limit = call.count()
    since = call.query.get("since")
    wanted = AuditFilter(
        call.account(call.query.get("account")),
        call.query.get("action"),
        call.query.get("subject"),
        call.query.get("actor"),
        since=None if since is None else seconds_of("since", since) * 1000,
    )
    before = call.number("cursor", 0, 0, 2**62) or None
    found = audit.list_audit(call.store, wanted, limit + 1, before)
    return Answer(listed(found, limit, lambda one: str(one["id"])))


CONFINED: Final = "A key that is confined to an account sees only its own."
ONCE: Final = "`key` is shown once: only its SHA-256 is stored."

ADMIN: Sequence[Action] = (
    *_group_actions("project"),
    *_group_actions("member"),
    Action("GET", "/v1/admin/keys/{id}/access", "read", _access, "Keys",
           "Show what a key may call, and which rule says so.", "As `GET /v1/access` shows it to the key itself.",
           query={"model": "The model to ask about. Default: none; then `models` lists those that may be called."}),
    Action("GET", "/v1/admin/accounts", "read", _list_accounts, "Accounts", "List the accounts, oldest first.",
           CONFINED, query=PAGE),
    Action("POST", "/v1/admin/accounts", "keys", _create_account, "Accounts", "Create a prepaid account.",
           "Initial credit needs the scope `money` as well.", body=NewAccount, confined=False, status=201),
    Action("GET", "/v1/admin/accounts/{id}", "read", _one_account, "Accounts", "Retrieve an account."),
    Action("PATCH", "/v1/admin/accounts/{id}", "keys", _change_account, "Accounts",
           "Change the name, the budgets or the limits of an account.",
           "A given member replaces the current value; null removes it.", body=AccountChange, confined=False),
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
    Action("POST", "/v1/admin/grants", "money", _grant, "Credit", "Add credit to a prepaid account.",
           body=CreditMove, confined=False, status=201),
    Action("POST", "/v1/admin/withdrawals", "money", _withdraw, "Credit",
           "Withdraw unused credit from a prepaid account.", body=CreditMove, confined=False, status=201),
    Action("POST", "/v1/admin/refunds", "money", _refund, "Credit", "Refund the charge of a call, or a part of it.",
           body=Refund, confined=False, status=201),
    Action("POST", "/v1/admin/codes", "money", _make_codes, "Credit", "Create redemption codes.",
           "They are shown once.", body=NewCodes, confined=False, status=201),
    Action("POST", "/v1/admin/codes/redeem", "money", _redeem, "Credit", "Redeem a code for an account.",
           "Callers can use `POST /v1/credits/redeem`.", body=CodeRedemption),
    Action("GET", "/v1/admin/balances", "read", _balances, "Credit", "List the credit of the accounts.",
           f"{CONFINED} Accounts that need no credit have null.", query=PAGE | ACCOUNT),
    Action("GET", "/v1/admin/usage", "read", _usage, "Books",
           "List usage records, in the order in which they were stored.",
           f"The rows of `fairlead usage export`. {CONFINED}",
           query=PAGE | ACCOUNT | {"session": "Only calls of this session."}),
    Action("GET", "/v1/admin/explain/{id}", "read", _explain, "Books", "Show how a call was routed.",
           "By its generation id: candidates, reasons, attempts."),
    Action("GET", "/v1/admin/deployments", "read", _deployments, "Deployments",
           "List the deployments with their health.", "As the process sees them that answers.", confined=False),
    Action("GET", "/v1/admin/events", "read", _events, "Deployments",
           "List what has happened to deployments and providers, newest first.",
           "Breakers that opened and closed, rests, probes.", query=PAGE, confined=False),
    Action("GET", "/v1/admin/alerts", "read", _list_alerts, "Alerts", "List the newest alerts of each channel.",
           "Newest first. A dead one was not delivered for three days.",
           query={"limit": PAGE["limit"], "state": "waiting, delivered or dead."}, confined=False),
    Action("POST", "/v1/admin/alerts/{id}/retry", "configuration", _retry_alert, "Alerts", "Send an alert again.",
           "By the channels that did not deliver it, with the same id.", confined=False),
    Action("GET", "/v1/admin/shadow", "read", _shadow, "Deployments", "Compare mirrored calls with their originals.",
           "Status, duration, length and cost of both sides.",
           query={"window": "30m, 1h, 24h, 7d or 30d. Default: 24h."}, confined=False),
    Action("GET", "/v1/admin/verify", "read", _verify, "Books",
           "Recompute every charge since a day, and check the sums of the books.",
           "It takes a second for some ten thousand records. `discrepancy` is the first one, or null.",
           query={"since": "First day (2027-01-31, UTC). Default: today."}, confined=False),
    Action("GET", "/v1/admin/audit", "read", _audit, "Audit", "List the audit log, newest first.", CONFINED,
           query=PAGE | ACCOUNT | {
               "action": "Only these, such as key.create; key. for all of keys.",
               "subject": "Only of this key, account or call.",
               "actor": "Only by this key.", "since": "Only from this time on (ISO 8601, or seconds since 1970).",
           }),
)  # fmt: skip
