"""The engine really runs: it comes up, answers, comes back after every death, and never outlives its owner."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fairlead.engines.log_ring import MOST_BYTES, MOST_LINE_BYTES, MOST_LINES, LogRing
from fairlead.engines.socket_directory import LONGEST_PATH_BYTES, make_socket_directory
from fairlead.engines.spec import EngineSpec, demo_spec
from fairlead.engines.supervisor import Engine, EngineLimits
from fairlead.http import eager

SOURCE = Path(__file__).parents[2] / "src"
MMPROJ = Path(__file__).parents[1] / "fixtures" / "demo-mmproj.gguf"
PATIENCE_SECONDS = 60


def spec() -> EngineSpec:
    demo = demo_spec()
    assert demo is not None
    return demo


@contextlib.asynccontextmanager
async def running(
    data: Path, of: EngineSpec | None = None, limits: EngineLimits | None = None
) -> AsyncIterator[Engine]:
    engine = Engine(of or spec(), data, limits)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> float:
    """Waits until `condition()`, which may be awaitable, is true; gives the seconds it took."""
    began = time.monotonic()
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.01)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def send(engine: Engine, method: str, path: str, body: Any = None, key: str | None = None) -> Streams:
    reader, writer = await asyncio.open_unix_connection(engine.base_url.removeprefix("unix:"))
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key or engine.api_key}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    return reader, writer


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def call(engine: Engine, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    reader, writer = await send(engine, method, path, body, key)
    answer = await reader.read()
    await close(writer)
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


def chat(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0.3, "seed": 1, **more}


async def is_busy(engine: Engine) -> bool:
    _, slots = await call(engine, "GET", "/slots")
    return any(slot["is_processing"] for slot in slots)


def is_gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def content_of(path: str) -> bytes:
    return Path(path).read_bytes()


def modes(path: str) -> list[int]:
    """The permissions of a file and of its directory."""
    return [stat.S_IMODE(place.stat().st_mode) for place in (Path(path), Path(path).parent)]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_engine_starts_answers_with_its_key_only_and_stops(tmp_path: Path, run: Callable[[Any], None]) -> None:
    async def main() -> None:
        engine = Engine(spec(), tmp_path)
        states: list[str] = []
        engine.on_state = lambda changed: states.append(changed.state)
        assert str(engine.state) == "stopped"
        assert engine.base_url.startswith("unix:/")
        assert engine.slots == 4
        await engine.start()
        assert states == []
        assert await engine.wait_ready(PATIENCE_SECONDS)
        assert engine.is_ready
        status, answer = await call(engine, "POST", "/v1/chat/completions", chat())
        assert status == 200
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] > 3
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/slots"), ("GET", "/metrics")):
            assert (await call(engine, method, path, None, key="wrong"))[0] == 401
        status, slots = await call(engine, "GET", "/slots")
        assert (status, len(slots), slots[0]["n_ctx"]) == (200, 4, 1024)
        pid = engine.pid
        assert pid is not None
        await engine.stop()
        await engine.stop()
        assert is_gone(pid)
        assert engine.pid is None
        assert states == ["starting", "ready", "stopped"]
        assert list((tmp_path / "run").iterdir()) == []
        assert not await engine.wait_ready(1)

    run(main())


def test_nobody_else_can_reach_the_socket_or_read_the_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as engine:
            assert await engine.wait_ready(PATIENCE_SECONDS)
            path = engine.base_url.removeprefix("unix:")
            assert modes(path) == [0o700, 0o700]
            for file in ("cmdline", "environ"):
                assert engine.api_key.encode() not in content_of(f"/proc/{engine.pid}/{file}")
            assert os.getsid(engine.pid or 0) == engine.pid, "signals of the terminal do not reach it"
            assert engine.api_key not in repr(engine)

    asyncio.run(main())


def test_a_killed_engine_says_so_and_is_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as engine:
            assert await engine.wait_ready(PATIENCE_SECONDS)
            first = engine.pid
            reader, writer = await send(engine, "POST", "/v1/chat/completions", chat(stream=True, ignore_eos=True))
            await reader.readline()
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: engine.state == "crashed")
            assert "SIGKILL" in engine.reason
            await reader.read()
            await close(writer)
            assert await engine.wait_ready(PATIENCE_SECONDS)
            assert engine.pid != first
            assert (await call(engine, "POST", "/v1/chat/completions", chat(max_tokens=5)))[0] == 200
            assert engine.starts == 2

    uvloop.run(main())


def test_an_engine_that_answers_nothing_any_more_is_ended_and_started_again(tmp_path: Path) -> None:
    limits = EngineLimits(pulse_seconds=0.1, pulse_timeout_seconds=2, missed_pulses=2)

    async def main() -> None:
        async with running(tmp_path, limits=limits) as engine:
            assert await engine.wait_ready(PATIENCE_SECONDS)
            await asyncio.sleep(0.5)
            first = engine.pid
            assert first is not None
            assert engine.starts == 1
            os.kill(first, signal.SIGSTOP)
            await eventually(lambda: engine.state == "crashed")
            assert await engine.wait_ready(PATIENCE_SECONDS)
            assert engine.pid != first
            assert (await call(engine, "POST", "/v1/chat/completions", chat(max_tokens=5)))[0] == 200

    uvloop.run(main())


def test_an_engine_that_cannot_load_is_given_up_with_the_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(spec().gguf.read_bytes()[:100_000])
    limits = EngineLimits(first_wait_seconds=0.01, quick_crashes=3)

    async def main() -> None:
        async with running(tmp_path, replace(spec(), gguf=broken), limits) as engine:
            assert not await engine.wait_ready(PATIENCE_SECONDS)
            assert engine.gave_up
            assert engine.state == "crashed"
            assert "exited with code 3" in engine.reason
            assert "failed to load" in " ".join(engine.log)
            assert "not restarted" in engine.reason
            assert engine.starts == 3

    asyncio.run(main())
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert all("exited with code 3" in line and "failed to load" in line for line in told)
    assert "Restarting in" in told[0]
    assert "restart Fairlead" in told[2]


def test_a_fault_in_the_supervision_of_an_engine_is_told_and_ends_every_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def spawn(_engine: Engine) -> None:
        raise ValueError("embedded null byte")

    monkeypatch.setattr(Engine, "_spawn", spawn)

    async def main() -> None:
        engine = Engine(spec(), tmp_path)
        await engine.start()
        assert not await asyncio.wait_for(engine.wait_ready(60), 30), "who waits is told at once"
        assert (engine.gave_up, engine.state) == (True, "crashed")
        assert "embedded null byte" in engine.reason
        await engine.stop()

    asyncio.run(main())
    assert "supervision failed" in caplog.text
    assert "embedded null byte" in caplog.text


def test_waiting_for_an_engine_ends_in_time_and_needs_no_task(tmp_path: Path) -> None:
    async def main() -> None:
        missing = replace(spec(), gguf=tmp_path / "missing.gguf")
        async with running(tmp_path, missing, EngineLimits(first_wait_seconds=5)) as engine:
            answers: list[bool] = []

            async def ask() -> None:
                answers.append(await engine.wait_ready(0.2))

            eager.run(ask(), lambda failure: answers.append(failure is None))
            assert answers == []
            await eventually(lambda: len(answers) == 2)
            assert answers == [False, True]
        assert engine.state == "stopped"

    asyncio.run(main())


def test_a_stop_ends_those_who_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as engine:
            waiting = asyncio.create_task(engine.wait_ready(PATIENCE_SECONDS))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(waiting, 60) is False

    asyncio.run(main())


def test_an_engine_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    async def main() -> None:
        engine = Engine(spec(), tmp_path, EngineLimits(term_seconds=0.2))
        await engine.start()
        assert await engine.wait_ready(PATIENCE_SECONDS)
        pid = engine.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await engine.stop()
        assert is_gone(pid)

    asyncio.run(main())


def test_a_caller_who_hangs_up_frees_the_slot_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, replace(spec(), context_tokens=2048)) as engine:
            assert await engine.wait_ready(PATIENCE_SECONDS)
            # So many probabilities make an answer of seconds out of a tiny model's.
            slow = chat(stream=True, ignore_eos=True, max_tokens=2000, logprobs=True, top_logprobs=2000)
            reader, writer = await send(engine, "POST", "/v1/chat/completions", slow)
            while b"data:" not in await reader.readline():
                pass
            assert await is_busy(engine)
            await close(writer)

            async def idle() -> bool:
                return not await is_busy(engine)

            await eventually(idle)

            async def is_logged() -> bool:
                return any("cancel task" in line for line in engine.log)

            await eventually(is_logged)

    asyncio.run(main())


def test_images_are_read_when_the_model_has_a_vision_part(tmp_path: Path) -> None:
    pixel = "data:image/png;base64,"
    pixel += "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    content = [{"type": "image_url", "image_url": {"url": pixel}}, {"type": "text", "text": "Hello!"}]

    async def main() -> None:
        seeing = replace(spec(), mmproj=MMPROJ, images=True, slots=1)
        async with running(tmp_path, seeing) as engine:
            assert await engine.wait_ready(PATIENCE_SECONDS), engine.reason
            body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4}
            status, answer = await call(engine, "POST", "/v1/chat/completions", body)
            assert status == 200, answer
            assert answer["usage"]["prompt_tokens"] > 5

    asyncio.run(main())


OWNER = """
import asyncio, sys
from pathlib import Path
from fairlead.engines.spec import demo_spec
from fairlead.engines.supervisor import Engine

