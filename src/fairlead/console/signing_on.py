"""Signing in at another provider: there and back."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Final

from starlette.responses import RedirectResponse, Response

from fairlead.admin import people
from fairlead.admin.identities import sign_in_by_identity
from fairlead.console.entry import HOME, entered, hours, refused
from fairlead.console.external import FAILED, Github, Oidc, Problem, again, begin, checked_code
from fairlead.console.forms import next_page
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import CallerError, ConfigurationError, Forbidden, NotFound
from fairlead.people.sessions import new_token
from fairlead.settings import OidcSettings

log = logging.getLogger("fairlead.console")


async def oidc(visit: ConsoleVisit) -> Response:
    return await _there(visit, "oidc")


async def oidc_back(visit: ConsoleVisit) -> Response:
    return await _back(visit, "oidc")


async def github(visit: ConsoleVisit) -> Response:
    return await _there(visit, "github")


async def github_back(visit: ConsoleVisit) -> Response:
    return await _back(visit, "github")


def _provider(visit: ConsoleVisit, name: str) -> Oidc | Github:
    """Raises NotFound where it is not configured. One of each is kept with what it has published."""
    settings = visit.services.settings().console
    given = settings.oidc if name == "oidc" else settings.github
    if given is None:
        raise NotFound("There is no such way to sign in here.")
    known: Oidc | Github | None = visit.services.providers.get(name)
    if known is None or known.settings != given:
        known = Oidc(given) if isinstance(given, OidcSettings) else Github(given)
        visit.services.providers[name] = known
    return known


def _callback(visit: ConsoleVisit, name: str) -> str:
    return f"{visit.origin}/sign-in/{name}/callback"


async def _there(visit: ConsoleVisit, name: str) -> Response:
    if not visit.token:
        visit.set_token = new_token()
    begun = begin(visit.set_token or visit.token, next_page(visit.query.get("next", "")))
    try:
        to = await _provider(visit, name).address(
            begun, _callback(visit, name), prompt=visit.query.get("prompt") == "login"
        )
    except Problem as problem:
        return _failed(visit, name, problem)
    return RedirectResponse(to, 303)


async def _back(visit: ConsoleVisit, name: str) -> Response:
    provider = _provider(visit, name)
    try:
        begun = again(visit.token, visit.query.get("state", ""))
        if "error" in visit.query:
            raise Forbidden("You were not signed in there.")
        issuer = visit.query.get("iss")
        if issuer is not None and isinstance(provider, Oidc) and issuer != provider.settings.issuer:
            raise Forbidden("Another provider has answered (RFC 9207).")
        code = checked_code(visit.query.get("code", ""))
        await visit.run(people.count_once, "state", hashlib.sha256(begun.state.encode()).hexdigest(), visit.visitor)
        loop = asyncio.get_running_loop()
        source = provider.settings.client_secret
        secret = await loop.run_in_executor(visit.threads, visit.services.secrets.value, source, f"console.{name}")
        claimed = await provider.claimed(begun, code, _callback(visit, name), secret)
        before = None if visit.signed_in is None else visit.session.id
        token = await visit.run(
            sign_in_by_identity, claimed, provider.rules(visit.services.settings().console), visit.visitor,
            hours(visit), before,
        )  # fmt: skip
    except (Problem, ConfigurationError) as problem:
        return _failed(visit, name, problem)
    except CallerError as error:
        return refused(visit, error)
    fresh = await visit.run(people.visit, token, visit.address)
    waits = fresh is not None and bool(fresh.session.pending)
    return entered(visit, token, "/sign-in/second" if waits else begun.next or HOME)


def _failed(visit: ConsoleVisit, name: str, problem: Exception) -> Response:
    log.warning("Sign-in by %s failed: %s.", name, str(problem).rstrip("."))
    error = Forbidden(FAILED)
    return refused(visit, error, status=502)


PAGES: Final = (
    ConsolePage("/sign-in/oidc", oidc, "anyone"),
    ConsolePage("/sign-in/oidc/callback", oidc_back, "anyone"),
    ConsolePage("/sign-in/github", github, "anyone"),
    ConsolePage("/sign-in/github/callback", github_back, "anyone"),
)
