"""Load on a gateway with two providers, of which A fails and heals at random and B is healthy.

    .venv/bin/python bench/failover.py [--seconds 600] [--callers 16]

Ends with status 1 when a caller saw an error, when A was not used again within 30 s of healing, or when there were
more than 1.2 attempts per request; with status 3 and every thread's stack when the load has not ended `--grace-seconds`
after its time. The tests run a short version of the same.
"""

from __future__ import annotations

import argparse
import faulthandler
import http.client
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from fairlead.testing import Fault, Reply, ScriptedUpstream

START_SECONDS = 60
CALL_SECONDS = 30  # without a byte
# A stop gives answers 30 s to end, and 5 s to what is still being counted.
STOP_SECONDS = 45
# The last round begins within the time and may take two spells and the wait for A's return; then calls end.
GRACE_SECONDS = 150
# What unwinds after that is bounded, too; if not, the process ends as it stands.
LAST_SECONDS = 15
TEXT = "one two three four five six seven eight"
FAULTS = (
    Reply(status=500),
    Reply(status=503),
    Reply(status=429, headers={"retry-after": "1"}),
    Reply(fault=Fault.CLOSE_AT_ONCE),
    Reply(fault=Fault.HANG),
    Reply(fault=Fault.HTML),
    Reply(text=TEXT, fault=Fault.RESET, after_chunks=3),
    Reply(text=TEXT, fault=Fault.EOF, after_chunks=3),
)
HEALTHY = Reply(text=TEXT, continues=True, chunk_delay_seconds=0.002)
CONFIGURATION = """
[[providers]]
id = "a"
base_url = "{a}"
dialect = "vllm"
first_byte_timeout_seconds = 1
idle_timeout_seconds = 1
[[providers]]
id = "b"
base_url = "{b}"
dialect = "vllm"
[[models]]
id = "m"
[[models.deployments]]
provider = "a"
upstream_model = "x"
price = {{ input = "1", output = "2" }}
[[models.deployments]]
provider = "b"
upstream_model = "x"
price = {{ input = "1", output = "2" }}
"""


@dataclass
class Found:
    """What was seen. `returns`: seconds from each healing until A was used again."""

    requests: int = 0
    attempts: int = 0
    errors: list[str] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    stayed_away: int = 0

    @property
    def attempts_per_request(self) -> float:
        return self.attempts / max(1, self.requests)


class TookTooLong(Exception):
    """The whole run has used up its time."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Shows where every thread stands and raises TookTooLong in the main thread when the block takes longer."""

    def expired(_number: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback(all_threads=True)
        raise TookTooLong(f"Not ended after {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + LAST_SECONDS, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


class Gateway(NamedTuple):
    """A gateway process, its port and a key."""

    process: subprocess.Popen[str]
    port: int
    key: str

    def check(self) -> None:
        """Raises RuntimeError when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"The gateway ended with status {self.process.returncode} under load.")


@contextmanager
def gateway(a: str, b: str) -> Iterator[Gateway]:
    """One that does not start or stop in time is killed, and raises; so does one that has ended by itself."""
    with tempfile.TemporaryDirectory() as directory, (Path(directory) / "log").open("w+") as log:
        file = Path(directory) / "fairlead.toml"
        file.write_text(CONFIGURATION.format(a=a, b=b))
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlead", "serve", "--port", "0", "--no-engine", "--data", directory + "/data",
             "--config", str(file)],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            address = _started(process)
            if address is None:
                log.seek(0)
                raise RuntimeError(f"The gateway did not start: {log.read()[-2000:]}")
            serving = Gateway(process, *address)
            yield serving
            serving.check()
            process.terminate()
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _started(process: subprocess.Popen[str]) -> tuple[int, str] | None:
    """The port and the key, once it has said both."""
    assert process.stdout is not None
    too_late = threading.Timer(START_SECONDS, process.kill)
    too_late.start()
    try:
        port = key = ""
        for line in process.stdout:
            port = port or next(iter(re.findall(r"http://127\.0\.0\.1:(\d+)", line)), "")
            key = key or next(iter(re.findall(r"sk-fl-[\w-]+", line)), "")
            if "curl" in line:
                return int(port), key
        return None
    finally:
        too_late.cancel()


def call(port: int, key: str, stream: bool) -> str | None:
    """One call: what was wrong with it, None when nothing."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Count."}], "stream": stream}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
    if answer.status != 200:
        return f"{answer.status} {data[:200]!r}"
    if stream and not data.rstrip().endswith(b"[DONE]"):
        return f"not complete: {data[-300:]!r}"
    try:
        text = _text_of(data, stream)
    except (ValueError, LookupError, TypeError) as error:
        return f"{error!r} in {data[-300:]!r}"
    return None if text == TEXT else f"another text: {text!r}"


