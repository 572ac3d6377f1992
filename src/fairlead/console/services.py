"""What the pages of the console use of the process that they run in; `compose` binds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from fairlead.background import Job
from fairlead.catalogue.snapshot import Snapshot
from fairlead.errors import InvalidRequest, NotFound
from fairlead.settings import Secrets, Settings
from fairlead.store import Store


class PoolState(NamedTuple):
    """Calls of a provider: under way, at most at once, and waiting for a place."""

    in_flight: int
    most: int
    waiting: int


class LiveParts(Protocol):
    """What only the running process knows."""

    def deployments(self) -> list[dict[str, Any]]:
        """Those that are configured, with their health."""

    def models(self) -> tuple[Mapping[str, bool], Mapping[str, str]]: ...

    def pools(self) -> Mapping[str, PoolState]:
        """By provider."""

    def jobs(self) -> list[Job]:
        """Background tasks of this process, with their last and next turns."""

    def tasks(self) -> Mapping[str, int]:
        """Background tasks, and how often each has failed."""

    def engines(self) -> list[dict[str, Any]]:
        """Local engines and how they are: those of the configuration (`configured`), and those of the start."""

    def obstacles(self) -> list[str]:
        """Why nothing can be served; empty when something can."""

    def warnings(self) -> list[str]: ...

    def trial(self, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What calls a deployment once. Raises NotFound."""

    def trial_of(self, settings: Settings, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """The same of a configuration that is not in force. Raises ConfigurationError, NotFound."""

    def models_of(self, settings: Settings, provider: str) -> Callable[[], Awaitable[list[str]]]:
        """What asks a provider of such a configuration for its models; it raises an UpstreamError. Raises
        ConfigurationError."""

    def alert_trial(self) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        """What sends a test alert by every channel. Raises InvalidRequest where there is none."""


class NotLive:
    """No process serves: tests of pages, for example."""

    def deployments(self) -> list[dict[str, Any]]:
        return []

    def models(self) -> tuple[Mapping[str, bool], Mapping[str, str]]:
        return {}, {}

    def pools(self) -> Mapping[str, PoolState]:
        return {}

    def jobs(self) -> list[Job]:
        return []

    def tasks(self) -> Mapping[str, int]:
        return {}

    def engines(self) -> list[dict[str, Any]]:
        return []

    def obstacles(self) -> list[str]:
        return []

    def warnings(self) -> list[str]:
        return []

    def trial(self, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        raise NotFound(f"There is no deployment {deployment[:200]!r}.")

    def trial_of(self, settings: Settings, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:  # noqa: ARG002
        raise NotFound(f"There is no deployment {deployment[:200]!r}.")

    def models_of(self, settings: Settings, provider: str) -> Callable[[], Awaitable[list[str]]]:  # noqa: ARG002
        raise InvalidRequest("No provider is asked from here.")

    def alert_trial(self) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        raise InvalidRequest("No alerts are sent from here.")


async def _nothing() -> None:
    return


def _empty() -> Snapshot:
    return Snapshot({}, {})


@dataclass(slots=True)
class ConsoleServices:
    """`settings`, `snapshot`: what is in force now. `flush`: stores the usage that is still in memory, so that pages
    show it. `credited(account id)`: tells the ledger that an account has new credit.
    `mail(to, subject, text)`: sends a mail, in a thread; raises NotDelivered. `live`: what only this process knows."""

    store: Store
    settings: Callable[[], Settings]
    snapshot: Callable[[], Snapshot] = _empty
    public_url: str | None = None
    flush: Callable[[], Awaitable[None]] = _nothing
    credited: Callable[[str], None] = field(default=lambda _: None)
    has_mail: Callable[[], bool] = field(default=lambda: False)
    mail: Callable[[str, str, str], None] = field(default=lambda _to, _subject, _text: None)
    live: LiveParts = field(default_factory=NotLive)
    secrets: Secrets = field(default_factory=Secrets)
    # Of sign-ins, with what each has published of itself.
    providers: dict[str, Any] = field(default_factory=dict)
