"""Signing in and out, and links that are good once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.responses import Response

from fairlead.admin import factors, people
from fairlead.console.forms import PROOF, HeldForm, hold, link_token, next_page
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, InvalidRequest
from fairlead.people.factors import Factor
from fairlead.people.sessions import SECOND_FACTOR, new_token

HOME: Final = "/account"
# Where the link of an operator leads: the first one has everything to do still.
FIRST_STEPS: Final = "/admin/start"
OPERATE: Final = "/admin"


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
    to = next_page(visit.text("next"))
    fresh = await visit.run(people.visit, token, visit.address)
    if fresh is not None and fresh.session.pending:
        return entered(visit, token, f"/sign-in/second?next={quote(to, safe='')}" if to else "/sign-in/second")
    return entered(visit, token, to or HOME)


async def passkey(visit: ConsoleVisit) -> Response:
    """Signs in without a password."""
    if visit.place is None:
        raise InvalidRequest(_("Passkeys need https and the name of a host."))
    challenge, credential = visit.text("challenge"), visit.text("credential")
    try:
        token = await visit.run(
            factors.sign_in_by_passkey, visit.token, challenge, credential, visit.place, visit.visitor, hours(visit)
        )
    except CallerError as error:
        return _sign_in(visit, error)
    return entered(visit, token, next_page(visit.text("next")) or HOME)


def refused(visit: ConsoleVisit, error: CallerError, status: int = 0) -> Response:
    """The sign-in, with why it was refused."""
    return _sign_in(visit, error, status)


def providers(visit: ConsoleVisit) -> list[tuple[str, str]]:
    """Other ways to sign in: path and name."""
    settings = visit.services.settings().console
    found = [] if settings.oidc is None else [("/sign-in/oidc", settings.oidc.name)]
    return found if settings.github is None else [*found, ("/sign-in/github", "GitHub")]


def _sign_in(visit: ConsoleVisit, error: CallerError | None = None, status: int = 0) -> Response:
    return visit.render(
        "entry/sign-in.html",
        next=next_page(visit.text("next") or visit.query.get("next", "")),
        email=visit.text("email"),
        sign_up=visit.services.settings().console.sign_up,
        refused_because=None if error is None else error.message,
        status=status or (200 if error is None else error.status),
        providers=providers(visit),
        passkey=_passkey(visit),
    )


def _passkey(visit: ConsoleVisit, known: list[Factor] | None = None) -> dict[str, str]:
    """What the form of a passkey holds; nothing where there can be none."""
    if visit.place is None or (known is not None and not any(one.kind == "passkey" for one in known)):
        return {"challenge": "", "options": ""}
    if not visit.token:
        visit.set_token = visit.set_token or new_token()
    challenge = factors.new_challenge(visit.set_token or visit.token)
    return {"challenge": challenge, "options": factors.request_options(visit.place, challenge, known)}


async def second_page(visit: ConsoleVisit) -> Response:
    return await _second(visit)


async def _second(visit: ConsoleVisit, error: CallerError | None = None) -> Response:
    """After the password: a code, or a passkey."""
    to = next_page(visit.text("next") or visit.query.get("next", ""))
    if visit.signed_in is None or not visit.session.pending:
        return visit.redirect("/sign-in" if visit.signed_in is None else to or HOME)
    known = await visit.run(factors.list_factors, visit.person.id)
    return visit.render(
        "entry/second.html",
        next=to,
        has_app=any(one.kind == "totp" and one.counts for one in known),
        problems={} if error is None else {"code": error.message},
        status=200 if error is None else error.status,
        passkey=_passkey(visit, known),
    )


async def second(visit: ConsoleVisit) -> Response:
    if visit.signed_in is None or visit.session.pending != SECOND_FACTOR:
        return visit.redirect("/sign-in")
    try:
        token = await _proved(visit)
    except CallerError as error:
        return await _second(visit, error)
    return entered(visit, token, next_page(visit.text("next")) or HOME)


async def _proved(visit: ConsoleVisit, prefix: str = "") -> str:
    """By a passkey or a code, whichever was sent. Raises CallerError."""
    assert visit.signed_in is not None
    if credential := visit.text(prefix + "credential"):
        if visit.place is None:
            raise InvalidRequest(_("Passkeys need https and the name of a host."))
        return await visit.run(
            factors.prove_by_passkey, visit.signed_in, visit.token, visit.text(prefix + "challenge"), credential,
            visit.place, visit.visitor, hours(visit),
        )  # fmt: skip
    code = visit.text(prefix + "code")
    return await visit.run(factors.prove_by_code, visit.signed_in, code, visit.visitor, hours(visit))


async def operator_link(visit: ConsoleVisit) -> Response:
    """A one-time link of an operator: first what it is for, then the sign-in."""
    token = link_token(visit.text("token"))
    given = {name: visit.text(name) for name in ("email", "name", "password")}
    try:
        link = await visit.run(people.open_link, token, ("operator",), visit.visitor)
    except CallerError as error:
        return _sign_in(visit, error)
    if not link.email and not any(given.values()):
        return visit.render("entry/operator.html", given_token=token, given=given)
    first = not await visit.run(people.has_operator)
    try:
        made = await visit.run(people.become_operator, token, visit.visitor, hours(visit), **given)
    except InvalidRequest as error:
        return visit.render(
            "entry/operator.html", given_token=token, given=given, problems={error.param or "email": error.message}
        )
    return entered(visit, made, FIRST_STEPS if first else OPERATE)


async def sign_out(visit: ConsoleVisit) -> Response:
    await visit.run(people.sign_out, visit.actor, visit.session.id)
    visit.set_token = new_token()
    return visit.redirect("/sign-in")


async def again_page(visit: ConsoleVisit) -> Response:
    """What must be proved again before money moves or a secret is shown."""
    return await _again(visit)


async def _again(
    visit: ConsoleVisit,
    error: CallerError | None = None,
    held: HeldForm | None = None,
    back: str = "",
    problems: Mapping[str, str] | None = None,
) -> Response:
    """`held`: the form that was sent too late, which is sent again with the proof; `back`: the page that it is on."""
    prefix = "" if held is None else PROOF
    known = await visit.run(factors.list_factors, visit.person.id)
    has_app = any(one.kind == "totp" and one.counts for one in known)
    return visit.render(
        "entry/again.html",
        next=back if held is not None else next_page(visit.text("next") or visit.query.get("next", "")),
        held=held,
        prefix=prefix,
        has_app=has_app,
        providers=providers(visit) if not visit.person.has_password else [],
        by_password=visit.person.has_password and not any(one.counts for one in known),
        by_code=any(one.counts for one in known),
        problems=problems or ({} if error is None else {prefix + ("code" if has_app else "password"): error.message}),
        status=200 if error is None else error.status,
        passkey=_passkey(visit, known),
    )


async def again(visit: ConsoleVisit) -> Response:
    assert visit.signed_in is not None
    try:
        token = await _proved_again(visit)
    except CallerError as error:
        return await _again(visit, error)
    return entered(visit, token, next_page(visit.text("next")) or HOME)


async def _proved_again(visit: ConsoleVisit, prefix: str = "") -> str:
    """By what was sent: a passkey, a code or the password. Raises CallerError."""
    assert visit.signed_in is not None
    if visit.text(prefix + "credential") or visit.text(prefix + "code"):
        return await _proved(visit, prefix)
    password = visit.text(prefix + "password")
    return await visit.run(people.prove_again, visit.signed_in, password, visit.visitor, hours(visit))


async def step_up(visit: ConsoleVisit, back: str) -> Response | None:
    """A form was sent that needs a proof of who somebody is: asks for it on a page that holds what was typed and sends
    it again. None: the proof came with it, and the form is handled now. `back`: the page with the form."""
    assert visit.signed_in is not None
    held = hold(visit.form)
    sent = {name.removeprefix(PROOF) for name in visit.form if name.startswith(PROOF) and visit.text(name)}
    if not sent & {"password", "code", "credential"}:
        return await _again(visit, held=held, back=back)
    missing = [
        name for name in visit.form.getlist(PROOF + "secret") if isinstance(name, str) and name not in held.given
    ]
    if missing:
        held = held._replace(secrets=tuple(dict.fromkeys((*held.secrets, *missing))))
        return await _again(visit, held=held, back=back, problems=dict.fromkeys(missing, _("Enter it again.")))
    try:
        visit.set_token = await _proved_again(visit, PROOF)
    except CallerError as error:
        return await _again(visit, error, held, back)
    session = replace(visit.session, proved_at=int(time.time()))
    visit.signed_in = replace(visit.signed_in, session=session)
    visit.form = FormData([(name, one) for name, one in visit.form.multi_items() if not name.startswith(PROOF)])
    return None


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
    ConsolePage("/sign-in/passkey", passkey, "anyone", ("POST",)),
    ConsolePage("/sign-in/second", second_page, "anyone"),
    ConsolePage("/sign-in/second", second, "anyone", ("POST",)),
    ConsolePage("/sign-in/again", again_page, "person"),
    ConsolePage("/sign-in/again", again, "person", ("POST",)),
    ConsolePage("/sign-out", sign_out, "person", ("POST",)),
)
