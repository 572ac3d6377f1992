"""Who calls: the key that a door finds in the head, looked up in memory."""

from __future__ import annotations

import asyncio
from typing import Final

from fairlead.accounts.caller import Caller
from fairlead.accounts.keys import KeyRing
from fairlead.doors.door import Door
from fairlead.doors.table import DEFAULT_DOOR
from fairlead.errors import Unauthenticated
from fairlead.http.request import Request
from fairlead.wire.notes import CallNotes, notes_in_head

__all__ = [
    "KeyLookup",
    "RequestIdentity",
    "UnknownKey",
    "authenticate",
    "authenticate_if_sent",
    "identify",
    "refuse_key",
]

TIMEOUT: Final = b"x-fairlead-timeout"


class RequestIdentity:
    """What the head of a request says: who calls, in which session, and how long the answer may take. It holds for
    every request with the same head, as long as no key has changed."""

    __slots__ = ("caller", "keys", "notes", "timeout")

    def __init__(self, caller: Caller, keys: object, timeout: bytes | None, notes: CallNotes | None) -> None:
        self.notes = notes
        self.caller = caller
        self.keys = keys
        self.timeout = timeout


class KeyLookup:
    """A key that is unknown here has been looked up in the database, once for a request. `pending`: until it has."""

    __slots__ = ("pending",)

    def __init__(self, pending: asyncio.Future[None] | None) -> None:
        self.pending = pending


class UnknownKey(Unauthenticated):
    """`pending`: the request may try again when that is done."""

    def __init__(self, pending: asyncio.Future[None] | None) -> None:
        super().__init__("This API key is unknown or was revoked.")
        self.pending = pending


def identify(request: Request, keys: KeyRing, door: Door) -> RequestIdentity:
    """`door`: that of the request's path. Raises UnknownKey, Unauthenticated, or Forbidden for a caller from another
    network."""
    known = request.known
    now = keys.active  # before the look-up: keys that change meanwhile make what is remembered worthless
    memo = request.memo if known is None else known.memo
    if isinstance(memo, RequestIdentity) and memo.keys is now:
        identity = memo
    else:
        caller = _look_up(request, keys, door, memo)
        identity = RequestIdentity(caller, now, request.header(TIMEOUT), notes_in_head(request.headers))
        if known is None:
            request.memo = identity
        else:
            known.memo = identity
    caller = identity.caller
    if caller.restricted:
        caller.check(None if request.peer is None else request.peer[0])
    return identity


def authenticate(request: Request, keys: KeyRing) -> Caller:
    """The caller of an endpoint that has no door of its own. Raises as `identify`."""
    return identify(request, keys, DEFAULT_DOOR).caller


def authenticate_if_sent(request: Request, keys: KeyRing) -> Caller | None:
    """The same where anyone may call; None for a request without a key."""
    return None if DEFAULT_DOOR.credential(request) is None else authenticate(request, keys)


def refuse_key(request: Request) -> None:
    """Whatever the database has: the request is answered at once."""
    _remember(request, KeyLookup(None))


def _remember(request: Request, lookup: KeyLookup) -> None:
    if request.known is None:
        request.memo = lookup
    else:
        request.known.memo = lookup


def _look_up(request: Request, keys: KeyRing, door: Door, memo: object) -> Caller:
    key = door.credential(request)
    if key is None:
        raise Unauthenticated(f"No API key was sent. Send one as '{door.key_example}'.")
    caller = keys.find(key)
    if caller is None:
        lookup = memo if isinstance(memo, KeyLookup) else KeyLookup(keys.look_up(key))
        _remember(request, lookup)
        pending = lookup.pending
        # Not in a variable here: the error would hold the frame that holds it.
        raise UnknownKey(pending if pending is not None and not pending.done() else None)
    return caller
