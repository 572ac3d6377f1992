"""Whether the body of a request is read at all, decided when its head is complete."""

from __future__ import annotations

from fairlead.accounts.keys import KeyRing
from fairlead.api.auth import identify
from fairlead.errors import FairleadError
from fairlead.http.request import Request


class Admission:
    """True for a POST to one of `paths` with a key that is in force: only such a body is worth its memory, or a
    `100 Continue`. Any other request is answered without its body."""

    __slots__ = ("_keys", "_paths")

    def __init__(self, paths: frozenset[str], keys: KeyRing) -> None:
        self._paths = paths
        self._keys = keys

    def __call__(self, request: Request) -> bool:
        if request.method != "POST" or request.path not in self._paths:
            return False
        try:
            identify(request, self._keys)
        except FairleadError:
            return False  # the endpoint raises it again and it is answered there
        return True


def admit_no_body(_request: Request) -> bool:
    """For a server none of whose routes takes a body."""
    return False
