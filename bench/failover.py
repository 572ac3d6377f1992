"""Load on a gateway with two providers, of which A fails and heals at random and B is healthy.

    .venv/bin/python bench/failover.py [--seconds 600] [--callers 16]

Ends with status 1 when a caller saw an error, when A was not used again within 30 s of healing, or when there were
more than 1.2 attempts per request. The tests run a short version of the same.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.testing import Fault, Reply, ScriptedUpstream

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


@contextmanager
def gateway(a: str, b: str) -> Iterator[tuple[int, str]]:
    """A gateway process: its port and a key."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "fairlead.toml"
        file.write_text(CONFIGURATION.format(a=a, b=b))
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlead", "serve", "--port", "0", "--no-engine", "--data", directory + "/data",
             "--config", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            port = key = ""
            for line in process.stdout:
                port = port or next(iter(re.findall(r"http://127\.0\.0\.1:(\d+)", line)), "")
                key = key or next(iter(re.findall(r"sk-fl-[\w-]+", line)), "")
                if "curl" in line:
                    break
            yield int(port), key
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


def call(port: int, key: str, stream: bool) -> str | None:
    """One call: what was wrong with it, None when nothing."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Count."}], "stream": stream}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
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
    if not stream:
        text = json.loads(data)["choices"][0]["message"]["content"]
    else:
        if not data.rstrip().endswith(b"[DONE]"):
            return f"not complete: {data[-300:]!r}"
        chunks = [json.loads(one) for one in re.findall(rb"data: (\{.*)\n\n", data)]
        text = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"])
    return None if text == TEXT else f"another text: {text!r}"


def storm(seconds: float, callers: int, seed: int = 1, spell_seconds: tuple[float, float] = (2.0, 8.0)) -> Found:
    """Runs the load. A is out of order for a spell, then well for a spell, each drawn from `spell_seconds`."""
    found = Found()
    ended = threading.Event()
    lock = threading.Lock()
    chance = random.Random(seed)
    with ScriptedUpstream() as a, ScriptedUpstream() as b, gateway(a.url, b.url) as (port, key):
        a.default = b.default = HEALTHY

        def keep_calling(number: int) -> None:
            stream = bool(number % 2)
            while not ended.is_set():
                wrong = call(port, key, stream)
                with lock:
                    found.requests += 1
                    if wrong is not None:
                        found.errors.append(wrong)
                time.sleep(0.01)

        threads = [threading.Thread(target=keep_calling, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(chance.uniform(*spell_seconds))
            a.default = chance.choice(FAULTS)
            time.sleep(chance.uniform(*spell_seconds))
            a.default = HEALTHY
            found.returns.append(_until_used(a))
        ended.set()
        for thread in threads:
            thread.join()
        marked = sum("x-fairlead-probe" in one.headers for one in a.requests)
        found.attempts = len(a.requests) + len(b.requests) - marked
    return found


def _until_used(a: ScriptedUpstream) -> float:
    """Seconds until a caller's request comes again; probes do not count."""
    began, seen = time.monotonic(), len(a.requests)
    while time.monotonic() - began < 35:
        new = a.requests[seen:]
        if any("x-fairlead-probe" not in one.headers for one in new):
            return time.monotonic() - began
        time.sleep(0.02)
    return float("inf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = storm(options.seconds, options.callers, options.seed)
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
