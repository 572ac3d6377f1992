"""The process that checks schemas: started by `checker` with the id of its parent, ends with it. Reads requests from
stdin and writes a verdict for each to stdout (`verdict`)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from fairlead.schemas.verdict import CHECK_SECONDS, HEAD, LENGTH, MOST_MEMORY_BYTES, NO_TEXT

PR_SET_PDEATHSIG = 1
NICENESS = 5  # calls go first
EXIT_PARENT_GONE = 4
RECURSION_LIMIT = 3_000


def main() -> int:
    """Serves until stdin ends or a check takes too long."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for the parent
    _die_with(int(sys.argv[1]))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not write into the protocol
    from fairlead.schemas import check

    check.replace_backtracking_engine()
    sys.setrecursionlimit(RECURSION_LIMIT)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    requests = sys.stdin.buffer
    _reply(replies, b"")
    while head := requests.read(HEAD.size):
        schema_bytes, text_bytes = HEAD.unpack(head)
        schema = requests.read(schema_bytes)
        text = None if text_bytes == NO_TEXT else requests.read(text_bytes)
        # SIGPROF ends the process at once, also inside of C code, and without help from the parent.
        signal.setitimer(signal.ITIMER_PROF, CHECK_SECONDS)
        verdict = check.check(schema) if text is None else check.conforms(schema, text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _reply(replies, msgspec.json.encode(verdict))
    return 0


def _reply(replies: BinaryIO, body: bytes) -> None:
    replies.write(LENGTH.pack(len(body)) + body)
    replies.flush()


def _die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent dies. Elsewhere the end of stdin and SIGPROF end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(EXIT_PARENT_GONE)


if __name__ == "__main__":
    sys.exit(main())
