"""A provider that answers what it was told, on a real socket in a thread of its own: in OpenAI's dialect, and at paths
that end with `/responses`, `/messages` or `:generateContent` in those APIs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from fairlead.testing.completions import COMPLETIONS
from fairlead.testing.connection import Connection, Received, Wire, chunk, head
from fairlead.testing.embeddings import EMBEDDINGS
from fairlead.testing.gemini import GEMINI
from fairlead.testing.messages import MESSAGES
from fairlead.testing.moderations import MODERATIONS
from fairlead.testing.rendering import CHAT, Speech, dumps, error_body, rest_of
from fairlead.testing.replies import Fault, Reply
from fairlead.testing.rerank import RERANK
from fairlead.testing.responses import RESPONSES

BACKLOG = 4096
STOP_SECONDS = 10.0
EVENTS_AT_ONCE = 64
MODELS = ("scripted",)
# What writes the answers, by how the path of a call ends; elsewhere it is chat completions.
SPEECHES = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/messages": MESSAGES,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/moderations": MODERATIONS,
    "/rerank": RERANK,
    ":generateContent": GEMINI,
    ":streamGenerateContent": GEMINI,
}
HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Script:
    """What to answer next, and what was asked: the part of the upstream that needs no socket."""

    def __init__(self) -> None:
        self.default = Reply()
        self.requests: list[Received] = []
        self.cancelled = 0
        self.paths = list(SPEECHES)
        self._queue: deque[Reply] = deque()
        self._answered = 0

    def enqueue(self, *replies: Reply) -> None:
        """Adds replies for the next chat requests, in order. When there is none, `default` answers."""
        self._queue.extend(replies)

    async def answer(self, request: Received, wire: Wire) -> bool:
        """Answers `request`; True when the connection is to go stale."""
        self.requests.append(request)
        path = request.path.partition("?")[0]
        if path.endswith("/models") and request.method == "GET":
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "fairlead"} for name in MODELS]
            await wire.send(_complete(request, 200, dumps({"object": "list", "data": listed})))
            return False
        if path.endswith("/health") and request.method == "GET":
            await wire.send(_complete(request, 200, b""))
            return False
        if path.endswith("/messages/count_tokens"):
            await wire.send(_complete(request, 200, dumps({"input_tokens": self.default.prompt_tokens})))
            return False
        if path.endswith(":countTokens"):
            await wire.send(_complete(request, 200, dumps({"totalTokens": self.default.prompt_tokens})))
            return False
        if not path.endswith(tuple(self.paths)):
            await wire.send(_complete(request, 404, error_body(404, f"Nothing is at {path}.")))
            return False
        if request.method != "POST":
            await wire.send(_complete(request, 405, error_body(405, "Only POST is allowed here.")))
            return False
        self._answered += 1
        try:
            reply = self._queue.popleft()
        except IndexError:
            reply = self.default
        return await _chat(request, reply, wire, self._answered)


class ScriptedUpstream(Script):
    """A running scripted upstream; a context manager that listens on a free port of the loopback.

    `url` ends with "/v1". `paths`: how the paths end that replies are given at; at those that are not known here, with
    a `body` of their own. `requests` are all requests read so far, `cancelled` counts callers who disconnected before
    their answer was complete, `connections` are open now, `accepted` were opened ever.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__()
        self._host = host
        self._port = port
        self._open: set[Connection] = set()
        self.accepted = 0
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> ScriptedUpstream:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL that a client is given."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def port(self) -> int:
        return self._port

    @property
    def connections(self) -> int:
        return len(self._open)

    def start(self) -> None:
        """Listens. Raises OSError when the port is taken."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="scripted-upstream", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Cuts every connection and ends the thread. Raises RuntimeError when it does not end."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError(f"The scripted upstream at {self.url} did not stop within {STOP_SECONDS:g} s.")

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await self._loop.create_server(
                lambda: Connection(self.answer, self._opened, self._lost), self._host, self._port, backlog=BACKLOG
            )
        except OSError as failure:
            self._failure = failure
            self._ready.set()
            return
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        while self._open:
            await asyncio.gather(*(connection.end() for connection in tuple(self._open)))
            await asyncio.sleep(0)
        await server.wait_closed()

    def _opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self.accepted += 1

    def _lost(self, connection: Connection, working: bool) -> None:
        self._open.discard(connection)
        if working and not self._stopping.is_set():
            self.cancelled += 1


def _speech(request: Received) -> Speech:
    """What writes the answers to a request."""
    path = request.path.partition("?")[0]
    return next((speech for end, speech in SPEECHES.items() if path.endswith(end)), CHAT)


async def _chat(request: Received, reply: Reply, wire: Wire, number: int) -> bool:
    if reply.delay_seconds:
        await asyncio.sleep(reply.delay_seconds)
    fault = reply.fault
    if fault is Fault.CLOSE_AT_ONCE:
        wire.close()
        return False
    if fault is Fault.HANG:
        await wire.hang()
    if fault is Fault.HTML:
        await wire.send(_complete(request, 200, HTML, {"content-type": "text/html; charset=utf-8"}))
        return False
    if reply.status != 200 or reply.body is not None:
        body = reply.body
        if body is None:
            body = _speech(request).error_body(reply.status, f"scripted status {reply.status}")
        await wire.send(
            _complete(request, reply.status, body.encode() if isinstance(body, str) else body, reply.headers)
        )
        return False
    try:
        asked = request.json
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        await wire.send(_complete(request, 400, error_body(400, "The body is not a JSON object.")))
        return False
    if reply.continues:
        reply = replace(reply, text=rest_of(reply.text, asked))
    if asked.get("stream") is True or ":stream" in request.path:
        await _stream(request, asked, reply, wire, number)
    else:
        await _whole(request, asked, reply, wire, number)
    return fault is Fault.STALE_KEEP_ALIVE


async def _whole(request: Received, asked: dict[str, Any], reply: Reply, wire: Wire, number: int) -> None:
    body = _speech(request).whole(reply, asked, number)
    fault = reply.fault
    if fault is Fault.MALFORMED_FRAME:
        headers = {"content-type": "application/json", "transfer-encoding": "chunked", **reply.headers}
        await wire.send(
            head(200, headers) + chunk(body[: len(body) // 2]) + b"zz\r\n" + body[len(body) // 2 :] + b"\r\n"
        )
        return
    answer = _complete(request, 200, body, reply.headers)
    if fault in (Fault.RESET, Fault.EOF, Fault.HANG_IN_THE_MIDDLE):
        await wire.send(answer[: len(answer) - len(body) // 2])
        if fault is Fault.RESET:
            await wire.reset()
        elif fault is Fault.EOF:
            wire.close()
        else:
            await wire.hang()
    elif fault is Fault.ONE_BYTE_AT_A_TIME:
        await wire.send_bytewise(answer)
    elif fault is Fault.SPLIT_UTF8:
        for piece in split_inside_characters(answer):
            await wire.send(piece)
            await asyncio.sleep(0.001)
    else:
        await wire.send(answer)


async def _stream(request: Received, asked: dict[str, Any], reply: Reply, wire: Wire, number: int) -> None:
    fault = reply.fault
    chunked = request.version == "1.1"
    framing = {"transfer-encoding": "chunked"} if chunked else {"connection": "close"}
    start = head(200, {"content-type": "text/event-stream; charset=utf-8", **framing, **reply.headers})
    last = b"0\r\n\r\n" if chunked else b""
    for at, event in enumerate(_speech(request).events(reply, asked, number)):
        if at and reply.chunk_delay_seconds:
            await asyncio.sleep(reply.chunk_delay_seconds)
        elif at % EVENTS_AT_ONCE == EVENTS_AT_ONCE - 1:
            await asyncio.sleep(0)  # `send` does not wait for a peer who reads: others would have no turn
        if at == reply.after_chunks:
            if fault is Fault.RESET:
                await wire.send(start)
                await wire.reset()
                return
            if fault is Fault.EOF:
                await wire.send(start + last)
                return
            if fault is Fault.HANG_IN_THE_MIDDLE:
                await wire.send(start)
                await wire.hang()
            if fault is Fault.MALFORMED_FRAME:
                await wire.send(start + b"zz\r\n")
        if fault is Fault.SPLIT_UTF8:
            for piece in split_inside_characters(event):
                await wire.send(start + (chunk(piece) if chunked else piece))
                await asyncio.sleep(0)
                start = b""
        elif fault is Fault.ONE_BYTE_AT_A_TIME:
            await wire.send_bytewise(start + (chunk(event) if chunked else event))
        else:
            await wire.send(start + (chunk(event) if chunked else event))
        start = b""
    await wire.send(last)


def split_inside_characters(data: bytes) -> list[bytes]:
    """Cuts UTF-8 text behind the first byte of every character of more than one byte."""
    pieces = []
    start = 0
    for at, byte in enumerate(data):
        if byte >= 0xC0:
            pieces.append(data[start : at + 1])
            start = at + 1
    pieces.append(data[start:])
    return [piece for piece in pieces if piece]


def _complete(request: Received, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    if request.method == "HEAD":
        body = b""
    return head(status, lines) + body
