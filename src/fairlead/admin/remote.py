"""What a configuration document that comes over HTTP may not add: those who may change the configuration are not yet
those who may run programs on the server, read its files, or reach its private network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Final

from fairlead.errors import ConfigurationError, Forbidden
from fairlead.http.guard import Guard, RefusedAddress
from fairlead.settings import SecretSource, Settings, parse_settings, sources_of

# Somebody who had these sent to an address of their own would have the database, or all sealed credentials.
OWN_VARIABLES: Final = "FAIRLEAD_"
ON_THE_SERVER: Final = "Somebody on the server can: `fairlead config apply`."
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a name. Raises OSError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_remote(text: str, name: str, in_force: str, resolve: Resolve = resolve) -> None:
    """Raises Forbidden. What is in force already may stay. `text` and `in_force` are documents; names are resolved, so
    this may take a while."""
    new = parse_settings(text, name)
    old = _read(in_force, "in force")
    if _local_sources(new) - _local_sources(old):
        raise Forbidden(
            "The document adds a credential that is read from a file, printed by a command, or in a variable of "
            f"Fairlead's own. {ON_THE_SERVER}"
        )
    for setting, was, becomes in _networks(old, new):
        if was != becomes:
            raise Forbidden(f"The document changes {setting}, which opens what is private. {ON_THE_SERVER}")
    guard = Guard([ipaddress.ip_network(one) for one in old.configuration.allow_networks])
    for what, url in _addresses(new) - _addresses(old):
        try:
            target = guard.target(url)
            found = resolve(target.host, target.port)
            if not found or not all(map(guard.allows, found)):
                raise RefusedAddress("its name resolves to a private address")
        except (RefusedAddress, OSError, UnicodeError) as error:
            why = error if isinstance(error, RefusedAddress) else "its name cannot be resolved"
            raise Forbidden(
                f"{what} is refused: {why}. Only public addresses, and those in `allow_networks` of [configuration], "
                f"can be added over HTTP. {ON_THE_SERVER}"
            ) from None


def guarded_addresses(text: str, name: str, in_force: str, guarded: frozenset[str]) -> frozenset[str]:
    """The addresses of providers that may not lead into a private network, also when their name is resolved again:
    those that this document adds, and those of `guarded` that it keeps."""
    new, old = (
        {one.base_url.rstrip("/") for one in _read(each, name).providers if one.base_url} for each in (text, in_force)
    )
    return frozenset((new - old) | (new & guarded))


def _read(text: str, name: str) -> Settings:
    try:
        return parse_settings(text, name)
    except ConfigurationError:  # of another release
        return Settings()


def _local_sources(settings: Settings) -> set[SecretSource]:
    found = sources_of(settings)
    return {one for one in found if one.command or one.file or (one.env or "").startswith(OWN_VARIABLES)}


def _networks(old: Settings, new: Settings) -> Iterator[tuple[str, object, object]]:
    yield "[configuration] allow_networks", old.configuration.allow_networks, new.configuration.allow_networks
    yield "[configuration] model_folders", old.configuration.model_folders, new.configuration.model_folders
    yield "[alerts] allow_networks", old.alerts.allow_networks, new.alerts.allow_networks
    was, becomes = (None if one.alerts.email is None else one.alerts.email.smtp for one in (old, new))
    yield "smtp of [alerts] email", was, becomes


def _addresses(settings: Settings) -> set[tuple[str, str]]:
    """What is connected to: (what, URL). Those of presets are public."""
    found = {(f"base_url of provider {one.id}", one.base_url) for one in settings.providers if one.base_url}
    if settings.telemetry.otlp_endpoint:
        found.add(("otlp_endpoint of [telemetry]", settings.telemetry.otlp_endpoint))
    return found
