"""Every request of the management API: who calls, whether they may, and the action, in one transaction of a thread."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, SQLAlchemyError

from fairlead.accounts.caller import Caller
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.management_keys import (
    SCOPES,
    ManagementKey,
    digest_of,
    find_management_key,
    is_management_key,
)
from fairlead.admin.audit import Actor
from fairlead.api.auth import UnknownKey, authenticate
from fairlead.api.management.action import Action, Live, ManagementCall, missing_scope
from fairlead.api.management.idempotency import Repeatable, check_name, claim, keep
from fairlead.doors.table import BELOW, DEFAULT_DOOR
from fairlead.errors import (
    ConfigurationError,
    FairleadError,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    RequestTooLarge,
    Unauthenticated,
)
from fairlead.http.request import Request, Response
from fairlead.ledger.funds import credit_scope
from fairlead.ledger.ledger import Ledger
from fairlead.ledger.rollups import add_up
from fairlead.store import Store

JSON_HEAD: Final = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
IDEMPOTENCY_KEY: Final = b"idempotency-key"
IF_MATCH: Final = b"if-match"
REPLAYED: Final = b"idempotent-replayed: true\r\n"
# Of a body: a management call is small.
MOST_BODY_BYTES: Final = 1_048_576
# A body that is read for a caller who is not known yet.
MOST_STRANGE_BODY_BYTES: Final = 16_384
# Of the threads of the database, which carry charges and keys, management takes so many at once; the rest waits.
AT_ONCE: Final = 2
MOST_WAITING: Final = 2_000
MOST_REMEMBERED: Final = 1_024
Later = Callable[[], Awaitable[Any]] | None
BODY_METHODS: Final = frozenset({"POST", "PATCH", "PUT"})


class Allowed(NamedTuple):
    """Who may make a call. `secret`: what their key is, for answers that are stored."""

    owner: str
    secret: bytes
    key: ManagementKey
    actor: Actor


class Management:
    """Answers every path of `actions`, also below `/api`. `keys`: those for calls, which some actions take as well."""

    __slots__ = (
        "_actions", "_in_flight", "_known", "_later", "_ledger", "_live", "_ring", "_slots", "_store", "_strange",
        "_waiting",
    )  # fmt: skip

    def __init__(self, actions: Iterable[Action], store: Store, ring: KeyRing, ledger: Ledger, live: Live) -> None:
        self._actions: dict[tuple[str, str | None], dict[str, Action]] = {}
        for action in actions:
            before, brace, behind = action.path.partition("{")
            self._actions.setdefault((before, behind.partition("}")[2] if brace else None), {})[action.method] = action
        self._store = store
        self._ring = ring
        self._ledger = ledger
        self._live = live
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._strange = asyncio.Semaphore(1)  # for keys that were never seen here: strangers must not fill the queue
        self._later = asyncio.Semaphore(AT_ONCE)  # what is done beside the database
        self._waiting = 0
        self._known: dict[bytes, None] = {}  # digests, oldest first, of keys that were in force
        self._in_flight: set[tuple[str, bytes]] = set()

    def admits(self, request: Request) -> bool:
        """Whether the body of a request is worth reading, by its head: one for a known key, and short ones."""
        found = self._find(request.path.removeprefix(BELOW))
        action = None if found is None else found[0].get(request.method)
        if action is None or request.method not in BODY_METHODS:
            return False
        length = request.header(b"content-length")
        size = int(length) if length is not None and length.isdigit() and len(length) < 10 else MOST_BODY_BYTES
        if action.open_to == "anyone":
            return size <= MOST_STRANGE_BODY_BYTES
        key = credential_of(request)
        if key is None:
            return False
        if is_management_key(key):
            known = digest_of(key) in self._known
            return size <= (MOST_BODY_BYTES if known else MOST_STRANGE_BODY_BYTES)
        return bool(action.open_to) and size <= MOST_STRANGE_BODY_BYTES and self._ring.find(key) is not None

    def __call__(self, request: Request, response: Response) -> Coroutine[Any, Any, None]:
        """Finds a caller before the coroutine begins, so that `Dispatch` can wait for a key that is looked up."""
        found = self._find(request.path)
        if found is None:
            raise NotFound(f"There is no {request.path} here. The API is described at /openapi.json.")
        methods, member = found
        action = methods.get(request.method) or (methods.get("GET") if request.method == "HEAD" else None)
        if action is None:
            raise MethodNotAllowed(f"{request.path} takes {', '.join(sorted(methods))}, not {request.method}.")
        try:
            caller = self._caller(request, action)
        except UnknownKey as error:
            if error.pending is None:
                return self._refused(action, response, error)
            raise
        except FairleadError as error:
            return self._refused(action, response, error)
        return self._answer(request, response, action, member, caller)

    async def _refused(self, action: Action, response: Response, error: FairleadError) -> None:
        _refuse(action, response, error)

    async def _answer(
        self, request: Request, response: Response, action: Action, member: str, caller: Caller | bytes | None
    ) -> None:
        try:
            await self._answer_in_turn(request, response, action, member, caller)
        except FairleadError as error:
            if response.started or response.disconnected:
                raise
            _refuse(action, response, error)

    async def _answer_in_turn(
        self, request: Request, response: Response, action: Action, member: str, caller: Caller | bytes | None
    ) -> None:
        name = request.header(IDEMPOTENCY_KEY) if action.method == "POST" else None
        if action.usage and self._is_known(caller):
            await self._ledger.flush()  # what is in the spool is usage, too
        status, out, replayed, credited, etag, later = await self._in_turn(
            caller, lambda: self._run(request, action, caller, member, name), name
        )
        if later is not None:
            async with self._later:
                out = msgspec.json.encode({"data": await later()})
        if credited:
            self._ledger.wallets.credited(credit_scope(credited))
        more = (b"etag: %b\r\n" % etag.encode() if etag else b"") + (REPLAYED if replayed else b"")
        response.send(status, JSON_HEAD + more, out)

    def _is_known(self, caller: Caller | bytes | None) -> bool:
        return isinstance(caller, Caller) or (isinstance(caller, bytes) and digest_of(caller) in self._known)

    def _caller(self, request: Request, action: Action) -> Caller | bytes | None:
        """A caller, the text of a management key that is still to be checked, or None for anyone."""
        key = credential_of(request)
        if action.open_to == "anyone":
            return None
        if key is not None and is_management_key(key):
            return key
        if key is None:
            raise Unauthenticated("No management key was sent. Send one as 'Authorization: Bearer fl-mgmt-...'.")
        caller = authenticate(request, self._ring)
        if action.open_to != "caller":
            raise Forbidden(
                "This needs a management key, not a key for calls. `fairlead management-keys create` makes one."
            )
        return caller

    async def _in_turn(self, caller: Caller | bytes | None, run: Callable[[], Any], name: bytes | None) -> Any:
        if self._waiting >= MOST_WAITING:
            raise Overloaded("Too many management requests at once.")
        known = self._is_known(caller)
        place = (_place_of(caller), b"" if name is None else name)
        if name is not None:
            if place in self._in_flight:
                raise IdempotencyConflict("The first request with this Idempotency-Key is still in progress.")
            self._in_flight.add(place)
        self._waiting += 1
        try:
            async with self._slots if known else self._strange:
                return await asyncio.get_running_loop().run_in_executor(self._store.threads, run)
        finally:
            self._waiting -= 1
            self._in_flight.discard(place)

    def _run(
        self, request: Request, action: Action, caller: Caller | bytes | None, member: str, name: bytes | None
    ) -> tuple[int, bytes, bool, str, str, Later]:
        """In a thread. Whether the caller may is found out first: others learn nothing, and cause no more work."""
        try:
            with self._store.read() as connection:
                allowed = self._allowed(connection, request, action, caller)
            if name is not None:
                check_name(name)
            body, query = _body(request, action), _query(request, action)
            if action.usage:
                add_up(self._store)
            opened: Callable[[], AbstractContextManager[Connection]] = (
                self._store.read if action.method == "GET" else self._store.write
            )
            with opened() as connection:
                repeatable = None
                if name is not None:
                    asked = hashlib.sha256(b"%b\0%b\0%b" % (action.path.encode(), request.target, request.body))
                    repeatable = Repeatable(allowed.owner, allowed.secret, name, asked.digest())
                    stored = claim(connection, repeatable)
                    if stored is not None:
                        return (*stored, True, "", "", None)
                joined = self._store.joined(connection)
                if_match = (request.header(IF_MATCH) or b"").decode("latin-1")
                call = ManagementCall(joined, allowed.key, allowed.actor, self._live, member, query, body, if_match)
                answer = action.run(call)
                status = answer.status if answer.status != 200 else action.status
                out = msgspec.json.encode(answer.body)
                if repeatable is not None:
                    if answer.later is not None:
                        raise InvalidRequest("A test is repeated with each request, so it takes no Idempotency-Key.")
                    keep(connection, repeatable, status, out)
            return status, out, False, answer.credited, answer.etag, answer.later
        except ConfigurationError as error:
            raise InvalidRequest(error.message, param=error.param) from None
        except (DataError, UnicodeEncodeError):
            raise InvalidRequest("A value is too long, or contains characters that cannot be stored.") from None
        except SQLAlchemyError as error:
            raise Overloaded("The database cannot be used at the moment. Try again soon.") from error

    def _allowed(
        self, connection: Connection, request: Request, action: Action, caller: Caller | bytes | None
    ) -> Allowed:
        address = "" if request.peer is None else request.peer[0]
        if isinstance(caller, bytes):
            digest = digest_of(caller)
            key = find_management_key(connection, digest)
            if key is None or not key.in_force:
                self._known.pop(digest, None)
                ended = "is unknown or was revoked" if key is None or key.revoked_at is not None else "has expired"
                raise Unauthenticated(f"This management key {ended}.")
            if len(self._known) >= MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest] = None
            if action.scope not in key.scopes:
                raise missing_scope(key, action.scope)
            if key.account_id is not None and not action.confined:
                raise Forbidden(f"The management key {key.id} is confined to {key.account_id}, and this is about all.")
            return Allowed(key.id, caller, key, Actor("management key", key.id, address))
        if caller is None:  # anyone who has what the action asks for
            return Allowed("", b"", _as_key("", frozenset(), None), Actor("server", "", address))
        secret = credential_of(request) or b""
        key = _as_key(caller.key_id, frozenset(SCOPES), caller.account_id)
        return Allowed(caller.key_id, secret, key, Actor("key", caller.key_id, address))

    def _find(self, path: str) -> tuple[dict[str, Action], str] | None:
        """The methods of a path, and its member."""
        exact = self._actions.get((path, None))
        if exact is not None:
            return exact, ""
        for (before, behind), methods in self._actions.items():
            if behind is not None and path.startswith(before) and path.endswith(behind):
                member = path[len(before) : len(path) - len(behind)]
                if member and "/" not in member:
                    return methods, unquote(member)
        return None


def _refuse(action: Action, response: Response, error: FairleadError) -> None:
    """Raises the error, for the one place that answers them, or answers it as its clients read it."""
    if not action.numbered_errors:
        raise error
    # Their `code` is the status.
    body = {
        "error": {
            "code": error.status,
            "message": error.message,
            "metadata": {"code": error.code, "param": error.param},
        }
    }
    head = JSON_HEAD + error.headers
    if error.retry_after_seconds is not None:
        head += b"retry-after: %d\r\n" % error.retry_after_seconds
    response.send(error.status, head, msgspec.json.encode(body))


def _as_key(key_id: str, scopes: frozenset[str], account_id: str | None) -> ManagementKey:
    """What an action sees of those who came without a management key."""
    return ManagementKey(key_id, "", "", scopes, account_id, 0, None, None)


def _place_of(caller: Caller | bytes | None) -> str:
    return caller.key_id if isinstance(caller, Caller) else "" if caller is None else digest_of(caller).hex()


def credential_of(request: Request) -> bytes | None:
    """The key that a request came with; None for none, and for what is no key."""
    try:
        return DEFAULT_DOOR.credential(request)
    except FairleadError:
        return None


def _query(request: Request, action: Action) -> dict[str, str]:
    """Raises InvalidRequest for a name that is unknown or comes twice: it would be taken for a filter that holds."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        if name not in action.query:
            known = ", ".join(action.query) or "none"
            raise InvalidRequest(f"There is no query parameter {name[:64]!r} here; known: {known}.", param=name[:64])
        if name in found:
            raise InvalidRequest(f"{name} is given twice.", param=name)
        if "\0" in value:
            raise InvalidRequest(f"{name} contains a NUL character.", param=name)
        found[name] = value
    return found


def _body(request: Request, action: Action) -> Any:
    if action.body is None:
        return None
    length = request.header(b"content-length")
    if len(request.body) > MOST_BODY_BYTES or (length is not None and length.isdigit() and len(length) > 7):
        raise RequestTooLarge(f"The body of a management request may have {MOST_BODY_BYTES:,} bytes.")
    if not request.body and length not in (None, b"0"):
        raise RequestTooLarge(
            f"The body was not read: it exceeds {MOST_BODY_BYTES:,} bytes, or {MOST_STRANGE_BODY_BYTES:,} and the key "
            "was not used before."
        )
    try:
        return msgspec.json.decode(request.body or b"{}", type=action.body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body is not what {action.method} {action.path} takes: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
