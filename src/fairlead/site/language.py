"""The languages of the pages: which one a visitor gets, its words, and how it writes numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "lang"
YEAR_SECONDS = 31_536_000
# By decimals; a page has a thousand numbers, and to make the format again for each takes longer than the number.
FORMATS = (",.0f", ",.1f", ",.2f", ",.3f", ",.4f")
WRITERS = tuple(f"{{:{one}}}".format for one in FORMATS)


@dataclass(frozen=True, slots=True)
class Language:
    """`prefix` stands before every path of a page in this language: "" for the default, or "/de"."""

    code: str
    name: str
    prefix: str = ""
    group: str = ","
    point: str = "."
    translations: NullTranslations = field(default_factory=NullTranslations, compare=False)

    def gettext(self, message: str) -> str:
        return self.translations.gettext(message) if message else ""  # "" is the head of the file in gettext

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self.translations.ngettext(one, many, count)

    def number(self, value: float, decimals: int = 0) -> str:
        """131,072 or 12.5, as this language writes it."""
        text = format(value, FORMATS[decimals])
        if self.group == "," and self.point == ".":
            return text
        return text.replace(",", "\0").replace(".", self.point).replace("\0", self.group)

    def writer(self, decimals: int = 0) -> Callable[[float], str]:
        """`number` for hundreds of them."""
        if self.group == "," and self.point == ".":
            return WRITERS[decimals]
        return partial(self.number, decimals=decimals)


ENGLISH = Language("en", "English")


def languages() -> tuple[Language, ...]:
    """English and the languages that the package has words for."""
    return (
        ENGLISH,
        Language("de", "Deutsch", group=".", point=",", translations=_translations("de")),
        Language("zh", "中文", translations=_translations("zh")),
    )


def _translations(code: str) -> GNUTranslations:
    with (files("fairlead.site") / "locale" / code / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        return GNUTranslations(file)


def chosen(request: Request, known: Sequence[Language]) -> Language:
    """The visitor's language: that of `?lang=`, the remembered one, or the best of Accept-Language."""
    by_code = {language.code: language for language in known}
    asked = by_code.get(request.query_params.get("lang", "")) or by_code.get(request.cookies.get(COOKIE, ""))
    return asked or _accepted(request.headers.get("accept-language", ""), known)


def _accepted(header: str, known: Sequence[Language]) -> Language:
    best, most = known[0], 0.0
    for part in header[:500].split(","):
        name, _, weight = part.partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        code = name.strip().lower().partition("-")[0]
        language = next((one for one in known if one.code == code), None)
        if language is not None and quality > most:
            best, most = language, quality
    return best


class Remember:
    """Keeps the language of `?lang=` in a cookie, so that the next page is in it too."""

    def __init__(self, app: ASGIApp, codes: Sequence[str]) -> None:
        self._app = app
        self._lines = {
            f"lang={code}".encode(): (
                b"set-cookie",
                f"{COOKIE}={code}; Path=/; Max-Age={YEAR_SECONDS}; SameSite=Lax".encode(),
            )
            for code in codes
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = None
        if scope["type"] == "http" and b"lang=" in scope["query_string"]:
            line = next((self._lines[part] for part in scope["query_string"].split(b"&") if part in self._lines), None)
        if line is None:
            await self._app(scope, receive, send)
            return

        async def remembering(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], line]}
            await send(message)

        await self._app(scope, receive, remembering)
