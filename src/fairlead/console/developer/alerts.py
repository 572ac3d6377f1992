"""/account/alerts: thresholds and recipients of an organisation's alerts, and their deliveries."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from fairlead.admin import account_alerts as use_cases
from fairlead.admin.account_alerts import OwnAlerts, host_of
from fairlead.alerts.mail import subject
from fairlead.console.developer.confined import member_of
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import InvalidRequest
from fairlead.http.guard import Guard
from fairlead.money import Picodollars, dollars
from fairlead.store.alerts import MILLION


def _(message: str) -> str:
    return message


PATH: Final = "/account/alerts"
CHANNELS: Final = {"email": _("E-mail"), "webhook": _("Webhook")}
STATES: Final = {
    "delivered": ("up", _("Delivered")), "waiting": ("degraded", _("Waiting")), "dead": ("down", _("Given up")),
}  # fmt: skip


async def listed(visit: ConsoleVisit) -> Response:
    found = await visit.run(use_cases.own_alerts, visit.account_id)
    return _page(visit, found, _values(found), {})


def _values(found: OwnAlerts) -> dict[str, Any]:
    alerts = found.alerts
    return {
        "thresholds": ", ".join(str(one * 100 // MILLION) for one in alerts.thresholds),
        "low_credit": "" if alerts.low_credit is None else dollars(alerts.low_credit),
        "people": list(alerts.people),
        "webhook": alerts.webhook or "",
    }


def _page(visit: ConsoleVisit, found: OwnAlerts, values: dict[str, Any], problems: dict[str, str]) -> Response:
    # A member sees nothing of what others have spent, which alerts tell of.
    deliveries = [] if member_of(visit) is not None else found.deliveries
    return visit.render(
        "account/alerts.html",
        problems=problems,
        values=values,
        alerts=found.alerts,
        members=found.members,
        host=host_of(found.alerts.webhook),
        mails=visit.services.has_mail(),
        confined=member_of(visit) is not None,
        deliveries=[
            {
                **one,
                "seconds": datetime.fromisoformat(one["at"]).timestamp(),
                "next": one["next_attempt"] and datetime.fromisoformat(one["next_attempt"]).timestamp(),
                "sentence": subject(one["type"], one["data"]),
            }
            for one in deliveries
        ],
        channels=CHANNELS,
        states=STATES,
    )


async def change(visit: ConsoleVisit) -> Response:
    """Saves the form. The secret of a new webhook is shown on the answer, and never again."""
    values: dict[str, Any] = {name: visit.text(name).strip() for name in ("thresholds", "low_credit", "webhook")}
    values["people"] = [one for one in visit.form.getlist("people") if isinstance(one, str)]
    problems: dict[str, str] = {}
    thresholds: tuple[int, ...] = ()
    low_credit = None
    try:
        thresholds = use_cases.read_thresholds(values["thresholds"])
    except InvalidRequest as error:
        problems["thresholds"] = error.message
    if text := values["low_credit"].removeprefix("$"):
        try:
            low_credit = Picodollars.parse(text).value
        except ValueError:
            problems["low_credit"] = _("Write an amount in dollars, such as 25.00.")
    secret = None
    if not problems:
        try:
            secret = await visit.run(
                use_cases.change_own_alerts, visit.actor, visit.account_id, thresholds=thresholds,
                low_credit=low_credit, people=values["people"], webhook=values["webhook"] or None,
                guard=_guard(visit),
            )  # fmt: skip
        except InvalidRequest as error:
            problems[error.param or "webhook"] = error.message
    if problems:
        return _page(visit, await visit.run(use_cases.own_alerts, visit.account_id), values, problems)
    if secret is not None:
        return visit.render("account/alerts-secret.html", secret=secret, host=host_of(values["webhook"]))
    return visit.redirect(PATH, notice=_("The alerts were changed."))


def _guard(visit: ConsoleVisit) -> Guard:
    return Guard([ipaddress.ip_network(one) for one in visit.services.settings().alerts.account_networks])


async def renew(visit: ConsoleVisit) -> Response:
    """Another signing secret, shown on the answer."""
    secret = await visit.run(use_cases.renew_secret, visit.actor, visit.account_id)
    found = await visit.run(use_cases.own_alerts, visit.account_id)
    return visit.render("account/alerts-secret.html", secret=secret, host=host_of(found.alerts.webhook))


async def test(visit: ConsoleVisit) -> Response:
    try:
        await visit.run(use_cases.send_test, visit.actor, visit.account_id)
    except InvalidRequest as error:
        found = await visit.run(use_cases.own_alerts, visit.account_id)
        return _page(visit, found, _values(found), {"test": error.message})
    return visit.redirect(PATH, notice=_("A test is on its way. Load this page again to see what became of it."))


async def resend(visit: ConsoleVisit) -> Response:
    await visit.run(use_cases.resend, visit.actor, visit.account_id, visit.path_params["alert"])
    return visit.redirect(PATH, notice=_("The alert is sent again."))


PAGES: Final = (
    ConsolePage(PATH, listed, "view"),
    ConsolePage(PATH, change, "manage", ("POST",)),
    ConsolePage(f"{PATH}/secret", renew, "manage", ("POST",)),
    ConsolePage(f"{PATH}/test", test, "manage", ("POST",)),
    ConsolePage(f"{PATH}/deliveries/{{alert}}/resend", resend, "manage", ("POST",)),
)
