"""Who calls: the bearer key, looked up in memory."""

from __future__ import annotations

from typing import Final

from fairlead.accounts.caller import Caller
from fairlead.accounts.keys import KeyRing
from fairlead.errors import Unauthenticated
from fairlead.http.request import Request

TIMEOUT: Final = b"x-fairlead-timeout"


class RequestIdentity:
    """What the head of a request says: who calls, and how long the answer may take. It holds for every request with
    the same head, as long as no key has changed."""

    __slots__ = ("caller", "keys", "timeout")

    def __init__(self, caller: Caller, keys: object, timeout: bytes | None) -> None:
        self.caller = caller
        self.keys = keys
        self.timeout = timeout


def identify(request: Request, keys: KeyRing) -> RequestIdentity:
    """Raises Unauthenticated, or Forbidden for a caller from another network."""
    known = request.known
    now = keys.active  # before the look-up: keys that change meanwhile make what is remembered worthless
    memo = request.memo if known is None else known.memo
    if isinstance(memo, RequestIdentity) and memo.keys is now:
        identity = memo
    else:
        identity = RequestIdentity(_look_up(request, keys), now, request.header(TIMEOUT))
        if known is None:
            request.memo = identity
        else:
            known.memo = identity
    caller = identity.caller
    if caller.restricted:
        caller.check(None if request.peer is None else request.peer[0])
    return identity


def authenticate(request: Request, keys: KeyRing) -> Caller:
    """The caller whose key came as `Authorization: Bearer KEY`. Raises Unauthenticated."""
    return identify(request, keys).caller


def _look_up(request: Request, keys: KeyRing) -> Caller:
    value = request.header(b"authorization")
    if value is None:
        raise Unauthenticated("No API key was sent. Send one as 'Authorization: Bearer sk-fl-...'.")
    if value[:7].lower() != b"bearer ":
        raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
    caller = keys.find(value[7:].strip())
    if caller is None:
        raise Unauthenticated("This API key is not known here, or it was revoked.")
    return caller
