"""What is said about a model: figures, their reasons when there are none, and honest uptime."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.store import Store, open_store
from fairlead.telemetry.cells import DAY, HOUR, MINUTE, PROBE, TRAFFIC
from fairlead.telemetry.figures import Performance
from fairlead.telemetry.performance_cache import PerformanceCache
from fairlead.telemetry.reader import WINDOWS, Reader

from .support import MONDAY, Clock, Writer

MODEL, DEPLOYMENT = "mistral-small-3.2", "p/mistral"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(MONDAY + 12 * HOUR)


@pytest.fixture
def writer(store: Store, clock: Clock) -> Writer:
    return Writer(store, clock)


def flush(writer: Writer) -> None:
    asyncio.run(writer.telemetry.flush())


def attempts(writer: Writer, outcome: str, number: int, deployment: str = DEPLOYMENT, kind: str = TRAFFIC) -> None:
    for _ in range(number):
        writer.recorder.series(kind, MODEL, deployment).add(outcome, 0.2, 1.2, 10, 50)


def test_enough_calls_give_every_figure_in_every_window(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 40)
    attempts(writer, "served", 40, "")
    flush(writer)
    for window, facts in WINDOWS.items():
        shown = Reader(store, clock).performance(MODEL, window)
        (deployment,) = shown.deployments
        assert deployment.deployment == DEPLOYMENT
        for figures in (shown.total.traffic, deployment.traffic):
            assert (figures.calls, figures.ok, figures.success.value, figures.uptime.value) == (40, 40, 1, 1)
            assert figures.first_token.p50 == pytest.approx(200, rel=0.045)
            assert figures.first_token.p95 == pytest.approx(200, rel=0.045)
            assert figures.latency.p50 == pytest.approx(1200, rel=0.045)
            assert figures.speed.p50 == pytest.approx(50, rel=0.045)
            assert figures.speed.mean == pytest.approx(50, rel=0.001)
            assert (figures.prompt_tokens, figures.output_tokens) == (400, 2000)
        assert len(deployment.series) == facts.seconds // facts.step
        assert [point.at for point in deployment.series] == list(range(shown.start, shown.end, facts.step))
        assert [point.calls for point in deployment.series][-1] == 40, "the step that has just begun is the last"
        assert sum(point.calls for point in deployment.series) == 40


def test_too_few_samples_give_a_reason_and_no_figure(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 4)
    flush(writer)
    figures = Reader(store, clock).performance(MODEL, "1h").deployments[0].traffic
    assert (figures.first_token.p50, figures.first_token.samples) == (None, 4)
    assert figures.first_token.reason == "not enough data: 4 of 5 samples"
    assert (figures.success.value, figures.success.of) == (None, 4)
    attempts(writer, "served", 1)
    flush(writer)
    figures = Reader(store, clock).performance(MODEL, "1h").deployments[0].traffic
    assert figures.first_token.p50 is not None
    assert figures.first_token.p95 is None
    assert figures.first_token.reason == "not enough data: 5 of 20 samples"


def test_without_traffic_nothing_is_claimed(store: Store, clock: Clock) -> None:
    shown = Reader(store, clock).performance("never-called", "24h")
    assert shown.deployments == ()
    assert shown.total.traffic.uptime.value is None
    assert shown.total.traffic.uptime.reason == "no traffic: nothing is known"
    bars = Reader(store, clock).day_bars("never-called")
    assert len(bars) == 90
    assert all(bar.uptime.value is None and bar.calls == 0 for bar in bars)


def test_faults_of_callers_and_hang_ups_are_no_faults_of_a_deployment(
    store: Store, clock: Clock, writer: Writer
) -> None:
    attempts(writer, "served", 9)
    attempts(writer, "upstream_failed", 1)
    attempts(writer, "upstream_refused", 7)
    attempts(writer, "caller_gone", 5)
    attempts(writer, "upstream_busy", 3)
    flush(writer)
    figures = Reader(store, clock).performance(MODEL, "1h").deployments[0].traffic
    assert figures.success.value == 0.9
    assert (figures.caller_faults, figures.caller_gone, figures.ours, figures.faults) == (7, 5, 3, 1)
    assert figures.outcomes["upstream_failed"] == 1


def test_a_full_queue_of_ours_is_a_fault_to_the_caller_of_a_model(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 9, "")
    attempts(writer, "upstream_busy", 1, "")
    flush(writer)
    assert Reader(store, clock).performance(MODEL, "1h").total.traffic.success.value == 0.9


def test_uptime_is_of_minutes_with_traffic_however_many_workers_saw_them(
    store: Store, clock: Clock, writer: Writer
) -> None:
    other = Writer(store, clock)
    attempts(writer, "served", 3)
    attempts(other, "upstream_failed", 1)  # together this minute is up
    for one in (writer, other):
        flush(one)
    clock.now += MINUTE
    attempts(writer, "served", 1)
    attempts(other, "upstream_failed", 2)  # and this one is not
    for one in (writer, other):
        flush(one)
    clock.now += 10 * MINUTE
    attempts(writer, "caller_gone", 4)  # says nothing
    flush(writer)
    for window in WINDOWS:
        uptime = Reader(store, clock).performance(MODEL, window).deployments[0].traffic.uptime
        assert (uptime.value, uptime.of) == (0.5, 2), window
    clock.now += DAY
    writer.telemetry.tidy()
    assert Reader(store, clock).day_bars(MODEL, DEPLOYMENT)[-2].uptime.of == 2


def test_probes_stand_beside_traffic_and_not_in_it(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 5, kind=PROBE)
    flush(writer)
    (shown,) = Reader(store, clock).performance(MODEL, "1h").deployments
    assert (shown.traffic.calls, shown.probes.calls) == (0, 5)


def test_tokens_of_every_model_by_day(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 2, "")
    flush(writer)
    clock.now += DAY
    attempts(writer, "served", 3, "")
    writer.recorder.series(TRAFFIC, "other").add("served", 0, 1, 5, 7)
    flush(writer)
    days = [(one.model, one.date, one.prompt_tokens, one.output_tokens) for one in Reader(store, clock).model_days()]
    assert days == [
        (MODEL, "2026-01-05", 20, 100),
        (MODEL, "2026-01-06", 30, 150),
        ("other", "2026-01-06", 5, 7),
    ]


def test_an_answer_in_one_piece_has_no_speed(store: Store, clock: Clock, writer: Writer) -> None:
    for _ in range(5):
        writer.recorder.series(TRAFFIC, MODEL, DEPLOYMENT).add("served", 1.2, 1.2, 10, 500)
        writer.recorder.series(TRAFFIC, MODEL, DEPLOYMENT).add("served", 0.2, 1.2, 10, 3)
    flush(writer)
    figures = Reader(store, clock).performance(MODEL, "1h").deployments[0].traffic
    assert (figures.first_token.samples, figures.latency.samples, figures.speed.samples) == (10, 10, 0)


class CountingReader(Reader):
    reads = 0

    def performance(self, model: str, window: str) -> Performance:
        self.reads += 1
        return super().performance(model, window)


def test_a_thousand_visitors_cost_one_reading_every_few_seconds(store: Store, clock: Clock, writer: Writer) -> None:
    attempts(writer, "served", 5, "")
    flush(writer)
    reader, watch = CountingReader(store, clock), Clock(0)
    cache = PerformanceCache(reader, watch)

    async def visit() -> None:
        assert cache.latest(MODEL, "1h") is None
        shown = await asyncio.gather(*(cache.performance(MODEL, "1h") for _ in range(1000)))
        assert len({one.tag for one in shown}) == reader.reads == 1
        watch.now += 4.9
        await cache.performance(MODEL, "1h")
        assert reader.reads == 1
        clock.now += 1
        watch.now += 0.2
        again = await cache.performance(MODEL, "1h")
        assert reader.reads == 2
        assert again.tag == shown[0].tag, "figures that are the same have the same tag"
        await asyncio.to_thread(attempts, writer, "served", 1, "")
        await writer.telemetry.flush()
        watch.now += 6
        stale = cache.latest(MODEL, "1h")
        assert stale is again, "given at once, and read again behind"
        assert (await cache.performance(MODEL, "1h")).tag != again.tag

    asyncio.run(visit())


def test_whoever_asks_for_everything_does_not_fill_the_memory(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.telemetry.performance_cache.MOST_SHOWN", 3)
    cache = PerformanceCache(Reader(store, clock), Clock(0))

    async def visit() -> None:
        for number in range(6):
            await cache.performance(f"model-{number}", "1h")
        assert [cache.latest(f"model-{number}", "1h") is not None for number in range(6)] == [False] * 3 + [True] * 3
        await asyncio.gather(*(cache.performance(f"model-{number}", "1h") for number in range(3)))

    asyncio.run(visit())


def test_an_unreadable_database_is_an_error_for_everyone_who_waits_and_no_longer(
    store: Store, clock: Clock, writer: Writer
) -> None:
    cache = PerformanceCache(Reader(store, clock), Clock(0))

    async def visit() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE telemetry_series RENAME TO away")
        found = await asyncio.gather(*(cache.performance(MODEL, "1h") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(one, Exception) for one in found)
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO telemetry_series")
        assert (await cache.performance(MODEL, "1h")).value.model == MODEL

    asyncio.run(visit())


def test_thin_traffic_has_longer_steps_and_a_trickle_keeps_the_usual_ones(
    store: Store, clock: Clock, writer: Writer
) -> None:
    clock.now = MONDAY + HOUR // 2
    for _ in range(23):  # three calls an hour: none has a median, three hours together have one
        attempts(writer, "served", 3)
        flush(writer)
        clock.now += HOUR
    shown = Reader(store, clock).performance(MODEL, "24h")
    (deployment,) = shown.deployments
    assert shown.step_seconds == 2 * HOUR
    assert [point.at for point in deployment.series] == list(range(shown.start, shown.end, 2 * HOUR))
    assert sum(point.first_token.p50 is not None for point in deployment.series) >= 10
    assert sum(point.calls for point in deployment.series) == deployment.traffic.calls == 69
    clock.now += 2 * DAY
    attempts(writer, "served", 3)
    flush(writer)
    assert Reader(store, clock).performance(MODEL, "24h").step_seconds == HOUR
