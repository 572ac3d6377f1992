"""`fairlead serve --workers N`: one parent, N processes that serve on one port, one that keeps the engine.

The parent binds a socket per worker (SO_REUSEPORT: the kernel spreads the connections) and holds it, so that what
waits in the queue of a worker that died is served by the next one. Workers share the database, and Valkey where there
is one.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from fairlead.accounts.keys import first_start
from fairlead.compose.following import Origin, at_start, once_more
from fairlead.compose.service import Service
from fairlead.engines.configured import EngineRoom
from fairlead.engines.shared import STARTING, SharedEngine, keep
from fairlead.engines.spec import EngineSpec
from fairlead.engines.supervisor import Engine
from fairlead.errors import ConfigurationError
from fairlead.http.listening import bind
from fairlead.http.server import Server
from fairlead.ledger.ledger import check
from fairlead.processes import ChildProcess, Supervisor
from fairlead.runtime import Process, cannot_listen, engines_in, greet, operator_link, prepare_process
from fairlead.runtime import serve as serve_alone
from fairlead.settings import Settings, database_url, private_addresses
from fairlead.store import Store, open_store


def serve(
    *,
    workers: int,
    settings: Settings,
    data_dir: Path,
    host: str,
    port: int,
    engine: bool = True,
    ggufs: Sequence[EngineSpec] = (),
    file: Path | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; gives the exit code. `file`: the one that `settings` are from. Raises
    ConfigurationError or CannotListen."""
    if workers == 1:
        return serve_alone(
            settings=settings, data_dir=data_dir, host=host, port=port, engine=engine, ggufs=ggufs, file=file
        )
    prepare_process(settings)
    url = database_url(settings)
    own = engines_in(data_dir, ggufs, demo=engine)
    flags = mmap.mmap(-1, workers + max(1, len(own)))  # for each worker whether it serves, then each engine's state
    shared = [SharedEngine(one, flags, workers + at) for at, one in enumerate(own)]
    room = EngineRoom(data_dir)
    store = open_store(data_dir, url)
    try:
        # What is wrong with the configuration, the address or the database is said once, and before there are many.
        settings, origin = at_start(store, settings, file)
        service = Service(settings, store, shared, origin=origin, room=room)
        check(store)
        sockets = [_bound(host, port)]
        port = sockets[0][0].getsockname()[1]
        sockets += [bind(host, port, shared=True) for _ in range(workers - 1)]
        for address in private_addresses(settings):
            for one in _bound(*address, how="in the configuration"):
                one.close()  # each worker binds its own; what is wrong with the address is said here
        first_key = first_start(store)
        link = operator_link(service)
    finally:
        store.close()
    gc.collect()
    gc.freeze()  # before the forks: pages that no collection writes to stay shared
    children = [
        ChildProcess(
            f"worker {at + 1}",
            partial(_work, (settings, origin), (data_dir, url), (shared, room), sockets, flags, at),
            lambda at=at: flags[at] == 1,  # type: ignore[misc]
        )
        for at in range(workers)
    ]
    first = [
        ChildProcess(
            f"supervisor of {one.spec.model_id}", partial(_keep, one, sockets, flags, workers + at), lambda: True
        )
        for at, one in enumerate(own)
    ]
    on_up = partial(greet, service, host, port, first_key, workers, link)
    return Supervisor(children, first).run(on_up, partial(_close, sockets))


def _close(sockets: list[list[socket.socket]]) -> None:
    for bound in sockets:
        for one in bound:
            one.close()


def _work(
    given: tuple[Settings, Origin],
    data: tuple[Path, str | None],
    engines: tuple[Sequence[SharedEngine], EngineRoom],
    sockets: list[list[socket.socket]],
    flags: mmap.mmap,
    at: int,
) -> int:
    own = sockets[at]
    _close(sockets[:at] + sockets[at + 1 :])  # a process that holds a socket keeps its queue open
    flags[at] = 0
    store = open_store(*data)
    try:
        process = Process(_service(given, store, engines, at, len(sockets)))

        async def listen(server: Server) -> None:
            await server.accept_from(own)
            flags[at] = 1

        return uvloop.run(process.serve(listen))
    finally:
        store.close()


def _service(
    given: tuple[Settings, Origin],
    store: Store,
    engines: tuple[Sequence[SharedEngine], EngineRoom],
    at: int,
    workers: int,
) -> Service:
    """With what is in force now, which need not be what the parent was started with; what was refused by the others is
    refused here too."""
    refused = ""
    own, room = engines
    for settings, origin in once_more(store, given):
        try:
            known = origin if origin.refused or not refused else replace(origin, refused=refused)
            return Service(settings, store, own, place=at, workers=workers, origin=known, room=room)
        except ConfigurationError as error:
            refused = refused or error.message
    raise ConfigurationError(refused)


def _keep(engine: Engine, sockets: list[list[socket.socket]], flags: mmap.mmap, place: int) -> int:
    _close(sockets)
    flags[place] = STARTING

    async def run() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await keep(engine, flags, place, stopping)

    uvloop.run(run())
    return 0


def _bound(host: str, port: int, how: str = "with --port") -> list[socket.socket]:
    """The first worker's sockets. Raises CannotListen, also when another program shares its port as we do."""
    try:
        if port:
            for one in bind(host, port, shared=False):
                one.close()
        return bind(host, port, shared=True)
    except OSError as error:
        raise cannot_listen(host, port, error, how) from None
