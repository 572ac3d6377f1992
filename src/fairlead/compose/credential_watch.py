"""Keys of providers that become others while calls run: files that are rewritten, commands that are run again, sealed
credentials that are replaced."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from fairlead.background import rest
from fairlead.compose.upstreams import Reach, key_line
from fairlead.compose.version import Version
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.sealed import Reader
from fairlead.routing.credentials import Credentials
from fairlead.settings import Secrets, SecretSource
from fairlead.store import Store

log = logging.getLogger("fairlead.credentials")

LOOK_SECONDS = 1.0


class Place(NamedTuple):
    """One key of one provider's `credentials` that may become another one."""

    provider: str
    credentials: Credentials
    at: int
    source: SecretSource
    dialect: str


class CredentialWatch:
    """Looks every second where keys come from. `version`: the one in force; `replaced` is told the id of a provider
    whose key has become another one."""

    def __init__(
        self, secrets: Secrets, store: Store, version: Callable[[], Version], replaced: Callable[[str], None]
    ) -> None:
        self._secrets = secrets
        self._store = store
        self._sealed = Reader(store)
        self._version = version
        self._replaced = replaced
        self._seen: dict[SecretSource, object] = {}
        self._troubled: set[SecretSource] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await rest(LOOK_SECONDS)
            places = list(_places(self._version()))
            if not places:
                continue
            for place, value in await loop.run_in_executor(self._store.threads, self._read, places):
                line = key_line(DIALECTS[place.dialect], value)
                if place.credentials.keys[place.at].line != line:
                    place.credentials.replace(place.at, value, line)
                    self._replaced(place.provider)
                    log.info("Provider %s: its key (%s) was replaced.", place.provider, _where(place.source))

    def _read(self, places: list[Place]) -> list[tuple[Place, str]]:
        """The keys whose place has changed since it was looked at last."""
        found = []
        states: dict[SecretSource, object] = {}
        try:
            number = self._sealed.number() if any(place.source.sealed is not None for place in places) else 0
        except SQLAlchemyError:
            return []
        for place in places:
            source = place.source
            if source not in states:
                states[source] = _state(source, number)
            if self._seen.get(source) == states[source]:
                continue
            try:
                found.append((place, self._secrets.value(source, f"provider {place.provider!r}")))
            except (ConfigurationError, SQLAlchemyError) as error:
                if source not in self._troubled:
                    said = error.message if isinstance(error, ConfigurationError) else "The database cannot be read."
                    log.warning("Provider %s: %s Its last known key stays in use.", place.provider, said)
                self._troubled.add(source)
                states[source] = None  # it is looked at again
            else:
                self._troubled.discard(source)
        self._seen = states
        return found


def _places(version: Version) -> Iterator[Place]:
    reaches: Mapping[str, Reach] = version.reaches
    for provider in version.snapshot.providers.values():
        credentials = reaches[provider.id].credentials
        if credentials is not None:
            for at, key in enumerate(provider.keys):
                if key.source is not None:
                    yield Place(provider.id, credentials, at, key.source, provider.dialect)


def _state(source: SecretSource, number: int) -> object:
    """What changes when there may be another secret."""
    if source.file is not None:
        try:
            found = Path(source.file).expanduser().stat()
        except (OSError, RuntimeError):
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
    if source.command is not None:
        return int(time.monotonic() / source.refresh_seconds)
    return number


def _where(source: SecretSource) -> str:
    kind = source.kinds[0]
    return kind if kind == "command" else f"{kind} {getattr(source, kind)}"
