"""Settings as the options of the parts that they are for."""

from __future__ import annotations

import ssl
from pathlib import Path

from fairlead.accounts.guests import Guests, share
from fairlead.accounts.limit_book import LimitBook
from fairlead.accounts.limits import Limits
from fairlead.accounts.options import network, read_networks
from fairlead.doors.table import DOORS
from fairlead.http.state import ServerLimits
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.needs import CHOICES, JSON_SCHEMA
from fairlead.routing.options import Options
from fairlead.routing.plan import Rules
from fairlead.settings import LimitSettings, RoutingSettings, ServerSettings, Settings, valkey_url
from fairlead.store.valkey import ValkeyAddress, valkey_address


def limits_of(settings: Settings) -> tuple[Limits, Limits, dict[str, Limits]]:
    """Of every key, of each account on free models, and of models."""
    given = settings.limits
    return _limits(given), _limits(given.free), {model.id: _limits(model.limits) for model in settings.models}


def limit_book(settings: Settings) -> LimitBook:
    return LimitBook(*limits_of(settings))


def _limits(given: LimitSettings) -> Limits:
    return Limits(**{name: getattr(given, name) for name in Limits.__struct_fields__})


def valkey_of(settings: Settings) -> ValkeyAddress | None:
    """What holds limits for all processes; None: each counts alone. Raises ConfigurationError."""
    url = valkey_url(settings)
    return None if url is None else valkey_address(url)


def guests_of(settings: Settings, workers: int) -> Guests | None:
    """Who may call without a key; None: nobody. Each of the workers lets its share through; 1: of limits that all hold
    together, too."""
    given = settings.console.guests
    if given is None:
        return None
    each = Limits(
        requests_per_minute=given.requests_per_minute,
        requests_per_day=given.requests_per_day,
        tokens_per_day=given.tokens_per_day,
        concurrent_requests=given.concurrent_requests,
    )
    total = Limits(
        requests_per_day=given.total_requests_per_day,
        tokens_per_day=given.total_tokens_per_day,
        concurrent_requests=given.total_concurrent_requests,
    )
    return Guests(
        share(each, workers),
        share(total, workers),
        _chat_paths(stored=settings.responses.store),
        read_networks([network(one) for one in settings.console.trusted_proxies]),
    )


def _chat_paths(*, stored: bool) -> list[str]:
    """Where guests chat. `stored`: responses are kept for the account, which no guest has alone."""
    rows = [row for row in DOORS.values() if row.operation.name == CHAT.name]
    return [path for row in rows if not (stored and row.storing is not None) for path in row.paths]


def routing_options(given: RoutingSettings) -> Options:
    emulated = (JSON_SCHEMA if given.emulate_json_schema else 0) | (CHOICES if given.emulate_choices else 0)
    return Options(
        Rules(given.strategy, emulated),
        given.timeout_seconds,
        given.retries,
        given.continue_streams,
        given.hedge,
        given.probe_interval_seconds,
    )


def server_limits(settings: ServerSettings) -> ServerLimits:
    return ServerLimits(
        head_bytes=settings.max_head_bytes,
        body_bytes=settings.max_body_bytes,
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        idle_seconds=settings.idle_timeout_seconds,
        stall_seconds=settings.stall_timeout_seconds,
        connections=settings.max_connections,
        requests_in_flight=settings.max_requests_in_flight,
        buffered_bytes=settings.max_buffered_bytes,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the server speaks TLS with; None for plain HTTP. Raises ConfigurationError with file and line."""
    server = settings.server
    if server.tls_certificate is None:
        if server.tls_key is not None:
            raise settings.error("server.tls_key", "tls_key requires tls_certificate.")
        return None
    for name, path in (("tls_certificate", server.tls_certificate), ("tls_key", server.tls_key)):
        # Asked before it is opened: to open a pipe waits for its writer.
        if path is not None and not Path(path).is_file():
            raise settings.error(f"server.{name}", f"{name}: {path!r} is not a file.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(server.tls_certificate, server.tls_key)
    except ssl.SSLError as error:
        sentence = f"the certificate and key in server.tls_* do not match or are not PEM: {error.reason or error}."
        raise settings.error("server.tls_certificate", sentence) from None
    except OSError as error:
        sentence = f"tls_certificate or tls_key cannot be read: {error.strerror}."
        raise settings.error("server.tls_certificate", sentence) from None
    return context
