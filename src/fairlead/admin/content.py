"""What an organisation keeps of the content of its calls: its policy, what is stored, and deleting it.

The audit log has each reader of the content of a call, each change and each deletion.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import asdict
from sqlalchemy import Connection, select, update

from fairlead.accounts import keys
from fairlead.accounts.accounts import account_info
from fairlead.accounts.changes import changed
from fairlead.accounts.content import ContentPolicy, read_policy, written_policy
from fairlead.admin.audit import Actor, record
from fairlead.content.checking import check_policy
from fairlead.content.conversation import Conversation, Part, Turn
from fairlead.content.redaction import plain
from fairlead.content.sealing import opened_content
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.providers.sealed import seal_key
from fairlead.settings import ContentSettings
from fairlead.store import Store
from fairlead.store.content import (
    DAY_MS,
    DELETED_AT_ONCE,
    ContentCounts,
    content_row,
    counts_of,
    delete_call,
    delete_older,
    erase,
)
from fairlead.store.tables import accounts, api_keys, projects

# What is counted on the page.
COUNTED_DAYS: Final = 30
# Transactions that "delete everything" runs before it answers; what is left then is deleted within a minute.
ERASED_AT_ONCE: Final = 40


class ContentState(NamedTuple):
    """An account's policy, and what came of it in COUNTED_DAYS."""

    policy: ContentPolicy
    counts: ContentCounts


class CallContent(NamedTuple):
    """What is kept of a call. `conversation`: None where it cannot be opened. `at`: milliseconds since 1970."""

    id: str
    key_id: str
    at: int
    conversation: Conversation | None


def content_state(store: Store, account_id: str) -> ContentState:
    """Raises ConfigurationError for an account that there is not."""
    with store.read() as connection:
        return ContentState(
            _policy_of(connection, account_id), counts_of(connection, account_id, _today() - COUNTED_DAYS)
        )


def change_content_policy(
    store: Store, actor: Actor, account_id: str, changes: Mapping[str, Any], settings: ContentSettings | None = None
) -> ContentPolicy:
    """Replaces members of the policy, in force within a second. `settings`: the server's, where they are known.

    The key that content is sealed with is made with the first policy that is switched on. Raises InvalidRequest with
    the member as `param`, and ConfigurationError where there is no key to seal with.
    """
    settings = settings or ContentSettings()
    with store.write() as connection:
        before = _policy_of(connection, account_id)
        after = ContentPolicy(**(asdict(before) | dict(changes)))
        check_policy(after, settings.max_days)
        if after.enabled:
            if not settings.allow:
                raise InvalidRequest("The operator of this server does not allow to keep content.", param="enabled")
            try:
                seal_key(store, make=True)
            except ConfigurationError as error:
                raise InvalidRequest(f"Content cannot be sealed, so it is not kept. {error}", param="enabled") from None
        _check_named(connection, account_id, after)
        if after != before:
            row = accounts.c.id == account_id
            connection.execute(update(accounts).where(row).values(content=written_policy(after)))
            changed(connection, [], account_id)
            record(
                connection, actor, "content.change", account_id, policy_entry(before), policy_entry(after),
                account_id=account_id,
            )  # fmt: skip
        return after


def _check_named(connection: Connection, account_id: str, policy: ContentPolicy) -> None:
    """Only what is the account's can be named."""
    for name, table in (("projects", projects), ("keys", api_keys), ("never", api_keys)):
        given = set(getattr(policy, name))
        if given:
            own = table.c.account_id == account_id
            found = set(connection.execute(select(table.c.id).where(own & table.c.id.in_(given))).scalars())
            if given - found:
                raise InvalidRequest(f"There is no {min(given - found)[:64]!r} in this account.", param=name)


def call_content(
    store: Store, actor: Actor, account_id: str, call_id: str, member_id: str | None = None
) -> CallContent:
    """What was asked and answered. The audit log has who read it. `member_id`: only of a call of this member's keys.
    Raises NotFound where nothing is kept, also for a call of another account or member."""
    with store.read() as connection:
        row = content_row(connection, account_id, call_id)
        if row is None or (member_id is not None and not _is_of(connection, row.key_id, member_id)):
            raise _nothing(call_id)
    try:
        key = seal_key(store)
    except ConfigurationError:
        key = None
    opened = None if key is None else opened_content(key, account_id, call_id, row.nonce, row.body)
    with store.write() as connection:
        record(connection, actor, "content.read", call_id, None, None, account_id=account_id)
    return CallContent(row.id, row.key_id, row.at, opened)


