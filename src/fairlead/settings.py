"""The only reader of the configuration file and of the environment: one frozen `Settings` comes out.

Every setting, its default and its range are in docs/reference/settings.md; a test keeps that page and this file
together.
"""

from __future__ import annotations

import configparser
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from fairlead.errors import ConfigurationError
from fairlead.toml import Renamed, Source, read, read_text
from fairlead.wire.vocabulary import Need

PUBLIC_URL = re.compile(r"https?://(?:[A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
# Bodies of the largest size that must fit into `max_buffered_bytes`.
BODIES_BUFFERED = 2
# Old names of settings. They are read like the new ones, with a warning at the start.
RENAMED = (
    Renamed("providers", "hang_up", "disconnect"),
    Renamed("ledger", "hang_up_seconds", "disconnect_seconds"),
    Renamed("ledger", "hang_up_tokens", "disconnect_tokens"),
    Renamed("models.deployments", "continues", "supports_prefill"),
)

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}\Z",
        description="up to 64 letters, digits and . _ - without spaces, a letter or digit first",
    ),
]
Limit = Annotated[int, Meta(ge=1, le=10**15)]
MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._:/\-]{0,127}\Z"
ModelId = Annotated[
    str,
    Meta(
        pattern=MODEL_ID,
        description="up to 128 letters, digits and . _ : / - without spaces, a letter or digit first",
    ),
]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]


Decimal = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?\Z", description='a decimal string, such as "0.10"'),
]
Modality = Literal["text", "image", "audio", "video", "file"]
HeaderName = Annotated[
    str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z\-]{1,256}\Z", description="letters, digits and - without spaces")
]
HeaderValue = Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z", description="printable ASCII characters in quotes")]


# Where something that is not for everybody is served: for all, not at all, or at an address of its own.
PUBLIC, CLOSED = "public", "closed"
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9.\-]+)):(?P<port>[0-9]{1,5})")


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    max_head_bytes: Annotated[int, Meta(ge=1024, le=1_048_576)] = 32_768
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 33_554_432
    head_timeout_seconds: Seconds = 10
    body_timeout_seconds: Seconds = 60
    idle_timeout_seconds: Seconds = 75
    stall_timeout_seconds: Seconds = 60
    drain_timeout_seconds: Annotated[float, Meta(ge=0, le=3600)] = 30
    max_connections: Count = 20_000
    max_requests_in_flight: Count = 10_000
    max_buffered_bytes: Annotated[int, Meta(ge=1_048_576, le=1_099_511_627_776)] = 536_870_912
    cors_origins: tuple[str, ...] = ()
    metrics: bool | str = "public"
    status: str = "public"
    public_url: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None


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


class EnvironmentKey(Struct, frozen=True, forbid_unknown_fields=True):
    """`{ env = "NAME" }`: the value is in that environment variable."""

    env: Annotated[str, Meta(min_length=1)]


Probe = Literal["call", "list", "off"]


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a `preset` gives need not be said; a provider without one needs `base_url`."""

    id: Id
    base_url: str | None = None
    dialect: str | None = None
    api_key: str | EnvironmentKey | None = None
    preset: str | None = None
    region: (
        Annotated[str, Meta(pattern=r"^[a-z0-9\-]{1,32}\Z", description="up to 32 lower-case letters, digits and -")]
        | None
    ) = None
    api_version: (
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9.\-]{1,32}\Z", description="up to 32 letters, digits, . and -")] | None
    ) = None
    access_key_id: str | EnvironmentKey | None = None
    secret_access_key: str | EnvironmentKey | None = None
    session_token: str | EnvironmentKey | None = None
    profile: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    connect_timeout_seconds: Seconds = 5
    first_byte_timeout_seconds: Seconds = 120
    idle_timeout_seconds: Seconds = 120
    total_timeout_seconds: Seconds = 3600
    max_connections: Count = 10_000
    max_queue: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    queue_timeout_seconds: Seconds = 30
    disconnect: Literal["drain", "cancel"] | None = None
    probe: Probe | None = None

    def __repr__(self) -> str:  # the key must not get into a log
        return f"ProviderSettings({self.id!r})"


class RateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens, as decimal strings; `request` in dollars per request. A class that is left out is
    paid like the one it is a part of: everything that goes in like `input`, everything that comes out like `output`."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    image: Decimal | None = None
    audio_input: Decimal | None = None
    reasoning: Decimal | None = None
    audio_output: Decimal | None = None
    request: Decimal | None = None


class TierSettings(RateSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    above_prompt_tokens: Tokens


class PriceSettings(RateSettings, frozen=True, forbid_unknown_fields=True):
    """Rates, and other rates for the whole call when its prompt is longer."""

    tiers: tuple[TierSettings, ...] = ()


Strategy = Literal["balanced", "price", "throughput", "latency", "priority", "weighted"]


class RoutingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How a deployment is chosen for a call, and what is done when it fails."""

    strategy: Strategy = "balanced"
    timeout_seconds: Seconds | None = None
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    continue_streams: bool = True
    emulate_json_schema: bool = True
    emulate_choices: bool = True
    probes: bool = True
    probe_interval_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 60
    hedge: bool = False
    fetch_media: bool = False


class DeploymentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    upstream_model: Annotated[str, Meta(min_length=1, max_length=256)]
    price: PriceSettings | Literal["free"] | None = None
    cost: PriceSettings | Literal["free"] | None = None
    weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1
    priority: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    region: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    quantization: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    keeps_data: bool | None = None
    max_concurrent: Count | None = None
    context_length: Tokens | None = None
    parameters: tuple[str, ...] | None = None
    allow_parameters: tuple[str, ...] = ()
    lacks: tuple[Need, ...] = ()
    max_output_tokens: Tokens | None = None
    probe: Probe | None = None
    supports_prefill: bool | None = None


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    requests_per_minute: Limit | None = None
    requests_per_day: Limit | None = None
    tokens_per_minute: Limit | None = None
    tokens_per_day: Limit | None = None
    concurrent_requests: Limit | None = None


class DefaultLimitSettings(LimitSettings, frozen=True, forbid_unknown_fields=True):
    """For every key that has no limits of its own; `free`: for each account's calls of models that cost nothing."""

    free: LimitSettings = LimitSettings()


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    id: ModelId
    name: str | None = None
    vendor: str | None = None
    description: str | None = None
    context_length: Tokens | None = None
    max_output_tokens: Tokens | None = None
    input_modalities: tuple[Modality, ...] | None = None
    markup: Decimal = "1"
    limits: LimitSettings = LimitSettings()
    deployments: tuple[DeploymentSettings, ...] = ()


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


class LedgerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What usage records survive, and how far an answer that is billed anyway is read after a disconnect."""

    durability: Literal["process", "power"] = "process"
    disconnect_seconds: Annotated[float, Meta(ge=0, le=3600)] = 60
    disconnect_tokens: Annotated[int, Meta(ge=0, le=10_000_000)] = 16_384
    receipts_show_cost: bool = False


class DatabaseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    url: str | EnvironmentKey | None = None

    def __repr__(self) -> str:  # it may hold a password
        return "DatabaseSettings()"


class CatalogueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A directory of model files that add to those that come along, or stand in their place."""

    directory: str | None = None


class TelemetrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long figures are kept, and where OpenTelemetry's go besides (`otlp_endpoint`: an OTLP/HTTP receiver)."""

    flush_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 5
    minutes_kept_days: Annotated[int, Meta(ge=2, le=90)] = 3
    kept_days: Annotated[int, Meta(ge=31, le=3650)] = 90
    otlp_endpoint: (
        Annotated[str, Meta(pattern=r"^https?://[^\s/]+\S*\Z", description="an address, http://... or https://...")]
        | None
    ) = None
    otlp_headers: dict[HeaderName, HeaderValue | EnvironmentKey] = {}
    otlp_service_name: Annotated[str, Meta(min_length=1, max_length=128)] = "fairlead"

    def __repr__(self) -> str:  # the headers may hold a key
        return "TelemetrySettings()"


