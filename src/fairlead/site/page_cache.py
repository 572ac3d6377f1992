"""The page cache: templates in, answers out. A page is rendered once, and served again until it changes."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from fairlead.site.budget import PageBudget
from fairlead.site.cached_page import CachedPage, CachedPages
from fairlead.site.language import Language
from fairlead.site.static_files import StaticFiles
from fairlead.site.translated import Translated, environment
from fairlead.site.visit import Visit
from fairlead.threads import Threads

Made = TypeVar("Made")

MOST_PAGES = 1_000
# All cached pages together, with their keys. Every page of the built-in catalogue and of the documentation takes 2 MB,
# compressed; a cache that is a little too small for what visitors go through makes most of it again and again.
MOST_BYTES = 3 * 1024 * 1024
# Pages whose address has a query: a visitor can invent any number of them, and they push out one another only.
MOST_QUERIED_PAGES = 300
MOST_QUERIED_BYTES = 512 * 1024
# Parts of pages are kept as they are, two bytes a character: half a megabyte, some ten models.
MOST_PART_CHARACTERS = 256 * 1024
# What may stand in a Host header: a name or an address, and a port. Anything else is nobody's address.
HOST = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")
# Whatever else stands in a path is quoted; what is quoted already stays so.
SAFE_IN_PATHS = "/%:@!$&'()*+,;=~"
# The query of an address that is as good as none: there are as many of these pages as there are languages.
PLAIN = re.compile(rb"(?:lang=[a-z]{2})?")
STATIC_PREFIX = "/static/"
PICTURE_SECONDS = 3_600
# Of badges, feeds and the catalogue as data.
SHARED_SECONDS = 60
HTML = "text/html; charset=utf-8"
JSON = "application/json"
# One address has a page in every language.
VARY = "accept-encoding, accept-language, cookie"
MARKDOWN = "text/markdown; charset=utf-8"
# Structured data for search engines is the only thing between script tags; its hash goes into the policy.
_DATA_BLOCK, _DATA_BLOCK_END = '<script type="application/ld+json">', "</script>"
SECURITY_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
# Pages that may ask for the microphone.
RECORDING = frozenset({"playground.html"})
SHARED_HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "etag, link",
    "cross-origin-resource-policy": "cross-origin",
    # An SVG that is opened as a page may do nothing.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
CSP = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self' data:; media-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(slots=True)
class PageCache:
    """`navigation`: the path and the English name of what every page leads to. Pages are kept by what they depend on.
    `budget`: what making them may take of the event loop's time."""

    navigation: tuple[tuple[str, str], ...] = ()
    public_url: str | None = None
    words: Mapping[str, object] = field(default_factory=dict)
    languages: tuple[Language, ...] = ()
    budget: PageBudget = field(default_factory=PageBudget)
    plain: CachedPages = field(default_factory=lambda: CachedPages(MOST_PAGES, MOST_BYTES))
    queried: CachedPages = field(default_factory=lambda: CachedPages(MOST_QUERIED_PAGES, MOST_QUERIED_BYTES))
    # One thread: what pages keep between them is seen by one page at a time.
    _maker: Threads = field(default_factory=lambda: Threads(1, "pages"))
    _environments: dict[str, Environment] = field(default_factory=dict)
    _errors: dict[Hashable, CachedPage] = field(default_factory=dict)
    _compiled: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    _parts: OrderedDict[Hashable, Mapping[str, Markup]] = field(default_factory=OrderedDict)
    _part_characters: int = 0
    static_files: StaticFiles = field(default_factory=lambda: StaticFiles("fairlead.site", STATIC_PREFIX))

    def visit(self, request: Request, language: Language) -> Visit:
        origin = self.public_url
        if origin is None:
            host = request.headers.get("host", "")
            origin = f"{request.scope['scheme']}://{host if HOST.fullmatch(host) else 'localhost:8080'}"
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        return Visit(language, origin, quote(raw, safe=SAFE_IN_PATHS))

    def address(self, path: str) -> str:
        """Where a redirect leads: below `public_url` where there is one, and never to a host that the visitor named."""
        return (self.public_url or "") + path

    async def page(
        self,
        request: Request,
        visit: Visit,
        template: str,
        depends: Hashable,
        values: Callable[[], Mapping[str, object]],
    ) -> Response:
        """An HTML page. `depends` is all that the page is made of besides the visit: the same again is not rendered
        again, and `values` is not called. Raises Busy."""
        made = await self._cached(
            request, visit.language, (template, visit, depends), lambda: self._html(visit, template, values())
        )
        return made.answer(request)

    def error(self, request: Request, language: Language, status: int, sentence: str) -> Response:
        """The page of an error: the same for every address, so that there are a dozen of them in all."""
        key = (language.code, status, sentence)
        made = self._errors.get(key)
        if made is None:
            values = {"status": status, "sentence": sentence}
            made = self._errors[key] = self._html(Visit(language, "", ""), "error.html", values)
        return made.answer(request, status)

    def _html(self, visit: Visit, template: str, values: Mapping[str, object]) -> CachedPage:
        text = self._environment(visit.language).get_template(template).render(visit=visit, **values)
        headers = {"content-security-policy": policy(text), "vary": VARY, **SECURITY_HEADERS}
        if template in RECORDING:
            headers["permissions-policy"] = headers["permissions-policy"].replace("microphone=()", "microphone=(self)")
        return CachedPage.of(text.encode(), HTML, "no-cache", headers)

    def parts(
        self, visit: Visit, templates: Sequence[str], depends: Hashable, values: Callable[[], Mapping[str, object]]
    ) -> Mapping[str, Markup]:
        """What of a page changes less often than the rest, by template; kept by what it depends on, as pages are."""
        key = (visit, tuple(templates), depends)
        found = self._parts.get(key)
        if found is not None:
            self._parts.move_to_end(key)
            return found
        environment, given = self._environment(visit.language), values()
        made = {
            name: Markup(environment.get_template(name).render(visit=visit, **given))  # noqa: S704 - escaped by Jinja
            for name in templates
        }
        self._parts[key] = made
        self._part_characters += _characters(made)
        while len(self._parts) > 1 and self._part_characters > MOST_PART_CHARACTERS:
            self._part_characters -= _characters(self._parts.popitem(last=False)[1])
        return made

    async def data(
        self, request: Request, visit: Visit, kind: str, media_type: str, depends: Hashable, body: Callable[[], bytes]
    ) -> Response:
        """A page as data (JSON, Markdown, a picture). `kind` keeps its pages apart from others'."""
        made = await self._cached(
            request,
            visit.language,
            (kind, visit, depends),
            lambda: CachedPage.of(body(), media_type, "no-cache", {"x-content-type-options": "nosniff"}),
        )
        return made.answer(request)

    async def drawn(
        self, request: Request, depends: Hashable, body: Callable[[], bytes], media_type: str = "image/png"
    ) -> Response:
        """A picture or a file, the same for everybody. It takes some time to make, which is not the event loop's."""
        key = ("drawn", depends)
        made = self.plain.get(key)
        if made is None:
            # A thread shares the interpreter with the loop: its time is the budget's, too.
            async with self.budget.turn(plain=True):
                made = self.plain.get(key)
                if made is None:
                    picture = await self.in_thread(body)
                    cache = f"public, max-age={PICTURE_SECONDS}"
                    made = CachedPage.of(picture, media_type, cache, {"x-content-type-options": "nosniff"})
                    self.plain.put(key, made)
        return made.answer(request)

    async def shared(self, request: Request, media_type: str, depends: Hashable, body: Callable[[], bytes]) -> Response:
        """What pages of other origins embed or read, the same for everybody. `depends` is all that it is made of.
        Raises Busy."""
        plain = PLAIN.fullmatch(request.scope["query_string"]) is not None
        pages, key = self.plain if plain else self.queried, ("shared", depends)
        found = pages.get(key)
        if found is None:
            async with self.budget.turn(plain):
                found = pages.get(key)
                if found is None:
                    cache = f"public, max-age={SHARED_SECONDS}"
                    found = CachedPage.of(await self.in_thread(body), media_type, cache, SHARED_HEADERS)
                    pages.put(key, found)
        return found.answer(request)

    async def in_thread(self, make: Callable[[], Made]) -> Made:
        """Calls `make` in the thread where pages are made: 20 to 50 ms of Python at once, which must not hold the event
        loop. A visitor who leaves is waited for: what has begun is finished before the next page begins."""
        work = asyncio.get_running_loop().run_in_executor(self._maker, make)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def forget(self, parts: bool = True) -> None:
        """Drops all cached pages, or only the parts: measurements of how long rendering takes begin so."""
        self.plain.clear()
        self.queried.clear()
        if parts:
            self._parts.clear()
            self._part_characters = 0

    def render(self, visit: Visit, template: str, values: Mapping[str, object]) -> str:
        """A template as text, for `data`."""
        return self._environment(visit.language).get_template(template).render(visit=visit, **values)

    async def _cached(
        self, request: Request, language: Language, key: Hashable, make: Callable[[], CachedPage]
    ) -> CachedPage:
        plain = PLAIN.fullmatch(request.scope["query_string"]) is not None
        pages = self.plain if plain else self.queried
        found = pages.get(key)
        if found is None:
            await self._compile(language)
            async with self.budget.turn(plain):
                found = pages.get(key)  # somebody else may have waited for the same
                if found is None:
                    found = await self.in_thread(lambda: _made(make))
                    pages.put(key, found)
        return found

    async def _compile(self, language: Language) -> None:
        """All templates in a language, in a thread: one page's would stop the event loop for a quarter of a second."""
        task = self._compiled.get(language.code)
        if task is None:
            environment = self._environment(language)

            def compile_all() -> None:
                for name in environment.list_templates():
                    environment.get_template(name)

            loop = asyncio.get_running_loop()
            task = self._compiled[language.code] = loop.run_in_executor(None, compile_all)
        if not task.done():
            await asyncio.shield(task)

    def _environment(self, language: Language) -> Environment:
        found = self._environments.get(language.code)
        if found is None:
            found = environment(language, Translated(language))
            found.globals.update(static=self.static_files.address, navigation=self.navigation)
            found.globals.update({"languages": self.languages, "with_console": False, **self.words})
            self._environments[language.code] = found
        return found


def _made(make: Callable[[], CachedPage]) -> CachedPage:
    made = make()
    # Contexts of templates are cycles that hold all the text of a page, in less than a hundred objects. A gateway's
    # collector comes after thousands: some hundred pages would stay in memory.
    gc.collect(0)
    return made


def policy(html: str) -> str:
    """The content security policy of a page: its own files, and the data blocks that it really has."""
    blocks = (rest.partition(_DATA_BLOCK_END)[0] for rest in html.split(_DATA_BLOCK)[1:])
    hashes = "".join(
        f" 'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'" for block in blocks
    )
    return CSP.format(hashes=hashes)


def _characters(parts: Mapping[str, Markup]) -> int:
    return sum(map(len, parts.values()))