def _is_of(connection: Connection, key_id: str, member_id: str) -> bool:
    found = keys.key_info(connection, key_id)
    return found is not None and found.member_id == member_id


def delete_call_content(store: Store, actor: Actor, account_id: str, call_id: str) -> None:
    """Raises NotFound where nothing is kept, also for a call of another account."""
    with store.write() as connection:
        if not delete_call(connection, account_id, call_id):
            raise _nothing(call_id)
        record(connection, actor, "content.delete", call_id, None, None, account_id=account_id)


def erase_content(store: Store, actor: Actor, account_id: str, user: str = "") -> int:
    """Deletes what is kept of all calls that ended until now, or of those of one end user; how many are gone when this
    returns. What waits to be stored is not stored; what is left where there is much is deleted within a minute."""
    now = int(time.time() * 1000)
    with store.write() as connection:
        account_info(connection, account_id)
        erase(connection, account_id, user, now)
        after = {"user": user} if user else None
        record(connection, actor, "content.erase", account_id, None, after, account_id=account_id)
    gone = 0
    for _ in range(ERASED_AT_ONCE):
        with store.write() as connection:
            deleted = delete_older(connection, account_id, now + 1, user or None)
        gone += deleted
        if deleted < DELETED_AT_ONCE:
            break
    return gone


def end_content(connection: Connection, account_id: str) -> None:
    """Of an account that is deleted: nothing is kept any more, and what was is deleted within a minute."""
    row = (accounts.c.id == account_id) & accounts.c.content.is_not(None)
    if connection.execute(update(accounts).where(row).values(content=written_policy(ContentPolicy()))).rowcount:
        erase(connection, account_id, "", int(time.time() * 1000))


def _policy_of(connection: Connection, account_id: str) -> ContentPolicy:
    account_info(connection, account_id)
    return read_policy(connection.execute(select(accounts.c.content).where(accounts.c.id == account_id)).scalar())


def _today() -> int:
    return int(time.time() * 1000) // DAY_MS


def _nothing(call_id: str) -> NotFound:
    return NotFound(f"No content is kept of a call {call_id[:64]!r}.", param="id")


def policy_entry(policy: ContentPolicy) -> dict[str, Any]:
    """As JSON documents show it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(policy).items()}


def state_entry(state: ContentState) -> dict[str, Any]:
    return {**policy_entry(state.policy), "last_30_days": state.counts._asdict()}


def content_entry(found: CallContent) -> dict[str, Any]:
    """As JSON documents show it: marks as "[redacted: email]"."""
    made = found.conversation
    shown: dict[str, Any] = {"id": found.id, "key": found.key_id, "ended_at_ms": found.at, "readable": made is not None}
    if made is None:
        return shown
    return shown | {
        "request": None if made.request is None else [_turn_entry(one) for one in made.request],
        "answer": None if made.answer is None else [_turn_entry(one) for one in made.answer],
        "why_no_request": made.why_no_request or None,
        "why_no_answer": made.why_no_answer or None,
        "answer_is_whole": made.whole,
        "turns_left_out": made.left_out,
        "tools": [_part_entry(one) for one in made.tools],
        "parameters": {plain(name): plain(value) for name, value in made.parameters.items()},
        "redacted": made.redacted,
        "request_bytes": made.request_bytes,
        "answer_bytes": made.answer_bytes,
    }


def _turn_entry(turn: Turn) -> dict[str, Any]:
    return {"role": plain(turn.role), "parts": [_part_entry(one) for one in turn.parts], "end": turn.end or None}


def _part_entry(part: Part) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": part.kind, "text": plain(part.text)}
    if part.cut:
        entry["characters_left_out"] = part.cut
    for name in ("name", "id", "media"):
        if getattr(part, name):
            entry[name] = plain(getattr(part, name))
    if part.sha256:
        entry |= {"bytes": part.bytes, "sha256": part.sha256}
    if part.data:
        entry["data"] = part.data
    return entry
