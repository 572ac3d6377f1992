"""Who calls: the bearer key, looked up in memory."""

from __future__ import annotations

from fairlead.accounts.caller import Caller
from fairlead.accounts.keys import KeyRing, Known
from fairlead.errors import Unauthenticated
from fairlead.http.request import Request


def authenticate(request: Request, keys: KeyRing) -> Caller:
    """The caller whose key came as `Authorization: Bearer KEY`. Raises Unauthenticated."""
    known = request.known
    if known is not None and isinstance(known.memo, Known) and keys.in_force(known.memo):
        caller = known.memo.caller
    else:
        now = keys.now  # before the look-up: keys that change meanwhile make the memo worthless
        caller = _look_up(request, keys)
        if known is not None:
            known.memo = Known(now, caller)
    if caller.restricted:
        caller.check(None if request.peer is None else request.peer[0])
    return caller


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
