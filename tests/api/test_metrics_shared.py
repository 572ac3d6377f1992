"""GET /metrics, asked by many at once: made for all of them together, and never older than a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from fairlead.api.metrics import Gauge, Metrics

if TYPE_CHECKING:
    from fairlead.http.request import Request, Response

ASKED = 200


class Answer:
    """Stands for a response: keeps the body."""

    body = b""

    def send(self, status: int, head: bytes, body: bytes) -> None:
        assert status == 200
        self.body = body


def test_requests_that_come_while_metrics_are_made_share_the_next_ones() -> None:
    made: list[float] = []
    begun, release = threading.Event(), threading.Event()
    value = 0.0

    def read() -> float:
        made.append(value)
        begun.set()
        release.wait()
        return made[-1]

    metrics = Metrics([Gauge("fairlead_x", "X.", read)])

    async def ask() -> bytes:
        answer = Answer()
        request: Request = None  # type: ignore[assignment]
        response: Response = answer  # type: ignore[assignment]
        await metrics(request, response)
        return answer.body

    async def main() -> Iterable[bytes]:
        nonlocal value
        first = asyncio.create_task(ask())
        await asyncio.to_thread(begun.wait)
        value = 5.0  # after the first one was read
        others = [asyncio.create_task(ask()) for _ in range(ASKED)]
        await asyncio.sleep(0)
        others[0].cancel()  # one who leaves takes nothing from the others
        release.set()
        assert b"fairlead_x 0.0" in await first
        return await asyncio.gather(*others[1:])

    answers = list(asyncio.run(main()))
    assert len(answers) == ASKED - 1
    assert all(b"fairlead_x 5.0" in answer for answer in answers)
    assert made == [0.0, 5.0]


def test_metrics_that_cannot_be_made_are_made_again() -> None:
    failures = [OSError("no"), None]

    def read() -> float:
        failure = failures.pop(0)
        if failure is not None:
            raise failure
        return 7.0

    metrics = Metrics([Gauge("fairlead_x", "X.", read)])

    async def main() -> None:
        answer = Answer()
        request: Request = None  # type: ignore[assignment]
        response: Response = answer  # type: ignore[assignment]
        with pytest.raises(OSError, match="no"):
            await metrics(request, response)
        assert answer.body == b""
        await metrics(request, response)
        assert b"fairlead_x 7.0" in answer.body

    asyncio.run(main())
