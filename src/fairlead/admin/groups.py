"""Projects and members of accounts: create, change, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.accounts import groups
from fairlead.accounts.accounts import check_name, continued, first_account
from fairlead.accounts.groups import GroupInfo, GroupKind
from fairlead.admin.accounts import changed_members, each_user_entry
from fairlead.admin.audit import Actor, record
from fairlead.errors import ConfigurationError, NotFound
from fairlead.money import Picodollars
from fairlead.store import Store


def create_group(
    store: Store,
    actor: Actor,
    kind: GroupKind,
    name: str,
    account_id: str | None = None,
    columns: Mapping[str, Any] | None = None,
) -> str:
    """Creates a project or a member and returns its id. Without an account: of the operator's own. `columns`: what its
    keys share, from `accounts.options.as_columns`. Raises ConfigurationError."""
    with store.write() as connection:
        account_id = account_id or first_account(connection)
        group_id = groups.add_group(connection, kind, name, account_id, columns)
        after = _audited(groups.group_info(connection, kind, group_id))
        record(connection, actor, f"{kind}.create", group_id, None, after, account_id=account_id)
        return group_id


def change_group(store: Store, actor: Actor, kind: GroupKind, group_id: str, columns: Mapping[str, Any]) -> None:
    """Replaces the budgets, limits, models and caps that `columns` names. Raises ConfigurationError."""
    with store.write() as connection:
        if "name" in columns:
            check_name(columns["name"])
        before = groups.group_info(connection, kind, group_id)
        groups.change_group(connection, kind, group_id, columns)
        was, became = changed_members(_audited(before), _audited(groups.group_info(connection, kind, group_id)))
        if was != became:
            record(connection, actor, f"{kind}.change", group_id, was, became, account_id=before.account_id)


def archive_group(store: Store, actor: Actor, kind: GroupKind, group_id: str, *, archived: bool = True) -> bool:
    """Refuses the keys of a project or a member within a second, and hides it from lists; or takes that back, which
    loses nothing. False when it was so already. Raises ConfigurationError."""
    with store.write() as connection:
        done = groups.archive_group(connection, kind, group_id, archived=archived)
        if done:
            account_id = groups.group_info(connection, kind, group_id).account_id
            action = f"{kind}.archive" if archived else f"{kind}.restore"
            record(
                connection, actor, action, group_id, {"archived": not archived}, {"archived": archived},
                account_id=account_id,
            )  # fmt: skip
        return done


def one_group(store: Store, kind: GroupKind, group_id: str) -> GroupInfo:
    """Raises ConfigurationError when there is none."""
    with store.read() as connection:
        return groups.group_info(connection, kind, group_id)


def list_groups(
    store: Store, kind: GroupKind, account_id: str | None = None, *, archived: bool = False
) -> list[GroupInfo]:
    """Those of one account, or all, oldest first. `archived`: the archived ones among them."""
    with store.read() as connection:
        return groups.list_groups(connection, kind, account_id, archived=archived)


def page_of_groups(
    store: Store,
    kind: GroupKind,
    limit: int,
    after: str | None = None,
    account_id: str | None = None,
    *,
    archived: bool = False,
) -> list[GroupInfo]:
    """So many, in the order of their ids; `after`: those behind this one; `archived`: the archived ones among them."""
    with store.read() as connection:
        return groups.page_of_groups(connection, kind, limit, after, account_id, archived=archived)


def group_info(store: Store, kind: GroupKind, group_id: str) -> GroupInfo:
    """Raises NotFound when there is none."""
    with store.read() as connection:
        try:
            return groups.group_info(connection, kind, group_id)
        except ConfigurationError:
            raise NotFound(f"There is no {kind} {group_id[:64]!r}.") from None


def group_entry(group: GroupInfo) -> dict[str, Any]:
    """A project or a member as JSON documents show it. Times in seconds since 1970, amounts as decimal dollars."""
    return {
        "id": group.id,
        "name": group.name,
        "account": group.account_id,
        "created_at": group.created_at,
        "archived_at": group.archived_at,
        "budgets_usd": {one.period: Picodollars(one.picodollars).dollars() for one in group.budgets},
        **continued(group.budgets),
        "limits": {} if group.limits is None else group.limits.by_name(),
        "models": group.models,
        "each_user": each_user_entry(group.each_user),
    }


def _audited(group: GroupInfo) -> dict[str, Any]:
    return {
        name: value for name, value in group_entry(group).items() if name not in ("id", "created_at", "archived_at")
    }
