"""What an endpoint of the management API is: a row of a table, and a function that runs in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol

from fairlead.accounts.management_keys import ManagementKey
from fairlead.admin.audit import Actor
from fairlead.errors import Forbidden, InvalidRequest, NotFound
from fairlead.store import Store

Scope = Literal["read", "keys", "money", "configuration", "people"]
MOST_LISTED: Final = 1_000
LISTED: Final = 100


class Live(Protocol):
    """What only the running process knows."""

    def deployments(self) -> list[dict[str, Any]]:
        """The deployments that are configured, with their health."""

    def trial(self, deployment: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What calls a deployment once, on the event loop, and gives what came of it. Raises NotFound."""

    def alert_trial(self) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        """What sends a test alert by every channel, on the event loop. Raises InvalidRequest where there is none."""

    def models(self) -> tuple[Mapping[str, bool], Mapping[str, str]]:
        """The models with a deployment, and whether calls cost anything; and other names of models."""


class Answer(NamedTuple):
    """`body`: of the answer, as JSON; `credited`: the account whose credit has grown; `etag`: of what was answered;
    `later`: what is done on the event loop once the transaction has been committed, and gives the `data` of the body.
    Such an action takes no Idempotency-Key."""

    body: Any
    status: int = 200
    credited: str = ""
    etag: str = ""
    later: Callable[[], Awaitable[Any]] | None = None


@dataclass(frozen=True, slots=True)
class ManagementCall:
    """A call that may be made: by whom, and with what. `store`: its blocks are one transaction; `id`: the member of the
    path; `body`: an instance of the action's `body`; `if_match`: the header, "": none."""

    store: Store
    key: ManagementKey
    actor: Actor
    live: Live
    id: str
    query: Mapping[str, str]
    body: Any
    if_match: str = ""

    def require(self, scope: Scope) -> None:
        """For a part of what an action does. Raises Forbidden."""
        if scope not in self.key.scopes:
            raise missing_scope(self.key, scope)

    def account(self, account_id: str | None) -> str | None:
        """The account that a call is about: that of a confined key when it names none. Raises NotFound for another
        one than the key may touch: that it exists is not told."""
        own = self.key.account_id
        if own is None or account_id == own:
            return account_id
        if account_id is None:
            return own
        raise no_account(account_id)

    def check_account(self, account_id: str, refusal: NotFound) -> None:
        """Raises the refusal for what belongs to another account than the key may touch."""
        if self.key.account_id not in (None, account_id):
            raise refusal

    def count(self, name: str = "limit", default: int = LISTED) -> int:
        """How many are asked for. Raises InvalidRequest."""
        return self.number(name, default, 1, MOST_LISTED)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number of the query. Raises InvalidRequest."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18 or not least <= int(text) <= most:
            raise InvalidRequest(f"{name} must be a whole number from {least} to {most}.", param=name)
        return int(text)


@dataclass(frozen=True, slots=True)
class Action:
    """A method of a path, which may end with one member in braces and a word behind it.

    `confined`: whether a key that is confined to an account may use it; what it then sees of others is up to `run`.
    `body`: a msgspec Struct that forbids unknown members, or None; `usage`: it needs usage by day, which is added up
    first; `listed`: not where another row has the same path for callers; `open_to`: "caller", keys for calls may use
    it as well, for their own account; "anyone", no key is needed; `numbered_errors`: errors
    have the status as their `code`.
    """

    method: str
    path: str
    scope: Scope
    run: Callable[[ManagementCall], Answer]
    tag: str
    summary: str
    details: str = ""
    body: type | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    confined: bool = True
    usage: bool = False
    open_to: Literal["", "caller", "anyone"] = ""
    status: int = 200
    listed: bool = True  # as a route of its own
    numbered_errors: bool = False


def missing_scope(key: ManagementKey, scope: str) -> Forbidden:
    has = ", ".join(sorted(key.scopes))
    return Forbidden(f"This needs a management key with the scope `{scope}`; the key {key.id} has {has}.")


def no_account(account_id: str) -> NotFound:
    return NotFound(f"There is no account {account_id[:64]!r}.", param="account")


def listed(entries: list[Any], limit: int, cursor: Callable[[Any], str]) -> dict[str, Any]:
    """A page of a list, of which one more than `limit` entries were read. `next_cursor`: for the page behind it."""
    more = len(entries) > limit
    shown = entries[:limit]
    return {"data": shown, "has_more": more, "next_cursor": cursor(shown[-1]) if more else None}
