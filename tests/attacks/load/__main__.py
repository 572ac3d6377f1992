"""`python -m tests.attacks.load`: hostile load beside honest callers, and whether the gateway held."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.attacks.load.customers import CUSTOMERS
from tests.attacks.load.report import bars, document, table, verdicts
from tests.attacks.load.run import Plan, run
from tests.attacks.load.strangers import STRANGERS

ACTORS = frozenset(actor.act.__name__ for actor in (*STRANGERS, *CUSTOMERS))


def actors(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - ACTORS:
        raise argparse.ArgumentTypeError(f"no actor {min(unknown)!r}; choose from {','.join(sorted(ACTORS))}")
    return names


def main() -> int:
    """Status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long the attack lasts (default 600)")
    parser.add_argument(
        "--alone",
        type=float,
        default=0,
        help="how long the honest are alone before and after it (default: a tenth, 3 to 60 s)",
    )
    parser.add_argument("--pace", type=float, default=1.0, help="how fast attackers act; 2: twice as fast")
    parser.add_argument("--only", type=actors, default=ACTORS, metavar="ACTOR,...", help="these attack, and no others")
    parser.add_argument("--without", type=actors, default=frozenset(), metavar="ACTOR,...", help="these do not attack")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--no-latency", action="store_true", help="measure latencies, but hold them to no bar")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty directory for data and log, which stays")
    options = parser.parse_args()
    alone = options.alone or min(60.0, max(3.0, options.seconds / 10))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended, too
    plan = Plan(options.seconds, alone, options.only - options.without, options.pace, options.seed)
    directory = options.keep or Path(tempfile.mkdtemp(prefix="fairlead-load-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        outcome = run(directory, plan)
    finally:
        if options.keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    found = bars(outcome, with_latency=not options.no_latency)
    print(f"{options.seconds:g} s of attack, seed {options.seed}\n\n{table(outcome)}\n\n{verdicts(found)}")
    if options.json:
        options.json.write_text(json.dumps(document(outcome, found), indent=1, default=str) + "\n")
    return 0 if all(bar.kept for bar in found) else 1


if __name__ == "__main__":
    sys.exit(main())
