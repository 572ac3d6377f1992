"""People who look at the pages while callers call: each opens a page, reads it, and opens the next. Visitors of the
public pages read for a second. People on the console read for ten, and Activity asks for newer calls meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

READING_SECONDS = 1.0
FIRST_PAGES = ("/", "/models", "/rankings", "/status", "/docs", "/compare")
MOST_PAGES = 200
# As console/static/activity.js.
REFRESH_SECONDS = 5.0
ACTIVITY = "/account/activity"
NEWEST = "/account/activity/newest"


@dataclass(slots=True)
class Seen:
    """What the visitors got, and their answers other than 200."""

    pages: int = 0
    failures: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds to the first byte of a page


@contextmanager
def visitors(port: int, count: int) -> Iterator[Seen]:
    """`count` visitors at once, until the block ends."""
    seen, stop = Seen(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_visit(port, count, seen, stop)), name="visitors")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def _visit(port: int, count: int, seen: Seen, stop: threading.Event) -> None:
    pages = [*FIRST_PAGES, *await _listed(port)]
    await asyncio.gather(*(_one(port, random.Random(number), pages, seen, stop) for number in range(count)))


@contextmanager
def people(port: int, count: int, cookie: str, pages: list[str]) -> Iterator[Seen]:
    """So many people who have signed in, until the block ends."""
    seen, stop = Seen(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_work(port, count, cookie, pages, seen, stop)), name="people")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def _work(port: int, count: int, cookie: str, pages: list[str], seen: Seen, stop: threading.Event) -> None:
    await asyncio.gather(*(_person(port, random.Random(at), cookie, pages, seen, stop) for at in range(count)))


async def _person(
    port: int, chance: random.Random, cookie: str, pages: list[str], seen: Seen, stop: threading.Event
) -> None:
    """Two rests of REFRESH_SECONDS for each page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def see(page: str) -> None:
        began = time.monotonic()
        status, _ = await _get(reader, writer, page, "gzip", cookie)
        if page != NEWEST:
            seen.pages += 1
            seen.waits.append(time.monotonic() - began)
        if status != 200:
            seen.failures.append(f"{page}: {status}")

    async def rest(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(min(left, 0.1))

    await rest(chance.random() * 2 * REFRESH_SECONDS)
    while not stop.is_set():
        page = chance.choice(pages)
        await see(page)
        await rest(REFRESH_SECONDS)
        if page.startswith(ACTIVITY) and not stop.is_set():
            await see(NEWEST)
        await rest(REFRESH_SECONDS)
    writer.close()


async def _listed(port: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, body = await _get(reader, writer, "/sitemap.xml", "identity")
    writer.close()
    found = re.findall(rb"<loc>https?://[^/<]+(/[^<]*)</loc>", body)
    return [path.decode() for path in found[:MOST_PAGES]]


async def _one(port: int, chance: random.Random, pages: list[str], seen: Seen, stop: threading.Event) -> None:
    await asyncio.sleep(chance.random() * READING_SECONDS)  # people do not come in step
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        page = chance.choice(pages)
        status, _ = await _get(reader, writer, page, "gzip")
        seen.pages += 1
        if status != 200:
            seen.failures.append(f"{page}: {status}")
        await asyncio.sleep(READING_SECONDS)
    writer.close()


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, coding: str, cookie: str = ""
) -> tuple[int, bytes]:
    lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nAccept-Encoding: {coding}\r\n"
    writer.write(f"{lines}Cookie: {cookie}\r\n\r\n".encode() if cookie else f"{lines}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    if length is None:
        raise ValueError(f"{path}: no Content-Length")
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]))
