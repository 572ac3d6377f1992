"""Under load, with A failing and healing at random: the short version of bench/failover.py."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import failover
from failover import storm


def test_callers_see_nothing_of_a_provider_that_fails_and_heals_at_random() -> None:
    found = storm(8, callers=6, seed=5, spell_seconds=(1.0, 2.5))
    assert found.errors == []
    assert found.requests > 20
    assert found.returns
    assert max(found.returns) < 30
    assert found.attempts_per_request <= 1.2


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The script under way, with the process id of its gateway, which has begun to serve."""
    argv = [sys.executable, failover.__file__, "--callers", "3", *options]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `nohup` inherits that it is ignored
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, _serving_child(process.pid)
        finally:
            process.kill()


def _serving_child(parent: int) -> int:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        # Five while it starts: its first one, the watchdog, the upstreams' two, the limit of the start. Then callers.
        if children and len(list(Path(f"/proc/{parent}/task").iterdir())) > 5:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no gateway was started")


def test_the_script_ends_when_it_is_interrupted_and_leaves_no_gateway_behind() -> None:
    with running("--seconds", "60") as (process, gateway):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    assert not Path(f"/proc/{gateway}").exists()


def test_a_gateway_that_hangs_is_told_with_every_threads_stack_and_ends_the_script() -> None:
    with running("--seconds", "8", "--grace-seconds", "1") as (process, gateway):
        Path(f"/proc/{gateway}").stat()
        subprocess.run(["kill", "-STOP", str(gateway)], check=True)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "in keep_calling" in said
    assert "Not ended after 9 s." in said
    assert not Path(f"/proc/{gateway}").exists()


def test_a_gateway_that_ends_under_load_is_told() -> None:
    with (
        pytest.raises(RuntimeError, match="ended with status -9 under load"),
        failover.gateway("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1") as serving,
    ):
        serving.process.kill()
        serving.process.wait()
