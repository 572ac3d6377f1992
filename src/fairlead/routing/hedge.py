"""Hedging: who takes longer to begin than it does in 19 of 20 calls gets company; who answers first serves.

The loser is cancelled. What it may be billed for is the operator's cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from fairlead.http.client import Exchange
from fairlead.http.eager import Signal, run
from fairlead.routing.protocols import Call
from fairlead.routing.upstream import Upstream
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import TokenClasses, Usage

# How the receipt calls the try that came second.
HEDGED = "hedged"
# So many first-token times must be known before one of them is called late.
LEAST_MEASURED = 20


class Entry(NamedTuple):
    """One call under way."""

    upstream: Upstream
    call: Call
    exchange: Exchange


class Raced(NamedTuple):
    winner: Entry
    loser: Entry | None = None


async def race(one: Entry, other: Callable[[], Entry | None], seconds: float) -> Raced:
    """Waits for the head of `one`; after `seconds`, for that of `other` too. The first that is 200 wins, and the loser
    is cancelled; when none is, `one` is the winner, and tells itself what went wrong."""
    decided: Signal[None] = Signal()
    entries = [one]
    failed: list[Entry] = []
    won: list[Entry] = []

    def done(entry: Entry, failure: BaseException | None) -> None:
        if failure is None and entry.exchange.status == 200:
            won.append(entry)
        else:
            failed.append(entry)
        if won or len(failed) == len(entries):
            decided.set(None)

    def start() -> None:
        second = other()
        if second is not None:
            entries.append(second)
            run(second.exchange.head(), partial(done, second))

    timer = asyncio.get_running_loop().call_later(seconds, start)
    run(one.exchange.head(), partial(done, one))
    try:
        await decided
    except BaseException:
        for entry in entries:
            entry.exchange.cancel()
        raise
    finally:
        timer.cancel()
    winner = won[0] if won else one
    loser = next((entry for entry in entries if entry is not winner), None)
    if loser is not None:
        loser.exchange.cancel()
    return Raced(winner, loser)


def may_be_billed(request: ChatRequest) -> Usage:
    """What a provider may bill for a call that was cancelled before it answered: its prompt, estimated by its bytes."""
    tokens = len(request.messages) // 4
    return Usage(TokenClasses(tokens, request=1), tokens, 0)
