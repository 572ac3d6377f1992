"""A small HTTP/1.1 client for callers and attackers: it shares no code with the gateway, and can break every rule."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
HEAD_BYTES = 256 * 1024
CALL_SECONDS = 30.0
FIRST_WORD = re.compile(rb'"content": ?"[^"]|"tool_calls": ?\[\{|"error"')


class BrokenAnswer(Exception):
    """An answer that is no HTTP, or that ended too early."""


@dataclass
class Answer:
    """A complete answer. `first_at` and `ended_at` on time.monotonic(); `first_at` is when the first word came."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    first_at: float = 0.0
    ended_at: float = 0.0
    complete: bool = False
    pieces: list[bytes] = field(default_factory=list)

    @property
    def generation(self) -> str:
        return self.headers.get("x-fairlead-generation-id", "")

    @property
    def streamed(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def documents(self) -> list[Any]:
        """The JSON documents in it, one for each event. Raises ValueError for what is no strict JSON."""
        if not self.streamed:
            return [strict_json(self.body)] if self.body else []
        found = []
        lines = self.body.split(b"\n")
        # Of an answer that was cut off, the last line may be half of one.
        for line in lines if self.complete else lines[:-1]:
            line = line.rstrip(b"\r")
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                found.append(strict_json(line[6:]))
        return found

    def text(self) -> str:
        """All words that it delivered, of every choice, and the arguments of its tool calls."""
        parts: list[str] = []
        for document in self.documents():
            choices = document.get("choices") if isinstance(document, dict) else None
            for choice in choices if isinstance(choices, list) else ():
                said = choice.get("delta") or choice.get("message") or {}
                parts.append(said.get("content") or "")
                parts += [call["function"].get("arguments") or "" for call in said.get("tool_calls") or ()]
        return "".join(parts)


def strict_json(data: bytes) -> Any:
    """RFC 8259: UTF-8, no NaN, no Infinity. Raises ValueError."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(data.decode(), parse_constant=refuse)


class Connection:
    """One connection to the gateway. `call` sends one request and reads its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection(HOST, port, limit=HEAD_BYTES))

    async def call(
        self, data: bytes, stop: Callable[[Answer], bool] | None = None, *, seconds: float = CALL_SECONDS
    ) -> Answer:
        """Raises BrokenAnswer, OSError or TimeoutError. With `stop` the answer is left when that is true of it."""
        async with asyncio.timeout(seconds):
            self.writer.write(data)
            answer = await self.head()
            if stop is None or not stop(answer):
                await self._body(answer, stop)
            return answer

    async def head(self) -> Answer:
        try:
            block = await self.reader.readuntil(b"\r\n\r\n")
            while block.startswith(b"HTTP/1.1 100"):
                block = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise BrokenAnswer(f"no head: {error}") from error
        first, *lines = block[:-4].decode("latin-1").split("\r\n")
        try:
            status = int(first.split(" ")[1])
        except (IndexError, ValueError) as error:
            raise BrokenAnswer(first) from error
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Answer(status, headers)

    async def _body(self, answer: Answer, stop: Callable[[Answer], bool] | None) -> None:
        try:
            if answer.headers.get("transfer-encoding") == "chunked":
                await self._chunks(answer, stop)
            elif "content-length" in answer.headers:
                answer.pieces.append(await self.reader.readexactly(int(answer.headers["content-length"])))
                answer.complete = True
            else:
                answer.pieces.append(await self.reader.read())
                answer.complete = True
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise BrokenAnswer(f"cut: {error}") from error
        answer.body = b"".join(answer.pieces)
        answer.pieces.clear()
        answer.ended_at = time.monotonic()

    async def _chunks(self, answer: Answer, stop: Callable[[Answer], bool] | None) -> None:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            piece = (await self.reader.readexactly(size + 2))[:-2]
            if not answer.first_at and FIRST_WORD.search(piece):
                answer.first_at = time.monotonic()
            answer.pieces.append(piece)
            if stop is not None and stop(answer):
                return
        await self.reader.readuntil(b"\r\n")
        answer.complete = True

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Ends the connection by RST."""
        transport = self.writer.transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):  # ended by the other side
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def post(path: str, key: str | None, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """The bytes of a POST. `length` replaces the true Content-Length."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    lines += [*headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chat(key: str | None, body: Any, *headers: str) -> bytes:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post("/v1/chat/completions", key, encoded, *headers)


def get(path: str, key: str | None = None, host: str = HOST) -> bytes:
    authorization = "" if key is None else f"Authorization: Bearer {key}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n".encode("latin-1")
