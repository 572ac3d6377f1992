"""Proxies for providers, from the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from msgspec import Struct


class ProxySettings(Struct, frozen=True):
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY: names, domains, addresses and ranges of addresses."""

    http: str | None = None
    https: str | None = None
    no_proxy: tuple[str, ...] = ()

    def for_url(self, scheme: str, host: str) -> str | None:
        """The proxy for an address, or None to go straight."""
        host = host.strip("[]").lower()
        for entry in self.no_proxy:
            name = entry.removeprefix("*").lstrip(".").strip("[]").lower()
            if entry == "*" or host == name or (name and host.endswith("." + name)) or _is_within(host, name):
                return None
        return self.https if scheme == "https" else self.http

    def __repr__(self) -> str:  # a proxy's address may hold a password
        return "ProxySettings()"


def _is_within(host: str, network: str) -> bool:
    """Whether an address lies in a range such as 10.0.0.0/8. Names are not looked up."""
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def proxy_settings(environment: Mapping[str, str]) -> ProxySettings:
    def value(name: str) -> str | None:
        # Upper-case HTTP_PROXY is ignored in CGI, where a caller can set it; this is no CGI.
        return environment.get(name.lower()) or environment.get(name) or None

    everything = value("ALL_PROXY")
    excluded = (value("NO_PROXY") or "").replace(" ", "").split(",")
    return ProxySettings(
        value("HTTP_PROXY") or everything, value("HTTPS_PROXY") or everything, tuple(filter(None, excluded))
    )