class Settings(Struct, frozen=True):
    server: ServerSettings = ServerSettings()
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()
    proxy: ProxySettings = ProxySettings()
    ledger: LedgerSettings = LedgerSettings()
    database: DatabaseSettings = DatabaseSettings()
    limits: DefaultLimitSettings = DefaultLimitSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    routing: RoutingSettings = RoutingSettings()
    source: Source | None = None
    catalogue: CatalogueSettings = CatalogueSettings()
    warning: str = ""  # about the file, for the log; "": none

    def error(self, path: str, sentence: str) -> ConfigurationError:
        """The error for a setting found wrong later, with its line where there is a file."""
        return ConfigurationError(sentence) if self.source is None else self.source.error(path, sentence)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    server: ServerSettings = ServerSettings()
    ledger: LedgerSettings = LedgerSettings()
    database: DatabaseSettings = DatabaseSettings()
    limits: DefaultLimitSettings = DefaultLimitSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    routing: RoutingSettings = RoutingSettings()
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[ModelSettings, ...] = ()


def load_settings(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Reads a configuration file (None: only the environment). Raises ConfigurationError with file and line."""
    environment = os.environ if environment is None else environment
    proxy = _proxy(environment)
    if path is None:
        return Settings(proxy=proxy)
    text = read_text(path)
    source = Source(str(path), text)
    file = read(source, text, _File, RENAMED)
    for at, origin in enumerate(file.server.cors_origins):
        if origin != "*" and not PUBLIC_URL.fullmatch(origin):
            raise source.error(
                f"server.cors_origins[{at}]",
                f"{origin!r} is not an origin: use scheme and host, such as https://chat.example.org, without a path "
                'or trailing slash, or "*".',
            )
    if file.server.public_url is not None and not PUBLIC_URL.fullmatch(file.server.public_url):
        raise source.error(
            "server.public_url",
            "'public_url' must be the scheme and host that visitors use, such as https://llm.example.org, without a "
            "path or trailing slash.",
        )
    for name in ("metrics", "status"):
        if exposure(getattr(file.server, name)) is None:
            raise source.error(
                f"server.{name}",
                f'\'{name}\' must be "public", "closed", or a separate address with a port, such as "127.0.0.1:9464".',
            )
    if file.server.max_buffered_bytes < BODIES_BUFFERED * file.server.max_body_bytes:
        raise source.error(
            "server.max_buffered_bytes",
            f"'max_buffered_bytes' ({file.server.max_buffered_bytes}) must be at least twice 'max_body_bytes' "
            f"({file.server.max_body_bytes}).",
        )
    for at, provider in enumerate(file.providers):
        if provider.base_url is None and provider.preset is None:
            raise source.error(f"providers[{at}]", "'base_url' is missing (or a preset, which has one).")
    return Settings(
        file.server,
        file.providers,
        file.models,
        proxy,
        file.ledger,
        file.database,
        file.limits,
        file.telemetry,
        file.routing,
        source,
        file.catalogue,
        source.warning,
    )


def api_key(provider: ProviderSettings, environment: Mapping[str, str] | None = None) -> str:
    """The key of a provider, "" when it needs none. Raises ConfigurationError when its variable is not set."""
    return _secret(provider, provider.api_key, environment)


def aws_keys(provider: ProviderSettings, environment: Mapping[str, str] | None = None) -> tuple[str, str, str] | None:
    """(access key id, secret access key, session token or "") of a provider whose requests are signed; None when they
    are not. Raises ConfigurationError."""
    if provider.access_key_id is None and provider.secret_access_key is None:
        return None if provider.profile is None else _profile_keys(provider.id, provider.profile, environment)
    given = (provider.access_key_id, provider.secret_access_key, provider.session_token)
    key_id, secret, token = (_secret(provider, key, environment) for key in given)
    if not key_id or not secret:
        raise ConfigurationError(f"Provider {provider.id!r} requires both access_key_id and secret_access_key.")
    return key_id, secret, token


def aws_credentials_file(environment: Mapping[str, str]) -> Path:
    """Amazon's shared credentials file: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html"""
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".aws" / "credentials"


def _profile_keys(provider: str, profile: str, environment: Mapping[str, str] | None) -> tuple[str, str, str]:
    file = aws_credentials_file(os.environ if environment is None else environment)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a valid credentials file"
        raise ConfigurationError(
            f"The credentials file {file} of provider {provider!r} cannot be read: {reason}."
        ) from None
    if not parser.has_section(profile):
        raise ConfigurationError(f"{file} has no profile {profile!r}, as configured for provider {provider!r}.")
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    key_id, secret, token = (parser.get(profile, name, fallback="") for name in names)
    if not key_id or not secret:
        raise ConfigurationError(
            f"The profile {profile!r} of {file} has no aws_access_key_id and aws_secret_access_key. Roles and other "
            "sources of credentials are not supported."
        )
    return key_id, secret, token


def _secret(provider: ProviderSettings, key: str | EnvironmentKey | None, environment: Mapping[str, str] | None) -> str:
    environment = os.environ if environment is None else environment
    if isinstance(key, EnvironmentKey):
        value = environment.get(key.env)
        if not value:
            raise ConfigurationError(
                f"The environment variable {key.env} is not set; set it to the key of provider {provider.id!r}."
            )
        key = value
    if key and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigurationError(
            f"The key of provider {provider.id!r} contains spaces or characters that are not allowed in a header."
        )
    return key or ""


def otlp_headers(settings: TelemetrySettings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers for OpenTelemetry's receiver. Raises ConfigurationError when a variable is not set."""
    environment = os.environ if environment is None else environment
    found = {}
    for name, value in settings.otlp_headers.items():
        if isinstance(value, EnvironmentKey):
            if not environment.get(value.env):
                raise ConfigurationError(
                    f"The environment variable {value.env} is not set; set it to the value of the OTLP header {name!r}."
                )
            value = environment[value.env]
            if not re.fullmatch(r"[\x20-\x7e]+", value):
                raise ConfigurationError(
                    f"The OTLP header {name!r} contains characters that are not allowed in a header."
                )
        found[name] = value
    return found


def database_url(settings: Settings, environment: Mapping[str, str] | None = None) -> str | None:
    """FAIRLEAD_DATABASE_URL, else [database] url, else None: SQLite. Raises ConfigurationError."""
    environment = os.environ if environment is None else environment
    if named := environment.get("FAIRLEAD_DATABASE_URL"):
        return named
    url = settings.database.url
    if isinstance(url, EnvironmentKey):
        value = environment.get(url.env)
        if not value:
            raise ConfigurationError(
                f"The environment variable {url.env} is not set; set it to the URL of the database."
            )
        return value
    return url


def data_directory(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """--data, else FAIRLEAD_DATA, else the place for a user's data."""
    environment = os.environ if environment is None else environment
    if given is not None:
        return given.expanduser().absolute()
    if named := environment.get("FAIRLEAD_DATA"):
        return Path(named).expanduser().absolute()
    if base := environment.get("XDG_DATA_HOME"):
        return Path(base).absolute() / "fairlead"
    try:
        return Path("~/.local/share").expanduser().absolute() / "fairlead"
    except RuntimeError:
        raise ConfigurationError("No home directory found; set --data or FAIRLEAD_DATA.") from None


def configuration_file(given: Path | None, environment: Mapping[str, str] | None = None) -> Path | None:
    """--config, else FAIRLEAD_CONFIG, else none."""
    environment = os.environ if environment is None else environment
    named = environment.get("FAIRLEAD_CONFIG")
    return given if given is not None else Path(named) if named else None


def _is_within(host: str, network: str) -> bool:
    """Whether an address lies in a range such as 10.0.0.0/8. Names are not looked up."""
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _proxy(environment: Mapping[str, str]) -> ProxySettings:
    def value(name: str) -> str | None:
        # Upper-case HTTP_PROXY is ignored in CGI, where a caller can set it; this is no CGI.
        return environment.get(name.lower()) or environment.get(name) or None

    everything = value("ALL_PROXY")
    excluded = (value("NO_PROXY") or "").replace(" ", "").split(",")
    return ProxySettings(
        value("HTTP_PROXY") or everything, value("HTTPS_PROXY") or everything, tuple(filter(None, excluded))
    )
