"""A connection to Valkey, or to Redis: its address and RESP2, the protocol that both speak
(https://valkey.io/topics/protocol/). No more of it than shared limits need."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from fairlead.errors import ConfigurationError

SCHEMES: Final = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
PORT: Final = 6379
# What a reply may have: those to our scripts are a few numbers.
MOST_BYTES: Final = 1_048_576
MOST_DEPTH: Final = 4


class ValkeyError(Exception):
    """An error that the server answered, or a connection that cannot be used. `code`: its first word."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


Reply: TypeAlias = "int | bytes | list[Reply] | ValkeyError | None"


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where a server is. `prefix`: before all keys, for several installations on one server."""

    host: str
    port: int = PORT
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: bool = False
    prefix: str = "fairlead"

    def __str__(self) -> str:  # without the password
        return f"{'valkeys' if self.tls else 'valkey'}://{self.host}:{self.port}/{self.database}"


def valkey_address(url: str) -> ValkeyAddress:
    """Reads valkey://user:password@host:port/database?prefix=NAME. Raises ConfigurationError, without the URL: it may
    have a password."""
    example = "such as valkey://:password@host:6379/0, with valkeys:// for TLS"
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise ConfigurationError(f"The URL of Valkey cannot be read; write one {example}.") from None
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(f"The URL of Valkey begins with valkey:// or valkeys://, {example}.")
    if not parts.hostname:
        raise ConfigurationError(f"The URL of Valkey names no host; write one {example}.")
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ConfigurationError("The path of the URL of Valkey is the number of a database, such as /0.")
    options = parse_qs(parts.query)
    if others := sorted(set(options) - {"prefix"}):
        raise ConfigurationError(f"The URL of Valkey has an unknown option {others[0]!r}; it may have `prefix`.")
    return ValkeyAddress(
        parts.hostname,
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        int(database or 0),
        SCHEMES[parts.scheme],
        options.get("prefix", ["fairlead"])[-1],
    )


class _Incomplete(Exception):
    pass


def _line(data: bytearray, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Incomplete
    return bytes(data[at:end]), end + 2


def _number(text: bytes) -> int:
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:
        raise ValkeyError(f"what answers speaks no RESP: {text[:40]!r} is no number")
    return int(text)


def read_reply(data: bytearray, at: int = 0, depth: int = 0) -> tuple[Reply, int]:
    """The reply that begins at `at`, and where it ends. Raises _Incomplete, ValkeyError for what is no RESP."""
    line, at = _line(data, at)
    kind, rest = line[:1], line[1:]
    if kind == b":":
        return _number(rest), at
    if kind == b"+":
        return rest, at
    if kind == b"-":
        return ValkeyError(rest.decode("utf-8", "replace")[:200]), at
    if kind not in (b"$", b"*") or depth > MOST_DEPTH:
        raise ValkeyError(f"what answers speaks no RESP: {line[:40]!r}")
    length = _number(rest)
    if length < 0:
        return None, at
    if length > MOST_BYTES:
        raise ValkeyError(f"a reply of {length:,} bytes or entries is too long")
    if kind == b"$":
        if len(data) < at + length + 2:
            raise _Incomplete
        return bytes(data[at : at + length]), at + length + 2
    entries: list[Reply] = []
    for _ in range(length):
        entry, at = read_reply(data, at, depth + 1)
        entries.append(entry)
    return entries, at


def command(*words: str | bytes | int) -> bytes:
    """A command as the server reads it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class ValkeyConnection(asyncio.Protocol):
    """Commands go out at once, replies come in their order. `on_push`: what comes unasked, after SUBSCRIBE.
    `on_lost` is called once, when the connection has ended, with the reason; no reply comes afterwards."""

    def __init__(
        self, on_lost: Callable[[str], None] | None = None, on_push: Callable[[Reply], None] | None = None
    ) -> None:
        self._waiting: deque[tuple[float, Callable[[Reply], None]]] = deque()
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self.on_lost = on_lost
        self._push = on_push
        self.reason = "it is not connected"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(str(exc) if exc else "it closed the connection")

    def data_received(self, data: bytes) -> None:
        self._data += data
        at = 0
        try:
            while at < len(self._data):
                reply, at = read_reply(self._data, at)
                if self._waiting:
                    self._waiting.popleft()[1](reply)
                elif self._push is not None:
                    self._push(reply)
                else:
                    raise ValkeyError("it answers what was not asked")
        except _Incomplete:
            if len(self._data) - at > MOST_BYTES:
                self.close("a reply is too long")
        except ValkeyError as error:
            self.close(str(error))
        del self._data[:at]

    def send(self, data: bytes, on_reply: Callable[[Reply], None]) -> None:
        """One command. Nothing happens on a connection that has ended."""
        if self._transport is not None:
            self._waiting.append((time.monotonic(), on_reply))
            self._transport.write(data)

    def ask(self, *words: str | bytes | int) -> asyncio.Future[Reply]:
        """One command and its reply. Raises ValkeyError, also for an error that is answered."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settle(reply: Reply) -> None:
            if answered.done():
                return
            if isinstance(reply, ValkeyError):
                answered.set_exception(reply)
            else:
                answered.set_result(reply)

        if self._transport is None:
            settle(ValkeyError(self.reason))
        self.send(command(*words), settle)
        return answered

    def waits(self) -> float:
        """For how many seconds the oldest command has not been answered."""
        return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def close(self, reason: str) -> None:
        transport, lost = self._transport, self.on_lost
        self._transport = self.on_lost = None
        if transport is None:
            return
        self.reason = reason
        transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, on_reply in waiting:
            on_reply(ValkeyError(reason))
        if lost is not None:
            lost(reason)


async def connect(
    address: ValkeyAddress,
    seconds: float,
    on_lost: Callable[[str], None] | None = None,
    on_push: Callable[[Reply], None] | None = None,
) -> ValkeyConnection:
    """A connection that has signed in and was answered. Raises ValkeyError with the reason."""
    tls = ssl.create_default_context() if address.tls else None
    loop = asyncio.get_running_loop()
    connection = ValkeyConnection(None, on_push)
    greetings: list[Sequence[str | int]] = [("PING",)]
    if address.database:
        greetings.insert(0, ("SELECT", address.database))
    if address.password:
        named = (address.user, address.password) if address.user else (address.password,)
        greetings.insert(0, ("AUTH", *named))
    try:
        async with asyncio.timeout(seconds):
            await loop.create_connection(lambda: connection, address.host, address.port, ssl=tls)
            for greeting in greetings:
                await connection.ask(*greeting)
    except TimeoutError:
        connection.close("it did not answer")
        raise ValkeyError(f"it did not answer within {seconds:g} s") from None
    except ssl.SSLError as error:
        connection.close("no TLS")
        raise ValkeyError(f"TLS failed: {error.reason or error}") from None
    except OSError as error:
        connection.close("cannot be reached")
        raise ValkeyError(f"it cannot be reached: {error.strerror or error}") from None
    except ValkeyError as error:
        connection.close(str(error))
        if error.code in ("WRONGPASS", "NOAUTH") or "AUTH" in str(error):
            raise ValkeyError("it refuses the password") from None
        raise
    connection.on_lost = on_lost
    return connection
