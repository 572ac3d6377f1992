"""What becomes of the keys that somebody has made, when they may not use them any more."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import Connection, or_, select

from fairlead.accounts import keys
from fairlead.accounts.keys import KeyInfo
from fairlead.admin.audit import Actor, record
from fairlead.admin.ending import START
from fairlead.errors import InvalidRequest
from fairlead.people.persons import Membership
from fairlead.people.suspended_keys import add_suspended, take_suspended
from fairlead.store.tables import api_keys, audit_log

# "disable": refused until the person is enabled or comes back; "revoke": for good; "keep": they go on as keys of the
# organisation, without a member.
KeysFate = Literal["disable", "revoke", "keep"]
FATES: Final[tuple[KeysFate, ...]] = get_args(KeysFate)
# Keys that are read at a time.
PAGE: Final = 500


def checked_fate(text: str) -> KeysFate:
    """Raises InvalidRequest."""
    if text not in FATES:
        raise InvalidRequest(f"What becomes of the keys is one of {', '.join(FATES)}.", param="keys")
    return text


def keys_of_member(connection: Connection, membership: Membership) -> list[KeyInfo]:
    """The keys that somebody has in an organisation and those that they made for it as owner or admin; not those that
    were revoked, nor the playground's, which ends with the session. Who made a key is in the audit log."""
    made = _made_by(connection, membership.account_id, membership.person_id)
    found: list[KeyInfo] = []
    for at in range(0, max(1, len(made)), PAGE):
        mine = or_(api_keys.c.member_id == membership.member_id, api_keys.c.id.in_(made[at : at + PAGE]))
        found += keys.keys_where(connection, membership.account_id, mine)
    unique = {one.id: one for one in found if not one.id.startswith(START)}
    return list(unique.values())


def _made_by(connection: Connection, account_id: str, person_id: str) -> Sequence[str]:
    rows = connection.execute(
        select(audit_log.c.action, audit_log.c.subject, audit_log.c.after).where(
            audit_log.c.account_id == account_id,
            audit_log.c.actor == person_id,
            audit_log.c.action.in_(("key.create", "key.rotate")),
        )
    )
    # Who has rotated a key knows the one that it became.
    return [
        str(msgspec.json.decode(row.after or "{}").get("id", "")) if row.action == "key.rotate" else row.subject
        for row in rows
    ]


def end_keys(connection: Connection, actor: Actor, membership: Membership, fate: KeysFate, *, leaves: bool) -> int:
    """Does that to the keys of a member, in an open transaction; returns to how many. `leaves`: the membership ends, so
    keys that go on belong to no member."""
    found = keys_of_member(connection, membership)
    if fate == "keep":
        for one in found if leaves else ():
            if one.member_id is not None:
                _change(connection, actor, "key.change", one, {"member": one.member_id}, {"member_id": None})
        return len(found)
    if fate == "revoke":
        for one in found:
            keys.revoke_key(connection, one.id)
            _record(connection, actor, "key.revoke", one, {"revoked": False}, {"revoked": True})
        return len(found)
    at = int(time.time())
    in_force = [one for one in found if one.disabled_at is None]
    for one in in_force:
        _change(connection, actor, "key.disable", one, {"disabled_at": None}, {"disabled_at": at})
    add_suspended(connection, membership.account_id, membership.person_id, [one.id for one in in_force], at)
    return len(in_force)


def restore_keys(connection: Connection, actor: Actor, account_id: str, person_id: str) -> list[KeyInfo]:
    """Enables the keys that were disabled with a person or their membership, in an open transaction. Those that were
    revoked, enabled or disabled again meanwhile stay as they are."""
    found = []
    for one in take_suspended(connection, account_id, person_id):
        key = keys.key_info(connection, one.key_id)
        assert key is not None
        _change(connection, actor, "key.enable", key, {"disabled_at": one.at}, {"disabled_at": None})
        found.append(key)
    return found


def _change(
    connection: Connection,
    actor: Actor,
    action: str,
    key: KeyInfo,
    before: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> None:
    keys.change_key(connection, key.id, columns)
    after = {"member": None} if "member_id" in columns else columns
    _record(connection, actor, action, key, before, after)


def _record(
    connection: Connection, actor: Actor, action: str, key: KeyInfo, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    record(connection, actor, action, key.id, before, after, account_id=key.account_id)
