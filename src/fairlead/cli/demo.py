"""`fairlead demo`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from fairlead.errors import ConfigurationError


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Data directory, kept for the next time. Default: a temporary one."
)
@click.option("--no-engine", is_flag=True, help="Do not start the demonstration model.")
@click.option("--at", help="When history ends, such as 2026-11-30T12:00. Default: now.")
@click.option("--still", is_flag=True, help="The clock stands at --at, and nobody calls: for pictures.")
@click.option("--seed", default=1, show_default=True, help="The same seed and --at make the same history.")
@click.option(
    "--calls", default=30_000, show_default=True, type=click.IntRange(100, 2_000_000), help="Calls of the history."
)
@click.option(
    "--rate", default=0.5, show_default=True, type=click.FloatRange(0, 50), help="Further calls per second; 0: none."
)
def demo(
    port: int, data: Path | None, no_engine: bool, at: str | None, still: bool, seed: int, calls: int, rate: float
) -> None:
    """Serve a gateway with 40 days of history, scripted providers and live calls. Needs no network."""
    from fairlead.demo.clock import DemoClock

    clock = DemoClock()
    clock.install()  # before modules are imported that keep the clock
    from fairlead.demo.run import Options, run

    sys.exit(run(Options(data, port, not no_engine, _time(at), still, seed, calls, rate), clock))


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--at must be a time such as 2026-11-30T12:00 (UTC), not {text!r}.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
