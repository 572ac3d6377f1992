"""`fairlead serve` and `fairlead engine`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fairlead.cli.options import serve_options
from fairlead.settings import configuration_file, data_directory, load_settings


@click.command()
@serve_options
@click.option("--no-engine", is_flag=True, help="Do not start the demonstration model.")
def serve(host: str, port: int, data: Path | None, config: Path | None, workers: int, no_engine: bool) -> None:
    """Serve the API and the web pages."""
    from fairlead.workers import serve as run

    settings = load_settings(configuration_file(config))
    sys.exit(
        run(
            workers=workers,
            settings=settings,
            data_dir=data_directory(data),
            host=host,
            port=port,
            engine=not no_engine,
        )
    )


@click.group()
def engine() -> None:
    """Run local engines."""


@engine.command("run")
@click.argument("gguf", type=click.Path(path_type=Path))
@click.option("--mmproj", type=click.Path(path_type=Path), help="Vision projector of the model (mmproj file).")
@click.option("--as", "model_id", help="Id of the model in the API. Default: the file's name.")
@click.option("--context", type=int, help="Tokens of context for each request. Default: as many as fit into memory.")
@click.option("--slots", type=int, help="Concurrent requests. Default: 4.")
@serve_options
def engine_run(
    gguf: Path, mmproj: Path | None, model_id: str | None, context: int | None, slots: int | None,
    host: str, port: int, data: Path | None, config: Path | None, workers: int,
) -> None:  # fmt: skip
    """Serve a GGUF file with the embedded engine."""
    from fairlead.engines.spec import spec_for
    from fairlead.workers import serve as run

    settings = load_settings(configuration_file(config))
    spec = spec_for(gguf, mmproj, model_id, context, slots)
    sys.exit(run(workers=workers, settings=settings, data_dir=data_directory(data), host=host, port=port, gguf=spec))
