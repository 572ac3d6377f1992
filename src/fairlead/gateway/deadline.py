"""Answers that end early: at a deadline, or read on for nobody after the caller has disconnected."""

from __future__ import annotations

import asyncio
from typing import Final

from fairlead.errors import CallerGone, DeadlineExceeded
from fairlead.gateway.call import CallState
from fairlead.routing.attempt import Attempt

# A deadline that passes while the call is at work right now is looked at again.
DEADLINE_RETRY_SECONDS: Final = 0.01


def expire(call_state: CallState, drain_seconds: float) -> None:
    """The deadline has passed: whatever the call waits for ends here. A caller who has disconnected waits for nothing.
    One who gave the deadline itself is answered, and pays as one who disconnects: by `drain` where that is so."""
    response, attempt = call_state.response, call_state.attempt
    running = response.running
    call_state.timer = None
    if response.disconnected or running is None:
        return
    late = DeadlineExceeded("The answer was not complete before the deadline.")
    if call_state.own_deadline and attempt is not None and attempt.is_billed_to_its_end():
        call_state.expired = True
        attempt.left = late.code
        response.leave(late)
        drain(attempt, drain_seconds)
    elif not running.interrupt(late):
        loop = asyncio.get_running_loop()
        call_state.timer = loop.call_later(DEADLINE_RETRY_SECONDS, expire, call_state, drain_seconds)


def drain(attempt: Attempt, seconds: float) -> None:
    """The caller has disconnected, and the provider bills the answer to its end: so it is read to its end, for so long
    at most, and charged by what the provider reports."""
    running = attempt.response.running
    assert running is not None
    gone = CallerGone("The caller disconnected.")
    exchange = attempt.exchange
    if exchange is None or not exchange.sent_at:
        running.interrupt(gone)
    elif not exchange.over:
        exchange.resume()
        attempt.drain_timer = asyncio.get_running_loop().call_later(seconds, running.interrupt, gone)
