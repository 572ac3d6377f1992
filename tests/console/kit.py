"""The console in this process, and people who are signed in to it: no server and no browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.applications import Starlette

from fairlead.accounts.accounts import add_account, first_account
from fairlead.admin.people import join
from fairlead.console.app import COOKIE, SECURE_COOKIE, console
from fairlead.console.forms import FIELD, form_token
from fairlead.console.services import ConsoleServices
from fairlead.people import passwords, persons, sessions
from fairlead.people.roles import Role
from fairlead.settings import Settings, parse_settings
from fairlead.site.budget import PageBudget
from fairlead.store import open_store

HOST = "llm.example"
PASSWORD = "correct horse battery staple"
HASH = passwords.hashed(PASSWORD)
HOURS = 24


@dataclass
class Answer:
    """`headers`: by name; of two that have the same one, the last."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


class Browser:
    """Keeps the cookie, sends forms with their token as a page of ours does. `person_id`: who is signed in, "": nobody."""

    def __init__(self, app: Starlette, token: str = "", person_id: str = "", address: str = "192.0.2.1") -> None:
        self.app = app
        self.person_id = person_id
        self.address = address
        self.cookies: dict[str, str] = {COOKIE: token} if token else {}
        self.scheme = "http"

    @property
    def token(self) -> str:
        return self.cookies.get(SECURE_COOKIE if self.scheme == "https" else COOKIE, "")

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, b"", headers)

    def post(self, target: str, fields: MutableMapping[str, Any] | None = None, **headers: str) -> Answer:
        """A form as a page of ours sends it. `fields`: with another `form_token`, or without one (None)."""
        given = {FIELD: form_token(self.token) if self.token else "", **(fields or {})}
        body = urlencode([pair for pair in given.items() if pair[1] is not None], doseq=True).encode()
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "origin": f"{self.scheme}://{HOST}",
            "sec-fetch-site": "same-origin",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.ask("POST", target, body, {name: value for name, value in sent.items() if value})

    def follow(self, answer: Answer) -> Answer:
        """The page that an answer leads to."""
        assert answer.status == 303, (answer.status, answer.text)
        return self.get(answer.location)

    def ask(self, method: str, target: str, body: bytes, headers: MutableMapping[str, str]) -> Answer:
        path, _, query = target.partition("?")
        lines = {"host": HOST, "accept": "text/html", "user-agent": "Kit/1.0", "content-length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            lines["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "method": method,
            "scheme": self.scheme,
            "http_version": "1.1",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
            "server": (HOST, 80),
            "client": (self.address, 1),
            "state": {},
        }
        answer = Answer()

        given = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                await asyncio.Event().wait()  # the visitor stays
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                for name, value in message["headers"]:
                    answer.headers[name.decode()] = value.decode("latin-1")
                    if name == b"set-cookie":
                        answer.cookies.append(value.decode("latin-1"))
            else:
                answer.body += message.get("body", b"")

        asyncio.run(self.app(scope, receive, send))
        for one in answer.cookies:
            name, _, value = one.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer


def unbounded(services: ConsoleServices) -> Starlette:
    """The console, whose pages may take all of the time of a test."""
    app = console(services)
    app.state.console.budget = PageBudget(share=1e9, burst=1e9)
    return app


class Kit:
    """A console with two organisations, `acme` and `globex` (ids of accounts), and an operator's own."""

    def __init__(self, directory: Path, settings: str = "", database_url: str | None = None, **services: Any) -> None:
        self.store = open_store(directory, database_url)
        self.settings: Settings = parse_settings(settings, "kit.toml", {})
        self.services = ConsoleServices(self.store, lambda: self.settings, **services)
        self.app = unbounded(self.services)
        with self.store.write() as connection:
            self.own = first_account(connection)
            self.acme = add_account(connection, "Acme", prepaid=True)
            self.globex = add_account(connection, "Globex", prepaid=True)

    def stranger(self, address: str = "192.0.2.1") -> Browser:
        return Browser(self.app, address=address)

    def as_role(self, role: Role, account_id: str | None = None) -> Browser:
        """Somebody new with this role, in Acme unless another account is given, signed in."""
        return self._person(f"{role}-{self._count()}@example.org", role, account_id or self.acme)

    def as_operator(self) -> Browser:
        """An operator, who is in no organisation."""
        return self._person(f"operator-{self._count()}@example.org", None, None, operator=True)

    def person(self, email: str, role: Role | None = None, account_id: str | None = None) -> Browser:
        """Somebody with this address, signed in. Their password is PASSWORD."""
        return self._person(email, role, account_id)

    def signed_in(self, person_id: str, **given: Any) -> Browser:
        """Another browser of the same person."""
        with self.store.write() as connection:
            token = sessions.begin(
                connection, person_id, HOURS * 3600, method="password", address="192.0.2.1", agent="Kit/1.0", **given
            )
        return Browser(self.app, token, person_id)

    def _person(self, email: str, role: Role | None, account_id: str | None, *, operator: bool = False) -> Browser:
        with self.store.write() as connection:
            person = persons.add_person(
                connection, email, email.partition("@")[0], HASH, operator=operator, confirmed=True
            )
            if role is not None and account_id is not None:
                join(connection, person, account_id, role)
        return self.signed_in(person.id)

    def _count(self) -> int:
        with self.store.read() as connection:
            return len(persons.list_people(connection, 10_000))

    def restarted(self, settings: str, **services: Any) -> None:
        """The same database with other settings."""
        self.app.state.console.close()
        self.settings = parse_settings(settings, "kit.toml", {})
        self.services = ConsoleServices(self.store, lambda: self.settings, **services)
        self.app = unbounded(self.services)

    def wait(self) -> None:
        """Until what is done after answers, such as mails, is done."""
        self.app.state.console.mailing.submit(lambda: None).result()

    def close(self) -> None:
        self.app.state.console.close()
        self.store.close()


def hidden(answer: Answer, name: str) -> str:
    """The value of a field of the page."""
    [found] = set(re.findall(rf'name="{name}"[^>]* value="([^"]*)"', answer.text))
    return str(found)
