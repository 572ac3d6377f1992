"""The gauges of `GET /metrics`. Counters and histograms are in `telemetry/exposition.py`."""

from __future__ import annotations

from typing import Protocol

from fairlead.accounts.sharing import SharedLimits
from fairlead.api.metrics import Gauge
from fairlead.background import BackgroundTasks
from fairlead.compose.following import Following
from fairlead.compose.readiness import Readiness
from fairlead.content.collector import ContentCollector
from fairlead.http.server import Server
from fairlead.ledger.ledger import Ledger
from fairlead.serving import Servings
from fairlead.telemetry.writer import TelemetryWriter


class Measured(Protocol):
    """The parts of a service, as far as gauges read them."""

    background: BackgroundTasks
    content: ContentCollector
    following: Following
    ledger: Ledger
    readiness: Readiness
    sharing: SharedLimits | None
    server: Server
    servings: Servings
    telemetry: TelemetryWriter


def gauges(parts: Measured) -> tuple[Gauge, ...]:
    """Nothing is read before it is asked for."""
    return (
        Gauge("fairlead_requests_in_flight", "Requests in flight.", lambda: parts.server.in_flight),
        Gauge("fairlead_connections", "Open client connections.", lambda: len(parts.server.open)),
        Gauge("fairlead_buffered_bytes", "Bytes of request bodies in memory.", lambda: parts.server.buffered),
        Gauge("fairlead_open_bills", "Calls not yet charged.", lambda: parts.servings.calls),
        Gauge(
            "fairlead_spool_waiting_bytes",
            "Bytes of usage records not yet in the database.",
            lambda: parts.ledger.waiting_bytes,
        ),
        Gauge("fairlead_spool_full", "1: the spool is full, paid calls are rejected.", lambda: parts.ledger.full),
        Gauge("fairlead_spool_set_aside", "Usage records that could not be read.", lambda: parts.ledger.set_aside),
        Gauge("fairlead_usage_implausible", "Answers with implausible usage.", lambda: parts.ledger.implausible),
        Gauge("fairlead_spools_closed", "Spools that could not be opened.", lambda: len(parts.ledger.closed_spools)),
        Gauge(
            "fairlead_database_trouble",
            "1: usage records cannot be stored.",
            lambda: parts.ledger.trouble is not None,
        ),
        Gauge(
            "fairlead_credit_trouble", "1: credit cannot be leased.", lambda: parts.ledger.wallets.trouble is not None
        ),
        Gauge("fairlead_telemetry_lost_cells", "Telemetry minutes dropped.", lambda: parts.telemetry.lost),
        Gauge("fairlead_chore_failures", "Unexpected failures of background tasks.", lambda: parts.background.failures),
        Gauge("fairlead_content_kept", "Calls whose content was stored.", lambda: parts.content.kept),
        Gauge(
            "fairlead_content_dropped", "Calls whose content was to be kept, and is not.", lambda: parts.content.dropped
        ),
        Gauge("fairlead_content_left_out", "Calls that asked not to be kept.", lambda: parts.content.left_out),
        Gauge(
            "fairlead_content_waiting_bytes",
            "Content of calls in memory, until it is stored.",
            lambda: parts.content.held_bytes,
        ),
        Gauge(
            "fairlead_configuration_version",
            "The version of the configuration in force; 0: a file is.",
            lambda: parts.following.number,
        ),
        Gauge(
            "fairlead_configuration_refused",
            "1: a newer configuration was refused, the one before stays in force.",
            lambda: bool(parts.following.error),
        ),
        Gauge(
            "fairlead_limits_shared",
            "1: limits are shared by Valkey; 0: it is away, limits are divided; -1: none is set.",
            lambda: -1 if parts.sharing is None else parts.sharing.trouble is None,
        ),
        Gauge(
            "fairlead_limits_absences",
            "How often Valkey was away since the start.",
            lambda: 0 if parts.sharing is None else parts.sharing.absences,
        ),
        Gauge("fairlead_ready", "1: calls can be served.", lambda: not parts.readiness.obstacles()),
    )
