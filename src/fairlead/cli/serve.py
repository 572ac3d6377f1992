"""`fairlead serve` and `fairlead engine`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fairlead.cli.configuration import apply_changed, configured_store, yes_option
from fairlead.cli.options import data_option, serve_options, table
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


@engine.command("list")
@data_option
def engine_list(data: Path | None) -> None:
    """List the GGUF files in the folders of models, and the engines of the configuration."""
    from fairlead.admin.configuration import current
    from fairlead.admin.engines import files_there, purpose
    from fairlead.settings import parse_settings

    with configured_store(data) as (store, file):
        base = current(store, file)
        settings = parse_settings(base.text, base.name)
        found = files_there(store, settings)
    rows = [("FILE", "SIZE", "ARCHITECTURE", "CONTEXT", "FOR")]
    for one in found.files:
        info = one.info
        facts = (info.architecture, str(info.context_length or "-")) if info is not None else (one.problem, "-")
        rows.append(
            (
                one.name,
                f"{one.size / 1e9:.1f} GB" if one.size >= 1e9 else f"{one.size / 1e6:.1f} MB",
                *facts,
                purpose(one),
            )
        )
    if len(rows) > 1:
        table(rows)
    else:
        click.echo(f"No GGUF file is in {', '.join(map(str, found.folders))}.")
    if settings.engines:
        click.echo()
        table([
            ("ENGINE", "MODEL", "FILE", "RUNS"),
            *((one.id, one.model or one.id, one.file, "yes" if one.enabled else "no") for one in settings.engines),
        ])  # fmt: skip


@engine.command("add")
@click.argument("file")
@click.option("--as", "model", help="Id of the model in the API. Default: the file's name.")
@click.option("--mode", type=click.Choice(["chat", "embedding", "rerank"]), help="Default: read from the file.")
@click.option("--context", type=int, help="Tokens of context for each call. Default: 8192, or the model's.")
@click.option("--slots", type=int, default=4, show_default=True, help="Concurrent calls.")
@click.option("--mmproj", help="Vision projector of the model (mmproj file).")
@yes_option
@data_option
def engine_add(
    file: str, model: str | None, mode: str | None, context: int | None, slots: int, mmproj: str | None, yes: bool,
    data: Path | None,
) -> None:  # fmt: skip
    """Run FILE, below a folder of models, as an engine of the configuration.

    The configuration gets a new version with it, which running processes take up without a restart.
    """
    from fairlead.admin.engines import with_engine
    from fairlead.engines.spec import id_of_file
    from fairlead.settings import EngineSettings

    name = model or id_of_file(Path(file))
    given = EngineSettings(
        id=name.replace("/", "-").replace(":", "-")[:64],
        file=file,
        model=name,
        mode=mode,  # type: ignore[arg-type]
        context_length=context,
        slots=slots,
        vision_file=mmproj,
    )
    apply_changed(lambda text: with_engine(text, given), f"engine {given.id}", yes=yes, data=data)


@engine.command("stop")
@click.argument("name", metavar="ID")
@yes_option
@data_option
def engine_stop(name: str, yes: bool, data: Path | None) -> None:
    """End an engine of the configuration. It stays there, and can be started again."""
    from fairlead.admin.engines import with_engine_enabled

    apply_changed(
        lambda text: with_engine_enabled(text, name, enabled=False), f"stop engine {name}", yes=yes, data=data
    )  # fmt: skip


@engine.command("start")
@click.argument("name", metavar="ID")
@yes_option
@data_option
def engine_start(name: str, yes: bool, data: Path | None) -> None:
    """Start an engine of the configuration that was stopped."""
    from fairlead.admin.engines import with_engine_enabled

    apply_changed(
        lambda text: with_engine_enabled(text, name, enabled=True), f"start engine {name}", yes=yes, data=data
    )  # fmt: skip


@engine.command("remove")
@click.argument("name", metavar="ID")
@yes_option
@data_option
def engine_remove(name: str, yes: bool, data: Path | None) -> None:
    """End an engine and take it out of the configuration. Its file stays."""
    from fairlead.admin.engines import without_engine

    apply_changed(lambda text: without_engine(text, name), f"remove engine {name}", yes=yes, data=data)
