"""Collects the content of calls that is to be kept, and has a thread of its own store it. No call waits for any of it.

What is in memory is bounded, over all calls under way and all that wait for the database. What there is no room for is
dropped and counted; a caller never notices.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from fairlead.accounts.caller import Caller
from fairlead.accounts.content import ContentRule
from fairlead.http.request import Request, Response
from fairlead.http.tap import Tap
from fairlead.settings import ContentSettings
from fairlead.wire.notes import CallNotes

log = logging.getLogger("fairlead.content")

# Of a request's body, and of an answer as it goes over the wire: a longer one is not kept.
LONGEST_BODY: Final = 4_194_304
# Of all calls that are collected, until they are stored.
MOST_BYTES: Final = 67_108_864
MOST_WAITING: Final = 10_000
# How often calls that are not kept are counted in the database where none is kept.
MISSED_SECONDS: Final = 5.0
# What one call costs in memory beside its bytes.
CALL_BYTES: Final = 2_048
# Headers by which a request says what is not to be kept of it. The last two are Helicone's.
HEADER: Final = b"x-fairlead-content"
OMIT_REQUEST: Final = b"helicone-omit-request"
OMIT_ANSWER: Final = b"helicone-omit-response"


class Collected(NamedTuple):
    """One call that has ended. `body`: of its request; `pieces`: of its answer, head and framing included. `why_*`: why
    one of them is missing. Times in milliseconds since 1970."""

    rule: ContentRule
    account_id: str
    key_id: str
    user: str
    at: int
    path: str
    body: bytes | None
    request_bytes: int
    why_no_request: str
    pieces: list[bytes]
    answer_bytes: int
    why_no_answer: str
    held: int


class ContentCollector:
    """`settings`: those in force. `store_all`: stores calls, for the writer's thread; made when the first one comes.
    `kept`, `dropped`, `left_out`: since the process began."""

    def __init__(
        self,
        settings: Callable[[], ContentSettings],
        writer: Callable[[], Writer],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._make_writer = writer
        self._chance = chance
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._waiting: deque[Collected] = deque()
        self._missed: dict[tuple[str, str], int] = {}  # calls that are not kept, by account and why
        self._thread: threading.Thread | None = None
        self._closing = False
        self._give_up_at = 0.0
        self.held_bytes = 0
        self.kept = self.dropped = self.left_out = 0

    # --- on the event loop

    def collect(self, caller: Caller, request: Request, response: Response, notes: CallNotes | None) -> None:
        """A call begins of somebody whose calls may be kept. Its request is not released yet."""
        rule, settings = caller.content, self._settings()
        if rule is None or not settings.allow or self._closing:
            return
        if rule.share < 1 and self._chance() >= rule.share:
            return
        asked = (request.header(HEADER) or b"").strip().lower()
        no_request = asked == b"omit-request" or _is_true(request.header(OMIT_REQUEST))
        no_answer = asked == b"omit-answer" or _is_true(request.header(OMIT_ANSWER))
        # A value that is not known means that the caller does not want to be kept.
        if (no_request and no_answer) or (asked and not asked.startswith((b"omit-request", b"omit-answer"))):
            self._miss(caller.account_id, "left_out")
            return
        if not self._take(CALL_BYTES):
            self._miss(caller.account_id, "dropped")
            return
        body: bytes | None = None
        length = len(request.block) - request.at
        why, held = "", CALL_BYTES
        if no_request:
            why = "asked"
        elif (request.header(b"content-type") or b"").startswith(b"multipart/"):
            why = "upload"
        elif length > LONGEST_BODY:
            why = "long"
        elif not self._take(length):
            why = "memory"
        else:
            body, held = request.body, held + length
        begun = Collected(
            rule, caller.account_id, caller.key_id, "" if notes is None else notes.user, 0, request.path,
            body, length, why, [], 0, "asked" if no_answer else "", held,
        )  # fmt: skip
        most = 0 if no_answer else LONGEST_BODY
        response.through(Tap(response.channel, most, self._take, partial(self._ended, begun)))

    def _ended(self, begun: Collected, tap: Tap) -> None:
        ended = begun._replace(
            at=int(time.time() * 1000), pieces=tap.pieces, answer_bytes=tap.size,
            why_no_answer=begun.why_no_answer or tap.lost, held=begun.held + tap.taken,
        )  # fmt: skip
        with self._ready:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                self.held_bytes -= ended.held
                lost = True
            else:
                lost = False
                self._waiting.append(ended)
                self._ready.notify()
        if lost:
            self._miss(ended.account_id, "dropped")
        self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            made = threading.Thread(target=self._run, name="content writer", daemon=True)
            with suppress(RuntimeError):  # no thread can be started now: perhaps with the next call
                made.start()
                self._thread = made

    def _take(self, size: int) -> bool:
        with self._lock:
            if self.held_bytes + size > MOST_BYTES:
                return False
            self.held_bytes += size
            return True

    def _miss(self, account_id: str, why: str) -> None:
        with self._lock:
            self._missed[account_id, why] = self._missed.get((account_id, why), 0) + 1
            if why == "dropped":
                self.dropped += 1
            else:
                self.left_out += 1
        self._start()

    # --- in the thread

    def _run(self) -> None:
        writer, told_at = self._make_writer(), 0.0
        while True:
            with self._ready:
                while not self._waiting and not self._closing and not (self._missed and time.monotonic() > told_at):
                    self._ready.wait(MISSED_SECONDS)
                if not self._waiting and self._closing:
                    break
                told_at = time.monotonic() + MISSED_SECONDS
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), writer.at_once))]
                missed, self._missed = self._missed, {}
            stored = writer.store(batch, missed, self._may_retry)
            with self._lock:
                self.held_bytes -= sum(one.held for one in batch)
                self.kept += stored.kept
                self.dropped += stored.dropped
                self.left_out += stored.left_out
        with self._lock:
            missed, self._missed = self._missed, {}
        writer.store([], missed, self._may_retry)

    def _may_retry(self) -> bool:
        """Whether there is time to try once more."""
        return not self._closing or time.monotonic() < self._give_up_at

    def close(self, seconds: float = 5.0) -> None:
        """Stores what waits, for so long at most. For a thread."""
        with self._ready:
            self._give_up_at = time.monotonic() + seconds
            self._closing = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(seconds)


class Stored(NamedTuple):
    kept: int
    dropped: int
    left_out: int


class Writer:
    """What stores calls; `content/writer.py` has the one that does. `at_once`: so many of them."""

    at_once: int = 1

    def store(
        self, batch: list[Collected], missed: dict[tuple[str, str], int], may_retry: Callable[[], bool]
    ) -> Stored:
        """Blocks. `missed`: calls that were dropped or left out before, by account. `may_retry`: whether a database
        that is away may be tried again."""
        raise NotImplementedError


def _is_true(value: bytes | None) -> bool:
    return value is not None and value.strip().lower() == b"true"
