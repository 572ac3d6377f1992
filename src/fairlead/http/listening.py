"""Sockets that are bound before anybody accepts from them."""

from __future__ import annotations

import socket


def bind(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """One socket for each address of `host`; "" is every address. `shared`: other processes bind the same port, and
    the kernel spreads the connections. Raises OSError."""
    bound: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            one = socket.socket(family, socket.SOCK_STREAM)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], bound[0].getsockname()[1] or port, *address[2:]) if len(bound) > 1 else address)
            one.setblocking(False)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound
