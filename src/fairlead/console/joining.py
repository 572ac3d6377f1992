"""How people come: sign-up, invitations, new passwords."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from fairlead.admin import emails, joining, people
from fairlead.console import mails
from fairlead.console.entry import HOME, entered, hours
from fairlead.console.forms import link_token
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError, InvalidRequest


def _(message: str) -> str:
    return message


async def sign_up_page(visit: ConsoleVisit) -> Response:
    return _sign_up(visit)


async def sign_up(visit: ConsoleVisit) -> Response:
    """A link for an e-mail address. The answer is the same for every address, and so is its time."""
    settings = visit.services.settings().console
    if settings.sign_up not in ("open", "domain"):
        return _sign_up(visit)
    try:
        email = await visit.run(joining.count_request, visit.text("email"), visit.visitor)
    except InvalidRequest as error:
        return _sign_up(visit, error)
    allowed = settings.sign_up == "open" or email.rpartition("@")[2] in settings.domains
    store, visitor, mailed = visit.store, visit.visitor, visit.mails()

    def work() -> None:
        made = joining.request_sign_up(store, email, visitor, allowed=allowed, mailed=mailed)
        if made is None or not mailed:
            return
        if made.known:
            mails.write(visit, email, mails.KNOWN, "/sign-in")()
        else:
            mails.write(visit, email, mails.SIGN_UP, f"/confirm#{made.token}")()

    visit.later(work)
    return visit.render("entry/sent.html", mailed=mailed, email=email, purpose="sign-up")


def _sign_up(visit: ConsoleVisit, error: InvalidRequest | None = None) -> Response:
    settings = visit.services.settings().console
    return visit.render(
        "entry/sign-up.html",
        sign_up=settings.sign_up,
        domains=settings.domains,
        email=visit.text("email"),
        problems={} if error is None else {"email": error.message},
    )


async def confirm_page(visit: ConsoleVisit) -> Response:
    return _paste(visit, "/confirm")


async def confirm(visit: ConsoleVisit) -> Response:
    """The rest of a sign-up: name, organisation, password; or of another e-mail address."""
    token = link_token(visit.text("token"))
    try:
        link = await visit.run(people.open_link, token, ("sign-up", "confirm"), visit.visitor)
        if link.kind == "confirm":
            return await _confirm_email(visit, token)
    except CallerError as error:
        return _paste(visit, "/confirm", error)
    given = {name: visit.text(name) for name in ("name", "organisation", "password")}
    if not any(given.values()):
        return visit.render("entry/confirm.html", given_token=token, given=given, email=link.email)
    try:
        made = await visit.run(joining.sign_up, token, visit.visitor, hours(visit), **given)
    except (InvalidRequest, ConfigurationError) as error:
        return visit.render(
            "entry/confirm.html", given_token=token, given=given, email=link.email,
            problems={error.param or "organisation": error.message},
        )  # fmt: skip
    except CallerError as error:
        return _paste(visit, "/confirm", error)
    return entered(visit, made, HOME)


async def _confirm_email(visit: ConsoleVisit, token: str) -> Response:
    """For the person who asked for it: first what changes. Raises CallerError."""
    link = await visit.run(emails.open_email, token, visit.signed_in, visit.visitor)
    assert visit.signed_in is not None
    if not visit.text("accept"):
        return visit.render("entry/new-email.html", given_token=token, email=link.email)
    done = await visit.run(emails.change_email, token, visit.signed_in, visit.visitor)
    visit.set_token = done.token
    if visit.mails():
        visit.later(mails.write(visit, done.before, mails.EMAIL_CHANGED, "/sign-in", email=link.email))
    return visit.redirect("/account/security", notice=_("E-mail address changed; you are signed out everywhere else"))


async def reset_page(visit: ConsoleVisit) -> Response:
    return visit.render("entry/reset.html", email="", refused_because=None)


async def reset(visit: ConsoleVisit) -> Response:
    """First the e-mail address, then, with the link, the new password."""
    token = link_token(visit.text("token"))
    if not token:
        return await _request_reset(visit)
    try:
        link = await visit.run(people.open_link, token, ("reset",), visit.visitor)
    except CallerError as error:
        return visit.render("entry/reset.html", email="", refused_because=error.message, status=error.status)
    if not visit.text("password"):
        return visit.render("entry/new-password.html", given_token=token, email=link.email)
    try:
        await visit.run(joining.reset, token, visit.visitor, password=visit.text("password"))
    except InvalidRequest as error:
        return visit.render(
            "entry/new-password.html", given_token=token, email=link.email, problems={"password": error.message}
        )
    return visit.render("entry/changed.html")


async def _request_reset(visit: ConsoleVisit) -> Response:
    try:
        email = await visit.run(joining.count_request, visit.text("email"), visit.visitor)
    except InvalidRequest as error:
        return visit.render(
            "entry/reset.html", email=visit.text("email"), refused_because=None, problems={"email": error.message}
        )
    store, visitor, mailed = visit.store, visit.visitor, visit.mails()

    def work() -> None:
        made = joining.request_reset(store, email, visitor, mailed=mailed)
        if made is not None and mailed:
            mails.write(visit, email, mails.RESET, f"/reset#{made.token}")()

    visit.later(work)
    return visit.render("entry/sent.html", mailed=mailed, email=email, purpose="reset")


async def invitation_page(visit: ConsoleVisit) -> Response:
    return _paste(visit, "/invitation")


async def invitation(visit: ConsoleVisit) -> Response:
    """Joins an organisation: as who is signed in, or as somebody new."""
    token = link_token(visit.text("token"))
    try:
        found = await visit.run(joining.open_invitation, token, visit.visitor)
        if visit.can("person"):
            if not visit.text("accept"):
                return _invitation(visit, token, found)
            account_id = await visit.run(joining.accept, token, visit.visitor, visit.person)
            fresh = await visit.run(people.visit, visit.token, visit.address)
            if fresh is not None:
                await visit.run(people.choose_account, fresh, account_id)
            return visit.redirect(HOME, notice=_("You are a member now."))
    except CallerError as error:
        return _paste(visit, "/invitation", error)
    given = {name: visit.text(name) for name in ("name", "password")}
    if found.known or not any(given.values()):
        return _invitation(visit, token, found)
    try:
        made = await visit.run(joining.accept_as_new, token, visit.visitor, hours(visit), **given)
    except InvalidRequest as error:
        return _invitation(visit, token, found, {error.param or "name": error.message})
    except CallerError as error:
        return _paste(visit, "/invitation", error)
    return entered(visit, made, HOME)


def _invitation(
    visit: ConsoleVisit, token: str, found: joining.Invitation, problems: dict[str, str] | None = None
) -> Response:
    return visit.render(
        "entry/invitation.html", given_token=token, found=found, name=visit.text("name"), problems=problems
    )


def _paste(visit: ConsoleVisit, path: str, error: CallerError | None = None) -> Response:
    """The page that takes the token of a link: a script does it, and it can be pasted."""
    return visit.render(
        "entry/link.html",
        to=path,
        refused_because=None if error is None else error.message,
        status=200 if error is None else error.status,
    )


PAGES: Final = (
    ConsolePage("/sign-up", sign_up_page, "anyone"),
    ConsolePage("/sign-up", sign_up, "anyone", ("POST",)),
    ConsolePage("/confirm", confirm_page, "anyone"),
    ConsolePage("/confirm", confirm, "anyone", ("POST",)),
    ConsolePage("/reset", reset_page, "anyone"),
    ConsolePage("/reset", reset, "anyone", ("POST",)),
    ConsolePage("/invitation", invitation_page, "anyone"),
    ConsolePage("/invitation", invitation, "anyone", ("POST",)),
)
