"""The server as a client sees it: requests over HTTP, by the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fairlead.errors import ConfigurationError

SECONDS: Final = 120.0
# An answer to a small question is never longer.
MOST_BYTES: Final = 8_388_608


class Unreachable(Exception):
    """No answer. The text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None for what is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The server-sent events: name ("" where none is given) and data, decoded where it is JSON."""
        found: list[tuple[str, Any]] = []
        for block in self.body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
            name, data = "", ""
            for line in block.split("\n"):
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data += line[5:].strip()
            if data and data != "[DONE]":
                try:
                    found.append((name, json.loads(data)))
                except ValueError:
                    found.append((name, None))
        return found

    @property
    def message(self) -> str:
        """What an error says, in any dialect."""
        body = self.json
        error = body.get("error", body) if isinstance(body, dict) else None
        text = error.get("message") if isinstance(error, dict) else None
        return str(text or self.body[:200].decode("utf-8", "replace")).strip()


class Server:
    """`url`: without a path of an API. Raises ConfigurationError for what is no address of a server."""

    def __init__(self, url: str, key: str, seconds: float = SECONDS) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"--url must be an address such as http://localhost:8080, not {url!r}.")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.key = key
        self._host, self._port, self._seconds = parts.hostname, parts.port, seconds
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """One request on a connection of its own. Raises Unreachable."""
        data = None if body is None else json.dumps(body).encode()
        lines = {"content-type": "application/json", **(headers or {})} if data else dict(headers or {})
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=self._tls)
        try:
            connection.request(method, path, data, lines)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, b"" if answer.status == 101 else answer.read(MOST_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url} does not answer: {error or type(error).__name__}.") from None
        finally:
            connection.close()
