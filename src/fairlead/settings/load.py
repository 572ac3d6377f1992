"""The only reader of the configuration file: one frozen `Settings` comes out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from fairlead.settings.exposure import exposure
from fairlead.settings.proxy import proxy_settings
from fairlead.settings.secrets import AWS_SECRETS
from fairlead.settings.sections import (
    RENAMED,
    AlertSettings,
    ConsoleSettings,
    File,
    GithubSettings,
    OidcSettings,
    ProviderSettings,
    SecretSource,
    ServerSettings,
    Settings,
)
from fairlead.toml import Source, read, read_text
from fairlead.wire.addresses import WEB_ADDRESS, is_metadata, is_private

PUBLIC_URL = re.compile(r"https?://(?:[A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
# Ids of the providers that engines of `fairlead engine run` are.
OF_THE_START = re.compile(r"engine(-[0-9]+)?")
# Bodies of the largest size that must fit into `max_buffered_bytes`.
BODIES_BUFFERED = 2


def load_settings(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Reads a configuration file (None: only the environment). Raises ConfigurationError with file and line."""
    environment = os.environ if environment is None else environment
    if path is None:
        return Settings(proxy=proxy_settings(environment))
    return parse_settings(read_text(path), str(path), environment)


def parse_settings(text: str, name: str, environment: Mapping[str, str] | None = None) -> Settings:
    """A configuration that need not be a file. `name` stands in errors, and is where relative paths begin. Raises
    ConfigurationError with name and line."""
    proxy = proxy_settings(os.environ if environment is None else environment)
    source = Source(name, text)
    file = read(source, text, File, RENAMED)
    _check_server(file.server, source)
    for at, provider in enumerate(file.providers):
        if provider.base_url is None and provider.preset is None:
            raise source.error(f"providers[{at}]", "'base_url' is missing (or a preset, which has one).")
        if provider.base_url is not None and is_metadata(_host(provider.base_url)):
            raise source.error(
                f"providers[{at}].base_url",
                "'base_url' names the metadata service of a cloud, which hands out credentials of the machine.",
            )
        _check_secrets(provider, at, source)
    _check_engines(file, source)
    _check_alerts(file.alerts, source)
    _check_networks("configuration", file.configuration.allow_networks, source)
    _check_console(file.console, source)
    given = {name: getattr(file, name) for name in File.__struct_fields__}
    return Settings(**given, proxy=proxy, source=source, warning=source.warning)


