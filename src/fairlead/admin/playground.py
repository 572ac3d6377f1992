"""The key of the playground, for somebody who has signed in: it lasts a minute, and is renewed while they call."""

from __future__ import annotations

import hashlib
import time
from typing import Final, NamedTuple

from fairlead.accounts import keys
from fairlead.admin.audit import Actor, record
from fairlead.errors import Forbidden
from fairlead.store import Store

NAME: Final = "Playground"
# So long does it outlive a session, a membership or a role at most: calls that have begun continue.
LIFE_SECONDS: Final = 60
ID_DIGITS: Final = 20


class ShortKey(NamedTuple):
    key: str
    expires_at: int


def playground_key(store: Store, actor: Actor, person_id: str, account_id: str, member_id: str | None) -> ShortKey:
    """A key of this account for this person, in place of the one before. One row for each of them, so that its usage is
    one line; it is audited when it is made. Raises Forbidden when it was revoked or disabled."""
    key_id = "key_play" + hashlib.sha256(f"{account_id}/{person_id}".encode()).hexdigest()[:ID_DIGITS]
    expires_at = int(time.time()) + LIFE_SECONDS
    with store.write() as connection:
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
