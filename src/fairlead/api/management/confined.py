"""What an action may touch of an account, and what tables of actions share."""

from __future__ import annotations

from typing import Final

from fairlead.accounts.groups import GroupKind
from fairlead.accounts.keys import KeyInfo
from fairlead.admin import accounts, groups, keys
from fairlead.api.management.action import Answer, ManagementCall
from fairlead.errors import NotFound
from fairlead.money import Picodollars

PAGE: Final = {"limit": "How many, from 1 to 1,000. Default: 100.", "cursor": "`next_cursor` of the page before."}
ACCOUNT: Final = {"account": "Only of this account."}
CONFINED: Final = "A key that is confined to an account sees only its own."
ONCE: Final = "`key` is shown once: only its SHA-256 is stored."


def account_answer(call: ManagementCall, account_id: str) -> Answer:
    return Answer({"data": accounts.account_entry(accounts.one_account(call.store, account_id))})


def own_key(call: ManagementCall, key_id: str) -> KeyInfo:
    """Raises NotFound, also for a key of another account than the caller may touch."""
    found = keys.key_info(call.store, key_id)
    call.check_account(found.account_id, NotFound(f"There is no key {key_id[:64]!r}."))
    return found


def own_group(call: ManagementCall, kind: GroupKind, group_id: str | None) -> str | None:
    """Raises NotFound, also for a project or a member of another account than the caller may touch."""
    if group_id is not None:
        refusal = NotFound(f"There is no {kind} {group_id[:64]!r}.", param=kind)
        call.check_account(groups.group_info(call.store, kind, group_id).account_id, refusal)
    return group_id


def usd(picodollars: int) -> str:
    return Picodollars(picodollars).dollars()
