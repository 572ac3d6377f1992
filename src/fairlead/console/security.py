"""/account/security: one's sessions, password, second factors and passkeys."""

from __future__ import annotations

from typing import Final

import segno
from markupsafe import Markup
from starlette.responses import Response

from fairlead.admin import closing, emails, factors, joining, people
from fairlead.admin.member_keys import checked_fate
from fairlead.console import mails
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, InvalidRequest
from fairlead.people.sessions import new_token

PATH: Final = "/account/security"
LONGEST_NAME: Final = 64


def _(message: str) -> str:
    return message


async def page(visit: ConsoleVisit) -> Response:
    return await _page(visit)


async def _page(visit: ConsoleVisit, problems: dict[str, str] | None = None) -> Response:
    sessions = await visit.run(people.list_sessions, visit.person.id)
    known = await visit.run(factors.list_factors, visit.person.id)
    return visit.render(
        "account/security.html",
        sessions=sessions,
        passkeys=[one for one in known if one.kind == "passkey"],
        app=next((one for one in known if one.kind == "totp" and one.counts), None),
        codes_left=sum(one.kind == "recovery" for one in known),
        problems=problems,
    )


async def password(visit: ConsoleVisit) -> Response:
    assert visit.signed_in is not None
    try:
        visit.set_token = await visit.run(
            people.change_password, visit.signed_in, visit.text("current"), visit.text("password"), visit.visitor
        )
    except InvalidRequest as error:
        return await _page(visit, {error.param or "password": error.message})
    return visit.redirect(PATH, notice=_("Password changed; you are signed out everywhere else"))


async def email(visit: ConsoleVisit) -> Response:
    """A link to the new address. The answer is the same for every address, and so is its time."""
    try:
        wanted = await visit.run(joining.count_request, visit.text("email"), visit.visitor)
    except InvalidRequest as error:
        return await _page(visit, {"email": error.message})
    store, visitor, mailed, person_id = visit.store, visit.visitor, visit.mails(), visit.person.id

    def work() -> None:
        token = emails.request_email(store, person_id, wanted, visitor, mailed=mailed)
        if mailed and token is None:
            mails.write(visit, wanted, mails.TAKEN, "/sign-in")()
        elif mailed:
            mails.write(visit, wanted, mails.CONFIRM, f"/confirm#{token}")()

    visit.later(work)
    if mailed:
        return visit.redirect(PATH, notice=_("Open the link that was sent to the new address, in this browser"))
    return visit.redirect(PATH, notice=_("This server sends no mail: its operator can give you the link"))


async def delete_page(visit: ConsoleVisit) -> Response:
    return visit.render("account/delete-person.html", given="")


async def delete(visit: ConsoleVisit) -> Response:
    fate = checked_fate(visit.text("keys") or "revoke")
    try:
        await visit.run(closing.delete_person, visit.actor, visit.person, visit.text("email"), fate)
    except CallerError as error:
        return visit.render("account/delete-person.html", given=visit.text("email"), problems={"email": error.message})
    visit.set_token = new_token()
    visit.signed_in = None
    return visit.redirect("/sign-in")


async def end_session(visit: ConsoleVisit) -> Response:
    session_id = visit.path_params["id"]
    await visit.run(people.end_session, visit.actor, visit.person.id, session_id)
    return visit.redirect(PATH, notice=_("Session ended"))


async def end_others(visit: ConsoleVisit) -> Response:
    await visit.run(people.end_other_sessions, visit.actor, visit.person.id, visit.session.id)
    return visit.redirect(PATH, notice=_("All other sessions ended"))


async def app_page(visit: ConsoleVisit) -> Response:
    """Begins with a QR code. A form, so that a page that is only looked at changes nothing."""
    secret, address = await visit.run(factors.begin_totp, visit.person)
    return _app(visit, secret, address)


def _app(visit: ConsoleVisit, secret: str, address: str) -> Response:
    drawn = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass="qr")
    return visit.render(
        "account/app.html",
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        qr=Markup(drawn),  # noqa: S704 - drawn here
    )


async def confirm_app(visit: ConsoleVisit) -> Response:
    try:
        codes = await visit.run(factors.confirm_totp, visit.actor, visit.person, visit.text("code"))
    except CallerError as error:
        return await _page(visit, {"code": error.message})
    return visit.render("account/codes.html", codes=codes)


async def recovery_codes(visit: ConsoleVisit) -> Response:
    codes = await visit.run(factors.renew_recovery_codes, visit.actor, visit.person.id)
    return visit.render("account/codes.html", codes=codes)


async def passkey_page(visit: ConsoleVisit) -> Response:
    return await _passkey(visit)


async def _passkey(visit: ConsoleVisit, error: CallerError | None = None) -> Response:
    options = challenge = ""
    if visit.place is not None:
        known = await visit.run(factors.list_factors, visit.person.id)
        challenge = factors.new_challenge(visit.set_token or visit.token)
        options = factors.creation_options(visit.person, visit.place, challenge, known)
    return visit.render(
        "account/passkey.html",
        options=options,
        challenge=challenge,
        name=visit.text("name"),
        problems={} if error is None else {"name": error.message},
        status=200 if error is None else error.status,
    )


async def add_passkey(visit: ConsoleVisit) -> Response:
    name = visit.text("name").strip() or visit.gettext(_("Passkey"))
    if visit.place is None or len(name) > LONGEST_NAME or not name.isprintable():
        return await _passkey(visit, InvalidRequest(_("Enter a name of up to 64 printable characters.")))
    try:
        codes = await visit.run(
            factors.add_passkey, visit.actor, visit.person, visit.token, visit.text("challenge"),
            visit.text("credential"), visit.place, name,
        )  # fmt: skip
    except CallerError as error:
        return await _passkey(visit, error)
    if codes:
        return visit.render("account/codes.html", codes=codes)
    return visit.redirect(PATH, notice=_("Passkey added"))


async def remove_factor(visit: ConsoleVisit) -> Response:
    await visit.run(factors.remove_factor, visit.actor, visit.person.id, visit.path_params["id"])
    return visit.redirect(PATH, notice=_("Removed"))


PAGES: Final = (
    ConsolePage(PATH, page, "person"),
    ConsolePage(f"{PATH}/password", password, "person", ("POST",)),
    ConsolePage(f"{PATH}/email", email, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/delete", delete_page, "person", step_up=True),
    ConsolePage(f"{PATH}/delete", delete, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/sessions/end", end_others, "person", ("POST",)),
    ConsolePage(f"{PATH}/sessions/{{id}}/end", end_session, "person", ("POST",)),
    ConsolePage(f"{PATH}/app", app_page, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/app/confirm", confirm_app, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/codes", recovery_codes, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/passkeys", passkey_page, "person", step_up=True),
    ConsolePage(f"{PATH}/passkeys", add_passkey, "person", ("POST",), step_up=True),
    ConsolePage(f"{PATH}/factors/{{id}}/remove", remove_factor, "person", ("POST",), step_up=True),
)
