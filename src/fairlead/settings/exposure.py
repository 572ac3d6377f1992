"""Where something that is not for everybody is served: for all, not at all, or at an address of its own."""

from __future__ import annotations

import re

from fairlead.settings.sections import ServerSettings

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


def private_addresses(server: ServerSettings) -> tuple[tuple[str, int], ...]:
    """Where this server listens besides, each once."""
    found = (exposure(server.metrics), exposure(server.status))
    return tuple(dict.fromkeys(one for one in found if isinstance(one, tuple)))
