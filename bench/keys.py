"""What a million keys cost: start, memory, time until a change is in force, pauses of the event loop.

    .venv/bin/python bench/keys.py [--keys 1000000] [--database postgresql://...]

A server is started on a database with so many keys of one account, as `fairlead serve` does it. Keys are changed by
another process than the one that serves. Pauses are those of an event loop of this process, with the same key ring
and a tick each millisecond: the longest time between two ticks, beside those of a loop where nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import http.client
import os
import random
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

from fairlead.accounts import keys
from fairlead.accounts.accounts import change_account, first_account
from fairlead.accounts.changes import changed
from fairlead.accounts.key_ring import MOST_CACHED_KEYS, KeyRing
from fairlead.accounts.keys import create_key, key_digest
from fairlead.accounts.options import as_columns
from fairlead.money import Picodollars
from fairlead.runtime import GC_THRESHOLD
from fairlead.store import Store, open_store

START_SECONDS = 120
COLUMNS = ("id", "account_id", "name", "prefix", "digest", "created_at", "limits")
LIMITS = '{"limits":{"requests_per_minute":1000000}}'
TICK_SECONDS = 0.001
STRANGERS = 300


def key(number: int) -> str:
    return f"sk-customer-{number:09}"


def fill(store: Store, count: int) -> str:
    """Makes the keys; gives their account. Every other one has a limit of its own."""
    with store.write() as connection:
        account = first_account(connection)
    rows = (
        (
            f"key_{number:09}",
            account,
            f"customer {number}",
            f"{number:032}",
            key_digest(key(number).encode()),
            1,
            LIMITS if number % 2 else None,
        )
        for number in range(count)
    )
    if store.is_shared:
        with store.write() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            cursor = connection.connection.cursor()
            with cursor.copy(f"COPY api_keys ({', '.join(COLUMNS)}) FROM STDIN") as copy:  # type: ignore[attr-defined]
                for row in rows:
                    copy.write_row(row)
    else:
        with contextlib.closing(sqlite3.connect(store.directory / "fairlead.db")) as file, file:
            marks = ", ".join("?" * len(COLUMNS))
            file.executemany(f"INSERT INTO api_keys ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
    with store.write() as connection:
        changed(connection)
    return account


def revoke(store: Store, number: int) -> None:
    with store.write() as connection:
        keys.revoke_key(connection, f"key_{number:09}")


class Server:
    """`fairlead serve` on this database."""

    def __init__(self, directory: Path, url: str | None) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory)}
        if url is not None:
            environment["FAIRLEAD_DATABASE_URL"] = url
        command = [sys.executable, "-m", "fairlead", "serve", "--no-engine", "--port", "0", "--data", str(directory)]
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise SystemExit("the server did not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)

    def status(self, connection: http.client.HTTPConnection, given: str, path: str = "/v1/models") -> tuple[int, bytes]:
        connection.request("GET", path, headers={"authorization": f"Bearer {given}"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def megabytes(self) -> float:
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text("ascii")
        found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@contextlib.contextmanager
def served(directory: Path, url: str | None) -> Iterator[Server]:
    server = Server(directory, url)
    try:
        yield server
    finally:
        server.stop()


def until(done: Callable[[], bool]) -> float:
    """Seconds until it is."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > START_SECONDS:
            raise SystemExit("it never came to be")
        time.sleep(0.005)
    return time.monotonic() - began


def measure_server(store: Store, directory: Path, url: str | None, count: int, account: str) -> None:
    with served(directory, url) as server, contextlib.closing(server.connect()) as connection:
        status, _ = server.status(connection, key(count - 1))
        assert status == 200, status
        print(
            f"start to first answer with a key: {time.monotonic() - server.began:.2f} s, "
            f"{server.cpu_seconds():.2f} s of CPU"
        )
        time.sleep(5)
        print(
            f"memory (PSS) after the start: {server.megabytes():.0f} MB; all digests are read: "
            f"{server.cpu_seconds():.2f} s of CPU"
        )
        number = min(MOST_CACHED_KEYS, count)
        began, cpu = time.monotonic(), server.cpu_seconds()
        used = random.sample(range(10, count), number)
        use(server, used)
        seconds = time.monotonic() - began
        print(
            f"{number:,} keys used for the first time in {seconds:.1f} s, "
            f"{(server.cpu_seconds() - cpu) / number * 1e6:.0f} us of CPU each with the request"
        )
        print(f"memory (PSS) with {number:,} keys in use: {server.megabytes():.0f} MB")
        connection.close()  # which was idle for long; it opens itself again
        waits = []
        for _ in range(10):
            new = create_key(store, "new")
            waits.append(until(lambda new=new: server.status(connection, new)[0] == 200))  # type: ignore[misc]
            time.sleep(random.random() / 2)
        print(f"a new key is in force after: {max(waits) * 1000:.0f} ms at most")
        waits = []
        for at in range(10):
            assert server.status(connection, key(at))[0] == 200
            revoke(store, at)
            waits.append(until(lambda at=at: server.status(connection, key(at))[0] == 401))  # type: ignore[misc]
            time.sleep(random.random() / 2)
        print(f"a revoked key is refused after: {max(waits) * 1000:.0f} ms at most")
        columns = as_columns(budgets={"day": Picodollars.parse("12345")})
        with store.write() as changing:
            change_account(changing, account, columns)
        wait = until(lambda: b"12345" in server.status(connection, key(used[-1]), "/v1/key")[1])
        print(f"a budget of the account, for all its keys in use, after: {wait * 1000:.0f} ms")
        strangers(server, count)
        print(f"memory (PSS) at the end: {server.megabytes():.0f} MB")