def _text_of(data: bytes, stream: bool) -> str:
    if not stream:
        return str(json.loads(data)["choices"][0]["message"]["content"])
    chunks = [json.loads(one) for one in re.findall(rb"data: (\{.*)\n\n", data)]
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"])


@contextmanager
def calling(found: Found, port: int, key: str, callers: int) -> Iterator[None]:
    """Callers that call again and again until the block ends, however it ends. Raises when one of them does not."""
    ended = threading.Event()
    lock = threading.Lock()

    def keep_calling(number: int) -> None:
        stream = bool(number % 2)
        while not ended.is_set():
            wrong = call(port, key, stream)
            with lock:
                found.requests += 1
                if wrong is not None:
                    found.errors.append(wrong)
            time.sleep(0.01)

    # Daemons: a caller who waits must not keep the process when the block has failed.
    threads = [threading.Thread(target=keep_calling, args=(number,), daemon=True) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
    until = time.monotonic() + CALL_SECONDS + 5
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if waiting := sum(thread.is_alive() for thread in threads):
        raise RuntimeError(f"{waiting} callers still wait for the end of their answers.")


def storm(
    seconds: float,
    callers: int,
    seed: int = 1,
    spell_seconds: tuple[float, float] = (2.0, 8.0),
    grace_seconds: float | None = None,
) -> Found:
    """Runs the load. A is out of order for a spell, then well for a spell, each drawn from `spell_seconds`. Raises
    TookTooLong when it has not ended `grace_seconds` after its time, which begins when the gateway serves."""
    found = Found()
    chance = random.Random(seed)
    with ScriptedUpstream() as a, ScriptedUpstream() as b, gateway(a.url, b.url) as serving:
        a.default = b.default = HEALTHY
        limit = nullcontext() if grace_seconds is None else bounded(seconds + grace_seconds)
        with limit, calling(found, serving.port, serving.key, callers):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(chance.uniform(*spell_seconds))
                a.default = chance.choice(FAULTS)
                time.sleep(chance.uniform(*spell_seconds))
                a.default = HEALTHY
                found.returns.append(_until_used(a, serving))
        marked = sum("x-fairlead-probe" in one.headers for one in a.requests)
        found.attempts = len(a.requests) + len(b.requests) - marked
    return found


def _until_used(a: ScriptedUpstream, serving: Gateway) -> float:
    """Seconds until a caller's request comes again; probes do not count."""
    began, seen = time.monotonic(), len(a.requests)
    while time.monotonic() - began < 35:
        new = a.requests[seen:]
        if any("x-fairlead-probe" not in one.headers for one in new):
            return time.monotonic() - began
        serving.check()
        time.sleep(0.02)
    return float("inf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    options = parser.parse_args()
    try:
        found = storm(options.seconds, options.callers, options.seed, grace_seconds=options.grace_seconds)
    except TookTooLong as error:
        print(error, file=sys.stderr)
        return 3
    slowest = max(found.returns, default=0.0)
    print(
        f"{found.requests:,} requests, {len(found.errors)} errors seen by callers, "
        f"{found.attempts_per_request:.3f} attempts per request; A failed and healed {len(found.returns)} times, "
        f"and was used again after {slowest:.1f} s at the latest."
    )
    for error in found.errors[:5]:
        print(" ", error)
    return 1 if found.errors or slowest > 30 or found.attempts_per_request > 1.2 else 0


if __name__ == "__main__":
    sys.exit(main())
