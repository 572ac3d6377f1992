"""The audit log: who changed what, from where, what it was before and after. Rows are added and never changed."""

from __future__ import annotations

import getpass
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, insert

from fairlead.store.tables import audit_log

ActorKind = Literal["management key", "key", "command line", "file", "server"]

# What begins like one of our keys and codes and is longer than what lists show of them.
_SECRET: Final = re.compile(r"(?:sk-fl-|fl-mgmt-|fl-code-|fl-auth-)[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something. `id`: of the key, or the name of the user on this machine; `address`: where the request
    came from, "" for what comes from this machine itself."""

    kind: ActorKind
    id: str = ""
    address: str = ""


def command_line() -> Actor:
    """The user who runs a command, by the name that the system has for them."""
    try:
        return Actor("command line", getpass.getuser())
    except (OSError, KeyError):  # a container whose user has no name
        return Actor("command line")


def record(
    connection: Connection,
    actor: Actor,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    account_id: str | None = None,
) -> None:
    """Adds a row, in the transaction of the change itself.

    `action`: what was done, such as "key.create"; `subject`: the id of what was changed; `before` and `after`: the
    members that changed, as JSON values, None where there was nothing; `account_id`: whose it is. Never a secret:
    ValueError for a text that holds one of our own.
    """
    shown = [None if one is None else msgspec.json.encode(one, order="sorted").decode() for one in (before, after)]
    if any(_SECRET.search(text) for text in (subject, *filter(None, shown))):
        raise ValueError(f"a secret in the audit log: {action}")
    connection.execute(
        insert(audit_log).values(
            at=int(time.time() * 1000),
            actor_kind=actor.kind,
            actor=actor.id[:128],
            address=actor.address[:64],
            action=action,
            subject=subject[:256],
            account_id=account_id,
            before=shown[0],
            after=shown[1],
        )
    )