def _host(url: str) -> str:
    """The host of a URL as far as it has one; what else is wrong with it is told where it is used."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _check_engines(file: File, source: Source) -> None:
    taken = {one.id for one in file.providers}
    for at, engine in enumerate(file.engines):
        if OF_THE_START.fullmatch(engine.id):
            raise source.error(f"engines[{at}].id", f"{engine.id!r} is that of engines of the command line.")
        if engine.id in taken:
            raise source.error(f"engines[{at}].id", f"{engine.id!r} is there already, as a provider or an engine.")
        taken.add(engine.id)
    for at, folder in enumerate(file.configuration.model_folders):
        if not folder.startswith("/") or "\0" in folder or folder.rstrip("/") == "":
            raise source.error(f"configuration.model_folders[{at}]", "write an absolute path, and not of everything.")


def _check_secrets(provider: ProviderSettings, at: int, source: Source) -> None:
    if provider.api_key is not None and provider.api_keys:
        raise source.error(f"providers[{at}].api_keys", "give either 'api_key' or 'api_keys', not both.")
    named = [(name, getattr(provider, name)) for name in ("api_key", *AWS_SECRETS)]
    named += [(f"api_keys[{number}]", one) for number, one in enumerate(provider.api_keys)]
    for name, secret in named:
        if isinstance(secret, SecretSource) and len(secret.kinds) != 1:
            raise source.error(
                f"providers[{at}].{name}",
                f"'{name}' must name one source: {{ env = ... }}, {{ file = ... }}, {{ command = [...] }} or "
                "{ sealed = ... }.",
            )


def _check_console(console: ConsoleSettings, source: Source) -> None:
    _check_networks("console", console.trusted_proxies, source, "trusted_proxies")
    if console.admin_listen is not None and not isinstance(exposure(console.admin_listen), tuple):
        raise source.error(
            "console.admin_listen", "'admin_listen' must be an address with a port, such as \"127.0.0.1:9470\"."
        )
    for name in ("oidc", "github"):
        given: OidcSettings | GithubSettings | None = getattr(console, name)
        if given is not None:
            _check_networks(f"console.{name}", given.allow_networks, source)
            if len(given.client_secret.kinds) != 1:
                raise source.error(
                    f"console.{name}.client_secret",
                    "it must name one source: { env = ... }, { file = ... }, { command = [...] } or { sealed = ... }.",
                )
    if console.sign_up == "domain" and not console.domains:
        raise source.error("console.sign_up", "'sign_up' is \"domain\": name the domains in 'domains'.")


def _check_networks(section: str, given: tuple[str, ...], source: Source, name: str = "allow_networks") -> None:
    for at, text in enumerate(given):
        try:
            ip_network(text)
        except ValueError:
            raise source.error(
                f"{section}.{name}[{at}]", f"{text!r} is not a range of addresses, such as 10.0.0.0/8."
            ) from None


def _check_alerts(alerts: AlertSettings, source: Source) -> None:
    networks = alerts.allow_networks
    _check_networks("alerts", networks, source)
    _check_networks("alerts", alerts.account_networks, source, "account_networks")
    secrets = []
    if alerts.webhook is not None:
        secrets.append(("alerts.webhook.secret", alerts.webhook.secret))
        found = WEB_ADDRESS.fullmatch(alerts.webhook.url)
        if found is None:
            raise source.error(
                "alerts.webhook.url",
                "'url' must be http:// or https:// with a host of ASCII letters and digits, without a user name.",
            )
        if not networks and is_private(found["host"]):
            raise source.error(
                "alerts.webhook.url", "'url' names a private address: allow its network with 'allow_networks'."
            )
    if alerts.email is not None:
        smtp = alerts.email.smtp
        if (smtp.username is None) != (smtp.password is None):
            raise source.error("alerts.email.smtp", "'username' and 'password' must be given together.")
        if smtp.password is not None:
            secrets.append(("alerts.email.smtp.password", smtp.password))
    for place, secret in secrets:
        if len(secret.kinds) != 1:
            raise source.error(
                place,
                "it must name one source: { env = ... }, { file = ... }, { command = [...] } or { sealed = ... }.",
            )


def _check_server(server: ServerSettings, source: Source) -> None:
    """What the types of single settings cannot say."""
    for at, origin in enumerate(server.cors_origins):
        if origin != "*" and not PUBLIC_URL.fullmatch(origin):
            raise source.error(
                f"server.cors_origins[{at}]",
                f"{origin!r} is not an origin: use scheme and host, such as https://chat.example.org, without a path "
                'or trailing slash, or "*".',
            )
    if server.public_url is not None and not PUBLIC_URL.fullmatch(server.public_url):
        raise source.error(
            "server.public_url",
            "'public_url' must be the scheme and host that visitors use, such as https://llm.example.org, without a "
            "path or trailing slash.",
        )
    for name in ("metrics", "status"):
        if exposure(getattr(server, name)) is None:
            raise source.error(
                f"server.{name}",
                f'\'{name}\' must be "public", "closed", or a separate address with a port, such as "127.0.0.1:9464".',
            )
    if server.max_buffered_bytes < BODIES_BUFFERED * server.max_body_bytes:
        raise source.error(
            "server.max_buffered_bytes",
            f"'max_buffered_bytes' ({server.max_buffered_bytes}) must be at least twice 'max_body_bytes' "
            f"({server.max_body_bytes}).",
        )
