"""Who calls: the key that a door finds in the head, looked up in memory, and once in the database."""

from __future__ import annotations

import asyncio
from typing import Final

from fairlead.accounts.caller import Caller
from fairlead.accounts.guests import GUEST_KEY, KEY_ID, Guests
from fairlead.accounts.key_ring import REFUSED, KeyLookup, KeyRing
from fairlead.doors.door import Door
from fairlead.doors.table import DEFAULT_DOOR
from fairlead.errors import KeysUnavailable, Unauthenticated
from fairlead.http.request import Request, number
from fairlead.wire.notes import CallNotes, notes_in_head

__all__ = [
    "RequestIdentity",
    "UnknownKey",
    "authenticate",
    "authenticate_if_sent",
    "identify",
    "refuse_key",
]

TIMEOUT: Final = b"x-fairlead-timeout"
FORWARDED: Final = b"x-forwarded-for"


class RequestIdentity:
    """What the head of a request says: who calls, in which session, and how long the answer may take. It holds for
    every request with the same head, as long as no key has changed."""

    __slots__ = ("caller", "keys", "notes", "timeout")

    def __init__(self, caller: Caller, keys: object, timeout: bytes | None, notes: CallNotes | None) -> None:
        self.notes = notes
        self.caller = caller
        self.keys = keys
        self.timeout = timeout


class UnknownKey(Unauthenticated):
    """`pending`: the request may try again when that is done. `is_known`: as of a `KeyLookup`."""

    def __init__(self, pending: asyncio.Future[bool] | None, is_known: bool = False) -> None:
        super().__init__("This API key is unknown or was revoked.")
        self.pending = pending
        self.is_known = is_known


def identify(request: Request, keys: KeyRing, door: Door) -> RequestIdentity:
    """`door`: that of the request's path. Raises UnknownKey, Unauthenticated, Forbidden for a caller from another
    network, or KeysUnavailable when a key that is not in memory cannot be read."""
    known = request.known
    now = keys.callers  # before the look-up: keys that change meanwhile make what is remembered worthless
    memo = request.memo if known is None else known.memo
    if isinstance(memo, RequestIdentity) and memo.keys is now:
        identity = memo
    else:
        caller = _look_up(request, keys, door, memo)
        identity = RequestIdentity(caller, now, request.header(TIMEOUT), notes_in_head(request.headers))
        if known is None:
            request.memo = identity
        elif caller.key_id != KEY_ID:  # what guests may send is looked at for every request
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
    _remember(request, REFUSED)


def _remember(request: Request, lookup: KeyLookup | None) -> None:
    if request.known is None:
        request.memo = lookup
    else:
        request.known.memo = lookup


def _look_up(request: Request, keys: KeyRing, door: Door, memo: object) -> Caller:
    key = door.credential(request)
    if key is None:
        raise Unauthenticated(f"No API key was sent. Send one as '{door.key_example}'.")
    lookup = memo if isinstance(memo, KeyLookup) else None
    caller = None if lookup is REFUSED else keys.find(key)
    if caller is None:
        guests = keys.guests
        if guests is not None and key == GUEST_KEY:
            return _guest(request, guests)
        if lookup is None:
            lookup = keys.look_up(key)
        pending = lookup.pending
        if pending is not None and not pending.done():
            _remember(request, lookup)
            raise UnknownKey(pending, lookup.is_known)
        _remember(request, None)  # the next request with this head is looked up again
        if lookup.has_failed or (pending is not None and not keys.refuses(key)):
            raise KeysUnavailable("This API key cannot be checked at the moment. Try again soon.")
        raise UnknownKey(None)
    return caller


def _guest(request: Request, guests: Guests) -> Caller:
    length: int | None = None
    if request.header(b"content-encoding") is None:
        length = number(request.header(b"content-length") or b"")
    forwarded = b",".join([value for name, value in request.headers if name == FORWARDED])
    peer = None if request.peer is None else request.peer[0]
    return guests.caller(request.path, peer, forwarded.decode("latin-1"), None if length == -1 else length)
