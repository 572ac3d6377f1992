"""The console as one table of pages, and what is done for each of them: who asks, may they, was the form ours."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fairlead.admin import people
from fairlead.console import (
    account,
    developer,
    entry,
    finding,
    joining,
    members,
    organisation,
    playground,
    security,
    signing_on,
)
from fairlead.console.forms import (
    FIELD,
    HEADER,
    MOST_FIELDS,
    ForgedForm,
    check_origin,
    form_token,
    is_form_token,
    next_page,
)
from fairlead.console.operating import pages as operating
from fairlead.console.pace import Pace, PacedThreads
from fairlead.console.page import Area, ConsolePage, ConsoleVisit, Redirected, Rendered, with_undo
from fairlead.console.rendering import STATIC_PREFIX, Rendering
from fairlead.console.services import ConsoleServices
from fairlead.console.visitors import is_own_host, networks, origin_of
from fairlead.errors import (
    CallerError,
    FairleadError,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    RequestTooLarge,
    Unauthenticated,
)
from fairlead.people.sessions import NEW_TOKEN, new_token
from fairlead.settings import PUBLIC
from fairlead.site.app import NAVIGATION
from fairlead.site.budget import Busy, PageBudget
from fairlead.site.cached_page import COMPRESSION, LEAST_COMPRESSED_BYTES
from fairlead.site.language import Remember, chosen, languages
from fairlead.site.page_cache import CSP, HTML, SECURITY_HEADERS
from fairlead.threads import Threads

log = logging.getLogger("fairlead.console")


def _(message: str) -> str:
    """Marks a word for translation; it is translated where it is shown."""
    return message


async def here(visit: ConsoleVisit) -> Response:
    """Who is signed in, and the pages that they may see: what the scripts of pages that are the same for everybody ask
    for. `token` is for forms that they send."""
    if not visit.can("person"):
        return JSONResponse({"signed_in": False})
    return JSONResponse(
        {
            "signed_in": True,
            "name": visit.person.name,
            "who": visit.person.id,
            "pages": finding.pages_of(visit, AREAS),
            "actions": finding.actions_of(visit),
            "may_call": visit.membership is not None and visit.can("keys"),
            "token": form_token(visit.token),
        }
    )


# Every page. A test tries each of them as a stranger, in each role, and as a member of another organisation.
PAGES: Final[tuple[ConsolePage, ...]] = (
    *entry.PAGES,
    *signing_on.PAGES,
    *joining.PAGES,
    *account.PAGES,
    *members.PAGES,
    *organisation.PAGES,
    *playground.PAGES,
    ConsolePage("/account/here.json", here, "anyone"),
    *finding.PAGES,
    *developer.PAGES,
    *security.PAGES,
    *operating.PAGES,
)
AREAS: Final[tuple[Area, ...]] = (
    Area("/account", _("Account"), "view", account.NAVIGATION),
    Area("/admin", _("Operate"), "operate", operating.NAVIGATION),
)

COOKIE: Final = "fairlead"
# The browser then takes it from this host by https only, and for every path (RFC 6265bis, 4.1.3.2).
SECURE_COOKIE: Final = "__Host-fairlead"
# What scripts of public pages read: the areas that somebody who has signed in may enter. It proves nothing. Those pages
# are cached and the same for everybody; `site/static/theme.js` chooses among their links.
ENTERED: Final = "entered"
SIGN_IN: Final = "/sign-in"
SECOND: Final = "/sign-in/second"
STEP_UP: Final = "/sign-in/again"
# How long somebody who has proved who they are may do what needs it (`ConsolePage.step_up`).
STEP_UP_SECONDS: Final = 900
# Threads in which pages are made and the database is read, and visits that may wait for them.
THREADS: Final = 2
MOST_VISITS: Final = 64
FORM: Final = "application/x-www-form-urlencoded"
# Of a form: files, and bytes of a field.
MOST_FILES: Final = 10
MOST_FIELD_BYTES: Final = 4_194_304
HSTS: Final = "max-age=31536000"
HEADERS: Final[Mapping[str, str]] = {
    **SECURITY_HEADERS,
    "cache-control": "no-store",
    "vary": "cookie, accept-language, accept-encoding",
    "content-security-policy": CSP.format(hashes=""),
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def console(services: ConsoleServices, pages: tuple[ConsolePage, ...] = PAGES) -> Starlette:
    """The web app."""
    made = Console(services)
    app = Starlette(
        routes=[
            *(Route(one.path, made.endpoint(one), methods=list(one.methods)) for one in pages),
            Route(f"{STATIC_PREFIX}{{name}}", made.static),
        ],
        exception_handlers={HTTPException: made.error, Exception: made.error},
    )
    app.router.redirect_slashes = False
    app.state.console = made
    app.add_middleware(Remember, codes=[one.code for one in made.languages])
    return app


class NotAllowed(Forbidden):
    """Somebody is signed in and may not see a page."""

    action = "page.refuse"


class WrongHost(CallerError):
    """The console was asked for under a name that is not its own."""

    status = 421
    code = "forbidden"
    action = "host.refuse"


class Console:
    """Answers every page of the table. `threads`: where use-cases run and pages are made."""

    def __init__(self, services: ConsoleServices) -> None:
        settings = services.settings()
        status = settings.server.status == PUBLIC
        self.services = services
        self.languages = languages()
        navigation = tuple(one for one in NAVIGATION if status or one[0] != "/status")
        self.rendering = Rendering(self.languages, {"navigation": navigation, "with_status": status})
        self.pace = Pace()
        self.threads = PacedThreads(THREADS, "console", self.pace)
        self.mailing = Threads(1, "console mail")
        self._trusted = networks(settings.console.trusted_proxies)
        self._visits = 0
        self.budget = PageBudget()

    def close(self) -> None:
        """Ends the threads, when what they do is done."""
        self.threads.shutdown()
        self.mailing.shutdown()

    def endpoint(self, page: ConsolePage) -> Any:
        async def answer(request: Request) -> Response:
            return await self._answer(request, page)

        return answer

    async def static(self, request: Request) -> Response:
        found = self.rendering.static_files.answer(request, request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return found

    async def error(self, request: Request, problem: Exception) -> Response:
        """The answer to what no page has answered: unknown paths, other methods, and bugs, which are logged."""
        status = getattr(problem, "status_code", 500)
        found: FairleadError
        if status == 404:
            found = NotFound("There is no page at this address.")
        elif status == 405:
            found = MethodNotAllowed("This page cannot be sent anything in this way.")
        else:
            found = InternalError("This page cannot be shown. The log of the server has the reason.")
        try:
            visit = self._visit(request)
            if status in (404, 405):
                await self._recognise(visit)
            return await self._finish(visit, self._refusal(request, found))
        except Exception:  # not even that: the database may be gone
            return _as_json(found)

    async def _recognise(self, visit: ConsoleVisit) -> None:
        """Who asks for a page that does not exist, so that the answer has their navigation."""
        console = visit.services.settings().console
        if not visit.token or not _wants_html(visit.request):
            return
        if is_own_host(visit.host, visit.services.public_url, console.hosts):
            visit.signed_in = await visit.run(people.visit, visit.token, visit.address)

    async def _answer(self, request: Request, page: ConsolePage) -> Response:
        visit = self._visit(request)
        if self._visits >= MOST_VISITS:
            return await self._finish(visit, _as_json(Overloaded("Too many visitors at once.", retry_after_seconds=2)))
        self._visits += 1
        try:
            # What changes something never waits, nor do operators: a server is looked at when it is too busy.
            if visit.token and request.method == "GET" and page.need != "operate":
                async with self.pace.turn():
                    return await self._visited(visit, page)
            return await self._visited(visit, page)
        finally:
            self._visits -= 1
            await request.close()  # files of its form

    async def _visited(self, visit: ConsoleVisit, page: ConsolePage) -> Response:
        request = visit.request
        try:
            answer = await self._made(visit, page)
        except FairleadError as error:
            if not isinstance(error, CallerError) and error.status >= 500 and error.code == InternalError.code:
                raise
            answer = self._refusal(request, error)
            if isinstance(error, ForgedForm | NotAllowed | WrongHost):
                await visit.run(people.record_refusal, visit.actor, type(error).action, page.path)
        except SQLAlchemyError as error:  # it is away, or its disk is full: nothing has changed
            log.warning("A page of the console could not be made: %s", getattr(error, "orig", None) or error)
            answer = self._refusal(request, Overloaded("The database cannot be used at the moment. Nothing changed."))
        return await self._finish(visit, answer)

    def _visit(self, request: Request) -> ConsoleVisit:
        services = self.services
        origin = origin_of(request, self._trusted, services.public_url)
        token = request.cookies.get(SECURE_COOKIE if origin.secure else COOKIE, "")
        return ConsoleVisit(
            request,
            services,
            self.threads,
            self.mailing,
            chosen(request, self.languages),
            services.public_url or f"{'https' if origin.secure else 'http'}://{origin.host}",
            origin.host,
            origin.address,
            origin.secure,
            token,
        )

    async def _made(self, visit: ConsoleVisit, page: ConsolePage) -> Response:
        request = visit.request
        console = visit.services.settings().console
        if not is_own_host(visit.host, visit.services.public_url, console.hosts):
            raise WrongHost(f"The console is at {visit.services.public_url}.")
        if "\0" in visit.path or b"%00" in request.scope["query_string"]:
            raise InvalidRequest("An address has no NUL characters.")  # nor has a text of PostgreSQL
        if visit.token:
            visit.signed_in = await visit.run(people.visit, visit.token, visit.address)
            if visit.signed_in is not None and visit.signed_in.session.pending == NEW_TOKEN:
                visit.signed_in, visit.set_token = await visit.run(people.renew, visit.signed_in)
        if request.method == "POST":
            check_origin(request, visit.host, visit.services.public_url)
            visit.form = await _form(request)
            given = visit.text(FIELD) or request.headers.get(HEADER, "")
            if not is_form_token(given, visit.token):
                raise ForgedForm("This form is out of date. Go back, load the page again and send it once more.")
        if page.need != "anyone" and not visit.can("person"):
            return self._to_sign_in(visit)
        if not visit.can(page.need):
            raise NotAllowed("Your role does not allow this. Ask an owner or admin of the organisation.")
        if page.step_up and time.time() - visit.session.proved_at > STEP_UP_SECONDS:
            if request.method == "POST" and _wants_html(request):
                asked = await entry.step_up(visit, _here(visit))
                return await page.endpoint(visit) if asked is None else asked
            return visit.redirect(f"{STEP_UP}?next={quote(_here(visit), safe='')}")
        return await page.endpoint(visit)

    def _to_sign_in(self, visit: ConsoleVisit) -> Response:
        if not _wants_html(visit.request):
            raise Unauthenticated("Sign in first.")
        to = SIGN_IN if visit.signed_in is None else SECOND
        return visit.redirect(f"{to}?next={quote(_here(visit), safe='')}")

    def _refusal(self, request: Request, error: FairleadError) -> Response:
        if not _wants_html(request):
            return _as_json(error)
        made = Rendered("console/error.html", {"status": error.status, "sentence": error.message}, error.status)
        if error.retry_after_seconds is not None:
            made.headers["retry-after"] = str(error.retry_after_seconds)
        return made

    async def _finish(self, visit: ConsoleVisit, answer: Response) -> Response:
        """Makes the page, with the headers and the cookie that every answer has."""
        if visit.set_token is None and not visit.token:
            visit.set_token = new_token()  # so that the forms of this page have something to be compared with
        loop = asyncio.get_running_loop()
        if isinstance(answer, Rendered):
            gzipped = "gzip" in visit.request.headers.get("accept-encoding", "")
            if visit.signed_in is None:  # strangers come in any number: they have what public pages may take
                try:
                    async with self.budget.turn(plain=True):
                        await loop.run_in_executor(self.threads, self._render, visit, answer, gzipped)
                except Busy:
                    answer = _as_json(Overloaded("Too many visitors at once.", retry_after_seconds=2))
            else:
                await loop.run_in_executor(self.threads, self._render, visit, answer, gzipped)
        elif isinstance(answer, Redirected) and answer.notice is not None and visit.signed_in is not None:
            await visit.run(people.keep_notice, visit.session.id, answer.notice)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if visit.secure:
            answer.headers["strict-transport-security"] = HSTS
        if visit.set_token is not None:
            answer.set_cookie(
                SECURE_COOKIE if visit.secure else COOKIE,
                visit.set_token,
                max_age=int(visit.services.settings().console.session_hours * 3600),
                path="/",
                secure=visit.secure,
                httponly=True,
                samesite="lax",
            )
        self._mark(visit, answer)
        return answer

    def _mark(self, visit: ConsoleVisit, answer: Response) -> None:
        """Keeps the cookie for public pages true. One that outlives its session leads to the sign-in, which removes
        it."""
        held = visit.request.cookies.get(ENTERED, "")
        if visit.can("person"):
            areas = ".".join(one.path.strip("/") for one in AREAS if visit.can(one.need)) or "account"
            if held != areas:
                seconds = int(visit.services.settings().console.session_hours * 3600)
                answer.set_cookie(ENTERED, areas, max_age=seconds, secure=visit.secure, samesite="lax")
        elif held and visit.path == SIGN_IN:
            answer.delete_cookie(ENTERED, secure=visit.secure, samesite="lax")

    def _render(self, visit: ConsoleVisit, answer: Rendered, gzipped: bool) -> None:
        notice, undo = None, None
        polled = "x-poll" in visit.request.headers  # by a script, for parts of the page: the notice is another one's
        if visit.signed_in is not None and visit.signed_in.session.notice is not None and not polled:
            notice, undo = with_undo(visit.signed_in.session.notice)
            people.keep_notice(self.services.store, visit.signed_in.session.id, None)
        token = visit.token if visit.set_token is None else visit.set_token
        areas = [one for one in AREAS if visit.can(one.need)]
        here = next((one for one in areas if visit.path == one.path or visit.path.startswith(one.path + "/")), None)
        text = self.rendering.text(
            visit.language,
            answer.template,
            {
                "problems": {},
                **answer.values,
                "visit": visit,
                "notice": notice,
                "undo_notice": undo,
                "areas": areas,
                "area": here,
                "form_token": cache(lambda: form_token(token)),
            },
        )
        body = text.encode()
        if gzipped and len(body) >= LEAST_COMPRESSED_BYTES:
            body = gzip.compress(body, COMPRESSION, mtime=0)
            answer.headers["content-encoding"] = "gzip"
        answer.body = body
        answer.headers["content-type"] = HTML
        answer.headers["content-length"] = str(len(body))
        gc.collect(0)  # contexts of templates are cycles: see `site.page_cache`


async def _form(request: Request) -> Any:
    length = request.headers.get("content-length", "0")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if length != "0" and not await request.body():
        raise RequestTooLarge("This form is too large.")
    if kind == FORM and (await request.body()).count(b"&") >= MOST_FIELDS:
        raise InvalidRequest("This form has too many fields.")
    if kind not in (FORM, "multipart/form-data"):
        return FormData()  # what a script sends as JSON has its token in a header
    try:
        return await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    except HTTPException as error:
        raise InvalidRequest(str(error.detail)) from None


def _here(visit: ConsoleVisit) -> str:
    """The page to return to: after a form, the one that it was on."""
    if visit.request.method not in ("GET", "HEAD"):
        before = urlsplit(visit.request.headers.get("referer", ""))
        return next_page(before.path) if before.netloc == visit.host else ""
    query = visit.request.scope["query_string"].decode("latin-1")
    return f"{visit.path}?{query}" if query else visit.path


def _wants_html(request: Request) -> bool:
    accepted = request.headers.get("accept", "*/*")
    return "text/html" in accepted or (request.method in ("GET", "HEAD") and "application/json" not in accepted)


def _as_json(error: FairleadError) -> Response:
    body = {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}
    headers = {} if error.retry_after_seconds is None else {"retry-after": str(error.retry_after_seconds)}
    return JSONResponse(body, error.status, headers)
