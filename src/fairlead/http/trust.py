"""Whom TLS connections to the outside trust: the certificate authorities of this machine, read once."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def machine_trust() -> ssl.SSLContext:
    """The context of connections that have none of their own. Reading the authorities takes 30 ms, which a loop that
    serves calls does not have; nobody may change what is shared."""
    return ssl.create_default_context()
