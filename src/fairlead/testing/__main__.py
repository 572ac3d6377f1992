"""`python -m fairlead.testing --port N`: a scripted upstream to try a gateway against."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from fairlead.testing.replies import Reply
from fairlead.testing.upstream import ScriptedUpstream


def main() -> int:
    """Serves until SIGINT or SIGTERM; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fairlead.testing", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rate", type=float, default=0.0, help="events per second of a stream; 0: as fast as possible")
    parser.add_argument("--text", default=Reply().text, help="what is answered")
    options = parser.parse_args()
    upstream = ScriptedUpstream(options.host, options.port)
    upstream.default = Reply(text=options.text, chunk_delay_seconds=1 / options.rate if options.rate > 0 else 0.0)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with upstream:
            print(upstream.url, flush=True)
            ended.wait()
    except OSError as failure:
        print(f"Cannot listen on {options.host}:{options.port}: {failure.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
