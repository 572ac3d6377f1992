"""The key of the playground, for somebody who has signed in: it lasts a minute, and is renewed while they call."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from fairlead.accounts import keys
from fairlead.admin.audit import Actor, record
from fairlead.admin.ending import key_id_of, lock
from fairlead.errors import Forbidden
from fairlead.people import persons, sessions
from fairlead.people.persons import Membership
from fairlead.people.sessions import SignedIn
from fairlead.store import Store

NAME: Final = "Playground"
LIFE_SECONDS: Final = 60


class ShortKey(NamedTuple):
    key: str
    expires_at: int


def playground_key(store: Store, actor: Actor, signed_in: SignedIn, membership: Membership) -> ShortKey:
    """A key of this organisation for this session, in place of the one before; it is audited when it is made. It ends
    with the session, the membership and the role (`people/playground_keys.py`). Raises Forbidden when the session has
    just ended, and when the key was revoked or disabled."""
    account_id, member_id = membership.account_id, membership.member_id
    key_id = key_id_of(account_id, member_id)
    expires_at = min(int(time.time()) + LIFE_SECONDS, signed_in.session.expires_at)
    with store.write() as connection:
        # Again, in the transaction that makes the key: what ends a session meanwhile must not miss it.
        lock(connection, membership.person_id)
        current = persons.membership_of(connection, membership.person_id, account_id)
        if current is None or current.role != membership.role or not sessions.lasts(connection, signed_in.session):
            raise Forbidden("Your session has ended.")
        before = keys.key_info(connection, key_id)
        if before is not None and (before.revoked_at is not None or before.disabled_at is not None):
            raise Forbidden("Your key of the playground was disabled or revoked. Paste another one.")
        columns = {"expires_at": expires_at, "member_id": member_id}
        if before is None:
            key = keys.add_key(connection, NAME, account_id, columns, key_id=key_id)
            record(connection, actor, "key.create", key_id, None, {"name": NAME}, account_id=account_id)
        else:
            key = keys.renew_key(connection, key_id, columns)
    return ShortKey(key, expires_at)