async def main():
    engine = Engine(demo_spec(), Path(sys.argv[1]))
    await engine.start()
    assert await engine.wait_ready(60)
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_killed_owner_leaves_no_engine_behind_and_the_next_one_cleans_up(short_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(short_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    began = time.monotonic()
    while not is_gone(pid):
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    assert len(list((short_path / "run").iterdir())) == 1
    fresh = make_socket_directory(short_path)
    assert list((short_path / "run").iterdir()) == [fresh]


def test_a_deep_data_directory_still_gets_a_short_socket_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    directory = make_socket_directory(deep)
    try:
        assert len(os.fsencode(directory / "e.sock")) <= LONGEST_PATH_BYTES
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((deep / "run").stat().st_mode) == 0o700
        assert directory.parent != deep / "run"
    finally:
        directory.rmdir()


def test_the_log_keeps_the_last_lines_in_bounded_memory() -> None:
    ring = LogRing()
    for at in range(1000):
        ring.feed(f"line {at}\nhalf".encode())
        ring.feed(b" of it\r\n")
    assert len(ring.lines()) == MOST_LINES
    assert ring.lines()[-2:] == ("line 999", "half of it")
    for _ in range(1000):
        ring.feed(b"x" * 50_000)
    ring.feed(b"\n" + b"y" * 5000 + b"\n")
    assert all(len(line) <= MOST_LINE_BYTES for line in ring.lines())
    for _ in range(100):
        ring.feed(b"z" * 2000 + b"\n")
    assert sum(len(line) for line in ring.lines()) <= MOST_BYTES
    ring.feed(b"last \xff words")
    ring.finish()
    assert ring.lines()[-1] == "last � words"
