"""A page of the console: who may see it, and what its function gets (`ConsoleVisit`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, Final, Literal, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fairlead.admin.audit import Actor
from fairlead.admin.factors import Place
from fairlead.admin.people import Visitor
from fairlead.console.services import ConsoleServices
from fairlead.errors import Forbidden
from fairlead.people.persons import Membership, Person
from fairlead.people.roles import Permission, Role, allows
from fairlead.people.sessions import Session, SignedIn
from fairlead.site.language import Language
from fairlead.store import Store
from fairlead.threads import Threads

Given = ParamSpec("Given")
Made = TypeVar("Made")
# Besides permissions in the chosen organisation: a page for anybody, or for everybody who has signed in.
Need = Permission | Literal["anyone", "person"]


class ConsolePage(NamedTuple):
    """A row of the table of pages. `path`: as Starlette writes it, with `{names}`; `endpoint`: its function; `need`:
    what the visitor has to be allowed; `step_up`: they must have proved who they are a short while ago."""

    path: str
    endpoint: Callable[[ConsoleVisit], Awaitable[Response]]
    need: Need
    methods: tuple[str, ...] = ("GET",)
    step_up: bool = False


class Area(NamedTuple):
    """Pages below one path, with their own navigation: path, English name, and what it needs."""

    path: str
    title: str
    need: Need
    navigation: tuple[tuple[str, str, Need], ...]


# Between a notice and its form, as sessions keep them.
UNDO: Final = "\x1e"


class Rendered(HTMLResponse):
    """A page that is made when its function has returned, in a thread."""

    def __init__(self, template: str, values: Mapping[str, Any], status: int) -> None:
        super().__init__(status_code=status)
        self.template = template
        self.values = values


class Undo(NamedTuple):
    """The form that takes a change back: where it goes, and its fields. Nothing in it is believed: it is sent like any
    other form."""

    path: str
    fields: Mapping[str, str]


class Redirected(RedirectResponse):
    """A way to another page of this site, with a notice to show there."""

    def __init__(self, path: str, notice: str | None, undo: Undo | None = None) -> None:
        super().__init__(path, 303)
        self.notice = notice if notice is None or undo is None else f"{notice}{UNDO}{json.dumps(undo)}"


def with_undo(notice: str | None) -> tuple[str | None, Undo | None]:
    """What a session has kept, taken apart again."""
    if notice is None or UNDO not in notice:
        return notice, None
    words, _, form = notice.partition(UNDO)
    return words, Undo(*json.loads(form))


@dataclass(slots=True)
class ConsoleVisit:
    """One request: who it is from, what they may do, what they sent, and the ways to answer.

    `token`: what their browser holds, whether they have signed in or not. `form`: of a POST; its token and origin were
    checked. `set_token`: what the browser is to hold from now on ("": nothing)."""

    request: Request
    services: ConsoleServices
    threads: Threads
    mailing: Threads
    language: Language
    origin: str  # "https://llm.example.org"
    host: str
    address: str  # of the visitor, behind trusted proxies
    secure: bool
    token: str
    signed_in: SignedIn | None = None
    form: FormData = field(default_factory=FormData)
    set_token: str | None = None

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def person(self) -> Person:
        if self.signed_in is None:
            raise Forbidden("Sign in first.")
        return self.signed_in.person

    @property
    def session(self) -> Session:
        if self.signed_in is None:
            raise Forbidden("Sign in first.")
        return self.signed_in.session

    @property
    def membership(self) -> Membership | None:
        """In the chosen organisation; in the oldest one where none was chosen, or the chosen one was left."""
        if self.signed_in is None or not self.signed_in.memberships:
            return None
        chosen = self.signed_in.session.account_id
        found = next((one for one in self.signed_in.memberships if one.account_id == chosen), None)
        return found or self.signed_in.memberships[0]

    @property
    def account_id(self) -> str:
        """The chosen organisation. Raises Forbidden for somebody without one."""
        if self.membership is None:
            raise Forbidden("You are not a member of an organisation.")
        return self.membership.account_id

    @property
    def role(self) -> Role | None:
        return None if self.membership is None else self.membership.role

    def can(self, need: Need) -> bool:
        if need == "anyone":
            return True
        if self.signed_in is None or self.signed_in.session.pending:
            return False
        return need == "person" or allows(self.role, self.signed_in.person.operator, need)

    @property
    def actor(self) -> Actor:
        """Who changes something, for the audit log."""
        return Actor("person", "" if self.signed_in is None else self.signed_in.person.id, self.address)

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.address, self.request.headers.get("user-agent", "")[:256])

    @property
    def query(self) -> QueryParams:
        return self.request.query_params

    @property
    def path_params(self) -> Mapping[str, Any]:
        return self.request.path_params

    @property
    def path(self) -> str:
        return str(self.request.scope["path"])

    @property
    def api(self) -> str:
        """The base URL of the API."""
        return self.origin + "/v1"

    def href(self, path: str) -> str:
        """A path of this site in the visitor's language."""
        return self.language.prefix + path

    def gettext(self, message: str) -> str:
        return self.language.gettext(message)

    def text(self, name: str) -> str:
        """A field of the form, "" where there is none."""
        found = self.form.get(name)
        return found.replace("\0", "") if isinstance(found, str) else ""

    @property
    def place(self) -> Place | None:
        """Where passkeys are good; None where the host is an address, which cannot have any."""
        host = urlsplit(self.origin).hostname or ""
        is_address = host.replace(".", "").isdecimal() or ":" in host
        return None if is_address or not (self.secure or host == "localhost") else Place(self.origin, host)

    def mails(self) -> bool:
        """Whether people can be sent links: a mail server is configured, and `public_url`. Without that one links would
        begin with whatever host the request names."""
        return self.services.public_url is not None and self.services.has_mail()

    def later(self, work: Callable[[], None]) -> None:
        """Does something in a thread of its own after the visitor was answered, so that its time tells nothing."""
        self.mailing.submit(work)

    async def run(
        self,
        function: Callable[Concatenate[Store, Given], Made],
        /,
        *arguments: Given.args,
        **named: Given.kwargs,
    ) -> Made:
        """Calls a use-case with the store, in a thread."""

        def call() -> Made:
            return function(self.services.store, *arguments, **named)

        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    def render(
        self, template: str, *, status: int = 0, problems: Mapping[str, str] | None = None, **values: Any
    ) -> Response:
        """A page. `problems`: what is wrong with fields of its form, by their names; the status is then 422."""
        return Rendered(template, {**values, "problems": problems or {}}, status or (422 if problems else 200))

    def redirect(self, path: str, *, notice: str | None = None, undo: Undo | None = None) -> Response:
        """A 303 to another page; `notice` is shown there once, with a button for `undo`."""
        return Redirected(path, notice, undo)
