"""Work beside the calls: it is begun again when it fails, and ends when it is told to."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from fairlead.background import BackgroundTasks, rest


def test_a_chore_that_fails_is_told_and_begun_again_later_each_time(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[float] = []
    ended: list[str] = []
    well = asyncio.Event()

    async def fails() -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) < 4:
            raise ValueError("on purpose")
        well.set()
        await asyncio.sleep(60)

    async def lasts() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("lasts")

    async def is_done() -> None:
        ended.append("done")

    async def main() -> None:
        tasks = BackgroundTasks(first_wait_seconds=0.05)
        tasks.begin("fails", fails)
        tasks.begin("lasts", lasts)
        tasks.begin("is done", is_done)
        await well.wait()
        assert tasks.failures == 3
        await tasks.end()

    asyncio.run(main())
    waits = [later - before for before, later in itertools.pairwise(begun)]
    assert [wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2), strict=True)] == [True] * 3
    assert [record.exc_info is not None for record in caplog.records] == [True] * 3
    assert "Background task 'fails' failed. Restarting in 0.05 s." in caplog.text
    assert ended == ["done", "lasts"]


def test_operators_see_when_a_task_has_had_its_turn_and_how_it_failed() -> None:
    again = asyncio.Event()

    async def works() -> None:
        await rest(7, "the disk is full")

    async def fails() -> None:
        if again.is_set():
            await asyncio.sleep(60)
        again.set()
        raise ValueError("on purpose")

    async def main() -> None:
        tasks = BackgroundTasks(first_wait_seconds=0.01)
        tasks.begin("works", works)
        tasks.begin("fails", fails)
        await again.wait()
        await asyncio.sleep(0)
        one, other = tasks.jobs["works"], tasks.jobs["fails"]
        assert one.turned_at is not None
        assert one.next_at == one.turned_at + 7
        assert one.trouble == "the disk is full"
        assert (other.failures, other.error, other.turned_at) == (1, "ValueError", None)
        await tasks.end()
        await rest(0)  # outside of a task it is a pause

    asyncio.run(main())
