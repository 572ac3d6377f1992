"""Who calls: the bearer key, looked up in memory."""

from __future__ import annotations

from fairlead.accounts.keys import Caller, KeyRing
from fairlead.errors import Unauthenticated
from fairlead.http.request import Request


def authenticate(request: Request, keys: KeyRing) -> Caller:
    """The caller whose key came as `Authorization: Bearer KEY`. Raises Unauthenticated."""
    value = request.header(b"authorization")
    if value is None:
        raise Unauthenticated("No API key was sent. Send one as 'Authorization: Bearer sk-fl-...'.")
    if value[:7].lower() != b"bearer ":
        raise Unauthenticated("The Authorization header must be 'Bearer' and a key.")
    caller = keys.find(value[7:].strip())
    if caller is None:
        raise Unauthenticated("This API key is not known here, or it was revoked.")
    if caller.restricted:
        caller.check(None if request.peer is None else request.peer[0])
    return caller
