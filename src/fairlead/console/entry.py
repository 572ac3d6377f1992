"""Signing in and out, and links that are good once."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from fairlead.admin import people
from fairlead.console.forms import next_page
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, InvalidRequest
from fairlead.people.sessions import new_token

HOME: Final = "/account"


def _(message: str) -> str:
    return message


async def sign_in_page(visit: ConsoleVisit) -> Response:
    if visit.can("person"):
        return visit.redirect(next_page(visit.query.get("next", "")) or HOME)
    return _sign_in(visit)


async def sign_in(visit: ConsoleVisit) -> Response:
    email, password = visit.text("email"), visit.text("password")
    try:
        token = await visit.run(people.sign_in, email, password, visit.visitor, hours(visit))
    except CallerError as error:
        return _sign_in(visit, error)
    return entered(visit, token, next_page(visit.text("next")) or HOME)


def _sign_in(visit: ConsoleVisit, error: CallerError | None = None) -> Response:
    return visit.render(
        "entry/sign-in.html",
        next=next_page(visit.text("next") or visit.query.get("next", "")),
        email=visit.text("email"),
        sign_up=visit.services.settings().console.sign_up,
        refused_because=None if error is None else error.message,
        status=200 if error is None else error.status,
    )


async def operator_link(visit: ConsoleVisit) -> Response:
    """A one-time link of an operator: first what it is for, then the sign-in."""
    token = visit.text("token")
    given = {name: visit.text(name) for name in ("email", "name", "password")}
    try:
        link = await visit.run(people.open_link, token, ("operator",), visit.visitor)
    except CallerError as error:
        return _sign_in(visit, error)
    if not link.email and not any(given.values()):
        return visit.render("entry/operator.html", given_token=token, given=given)
    try:
        made = await visit.run(people.become_operator, token, visit.visitor, hours(visit), **given)
    except InvalidRequest as error:
        return visit.render(
            "entry/operator.html", given_token=token, given=given, problems={error.param or "email": error.message}
        )
    return entered(visit, made, HOME)


async def sign_out(visit: ConsoleVisit) -> Response:
    await visit.run(people.sign_out, visit.actor, visit.session.id)
    visit.set_token = new_token()
    return visit.redirect("/sign-in")


async def again_page(visit: ConsoleVisit) -> Response:
    """What must be proved again before money moves or a secret is shown."""
    return visit.render("entry/again.html", next=next_page(visit.query.get("next", "")))


async def again(visit: ConsoleVisit) -> Response:
    to = next_page(visit.text("next"))
    assert visit.signed_in is not None
    try:
        token = await visit.run(people.prove_again, visit.signed_in, visit.text("password"), visit.visitor)
    except CallerError as error:
        return visit.render("entry/again.html", next=to, problems={"password": error.message}, status=error.status)
    return entered(visit, token, to or HOME)


def entered(visit: ConsoleVisit, token: str, to: str) -> Response:
    """With the new token, and no longer as who they were before."""
    visit.set_token = token
    visit.signed_in = None
    return visit.redirect(to)


def hours(visit: ConsoleVisit) -> float:
    return visit.services.settings().console.session_hours


PAGES: Final = (
    ConsolePage("/sign-in", sign_in_page, "anyone"),
    ConsolePage("/sign-in", sign_in, "anyone", ("POST",)),
    ConsolePage("/sign-in/link", operator_link, "anyone", ("POST",)),
    ConsolePage("/sign-in/again", again_page, "person"),
    ConsolePage("/sign-in/again", again, "person", ("POST",)),
    ConsolePage("/sign-out", sign_out, "person", ("POST",)),
)
