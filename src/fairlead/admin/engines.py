"""Engines of the configuration: which GGUF files there are, what one needs, and the document with or without one."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairlead.engines.configured import CONTEXT_TOKENS, spec_of
from fairlead.engines.folders import ModelFile, find_files, model_folders
from fairlead.engines.spec import (
    EngineSpec,
    engine_is_installed,
    free_memory,
    install_engine,
    mode_of,
    needed_memory,
)
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.settings import EngineSettings, Settings, parse_settings
from fairlead.store import Store

_ENGINE = re.compile(r"(?m)^[ \t]*\[\[[ \t]*engines[ \t]*\]\]")
_ANY = re.compile(r"(?m)^[ \t]*\[")
NOT_CHANGED: Final = "The engines are written in a way that cannot be changed from here. Edit the configuration."


class Found(NamedTuple):
    """`folders`: where files were looked for; `free`: bytes of memory, None: not known; `lacks_package`: the command
    that installs the engine, "": it is there."""

    folders: tuple[Path, ...]
    files: list[ModelFile]
    free: int | None
    lacks_package: str


class Sized(NamedTuple):
    """An engine as it would run. `needed`: bytes of memory; `problem`: why it cannot run now, "": it can."""

    given: EngineSettings
    spec: EngineSpec
    needed: int
    free: int | None
    problem: str


def files_there(store: Store, settings: Settings) -> Found:
    """The GGUF files that may be run."""
    folders = model_folders(store.directory, settings.configuration.model_folders)
    return Found(folders, find_files(folders), free_memory(), "" if engine_is_installed() else install_engine())


def purpose(file: ModelFile) -> str:
    """What a file's model is for: a mode, "vision part" or "unknown"."""
    if file.info is None:
        return "unknown"
    return "vision part" if file.info.is_projector else mode_of(file.info)


def sized(store: Store, settings: Settings, given: EngineSettings) -> Sized:
    """What an engine needs. Raises ConfigurationError for a file that cannot be run."""
    spec, problem = spec_of(given, model_folders(store.directory, settings.configuration.model_folders))
    if problem:
        raise ConfigurationError(problem)
    needed, free = needed_memory(spec), free_memory()
    trouble = "" if free is None or needed <= free else "It does not fit into the memory that is free now."
    return Sized(given, spec, needed, free, trouble)


def checked_engine(text: str, given: EngineSettings) -> EngineSettings:
    """As it will be read again. Raises ConfigurationError."""
    settings = parse_settings(with_engine(text, given), "document")
    return next(one for one in settings.engines if one.id == given.id)


def with_engine(document: str, given: EngineSettings) -> str:
    """The document with this engine added; all else stays as it is written. Raises InvalidRequest."""
    before = _read(document)
    if any(one.get("id") == given.id for one in before.get("engines", ())):
        raise InvalidRequest(f"There is an engine {given.id} already.")
    table = _table(given)
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]
    head = document if not document or document.endswith("\n") else document + "\n"
    text = f"{head}{chr(10) if head else ''}[[engines]]\n" + "\n".join(lines) + "\n"
    wanted = copy.deepcopy(before)
    wanted.setdefault("engines", []).append(table)
    return _checked(text, wanted)


def without_engine(document: str, name: str) -> str:
    """The document without it. Raises NotFound, InvalidRequest."""

    def gone(wanted: list[dict[str, Any]], at: int) -> None:
        del wanted[at]

    return _changed(document, name, gone, lambda _block: "")


def with_engine_enabled(document: str, name: str, *, enabled: bool) -> str:
    """The document with it started or stopped. Raises NotFound, InvalidRequest."""

    def switched(wanted: list[dict[str, Any]], at: int) -> None:
        wanted[at]["enabled"] = enabled

    line = f"enabled = {'true' if enabled else 'false'}"

    def block(text: str) -> str:
        found, count = re.subn(r"(?m)^[ \t]*enabled[ \t]*=[ \t]*(true|false)\b", line, text, count=1)
        return found if count else text.replace("\n", f"\n{line}\n", 1)

    return _changed(document, name, switched, block)


def default_context(file: ModelFile) -> int:
    """Tokens, for a form."""
    length = 0 if file.info is None else file.info.context_length
    return min(length or CONTEXT_TOKENS, CONTEXT_TOKENS)


def _table(given: EngineSettings) -> dict[str, Any]:
    named = {name: getattr(given, name) for name in EngineSettings.__struct_fields__ if name != "enabled"}
    return {name: value for name, value in named.items() if value is not None}


def _changed(
    document: str,
    name: str,
    change: Callable[[list[dict[str, Any]], int], None],
    rewrite: Callable[[str], str],
) -> str:
    before = _read(document)
    engines: Sequence[dict[str, Any]] = before.get("engines", ())
    at = next((at for at, one in enumerate(engines) if one.get("id") == name), None)
    if at is None:
        raise NotFound(f"There is no engine {name[:100]!r} in the configuration.")
    wanted = copy.deepcopy(before)
    change(wanted["engines"], at)
    if not wanted["engines"]:
        del wanted["engines"]
    heads = [found.start() for found in _ENGINE.finditer(document)]
    if at >= len(heads):
        raise InvalidRequest(NOT_CHANGED)
    begin = heads[at]
    following = (found.start() for found in _ANY.finditer(document, begin + 1) if found.start() > begin)
    end = next(following, len(document))
    return _checked(document[:begin] + rewrite(document[begin:end]) + document[end:], wanted)


def _read(document: str) -> dict[str, Any]:
    try:
        return tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        raise InvalidRequest("The configuration in force cannot be read here. Change it as a whole.") from None


def _checked(text: str, wanted: dict[str, Any]) -> str:
    try:
        if tomllib.loads(text) == wanted:
            return text
    except tomllib.TOMLDecodeError:
        pass
    raise InvalidRequest(NOT_CHANGED)
