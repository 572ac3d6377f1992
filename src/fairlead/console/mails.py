"""What people are written: each mail says why it came, and has one link."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from fairlead.alerts.webhook import NotDelivered
from fairlead.console.page import ConsoleVisit

log = logging.getLogger("fairlead.console")


def _(message: str) -> str:
    return message


class Text(NamedTuple):
    """`body`: with `{link}`, `{host}`, `{organisation}` to be filled in."""

    subject: str
    body: str


SIGN_UP: Final = Text(
    _("Finish creating your account at {host}"),
    _(
        "Somebody, we hope you, wants to create an account at {host} with this e-mail address. Open this link within a "
        "day to finish:\n\n{link}\n\nIf it was not you, do nothing: no account is created."
    ),
)
KNOWN: Final = Text(
    _("You have an account at {host} already"),
    _(
        "Somebody, we hope you, wants to create an account at {host} with this e-mail address. You have one already. "
        "Sign in:\n\n{link}\n\nThere you can also ask for a new password. If it was not you, do nothing."
    ),
)
RESET: Final = Text(
    _("Choose a new password for {host}"),
    _(
        "Somebody, we hope you, asked for a new password at {host}. Open this link within an hour to choose one:\n\n"
        "{link}\n\nIf it was not you, do nothing: your password stays as it is."
    ),
)
INVITATION: Final = Text(
    _("You are invited to {organisation} at {host}"),
    _("You are invited to {organisation} at {host}. Open this link within a week to join:\n\n{link}"),
)

CONFIRM: Final = Text(
    _("Confirm your new e-mail address at {host}"),
    _(
        "You, or somebody who is signed in as you, wants to sign in at {host} with this e-mail address. Open this link "
        "within a day, in a browser where you are signed in, to confirm it:\n\n{link}\n\nIf it was not you, do nothing."
    ),
)
TAKEN: Final = Text(
    _("You have an account at {host} already"),
    _(
        "Somebody, we hope you, wants to use this e-mail address for another account at {host}. You have one with it "
        "already:\n\n{link}\n\nTo use it for the other one, change or delete this one first. If it was not you, do "
        "nothing."
    ),
)
EMAIL_CHANGED: Final = Text(
    _("Your e-mail address at {host} was changed"),
    _(
        "Your account at {host} has another e-mail address now: {email}. If it was not you, ask the operator of "
        "{host} at once to disable the account.\n\n{link}"
    ),
)


def write(visit: ConsoleVisit, to: str, text: Text, path: str, **values: str) -> Callable[[], None]:
    """The sending of a mail, to be called in a thread. `path`: of the link, with its token behind `#`."""
    host = visit.origin.partition("://")[2]
    given = {"host": host, "link": visit.origin + path, **values}
    subject = visit.gettext(text.subject).format(**given)
    body = visit.gettext(text.body).format(**given)
    mail = visit.services.mail

    def send() -> None:
        try:
            mail(to, subject[:200], body + "\n")
        except NotDelivered as error:
            log.warning("A mail with a link could not be sent: %s.", error)

    return send
