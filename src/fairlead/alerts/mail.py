"""Mails an alert. Blocking, for a thread."""

from __future__ import annotations

import json
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final

from fairlead.alerts.webhook import NotDelivered
from fairlead.settings import EmailSettings, SmtpSettings

SECONDS: Final = 15.0
# Of each kind of alert, in words; the members of its `data` are filled in.
SUBJECTS: Final = {
    "budget.threshold": "{percent} % of the budget of {whose} is spent",
    "budget.exhausted": "The budget of {whose} is used up",
    "credit.low": "{percent} % of the credit of {whose} is spent",
    "credit.low below": "The credit of {whose} is below {below} dollars",
    "credit.exhausted": "The credit of {whose} is used up",
    "deployment.down": "{deployment} is down: {reason}",
    "deployment.up": "{deployment} is up again",
    "configuration.refused": "A configuration was refused",
    "alerts.test": "Test alert",
}


def send(
    email: EmailSettings, password: str | None, event: str, body: str, tls: ssl.SSLContext, to: Sequence[str] = ()
) -> None:
    """Mails an alert. `to`: others than settings name. Raises NotDelivered."""
    deliver(email.smtp, password, message(email, event, body, to or email.to), tls)


def deliver(smtp: SmtpSettings, password: str | None, mail: EmailMessage, tls: ssl.SSLContext) -> None:
    """Raises NotDelivered."""
    try:
        server: smtplib.SMTP
        if smtp.security == "tls":
            server = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=SECONDS, context=tls)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=SECONDS)
        with server:
            if smtp.security == "starttls":
                server.starttls(context=tls)
            if smtp.username is not None and password is not None:
                server.login(smtp.username, password)
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:  # what it has said may repeat what it was sent
        raise NotDelivered(f"the mail server answered {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"mail server: {getattr(error, 'strerror', None) or type(error).__name__}") from None


def letter(email: EmailSettings, to: str, subject: str, text: str) -> EmailMessage:
    """A mail to one person."""
    made = EmailMessage()
    made["From"] = email.sender or email.to[0]
    made["To"] = to
    made["Subject"] = subject
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid(domain="fairlead")
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text)
    return made


def message(email: EmailSettings, event: str, body: str, to: Sequence[str]) -> EmailMessage:
    """An alert as a mail; its Message-ID is the same in every retry."""
    told = json.loads(body)
    made = EmailMessage()
    made["From"] = email.sender or email.to[0]
    made["To"] = ", ".join(to)
    made["Subject"] = f"[Fairlead] {subject(told['type'], told['data'])}"[:200]
    made["Date"] = formatdate(told["created"])
    made["Message-ID"] = f"<{event}@fairlead>"
    made["Auto-Submitted"] = "auto-generated"
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in told["data"].items() if value is not None]
    made.set_content("\n".join([told["type"], "", *lines, "", f"event: {event}", ""]))
    return made


def subject(kind: str, data: dict[str, object]) -> str:
    of = next((name for name in ("key", "project", "member", "account") if name in data), "")
    whose = f"{of} {data.get('name', data[of])}" if of else ""
    if kind == "credit.low" and "below_usd" in data:
        kind = "credit.low below"
    if "period" in data:
        whose += f" ({data['period']})"
    part = data.get("threshold", 0)
    percent = f"{part * 100:g}" if isinstance(part, int | float) else ""
    deployment = data.get("deployment") or data.get("provider") or ""
    words = {"whose": whose, "percent": percent, "deployment": deployment, "reason": data.get("reason", "")}
    words["below"] = data.get("below_usd", "")
    return " ".join(SUBJECTS.get(kind, kind).format(**words).split())
