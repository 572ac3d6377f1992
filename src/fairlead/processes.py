"""Processes that one parent starts, watches, starts again and ends. The parent has no event loop and no thread: it
forks whenever it must, and waits for signals in between."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from fairlead.errors import FairleadError

log = logging.getLogger("fairlead")

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP})
PR_SET_PDEATHSIG = 1
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
# Who lived so long did not die of its start.
HEALTHY_SECONDS = 10.0
TICK_SECONDS = 0.02


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there. SIGHUP means that it was closed, or comes
    from an operator who wants the configuration read again."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@dataclass(slots=True)
class ChildProcess:
    """`run` gives the exit code, in the child; `is_up` says, in the parent, whether it works."""

    name: str
    run: Callable[[], int]
    is_up: Callable[[], bool]
    pid: int = 0
    started: float = 0.0
    deaths: int = 0
    again_at: float = 0.0
    was_up: bool = False


class Supervisor:
    """`run` returns when all have ended. `first` children are started first and ended last."""

    def __init__(self, workers: list[ChildProcess], first: list[ChildProcess]) -> None:
        self._workers = workers
        self._first = first
        self._stopping = False
        self._has_terminal = has_terminal()

    def run(self, on_up: Callable[[], None], on_stop: Callable[[], None]) -> int:
        """Calls `on_up` once every worker works, `on_stop` before the workers are told to end. Gives the exit code:
        that of a worker which never came up, else 0."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return self._run(on_up, on_stop)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _run(self, on_up: Callable[[], None], on_stop: Callable[[], None]) -> int:
        for child in (*self._first, *self._workers):
            self._start(child)
        told = False
        code = 0
        while any(child.pid for child in self._workers) or not self._stopping:
            now = time.monotonic()
            waiting = [child for child in (*self._first, *self._workers) if not child.pid and not self._stopping]
            for child in waiting:
                if child.again_at <= now:
                    self._start(child)
            for child in self._workers:
                child.was_up |= child.is_up()
            if not told and all(child.was_up for child in self._workers):
                told = True
                on_up()
            found = signal.sigtimedwait(SIGNALS, 1.0 if told and not waiting else TICK_SECONDS)
            if found is None:
                continue
            if found.si_signo == signal.SIGHUP and self._has_terminal == has_terminal():
                self._tell(self._workers, signal.SIGHUP)
                continue
            if found.si_signo == signal.SIGCHLD:
                code = self._reap() or code
                if not code or self._stopping:
                    continue
            if not self._stopping:
                self._stopping = True
                on_stop()
            self._tell(self._workers)
        self._tell(self._first)
        while any(child.pid for child in self._first):
            if signal.sigwait(SIGNALS) in (signal.SIGTERM, signal.SIGINT):
                self._tell(self._first)
            self._reap()
        return code

    def _start(self, child: ChildProcess) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            child.pid = pid
            child.started = time.monotonic()
            return
        code = 1
        try:
            # A Ctrl-C of the terminal is for the parent, which tells us; its death we notice by ourselves.
            os.setpgid(0, 0)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            # Ends no child: until one has a handler for it, there is nothing that it would read once more.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            code = child.run()
        except FairleadError as error:
            log.error("%s cannot start: %s", child.name, error.message)
        except BaseException:  # also SystemExit: nothing of the parent's must run in this process
            log.exception("%s failed", child.name)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> int:
        """Notes who has ended; gives the exit code of one that never came up and had not been told to end."""
        code = 0
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if not pid:
                return code
            for child in (*self._first, *self._workers):
                if child.pid == pid:
                    code = self._ended(child, os.waitstatus_to_exitcode(status)) or code

    def _ended(self, child: ChildProcess, exit_code: int) -> int:
        now = time.monotonic()
        child.pid = 0
        if self._stopping:
            return 0
        if child in self._workers and not child.was_up:
            return exit_code if exit_code > 0 else 1
        child.deaths = 1 if now - child.started > HEALTHY_SECONDS else child.deaths + 1
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (child.deaths - 1))
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"exited with code {exit_code}"
        log.error("%s %s. Restarting in %.1f s.", child.name, how, wait)
        child.again_at = now + wait
        return 0

    def _tell(self, children: list[ChildProcess], what: signal.Signals = signal.SIGTERM) -> None:
        for child in children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, what)
