"""Takes alerts from the outbox, one at a time over all processes, and delivers them."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from fairlead.alerts.mail import deliver, letter, send
from fairlead.alerts.webhook import NotDelivered, post
from fairlead.background import rest
from fairlead.errors import ConfigurationError
from fairlead.http.guard import Guard, Resolve, resolve
from fairlead.http.trust import machine_trust
from fairlead.settings import AlertSettings, EmailSettings, Secrets, SecretSource
from fairlead.store import Store
from fairlead.store.account_alerts import AccountAlerts, secret_name
from fairlead.store.alerts import MILLION, AlertRules, OutboxRow, claim, delivered, failed, forget_old

log = logging.getLogger("fairlead.alerts")

LOOK_SECONDS: Final = 1.0
# How long a process has to send one alert before another one takes it: longer than a webhook or a mail may take.
CLAIM_SECONDS: Final = 60.0
FORGET_TURNS: Final = 3_600


def channels_of(settings: AlertSettings) -> tuple[str, ...]:
    """The channels that are configured."""
    given = {"webhook": settings.webhook, "email": settings.email}
    return tuple(name for name, one in given.items() if one is not None)


def set_rules(rules: AlertRules, settings: AlertSettings) -> None:
    """Puts settings in force in what the ledger, health and configuration look at."""
    rules.channels = channels_of(settings)
    rules.thresholds = tuple(sorted({round(part * MILLION) for part in settings.thresholds}))


class Channels:
    """Sends alerts as settings say. `resolve`, `tls`: replaced in tests."""

    def __init__(
        self,
        settings: AlertSettings,
        secrets: Secrets,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.names = channels_of(settings)
        self._settings = settings
        self._secrets = secrets
        self._guard = Guard([ipaddress.ip_network(one) for one in settings.allow_networks], resolve)
        self._own_guard = Guard([ipaddress.ip_network(one) for one in settings.account_networks], resolve)
        self._tls = tls

    async def deliver(self, channel: str, event: str, body: str) -> None:
        """Raises NotDelivered."""
        webhook, email = self._settings.webhook, self._settings.email
        loop = asyncio.get_running_loop()
        try:
            if channel == "webhook" and webhook is not None:
                # A secret may be printed by a command, or be in the database.
                secret = await loop.run_in_executor(None, self._secrets.value, webhook.secret, "alerts.webhook")
                await post(self._guard, webhook.url, secret, event, body.encode(), self._tls)
            elif channel == "email" and email is not None:
                await loop.run_in_executor(None, self._mail, event, body)
        except ConfigurationError as error:
            raise NotDelivered(error.message) from None
        except SQLAlchemyError:
            raise NotDelivered("the sealed secret cannot be read: the database cannot be used") from None

    async def deliver_own(
        self, alerts: AccountAlerts, to: Sequence[str], channel: str, event: str, body: str, mailing: Executor
    ) -> None:
        """An alert of an account, to whom it has chosen. `to`: where its mail goes; `mailing`: the threads for mail.
        Raises NotDelivered."""
        loop = asyncio.get_running_loop()
        try:
            if channel == "webhook":
                if alerts.webhook is None:
                    raise NotDelivered("there is no webhook any more")
                secret = alerts.secret or SecretSource(sealed=secret_name(alerts.account_id))
                value = await loop.run_in_executor(None, self._secrets.value, secret, "the webhook")
                await post(self._own_guard, alerts.webhook, value, event, body.encode(), self._tls, hint="")
            else:
                if not to:
                    raise NotDelivered("nobody of its recipients is a member who can be sent mail")
                await loop.run_in_executor(mailing, self._mail, event, body, to)
        except ConfigurationError as error:
            raise NotDelivered(error.message) from None
        except SQLAlchemyError:
            raise NotDelivered("the sealed secret cannot be read: the database cannot be used") from None

    @property
    def has_mail(self) -> bool:
        return self._settings.email is not None

    def mail_to(self, to: str, subject: str, text: str) -> None:
        """A mail to one person, which is no alert. Blocking, for a thread. Raises NotDelivered."""
        email = self._settings.email
        if email is None:
            raise NotDelivered("no mail server is configured")
        try:
            deliver(email.smtp, self._password(email), letter(email, to, subject, text), self._tls or machine_trust())
        except ConfigurationError as error:
            raise NotDelivered(error.message) from None

    def _mail(self, event: str, body: str, to: Sequence[str] = ()) -> None:
        email = self._settings.email
        if email is None:
            raise NotDelivered("no mail server is configured")
        send(email, self._password(email), event, body, self._tls or machine_trust(), to)

    def _password(self, email: EmailSettings) -> str | None:
        secret = email.smtp.password
        return None if secret is None else self._secrets.value(secret, "alerts.email.smtp")


class AlertDelivery:
    """`run` delivers until it is cancelled. An alert that was claimed by a process that died is taken by another one:
    it may arrive twice then, with the same id, and is never lost."""

    def __init__(self, store: Store, channels: Channels, claim_seconds: float = CLAIM_SECONDS) -> None:
        self._store = store
        self.channels = channels
        self._claim_seconds = claim_seconds
        self._troubled = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for turn in itertools.count(1):
            await rest(LOOK_SECONDS, "the database cannot be used" if self._troubled else "")
            try:
                while self.channels.names and await self.deliver_one():
                    pass
                if turn % FORGET_TURNS == 0:
                    await loop.run_in_executor(self._store.threads, self._forget)
            except SQLAlchemyError as error:
                if not self._troubled:
                    log.warning(
                        "Alerts cannot be read from the database; retrying: %s", getattr(error, "orig", None) or error
                    )
                self._troubled = True
            else:
                self._troubled = False

    async def deliver_one(self) -> bool:
        """Sends the oldest alert that is due; False when there is none."""
        loop = asyncio.get_running_loop()
        channels = self.channels
        row = await loop.run_in_executor(self._store.threads, self._claim, channels.names)
        if row is None:
            return False
        reason = ""
        try:
            await channels.deliver(row.channel, row.event, row.body)
        except NotDelivered as error:
            reason = str(error)
        await loop.run_in_executor(self._store.threads, self._settle, row, reason)
        return True

    def _claim(self, names: tuple[str, ...]) -> OutboxRow | None:
        with self._store.write() as connection:
            return claim(connection, names, self._claim_seconds)

    def _settle(self, row: OutboxRow, reason: str) -> None:
        with self._store.write() as connection:
            if not reason:
                delivered(connection, row.id)
                return
            dead = failed(connection, row, reason)
        after = "It is given up: `fairlead alerts retry` sends it again." if dead else "It will be tried again."
        log.warning("Alert %s (%s) by %s was not delivered: %s. %s", row.event, row.kind, row.channel, reason, after)

    def _forget(self) -> None:
        with self._store.write() as connection:
            forget_old(connection)
