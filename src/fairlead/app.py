"""The whole service put together: the only place that chooses concrete classes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import ssl
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

import fairlead
from fairlead.accounts.keys import KeyRing, first_start
from fairlead.api.chat import ChatCompletions
from fairlead.api.dispatch import Dispatch
from fairlead.api.health import HealthChecks
from fairlead.api.models import PREFIX as MODELS_PREFIX
from fairlead.api.models import Models
from fairlead.catalogue.load import build
from fairlead.catalogue.snapshot import Deployment, Provider, Snapshot
from fairlead.engines.spec import EngineSpec, demo_spec
from fairlead.engines.supervisor import Engine
from fairlead.errors import ConfigurationError, EngineCrashed, UpstreamCut, UpstreamError, UpstreamUnreachable
from fairlead.gateway import Gateway
from fairlead.http.asgi import AsgiBridge
from fairlead.http.client import Pool, PoolLimits, Timeouts
from fairlead.http.memory import tune_allocator
from fairlead.http.server import Server, ServerLimits
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai_chat import OpenAIChat
from fairlead.routing.health import Health
from fairlead.routing.upstream import Servable, Upstream
from fairlead.settings import Settings
from fairlead.site.app import site
from fairlead.store import Store, open_store

log = logging.getLogger("fairlead")

CHAT_PATH = b"/chat/completions"


def serve(
    *, settings: Settings, data_dir: Path, host: str, port: int, engine: bool = True, gguf: EngineSpec | None = None
) -> int:
    """Serves until SIGTERM or SIGINT; gives the exit code.

    `gguf` replaces the demonstration model. Raises ConfigurationError before anything is served.
    """
    tune_allocator()
    _raise_open_files()
    store = open_store(data_dir)
    try:
        first_key = first_start(store)
        spec = gguf if gguf is not None else demo_spec() if engine else None
        service = Service(settings, store, data_dir, spec)
        return uvloop.run(service.run(host, port, first_key))
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class Reach:
    """How a provider is reached: its pool, and the engine behind it when it is one of ours."""

    pool: Pool
    engine: Engine | None = None


class Service:
    """One process: engine, pools, gateway, server; `run` starts them in order and ends them in reverse."""

    def __init__(self, settings: Settings, store: Store, data_dir: Path, spec: EngineSpec | None) -> None:
        self._settings = settings
        self._store = store
        self._engine = Engine(spec, data_dir) if spec is not None else None
        self._snapshot = self._load(spec)
        self._stop = asyncio.Event()

    def _load(self, spec: EngineSpec | None) -> Snapshot:
        snapshot = build(self._settings.models, self._settings.providers, frozenset(DIALECTS))
        return snapshot if spec is None else with_engine(snapshot, spec, self._engine)
