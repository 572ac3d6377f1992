"""People who look at the pages while callers call: each opens a page, reads it, and opens the next. Visitors of the
public pages read for a second. People on the console read for ten, and Activity asks for newer calls meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

READING_SECONDS = 1.0
FIRST_PAGES = ("/", "/models", "/rankings", "/status", "/docs", "/compare")
MOST_PAGES = 200
# As console/static/activity.js.
REFRESH_SECONDS = 5.0
ACTIVITY = "/account/activity"
NEWEST = "/account/activity/newest"
# A page of a busy server waits two seconds for its turn (console/pace.py).
LAST_PAGE_SECONDS = 20.0

T = TypeVar("T")


@dataclass(slots=True)
class Seen:
    """What people got."""

    waits: list[float] = field(default_factory=list)  # for each page, seconds to its first byte
    refused: int = 0  # 503: pages have taken what they may of a busy server
    failures: list[str] = field(default_factory=list)  # other answers than 200 and 503
    warm: threading.Event = field(default_factory=threading.Event)  # they were on every page


class Gate:
    """Lets people look at pages or not. While it is closed nobody asks for anything, all stay connected, and the time
    that they rest stands still. It is closed at first."""

    def __init__(self) -> None:
        self.asking = 0
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._closed.set()

    def set(self, is_open: bool) -> None:
        """On the event loop of the people."""
        now, before = (self._opened, self._closed) if is_open else (self._closed, self._opened)
        before.clear()
        now.set()

    async def rest(self, seconds: float) -> None:
        while seconds > 0:
            await self._opened.wait()
            began = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
            except TimeoutError:
                return
            seconds -= time.monotonic() - began

    async def asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Waits until the gate is open, then for the page."""
        while not self._opened.is_set():
            await self._opened.wait()  # it may be closed again by now
        self.asking += 1
        try:
            return await ask()
        finally:
            self.asking -= 1


class Company:
    """People in a thread of their own, as the rig sees them."""

    def __init__(self, look: Callable[[Gate, Seen], Awaitable[None]]) -> None:
        self.seen = Seen()
        self.admitted_seconds = 0.0
        self._admitted: float | None = None
        self._look = look
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="people")
        self._thread.start()
        self._ready.wait()

    async def _run(self) -> None:
        self._loop, self._gate = asyncio.get_running_loop(), Gate()
        self._ending = asyncio.Event()
        self._ready.set()
        looking = asyncio.ensure_future(self._look(self._gate, self.seen))
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait([looking, ending], return_when=asyncio.FIRST_COMPLETED)
        for one in (looking, ending):
            one.cancel()
        for result in await asyncio.gather(looking, ending, return_exceptions=True):
            if isinstance(result, Exception):
                self.seen.failures.append(repr(result))

    def admit(self) -> None:
        self._admitted = time.monotonic()
        self._call(lambda: self._gate.set(True))

    def pause(self) -> None:
        """Returns when nobody waits for a page any more."""
        self._call(lambda: self._gate.set(False))
        if self._admitted is not None:
            self.admitted_seconds += time.monotonic() - self._admitted
            self._admitted = None
        until = time.monotonic() + LAST_PAGE_SECONDS
        while self._gate.asking and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.005)

    def warm_up(self) -> None:
        """Until they were on every page: templates are compiled, pages that are the same for everybody are cached."""
        self.admit()
        while not self.seen.warm.wait(0.1) and self._thread.is_alive() and not self.seen.failures:
            pass
        self.pause()

    def forget(self) -> None:
        """What people saw until now; what has failed is kept."""
        self.seen.waits.clear()
        self.seen.refused, self.admitted_seconds = 0, 0.0

    def end(self) -> None:
        self._call(self._ending.set)
        self._thread.join()

    def _call(self, what: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            what()
            done.set()

        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError:  # all have left: their failure says why
            return
        while not done.wait(0.1) and self._thread.is_alive():
            pass


@contextmanager
def visitors(port: int, count: int) -> Iterator[Company]:
    """`count` visitors of the public pages, until the block ends; outside until they are admitted."""

    async def look(gate: Gate, seen: Seen) -> None:
        pages = [*FIRST_PAGES, *await _listed(port)]
        await _warm(Browser(port), pages, gate, seen)
        await _all(_visitor(port, random.Random(number), pages, gate, seen) for number in range(count))

    yield from _company(look)


@contextmanager
def people(port: int, count: int, cookie: str, pages: list[str]) -> Iterator[Company]:
    """So many people who have signed in."""

    async def look(gate: Gate, seen: Seen) -> None:
        await _warm(Browser(port, cookie), [*pages, NEWEST], gate, seen)
        await _all(_person(port, random.Random(at), cookie, pages, gate, seen) for at in range(count))

    yield from _company(look)


def _company(look: Callable[[Gate, Seen], Awaitable[None]]) -> Iterator[Company]:
    company = Company(look)
    try:
        yield company
    finally:
        company.end()


async def _all(looking: Iterator[Awaitable[None]]) -> None:
    await asyncio.gather(*looking)


async def _person(port: int, chance: random.Random, cookie: str, pages: list[str], gate: Gate, seen: Seen) -> None:
    """Two rests of REFRESH_SECONDS for each page."""
    browser = Browser(port, cookie)
    await gate.rest(chance.random() * 2 * REFRESH_SECONDS)
    while True:
        page = chance.choice(pages)
        await gate.asked(partial(_see, browser, page, seen))
        await gate.rest(REFRESH_SECONDS)
        if page.startswith(ACTIVITY):
            await gate.asked(partial(_see, browser, NEWEST, seen))
        await gate.rest(REFRESH_SECONDS)


async def _visitor(port: int, chance: random.Random, pages: list[str], gate: Gate, seen: Seen) -> None:
    browser = Browser(port)
    await gate.rest(chance.random() * READING_SECONDS)  # people do not come in step
    while True:
        await gate.asked(partial(_see, browser, chance.choice(pages), seen))
        await gate.rest(READING_SECONDS)


async def _see(browser: Browser, page: str, seen: Seen) -> None:
    began = time.monotonic()
    status, _ = await browser.get(page, "gzip")
    if status == 503:
        seen.refused += 1
    elif status != 200:
        seen.failures.append(f"{page}: {status}")
    elif page != NEWEST:
        seen.waits.append(time.monotonic() - began)


async def _warm(browser: Browser, pages: list[str], gate: Gate, seen: Seen) -> None:
    """Each page once: it is made for everybody, in what time pages may take."""
    for page in pages:
        await gate.asked(partial(_see, browser, page, seen))
    browser.close()
    seen.warm.set()


async def _listed(port: int) -> list[str]:
    browser = Browser(port)
    _, body = await browser.get("/sitemap.xml", "identity")
    browser.close()
    found = re.findall(rb"<loc>https?://[^/<]+(/[^<]*)</loc>", body)
    return [path.decode() for path in found[:MOST_PAGES]]


class Browser:
    """One connection, opened again when the server has closed it."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._port = port
        self._cookie = f"Cookie: {cookie}\r\n" if cookie else ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, coding: str) -> tuple[int, bytes]:
        """Status and body."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nAccept-Encoding: {coding}\r\n"
        writer.write(f"{lines}{self._cookie}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if length is None:
            raise ValueError(f"{path}: no Content-Length")
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
