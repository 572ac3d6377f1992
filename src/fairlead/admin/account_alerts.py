"""An account's own alerts: of its budgets and its credit, to its members and its webhook."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection

from fairlead.accounts.accounts import account_info
from fairlead.admin.alerts import shown
from fairlead.admin.audit import Actor, record
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.http.guard import Guard, RefusedAddress
from fairlead.money import dollars
from fairlead.people import persons
from fairlead.people.persons import Person
from fairlead.providers import sealed
from fairlead.store import Store
from fairlead.store.account_alerts import AccountAlerts, alerts_of, keep, secret_name
from fairlead.store.alerts import MILLION, is_known, listed, put, put_since, revive

MOST_THRESHOLDS: Final = 10
# Tests that an account may have sent within a minute: they go to people and to a server of somebody else's.
TESTS_PER_MINUTE: Final = 3
STARTS_WITH: Final = "fl-hook-"


@dataclass(frozen=True, slots=True)
class OwnAlerts:
    """What an account is told, those who can be chosen to get mail, and its newest alerts as JSON values."""

    alerts: AccountAlerts
    members: tuple[Person, ...]
    deliveries: list[dict[str, Any]]


def own_alerts(store: Store, account_id: str, most: int = 50) -> OwnAlerts:
    """Raises ConfigurationError."""
    with store.read() as connection:
        account_info(connection, account_id)
        rows = listed(connection, None, most, account_id)
        return OwnAlerts(
            alerts_of(connection, account_id), tuple(_members(connection, account_id)), [shown(row) for row in rows]
        )


def read_thresholds(text: str) -> tuple[int, ...]:
    """Per cent, separated by commas or spaces, as millionths in ascending order. Raises InvalidRequest."""
    found = set()
    for word in text.replace(",", " ").replace("%", " ").split():
        if not (word.isascii() and word.isdigit() and len(word) <= 3 and 1 <= int(word) <= 100):
            raise InvalidRequest("Write whole numbers from 1 to 100, such as 50, 80, 100.", param="thresholds")
        found.add(int(word) * MILLION // 100)
    if len(found) > MOST_THRESHOLDS:
        raise InvalidRequest(f"There can be at most {MOST_THRESHOLDS} thresholds.", param="thresholds")
    return tuple(sorted(found))


def change_own_alerts(
    store: Store,
    actor: Actor,
    account_id: str,
    *,
    thresholds: Sequence[int],
    low_credit: int | None,
    people: Sequence[str],
    webhook: str | None,
    guard: Guard,
) -> str | None:
    """Replaces what an account is told and whom. Gives the signing secret where the webhook is a new one; it is not
    shown again. `guard`: says where webhooks of accounts may go. Raises InvalidRequest with the field as `param`, and
    ConfigurationError."""
    if webhook is not None:
        try:
            guard.target(webhook)
        except RefusedAddress as error:
            text = str(error)
            raise InvalidRequest(text[:1].upper() + text[1:] + ".", param="webhook") from None
    with store.write() as connection:
        account_info(connection, account_id)
        before = alerts_of(connection, account_id)
        known = {one.id for one in _members(connection, account_id)}
        if not known.issuperset(people):
            raise InvalidRequest("Only members of the organisation can be chosen.", param="people")
        after = replace(
            before, thresholds=tuple(thresholds), low_credit=low_credit, people=tuple(sorted(people)), webhook=webhook
        )
        secret = None
        if webhook is None and before.webhook is not None:
            sealed.remove(connection, secret_name(account_id))
            after = replace(after, secret=None)
        elif (
            webhook is not None and webhook != before.webhook
        ):  # the old receiver must not be able to sign for the new one
            secret, after = _new_secret(store, connection, after)
        if after != before:
            keep(connection, after)
            record(connection, actor, "alerts.change", account_id, _entry(before), _entry(after), account_id=account_id)
    return secret


def renew_secret(store: Store, actor: Actor, account_id: str) -> str:
    """Another signing secret in the place of the old one, at once. Raises NotFound where there is no webhook."""
    with store.write() as connection:
        before = alerts_of(connection, account_id)
        if before.webhook is None:
            raise NotFound("There is no webhook.", param="webhook")
        secret, after = _new_secret(store, connection, before)
        keep(connection, after)
        record(connection, actor, "alerts.renew_secret", account_id, None, None, account_id=account_id)
    return secret


def send_test(store: Store, actor: Actor, account_id: str) -> None:
    """Puts a test into the outbox, for each channel of the account. Raises InvalidRequest."""
    with store.write() as connection:
        alerts = alerts_of(connection, account_id)
        if not alerts.channels:
            raise InvalidRequest("Choose who is told first, and save.")
        if put_since(connection, "alerts.test", account_id, int(time.time() * 1000) - 60_000) >= TESTS_PER_MINUTE:
            raise InvalidRequest(f"At most {TESTS_PER_MINUTE} tests are sent per minute.")
        event = put(connection, alerts.channels, "alerts.test", {"account": account_id}, account_id)
        record(connection, actor, "alert.test", event, None, None, account_id=account_id)


def resend(store: Store, actor: Actor, account_id: str, event: str) -> int:
    """Has an alert of this account sent again where it was not delivered; gives on how many channels. Raises NotFound,
    also for an alert of another account."""
    with store.write() as connection:
        found = revive(connection, event, account_id)
        if not found and not is_known(connection, event, account_id):
            raise NotFound("There is no such alert.", param="alert")
        if found:
            before = {row.channel: row.state for row in found}
            after = dict.fromkeys(before, "waiting")
            record(connection, actor, "alert.retry", event, before, after, account_id=account_id)
        return len(found)


def _members(connection: Connection, account_id: str) -> list[Person]:
    """Those who may be sent mail."""
    known = persons.people_of(connection, account_id)
    found = (known[one.person_id] for one in persons.members_of(connection, account_id))
    return [one for one in found if one.disabled_at is None and one.confirmed_at is not None]


def _new_secret(store: Store, connection: Connection, alerts: AccountAlerts) -> tuple[str, AccountAlerts]:
    """Sealed where there is a key for that; else in the row, as it is."""
    secret = STARTS_WITH + secrets.token_urlsafe(32)
    name = secret_name(alerts.account_id)
    try:
        key = sealed.seal_key(store, make=True)
    except ConfigurationError:
        sealed.remove(connection, name)
        return secret, replace(alerts, secret=secret)
    sealed.put(connection, key, name, secret)
    return secret, replace(alerts, secret=None)


def _entry(alerts: AccountAlerts) -> Mapping[str, Any]:
    """For the audit log: a webhook's path may be a secret, its host is none."""
    return {
        "thresholds": [one / MILLION for one in alerts.thresholds],
        "low_credit_usd": None if alerts.low_credit is None else dollars(alerts.low_credit),
        "people": list(alerts.people),
        "webhook": host_of(alerts.webhook),
    }


def host_of(webhook: str | None) -> str | None:
    """What may be shown of a webhook to those who may not change it."""
    return None if webhook is None else urlsplit(webhook).hostname or ""
