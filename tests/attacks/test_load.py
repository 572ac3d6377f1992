"""All attacks at once beside fifty honest callers: the short version of `python -m tests.attacks.load`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_hostile_load_stops_nothing_robs_nobody_and_loses_no_record(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    argv = [sys.executable, "-m", "tests.attacks.load", "--seconds", "6", "--alone", "1.5", "--no-latency"]
    with subprocess.Popen(
        [*argv, "--json", str(found), "--keep", str(tmp_path / "kept")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as driver:
        try:
            told, _ = driver.communicate(timeout=500)
        except BaseException:
            driver.terminate()  # it ends the gateway
            raise
    assert found.exists(), told
    seen = json.loads(found.read_text())
    missed = [bar["name"] for bar in seen["bars"] if not bar["kept"]]
    assert missed == [], told
    assert driver.returncode == 0
    assert seen["honest_calls"] > 50
