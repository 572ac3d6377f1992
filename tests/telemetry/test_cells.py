"""Several workers on one database add up exactly, whatever comes late or twice; hours and days keep every count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairlead.store import Store, open_store
from fairlead.telemetry.cells import (
    DAY,
    HOUR,
    MINUTE,
    PROBE,
    TRAFFIC,
    marked,
    read_days,
    read_hours,
    read_minutes,
    series_of,
)
from fairlead.telemetry.layout import MINUTES_SEEN, MINUTES_UP, SERVED, Counts, merged
from fairlead.telemetry.recorder import Recorder

from .support import KEEPING, MONDAY, Clock, Writer

OUTCOMES = ("served", "served", "served", "upstream_failed", "caller_gone", "invalid_request", "empty")


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def call(recorder: Recorder, source: random.Random) -> None:
    model = source.choice(["a", "b"])
    for deployment in ("", "p/x"):
        recorder.series(TRAFFIC, model, deployment).add(
            source.choice(OUTCOMES), source.uniform(0.01, 2), source.uniform(2, 30), 100, source.randrange(400)
        )


def counted(recorder: Recorder) -> dict[tuple[str, str, str], Counts]:
    """All that a recorder was told, without a database."""
    found: dict[tuple[str, str, str], Counts] = {}
    for cell in recorder.open_cells:
        found[cell.name] = merged((found.get(cell.name, {}), cell.nonzero()))
    return found


def stored(store: Store, level: str, start: int = MONDAY - DAY, end: int = MONDAY + 3 * DAY) -> dict[object, Counts]:
    """All that the database has, without what only sealed minutes know."""
    read = {"minutes": read_minutes, "hours": read_hours, "days": read_days}[level]
    with store.read() as connection:
        names = series_of(connection)
        found: dict[object, Counts] = {}
        for (series, _), counts in read(connection, names, start, end).items():
            found[names[series]] = merged((found.get(names[series], {}), counts))
    for counts in found.values():
        counts.pop(MINUTES_SEEN, None)
        counts.pop(MINUTES_UP, None)
    return found


def test_several_workers_that_flush_at_any_time_add_up_to_one_that_saw_everything(store: Store) -> None:
    source = random.Random(3)
    clock = Clock()
    workers = [Writer(store, clock) for _ in range(3)]
    everything = Recorder(clock)

    async def day() -> None:
        for _ in range(400):
            clock.now += source.uniform(0, 120)
            seed = source.random()
            worker = source.choice(workers)
            call(worker.recorder, random.Random(seed))
            call(everything, random.Random(seed))
            if source.random() < 0.2:
                await source.choice(workers).telemetry.flush()
            if source.random() < 0.03:
                source.choice(workers).telemetry.tidy()
        for worker in workers:
            await worker.telemetry.close()

    asyncio.run(day())
    assert clock.now > MONDAY + 5 * HOUR
    expected = counted(everything)
    for level in ("minutes", "hours", "days"):
        assert stored(store, level) == expected, level
    clock.now += 2 * DAY
    workers[0].telemetry.tidy()
    with store.read() as connection:
        assert marked(connection) == {"hour": set(), "day": set()}
    for level in ("hours", "days"):
        assert stored(store, level) == expected, f"{level}, all added up"


def test_workers_that_write_and_add_up_at_the_same_moment_lose_nothing(store: Store) -> None:
    def work(seed: int) -> int:
        clock, source = Clock(), random.Random(seed)
        worker = Writer(store, clock)

        async def run() -> None:
            for turn in range(25):
                clock.now = MONDAY + turn * 10 * MINUTE
                worker.recorder.series(TRAFFIC, source.choice("abc")).add("served", 0.1, 1, 1, 1)
                await worker.telemetry.flush()
                worker.telemetry.tidy()
            await worker.telemetry.close()

        asyncio.run(run())
        assert worker.telemetry.trouble is None
        return 25

    with ThreadPoolExecutor(4) as pool:
        told = sum(pool.map(work, range(4)))
    for level in ("minutes", "hours", "days"):
        assert sum(counts[SERVED] for counts in stored(store, level).values()) == told, level


def test_minutes_that_come_after_their_hour_was_added_up_are_in_it_all_the_same(store: Store) -> None:
    clock = Clock()
    early, late = Writer(store, clock), Writer(store, clock)

    async def run() -> None:
        for writer in (early, late):
            writer.recorder.series(TRAFFIC, "m").add("served", 0.1, 1, 1, 1)
        await early.telemetry.flush()
        clock.now += DAY + 2 * HOUR
        early.telemetry.tidy()
        assert stored(store, "days")[TRAFFIC, "m", ""][SERVED] == 1
        await late.telemetry.flush()
        assert stored(store, "days")[TRAFFIC, "m", ""][SERVED] == 2, "before it is added up again"
        early.telemetry.tidy()
        assert stored(store, "hours")[TRAFFIC, "m", ""][SERVED] == 2
        assert stored(store, "days")[TRAFFIC, "m", ""][SERVED] == 2

    asyncio.run(run())


def test_a_minute_that_is_stored_again_and_again_counts_once(store: Store) -> None:
    clock = Clock(MONDAY + 10)
    writer = Writer(store, clock)

    async def run() -> None:
        for number in range(1, 6):
            writer.recorder.series(TRAFFIC, "m").add("served", 0.1, 1, 1, 1)
            writer.telemetry._stored.clear()  # as after a commit whose answer was lost
            await writer.telemetry.flush()
            await writer.telemetry.flush()
            assert stored(store, "minutes")[TRAFFIC, "m", ""][SERVED] == number

    asyncio.run(run())


def test_a_clock_that_is_set_back_loses_and_doubles_nothing(store: Store) -> None:
    clock = Clock(MONDAY + 59)
    writer = Writer(store, clock)

    async def run() -> None:
        for now in (MONDAY + 59, MONDAY + 61, MONDAY + 30, MONDAY + 70, MONDAY + 200):
            clock.now = now
            writer.recorder.series(TRAFFIC, "m").add("served", 0.1, 1, 1, 1)
            await writer.telemetry.flush()
        await writer.telemetry.close()

    asyncio.run(run())
    assert stored(store, "minutes")[TRAFFIC, "m", ""][SERVED] == 5


def test_probes_are_kept_apart_from_traffic(store: Store) -> None:
    clock = Clock()
    writer = Writer(store, clock)

    async def run() -> None:
        writer.recorder.series(TRAFFIC, "m", "p/x").add("served", 0.1, 1, 1, 1)
        writer.recorder.series(PROBE, "m", "p/x").add("upstream_failed", 0, 0, 0, 0)
        await writer.telemetry.flush()

    asyncio.run(run())
    found = stored(store, "minutes")
    assert found[TRAFFIC, "m", "p/x"][SERVED] == 1
    assert SERVED not in found[PROBE, "m", "p/x"]


def test_minutes_go_first_and_hours_and_days_when_they_are_old(store: Store) -> None:
    clock = Clock()
    writer = Writer(store, clock, KEEPING)

    async def run() -> None:
        writer.recorder.series(TRAFFIC, "m").add("served", 0.1, 1, 1, 1)
        await writer.telemetry.flush()

    asyncio.run(run())
    clock.now += 3 * DAY + HOUR
    writer.telemetry.tidy()
    assert not stored(store, "minutes")
    assert stored(store, "hours")
    assert stored(store, "days")
    clock.now += 90 * DAY
    writer.telemetry.tidy()
    assert not stored(store, "hours")
    assert not stored(store, "days")


def test_a_database_that_is_gone_costs_nothing_but_what_exceeds_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(tmp_path)
    clock = Clock()
    writer = Writer(opened, clock)

    async def run() -> None:
        series = writer.recorder.series(TRAFFIC, "m")
        with opened.write() as connection:
            connection.exec_driver_sql("ALTER TABLE telemetry_minutes RENAME TO away")
        for _ in range(5):
            series.add("served", 0.1, 1, 1, 1)
            clock.now += MINUTE
            await writer.telemetry.flush()
        assert writer.telemetry.trouble is not None
        assert writer.telemetry.waiting == 5
        with opened.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO telemetry_minutes")
        await writer.telemetry.flush()
        assert writer.telemetry.trouble is None
        assert (writer.telemetry.waiting, writer.telemetry.lost) == (0, 0)
        assert stored(opened, "minutes")[TRAFFIC, "m", ""][SERVED] == 5

        monkeypatch.setattr("fairlead.telemetry.writer.MOST_WAITING", 3)
        with opened.write() as connection:
            connection.exec_driver_sql("ALTER TABLE telemetry_minutes RENAME TO away")
        for _ in range(5):
            series.add("served", 0.1, 1, 1, 1)
            clock.now += MINUTE
            await writer.telemetry.flush()
        assert (writer.telemetry.waiting, writer.telemetry.lost) == (3, 2)

    asyncio.run(run())
    opened.close()
