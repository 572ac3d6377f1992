"""Coroutines that run on the stack of their waker.

A request needs linear code (plan, attempt, relay, settle) but not a scheduler: an `asyncio.Task` with a future
costs 5 us per request on uvloop, a fifth of the whole budget. `run` drives a coroutine directly: it runs until it
waits for a `Signal`, and `Signal.set` continues it at once, in the callback that brought the news (bytes from the
upstream, a disconnect). Awaiting ordinary asyncio futures works too; what needs `asyncio.current_task()`
(`asyncio.timeout`, TaskGroup, anyio) does not: use a real task for such code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

# Errors behind an error that are looked at: nothing keeps such a chain from being a ring.
MOST_CAUSES: Final = 8


class Signal(Generic[T]):
    """A value that arrives once. At most one coroutine may wait for it."""

    __slots__ = ("_error", "_running", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._running: Running | None = None

    def set(self, value: T) -> None:
        """Continues the waiting coroutine before it returns. Later calls are ignored."""
        if self.done:
            return
        self.done = True
        self._value = value
        running = self._running
        if running is not None:
            self._running = None
            running.step(None)

    def fail(self, error: BaseException) -> None:
        """Raises `error` in the waiting coroutine before it returns. Later calls are ignored."""
        if self.done:
            return
        self.done = True
        self._error = error
        running = self._running
        if running is not None:
            self._running = None
            running.step(None)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


async def others_first() -> None:
    """Comes back when the loop has handled what else is there: between two steps of something long."""
    turn: Signal[None] = Signal()
    asyncio.get_running_loop().call_soon(turn.set, None)
    await turn


class Running:
    """A coroutine under way. `interrupt` raises an error at the place where it waits. Who runs one says in `ended`
    what its end means."""

    __slots__ = ("_coroutine", "_stepping", "_steps", "_waits_for", "finished")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._steps = coroutine.__await__()
        self._waits_for: Any = None
        self._stepping = False
        self.finished = False

    def ended(self, error: BaseException | None) -> None:
        """Called exactly once; `error` is what it raised."""
        raise NotImplementedError

    def step(self, error: BaseException | None) -> None:
        self._waits_for = None
        self._stepping = True
        try:
            # `next` with a default takes the end of a coroutine without an exception on the way, which `send` would
            # raise here: 0.4 us per call.
            waited = next(self._steps, None) if error is None else self._coroutine.throw(error)
        except StopIteration:  # it caught what was thrown, and ended
            waited = None
        except BaseException as failure:
            self.finished = True
            self.ended(failure)
            clear_traceback(failure)
            return
        finally:
            self._stepping = False
        if waited is None:
            self.finished = True
            self.ended(None)
            return
        self._waits_for = waited
        if type(waited) is Signal:
            waited._running = self  # noqa: SLF001
        elif getattr(waited, "_asyncio_future_blocking", None):
            waited._asyncio_future_blocking = False  # noqa: SLF001 - asyncio's own protocol for awaiting
            waited.add_done_callback(self._wake)
        else:
            self.step(RuntimeError(f"a request waited for {waited!r}, which needs an asyncio task"))

    def _wake(self, future: Any) -> None:
        if not self.finished and self._waits_for is future:
            self.step(None)

    def interrupt(self, error: BaseException) -> bool:
        """Raises `error` where the coroutine waits; False when it has finished or is running right now."""
        if self.finished or self._stepping:
            return False
        waited = self._waits_for
        if type(waited) is Signal:
            waited._running = None  # noqa: SLF001
        self.step(error)
        return True


def clear_traceback(error: BaseException | None) -> None:
    """An error knows the frames that it went through, and their variables know it: a circle, with all that a request
    has read. Compiled code has no such variables."""
    for _ in range(MOST_CAUSES):
        if error is None:
            return
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class _Told(Running):
    """Tells a callback."""

    __slots__ = ("_done",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[BaseException | None], None]) -> None:
        super().__init__(coroutine)
        self._done = done

    def ended(self, error: BaseException | None) -> None:
        self._done(error)


def run(coroutine: Coroutine[Any, Any, Any], done: Callable[[BaseException | None], None]) -> Running:
    """Starts `coroutine` on this stack; `done` gets None, or the error that ended it, exactly once."""
    running = _Told(coroutine, done)
    running.step(None)
    return running
