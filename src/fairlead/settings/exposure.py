"""Where something that is not for everybody is served: for all, not at all, or at an address of its own."""

from __future__ import annotations

import re

from fairlead.settings.sections import File

PUBLIC, CLOSED = "public", "closed"
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9.\-]+)):(?P<port>[0-9]{1,5})")


def exposure(given: bool | str) -> str | tuple[str, int] | None:
    """PUBLIC, CLOSED, or host and port; None: it is none of them. True and False are PUBLIC and CLOSED."""
    if isinstance(given, bool):
        return PUBLIC if given else CLOSED
    if given in (PUBLIC, CLOSED):
        return given
    found = _ADDRESS.fullmatch(given)
    if found is None or not 0 < int(found["port"]) < 65_536:
        return None
    return found["six"] or found["name"], int(found["port"])


def private_addresses(file: File) -> tuple[tuple[str, int], ...]:
    """Where this server listens besides, each once."""
    found = (exposure(file.server.metrics), exposure(file.server.status), admin_address(file))
    return tuple(dict.fromkeys(one for one in found if isinstance(one, tuple)))


def admin_address(file: File) -> tuple[str, int] | None:
    """Where the operator's pages are, when that is an address of their own."""
    given = file.console.admin_listen
    found = None if given is None or not file.console.enabled else exposure(given)
    return found if isinstance(found, tuple) else None
