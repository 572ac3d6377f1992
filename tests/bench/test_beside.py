"""What people cost callers is measured in pairs of slices, while the load runs on and people are let in and kept out."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from beside import LOADS, Load, Pair, Slice, beside_table, calling, calmest, order, paired, quantile, values, waits_of
from gateways import Gateway, Site
from measure import Bench, Running, mock_upstream
from report import Samples, spread, verdicts
from rig import GATEWAYS, arguments
from visitors import Company, Gate, Seen, visitors

NO_COMPILER = shutil.which("gcc") is None and os.environ.get("CI") != "true"


def a_slice(
    calls: int = 100,
    cpu_us: float = 50.0,
    loop_us: float = 40.0,
    waits_us: tuple[int, ...] = (100,),
    others: float = 0.0,
) -> Slice:
    return Slice(calls, 1.0, cpu_us, loop_us, others, waits_us)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_slices_alternate_and_each_second_pair_begins_with_people() -> None:
    beside = list(islice(order(), 7))
    assert beside == [False, True, True, False, False, True, True]
    found = paired([a_slice(calls) for calls in range(1, 8)])  # the last one has no neighbour yet
    assert [(one.alone.calls, one.beside.calls) for one in found] == [(1, 2), (4, 3), (5, 6)]


def test_the_pairs_that_others_disturbed_least_count() -> None:
    pairs = [Pair(a_slice(), a_slice(others=others)) for others in (0.3, 0.1, 0.9, 0.2)]
    assert [one.beside.others for one in calmest(pairs, 3)] == [0.1, 0.2, 0.3]


def test_figures_of_a_pair_are_compared_with_their_neighbour_and_rare_ones_over_all() -> None:
    load = LOADS[0]
    pairs = [
        Pair(a_slice(100, 50.0, 40.0, (10, 20, 30)), a_slice(90, 55.0, 42.0, (20, 30, 40))),
        Pair(a_slice(200, 100.0, 80.0, (10, 20, 30)), a_slice(190, 102.0, 80.0, (10, 20, 900))),
    ]
    first, second = values("console", load, pairs)
    assert first["console_full_cpu_percent"] == pytest.approx(10)
    assert second["console_full_cpu_percent"] == pytest.approx(2)
    assert first["console_full_loop_percent"] == pytest.approx(5)
    assert first["console_full_lost_percent"] == pytest.approx(10)
    assert second["console_full_lost_percent"] == pytest.approx(5)
    assert (first["console_full_longest_alone"], first["console_full_longest_beside"]) == (30, 900)
    assert "console_full_longest_alone" not in second


def test_quantiles_of_sorted_values() -> None:
    numbers = list(range(1, 101))
    assert [quantile(numbers, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 51, 100, 100]


def test_samples_are_read_by_slice() -> None:
    assert waits_of(struct.pack("6I", 2, 30, 1, 7, 2, 10)) == {1: [7], 2: [10, 30]}


def test_the_table_and_the_bars_show_medians_with_quartiles() -> None:
    samples = Samples()
    pairs = [Pair(a_slice(50, 50.0, 50.0), a_slice(50, 50.0 + at, 50.0 + at)) for at in range(9)]
    for number, one in enumerate(values("console", LOADS[0], pairs)):
        samples.add("fairlead", number, one)
    samples.add("fairlead", 0, {"console_pages": 2.0, "console_wait_ms": 30.0})
    lines = beside_table(samples, "fairlead", {"site": "visitors", "console": "people"}).splitlines()
    assert lines[0].startswith("| people | alone: median [quartiles] | beside |")
    assert lines[2].split("|")[2:5] == [
        " 50.0 [50.0 to 50.0] ",
        " 54.0 [52.0 to 56.0] ",
        " 8.00 [4.00 to 12.0] (0.00 to 16.0) ",
    ]
    assert lines[-1].split("|")[3] == " 30.0 "
    found = {one.bar.key: str(one) for one in verdicts(samples, ["console"])}
    assert "8.00 [4.00 to 12.0] (0.00 to 16.0) %, bar 5.00" in found["console_full_loop_percent"]
    assert arguments(["--with-site"]).only[-2:] == ["site", "console"]


def test_quartiles_need_eight_values() -> None:
    few = spread([1.0, 2.0, 3.0])
    assert few is not None
    assert few.in_full() == "2.00 (1.00–3.00)"


def test_people_ask_for_nothing_while_the_gate_is_closed_and_their_rest_goes_on_where_it_was() -> None:
    async def look() -> None:
        gate, asked = Gate(), list[str]()

        async def page() -> str:
            asked.append("page")
            return "answer"

        asking = asyncio.ensure_future(gate.asked(page))
        resting = asyncio.ensure_future(gate.rest(0.001))
        await asyncio.sleep(0.05)
        assert not asked
        assert not resting.done()
        gate.set(True)
        assert await asking == "answer"
        await resting
        gate.set(False)
        assert gate.asking == 0

    asyncio.run(look())


def test_a_pause_ends_when_the_last_page_has_come() -> None:
    shown = list[str]()

    async def look(gate: Gate, _seen: Seen) -> None:
        async def page() -> None:
            shown.append("asked")
            await asyncio.sleep(0.05)
            shown.append("seen")

        while True:
            await gate.asked(page)

    company = Company(look)
    try:
        assert not shown
        company.admit()
        wait_until(lambda: bool(shown))
        company.pause()
        count = len(shown)
        assert shown[-1] == "seen"
        time.sleep(0.01)
        assert len(shown) == count
    finally:
        company.end()


def test_people_who_cannot_come_are_a_failure_and_hold_nobody_up() -> None:
    with visitors(1, 2) as company:  # nobody listens there
        company.admit()
        wait_until(lambda: bool(company.seen.failures))
        company.pause()
    assert "ConnectionRefusedError" in company.seen.failures[0]


@pytest.mark.skipif(NO_COMPILER, reason="gcc is not installed")
@pytest.mark.parametrize("load", [LOADS[0], LOADS[2]], ids=lambda one: one.name)
def test_the_load_counts_answers_and_keeps_the_times_of_its_slices(load: Load, tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    with mock_upstream(core, tmp_path) as mock:
        bench = Bench(tmp_path, mock, core, core, secs=1)
        direct = GATEWAYS["direct"](Site(tmp_path, mock.upstream))
        wait_until(lambda: _answers(bench, direct))
        asked = mock.requests()
        with calling(bench, Running(direct, None), load) as calls:
            wait_until(lambda: calls.answers() > 20)
            calls.count_in(3)
            begun = calls.answers()
            wait_until(lambda: calls.answers() > begun + 20)
            calls.count_in(0)
            counted = calls.answers() - begun
            wait_until(lambda: calls.answers() > begun + counted + 100)
            assert calls.errors() == 0
            answers = calls.answers()
        waits = waits_of((tmp_path / "calls-samples").read_bytes())
        assert set(waits) == {3}
        assert waits[3] == sorted(waits[3])
        assert 0 < len(waits[3]) <= mock.requests() - asked
        assert mock.requests() - asked >= answers


def _answers(bench: Bench, direct: Gateway) -> bool:
    try:
        return bench.post(direct, "burst")[0] == 200
    except OSError:
        return False