def use(server: Server, numbers: list[int]) -> None:
    """Calls with each of these keys, on a few connections."""

    async def work(todo: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in todo:
            writer.write(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key(number)}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            found = re.search(rb"content-length: (\d+)", head)
            assert found is not None
            await reader.readexactly(int(found[1]))
        writer.close()

    async def all_of_them() -> None:
        todo = iter(numbers)
        await asyncio.gather(*(work(todo) for _ in range(16)))

    uvloop.run(all_of_them())


def strangers(server: Server, count: int) -> None:
    """Unknown keys on many connections at once, while customers come whose keys are not in memory."""
    end = time.monotonic() + 5
    asked = 0
    waits = []

    async def flood() -> None:
        nonlocal asked
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stranger = f"sk-{secrets.token_urlsafe(24)}"
            writer.write(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stranger}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 401 "), head
            asked += 1
            writer.close()

    async def customers() -> None:
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            began, customer = time.monotonic(), key(random.randrange(10, count))
            writer.write(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {customer}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            waits.append(time.monotonic() - began)
            writer.close()
            await asyncio.sleep(0.01)

    async def all_of_them() -> None:
        await asyncio.gather(customers(), *(flood() for _ in range(STRANGERS)))

    uvloop.run(all_of_them())
    middle = sorted(waits)[len(waits) // 2]
    print(
        f"{asked / 5:,.0f} unknown keys a second; {len(waits)} customers meanwhile, none refused, "
        f"median {middle * 1000:.1f} ms, longest {max(waits) * 1000:.0f} ms"
    )


class Ticks:
    """The time between two ticks of an event loop, less the time for which the kernel let other processes run instead
    of a thread of this one: on a busy machine that is most of it."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.waits: list[float] = []

    async def run(self) -> None:
        before, waited = time.monotonic(), waited_seconds()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now, waited_now = time.monotonic(), waited_seconds()
            gap = now - before - TICK_SECONDS
            self.gaps.append(max(0.0, gap - (waited_now - waited)))
            self.waits.append(gap)
            before, waited = time.monotonic(), waited_now


def waited_seconds() -> float:
    """What the threads of this process have waited for a processor."""
    total = 0
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text("ascii").split()[1])
    return total / 1e9


async def paused(name: str, work: Callable[[], Awaitable[object]]) -> None:
    ticks = Ticks()
    task = asyncio.create_task(ticks.run())
    began = time.monotonic()
    await work()
    seconds = time.monotonic() - began
    task.cancel()
    gaps = sorted(ticks.gaps)
    print(
        f"pause of the loop, {name} ({seconds:.2f} s): longest {gaps[-1] * 1000:.1f} ms, "
        f"99 % {gaps[len(gaps) * 99 // 100] * 1000:.1f} ms; "
        f"with what other processes took {max(ticks.waits) * 1000:.1f} ms"
    )


async def measure_pauses(store: Store, count: int, account: str) -> None:
    loop = asyncio.get_running_loop()
    ring = KeyRing(store)
    # As a serving process does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)

    def in_thread(work: Callable[[], object]) -> Callable[[], Awaitable[object]]:
        return lambda: loop.run_in_executor(store.threads, work)

    async def use() -> None:
        numbers = random.sample(range(10, count), min(MOST_CACHED_KEYS, count - 10))
        for at in range(0, len(numbers), 50):  # fifty requests at once
            found = [ring.look_up(key(number).encode()).pending for number in numbers[at : at + 50]]
            for pending in found:
                assert pending is not None
                assert await pending

    def change() -> None:
        for at in range(100):
            revoke(store, count - 1 - at)
            ring.follow()

    def change_all() -> None:
        with store.write() as connection:
            change_account(connection, account, as_columns(budgets={"day": Picodollars.parse("54321")}))
        ring.follow()

    def change_everything() -> None:
        with store.write() as connection:
            changed(connection)
        ring.follow()

    await paused("nothing happens", lambda: asyncio.sleep(3))
    await paused("all digests are read", in_thread(ring.follow))
    await paused(f"{MOST_CACHED_KEYS:,} keys are used for the first time", use)
    await paused("100 keys are revoked", in_thread(change))
    await paused("an account with all keys in memory is changed", in_thread(change_all))
    await paused("everything is read again", in_thread(change_everything))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--database", help="PostgreSQL instead of SQLite: an empty database.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        store = open_store(directory, given.database)
        try:
            began = time.monotonic()
            account = fill(store, given.keys)
            print(f"{given.keys:,} keys made in {time.monotonic() - began:.1f} s", flush=True)
            measure_server(store, directory, given.database, given.keys, account)
            uvloop.run(measure_pauses(store, given.keys, account))
        finally:
            store.close()


if __name__ == "__main__":
    main()
