"""Alerts: what was sent, what waits, what is dead; and tests of the channels."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from fairlead.admin.audit import Actor, record
from fairlead.alerts.delivery import Channels
from fairlead.alerts.webhook import NotDelivered
from fairlead.errors import ConfigurationError
from fairlead.store import Store
from fairlead.store.alerts import OutboxRow, event_body, is_known, listed, new_event_id, revive

STATES: Final = ("waiting", "delivered", "dead")


class Tried(NamedTuple):
    """A test of one channel. `error`: "" when the alert has arrived."""

    channel: str
    error: str


def list_alerts(
    store: Store, state: str | None = None, most: int = 50, account_id: str | None = None
) -> list[dict[str, Any]]:
    """The newest alerts of the server, or of an account's own, one entry for each channel, as JSON values."""
    with store.read() as connection:
        return [shown(row) for row in listed(connection, state, most, account_id)]


def retry_alert(store: Store, actor: Actor, event: str) -> int:
    """Has an alert sent again where it was not delivered; gives on how many channels. Raises ConfigurationError."""
    with store.write() as connection:
        found = revive(connection, event)
        if not found and not is_known(connection, event):
            raise ConfigurationError(f"There is no alert {event!r}. `fairlead alerts list` shows the ids.")
        if found:
            before = {row.channel: row.state for row in found}
            record(connection, actor, "alert.retry", event, before, dict.fromkeys(before, "waiting"))
        return len(found)


def note_trial(store: Store, actor: Actor) -> None:
    """That somebody has a test alert sent."""
    with store.write() as connection:
        record(connection, actor, "alert.test", "alerts", None, None)


async def try_channels(channels: Channels) -> list[Tried]:
    """Sends a test alert by every channel that is configured, at once and past the outbox."""
    found = []
    for channel in channels.names:
        event = new_event_id()
        body = event_body(event, "alerts.test", int(time.time() * 1000), {"reason": "sent by `fairlead alerts test`"})
        error = ""
        try:
            await channels.deliver(channel, event, body)
        except NotDelivered as failure:
            error = str(failure)
        found.append(Tried(channel, error))
    return found


def shown(row: OutboxRow) -> dict[str, Any]:
    """An alert on one channel, as JSON values."""
    return {
        "id": row.event,
        "type": row.kind,
        "channel": row.channel,
        "state": row.state,
        "at": _time(row.at),
        "attempts": row.attempts,
        "next_attempt": _time(row.next_at) if row.state == "waiting" else None,
        "error": row.error or None,
        "data": json.loads(row.body)["data"],
    }


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
