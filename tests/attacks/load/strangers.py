"""Those without a key: each actor is one bad habit, at a rate that one ordinary connection reaches."""

from __future__ import annotations

import asyncio
import os
import random
import string
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tests.attacks.load.client import Connection, get, post
from tests.attacks.load.hostile import Attack

MEGABYTE: Final = 1024 * 1024
CHAT: Final = "/v1/chat/completions"


async def large_body(attack: Attack) -> None:
    """30 MB with a key that is none, or without one; some of them slowly."""
    key = attack.random.choice([None, "sk-fl-nobody0_" + "x" * 43, "x" * 5000])
    connection = await attack.open()
    connection.writer.write(post(CHAT, key, b'{"a": "', length=30 * MEGABYTE))
    for _ in range(30):
        connection.writer.write(b"x" * MEGABYTE)
        await connection.writer.drain()
        await asyncio.sleep(attack.random.choice([0.0, 0.05]))
    await attack.finish(connection)


async def tiny_chunks(attack: Attack) -> None:
    """A chunked body in pieces of two bytes."""
    connection = await attack.open()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {attack.a_key()}\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.writer.write(head.encode() + b'2\r\n{"\r\n')
    for _ in range(40):
        connection.writer.write(b"2\r\naa\r\n" * 2000)
        await connection.writer.drain()
        await asyncio.sleep(0.02)
    await asyncio.sleep(3)


async def half_body(attack: Attack) -> None:
    """Half of 1 MB, then silence; then a FIN or a RST."""
    connection = await attack.open()
    connection.writer.write(post(CHAT, attack.a_key(), b"x" * (MEGABYTE // 2), length=MEGABYTE))
    await asyncio.sleep(8)


async def unread_pipeline(attack: Attack) -> None:
    """Thousands of GETs whose answers nobody reads."""
    connection = await attack.open()
    path = attack.random.choice(
        ["/openapi.json", "/models", "/v1/models?all=true", "/metrics", "/docs/reference/settings"]
    )
    async with asyncio.timeout(5):
        for _ in range(50):
            connection.writer.write(get(path) * 100)
            await connection.writer.drain()
            await asyncio.sleep(0.02)
    await asyncio.sleep(5)


async def slow_head(attack: Attack) -> None:
    connection = await attack.open()
    for byte in b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40:
        connection.writer.write(bytes([byte]))
        await asyncio.sleep(0.3)


HOSTS: Final = ["[", "]", "[::1", "a b", "\xff\xfe", "a" * 3000, "x:y:z", "", "..", "<script>", "%00", "a:99999999", "[v1.x]", "@", "\\", "127.0.0.1:80:80"]  # fmt: skip


async def host_garbage(attack: Attack) -> None:
    host = attack.random.choice(HOSTS)
    path = attack.random.choice(
        ["/", "/models", "/v1/models", "/keys", "/sitemap.xml", "/mistralai", "/robots.txt", "/docs/"]
    )
    await attack.ask(get(path, host=host))


PAGES: Final = (
    "/models",
    "/rankings",
    "/status",
    "/compare",
    "/search.json",
    "/models.json",
    "/v1/models",
    "/index.md",
)


async def uncached_page(attack: Attack) -> None:
    """Pages that no cache has: another query each time."""
    chance = attack.random
    query = "&".join(
        f"{name}={_word(chance)}" for name in chance.sample(["q", "sort", "vendor", "page", "view", "input", "x"], 3)
    )
    await attack.ask(get(f"{chance.choice(PAGES)}?{query}"))


def _word(chance: random.Random) -> str:
    return chance.choice(
        [
            str(chance.randint(-9, 99)),
            "".join(chance.choices(string.ascii_letters, k=6)),
            "%00",
            "%F0%28",
            "-price",
            "a" * 500,
        ]
    )


async def odd_path(attack: Attack) -> None:
    path = attack.random.choice([
        "/docs/../../etc/passwd", "/docs/%2e%2e/%2e%2e/pyproject.toml", "/static/%2fetc%2fpasswd", "/%ff%fe", "//evil.example/",
        "/models/" + "a/" * 2000, "/compare/a/b/c/d/e", "/v1/models/%00/performance?window=1e9", "/v1/receipts/" + "9" * 5000,
        "/models/<script>alert(1)</script>", "/status.json", "/status.atom", "/v1/models?all=true", "/openapi.json", "/metrics",
        "/models/" + "%252e" * 500 + ".png", "/rankings?period=" + "x" * 9000, "/" + "?" * 5000, "/v1/models/x/endpoints",
    ])  # fmt: skip
    await attack.ask(get(path, attack.random.choice([None, "sk-fl-nobody"])))


async def connects(attack: Attack) -> None:
    """300 connections within a third of a second, held for a moment, and ended as fast."""
    opened: list[Connection] = []
    for _ in range(10):
        batch = await asyncio.gather(*(attack.open() for _ in range(30)), return_exceptions=True)
        opened += [one for one in batch if isinstance(one, Connection)]
        await asyncio.sleep(0.03)
    await asyncio.sleep(1)
    for at, connection in enumerate(opened):
        connection.reset()
        if at % 30 == 0:
            await asyncio.sleep(0.03)


async def no_http(attack: Attack) -> None:
    data = attack.random.choice([
        os.urandom(3000), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500), b"GET\r\n\r\n" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000 + b"\r\n", b"\r\n" * 10_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET " + b"/" * 40_000 + b" HTTP/1.1\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n", b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n",
    ])  # fmt: skip
    await attack.ask(data)


async def expect(attack: Attack) -> None:
    """Would like to be asked to send its body."""
    await attack.ask(post(CHAT, attack.a_key(), b"", "Expect: 100-continue", length=30 * MEGABYTE))


async def guesses(attack: Attack) -> None:
    """Keys, codes and ids that might be somebody's."""
    key = "sk-fl-" + "".join(attack.random.choices(string.ascii_letters, k=50))
    await attack.ask(post(CHAT, key, b'{"model": "plain", "messages": []}'))
    await attack.ask(get("/v1/generation?id=gen-0000000000000001", key))
    await attack.ask(post("/v1/credits/redeem", key, b'{"code": "fl-code-AAAA"}'))


class Actor(NamedTuple):
    """`copies` of it act at once, each pausing for `seconds` after each time."""

    act: Callable[[Attack], Awaitable[None]]
    copies: int
    seconds: float


STRANGERS: Final = (
    Actor(large_body, 3, 8.0),  # 30 Mbit/s each
    Actor(tiny_chunks, 4, 1.0),
    Actor(half_body, 40, 0.5),
    Actor(unread_pipeline, 4, 1.0),
    Actor(slow_head, 40, 0.5),
    Actor(host_garbage, 2, 0.05),
    Actor(uncached_page, 16, 0.05),
    Actor(odd_path, 2, 0.1),
    Actor(connects, 2, 0.5),
    Actor(no_http, 2, 0.1),
    Actor(expect, 1, 0.2),
    Actor(guesses, 2, 0.1),
)
