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

    file = configuration_file(config)
    sys.exit(
        run(
            workers=workers,
            settings=load_settings(file),
            data_dir=data_directory(data),
            host=host,
            port=port,
            engine=not no_engine,
            file=file,
        )
    )


@click.group()
def engine() -> None:
    """Run local engines."""


@engine.command("run")
@click.argument("gguf", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--mmproj", type=click.Path(path_type=Path), help="Vision projector of the model (mmproj file).")
@click.option(
    "--as",
    "model_ids",
    multiple=True,
    help="Id of the model in the API. Give it once for each file. Default: the file's name.",
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(["chat", "embedding", "rerank"]),
    help="What the model is for. Give it once for each file. Default: read from the file.",
)
@click.option("--context", type=int, help="Tokens of context for each request. Default: as many as fit into memory.")
@click.option("--slots", type=int, help="Concurrent requests. Default: 4.")
@serve_options
def engine_run(
    gguf: tuple[Path, ...], mmproj: Path | None, model_ids: tuple[str, ...], modes: tuple[str, ...],
    context: int | None, slots: int | None,
    host: str, port: int, data: Path | None, config: Path | None, workers: int,
) -> None:  # fmt: skip
    """Serve GGUF files with the embedded engine.

    Each file has a process of its own, so an embedding model and a reranker can run beside a chat model. --mmproj and
    --context apply to the chat model.
    """
    from fairlead.engines.spec import specs_for
    from fairlead.workers import serve as run

    file = configuration_file(config)
    settings = load_settings(file)
    specs = specs_for(gguf, mmproj, model_ids, context, slots, modes)
    sys.exit(
        run(
            workers=workers,
            settings=settings,
            data_dir=data_directory(data),
            host=host,
            port=port,
            ggufs=specs,
            file=file,
        )
    )
