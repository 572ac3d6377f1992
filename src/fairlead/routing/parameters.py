"""What became of each parameter of a request: forwarded as it was, translated, clamped, emulated, or dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from fairlead.routing.protocols import Call
from fairlead.routing.upstream import Upstream

NAMES_SHOWN = 32


class Parameters(NamedTuple):
    forwarded: tuple[str, ...]
    translated: tuple[str, ...]
    clamped: tuple[str, ...]
    emulated: tuple[str, ...]
    dropped: tuple[str, ...]


def parameters(
    names: Iterable[str],
    call: Call,
    upstream: Upstream,
    clamped: tuple[str, ...],
    emulated: tuple[str, ...],
    replaced: Iterable[str] = (),
) -> Parameters:
    """`names`: as the caller wrote them; `replaced`: those of them that what is `emulated` stands for."""
    dropped = call.dropped
    gone = {name.partition(".")[0] for name in dropped} | set(clamped) | set(replaced)
    kept = [name for name in names if name[:64] not in gone]
    return Parameters(
        tuple(name for name in kept if name not in upstream.translated),
        tuple(name for name in kept if name in upstream.translated),
        clamped,
        emulated,
        dropped,
    )


def header(found: Parameters) -> bytes:
    """The line `x-fairlead-parameters: forwarded=temperature, top_p; dropped=min_p`."""
    parts = [b"%b=%b" % (kind.encode(), shown(names)) for kind, names in found._asdict().items() if names]
    return b"x-fairlead-parameters: %b\r\n" % (b"; ".join(parts) or b"none")


def shown(names: Iterable[str]) -> bytes:
    """Names as the caller wrote them may hold anything, line ends too: percent-encoded, and bounded."""
    listed = list(names)
    out = [quote(name[:64], safe="") for name in listed[:NAMES_SHOWN]]
    if len(listed) > NAMES_SHOWN:
        out.append(f"and%20{len(listed) - NAMES_SHOWN}%20more")
    return ", ".join(out).encode()
