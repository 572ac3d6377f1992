"""Whether the body of a request is read at all, decided when its head is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from fairlead.accounts.key_ring import KeyRing
from fairlead.api.auth import UnknownKey, identify, refuse_key
from fairlead.doors.table import DoorFinder
from fairlead.errors import FairleadError
from fairlead.http.request import Request

# A body that is read although its key is still being looked up: strangers have some memory for it then.
UNKNOWN_BODY_BYTES: Final = 65_536


class Admission:
    """True for a POST to one of `paths` with a key that is in force: only such a body is worth its memory, or a
    `100 Continue`. So is one with a key that is in the database as far as this process can say, while it is looked up,
    and a short one with a key that may be new. Any other request is answered without its body,
    unless `others` says so. `paths` may end with a
    member in braces."""

    __slots__ = ("_doors", "_keys", "_others", "_paths", "_prefixes")

    def __init__(
        self, paths: Iterable[str], keys: KeyRing, doors: DoorFinder, others: Callable[[Request], bool]
    ) -> None:
        listed = tuple(paths)
        self._paths = frozenset(path for path in listed if "{" not in path)
        self._prefixes = tuple(path.partition("{")[0] for path in listed if "{" in path)
        self._keys = keys
        self._doors = doors
        self._others = others

    def __call__(self, request: Request) -> bool:
        path = request.path
        if request.method != "POST" or (path not in self._paths and not path.startswith(self._prefixes)):
            return self._others(request)
        try:
            identify(request, self._keys, self._doors.at(path))
        except UnknownKey as error:
            if error.pending is not None and (error.is_known or _is_short(request)):
                return True
            refuse_key(request)
            return False
        except FairleadError:
            return False  # the endpoint raises it again and it is answered there
        return True


def _is_short(request: Request) -> bool:
    length = request.header(b"content-length")
    if length is None or not length.isdigit() or request.header(b"expect") is not None:
        return False
    return len(length) <= 9 and int(length) <= UNKNOWN_BODY_BYTES


def admit_no_body(_request: Request) -> bool:
    """For a server none of whose routes takes a body."""
    return False
