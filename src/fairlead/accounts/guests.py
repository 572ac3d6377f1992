"""Visitors without a key: they call with the word `guest` as their key, where the operator allows it.

A guest is a caller of an account that has no credit, so that only free models answer. Each address has limits, and all
of them together have some. Nothing that a guest sends can change them: the address is that of the connection, or what a
trusted proxy says.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from fairlead.accounts.caller import Caller
from fairlead.accounts.keys import GUESTS
from fairlead.accounts.limits import Limited, LimitGroup, Limits, OwnLimits
from fairlead.accounts.options import Network, is_inside
from fairlead.errors import Forbidden, RequestTooLarge
from fairlead.store import Store
from fairlead.store.tables import accounts

GUEST_KEY: Final = b"guest"
ACCOUNT_ID: Final = GUESTS
KEY_ID: Final = "key_guests"
# A guest's request may have so many bytes: a picture, or a long text.
MOST_BODY_BYTES: Final = 1_048_576
# Who has one address of IPv6 has this whole network of them.
IPV6_PREFIX: Final = 64
# Of X-Forwarded-For: what stands farther to the left was written by nobody that is trusted.
MOST_HOPS: Final = 20
# Beside calls of a chat, what guests may ask for: what one of them used. Never what belongs to an account as a whole.
RECEIPTS: Final = "/v1/receipts/"


class Guests:
    """`each`: the limits of an address; `total`: of all together, in this process; `paths`: where they may call, with
    a member in braces or without; `trusted`: proxies whose `X-Forwarded-For` counts."""

    __slots__ = ("_each", "_paths", "_patterns", "_total", "_trusted")

    def __init__(self, each: Limits, total: Limits, paths: Collection[str], trusted: Sequence[Network] = ()) -> None:
        self._each = OwnLimits(each)
        self._total = OwnLimits(total)
        self._paths = frozenset(path for path in paths if "{" not in path)
        parts = [path.partition("{") for path in paths if "{" in path]
        self._patterns = tuple((start, rest.partition("}")[2]) for start, _, rest in parts)
        self._trusted = tuple(trusted)

    def caller(self, path: str, peer: str | None, forwarded: str, length: int | None) -> Caller:
        """The caller at this address. `length`: of the body; None: it is not known, or the body is compressed.

        Raises Forbidden for what guests may not ask for, RequestTooLarge."""
        if not path.startswith(RECEIPTS):
            if path not in self._paths and not any(
                path.startswith(start) and path.endswith(end) for start, end in self._patterns
            ):
                raise Forbidden("Guests may only chat. Send an API key of your own for this.")
            if length is None or length > MOST_BODY_BYTES:
                raise RequestTooLarge(
                    f"Guests may send {MOST_BODY_BYTES:,} bytes, with a Content-Length and uncompressed."
                )
        scope = f"guest/{shared_address(address_of(peer or '', forwarded, self._trusted))}"
        limited = Limited(KEY_ID, ACCOUNT_ID, self._total, None, (LimitGroup(scope, "guest", self._each),))
        return Caller(ACCOUNT_ID, KEY_ID, "guest", prepaid=True, limited=limited)


def address_of(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Where a request is from. `forwarded`: X-Forwarded-For, which counts as far as proxies are trusted."""
    address = peer
    hops = [one.strip() for one in forwarded.split(",")][-MOST_HOPS:]
    while hops and is_inside(address, trusted):
        hop = hops.pop()
        try:
            ip_address(hop)
        except ValueError:
            break
        address = hop
    return address


def shared_address(address: str) -> str:
    """What counts as one guest: an address of IPv4, or the network that an address of IPv6 is in."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, IPV6_PREFIX), strict=False).network_address)


def share(limits: Limits, processes: int) -> Limits:
    """What one of several processes may let through, so that all of them keep to the limits. At least 1 each."""
    shared = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    return Limits(**{name: None if most is None else max(1, most // processes) for name, most in shared.items()})


def add_guest_account(store: Store) -> None:
    """The account by which usage of guests is counted, when it is not there yet."""
    with store.read() as connection:
        if connection.execute(select(accounts.c.id).where(accounts.c.id == ACCOUNT_ID)).first() is not None:
            return
    row = {"id": ACCOUNT_ID, "name": "Guests", "created_at": int(time.time()), "prepaid": True}
    with contextlib.suppress(IntegrityError), store.write() as connection:  # another process was faster
        connection.execute(insert(accounts).values(row))
