"""All attacks at once beside fifty honest callers: the short version of `python -m tests.attacks.load`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Bars that are not kept yet, and actors that stop the whole process.
OPEN = {
    "honest calls that failed",
    "tracebacks in the log",
    "answers that nobody should get",
    "words that were not paid",
    "calls beyond their hold",
    "/healthz, slowest",
}
FREEZING = "schemas,broken_schemas"


@pytest.mark.timeout(300)
def test_hostile_load_stops_nothing_robs_nobody_and_loses_no_record(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    argv = [
        sys.executable,
        "-m",
        "tests.attacks.load",
        "--seconds",
        "8",
        "--alone",
        "1.5",
        "--no-latency",
        "--without",
        FREEZING,
    ]
    with subprocess.Popen(
        [*argv, "--json", str(found), "--keep", str(tmp_path / "kept")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as driver:
        try:
            told, _ = driver.communicate(timeout=240)
        except BaseException:
            driver.terminate()  # it ends the gateway
            raise
    assert found.exists(), told
    seen = json.loads(found.read_text())
    missed = [bar["name"] for bar in seen["bars"] if not bar["kept"] and bar["name"] not in OPEN]
    assert missed == [], told
    assert seen["honest_calls"] > 50
