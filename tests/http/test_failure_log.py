"""Unexpected exceptions: each kind is logged once a second, with the number of those that were not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from fairlead.api.dispatch import Dispatch
from fairlead.http.failure_log import MOST_FRAMES, FailureLog

from .support import Request, Response, eventually, running

log = logging.getLogger("test.failures")


def failure(number: int) -> Exception:
    try:
        if number % 2:
            raise ValueError(f"odd {number}")
        raise KeyError(number)
    except (ValueError, KeyError) as error:
        return error


def test_each_kind_is_logged_once_a_second_with_the_number_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    failures = FailureLog(log, lambda: now[0])
    for number in range(1000):
        failures.error("GET / failed", failure(number))
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {ValueError, KeyError}
    now[0] += 1.5
    failures.error("GET / failed", failure(1))
    assert "499 more like it" in caplog.messages[-1]
    assert "ValueError at " in caplog.messages[-1]
    now[0] += 1.5
    failures.error("GET / failed", failure(1))
    assert caplog.messages[-1] == "GET / failed"


def test_the_number_is_logged_when_nothing_follows(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        failures = FailureLog(log)
        for _ in range(3):
            failures.error("GET / failed", failure(1))
        await asyncio.sleep(1.2)

    asyncio.run(main())
    assert len(caplog.records) == 2
    assert "2 more like it" in caplog.messages[1]
    assert caplog.records[1].exc_info is None


def test_a_thousand_failing_requests_are_a_line_per_second(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request, _response: Response) -> None:
        raise ZeroDivisionError("on purpose")

    dispatch = Dispatch({"/fail": {"GET": fail}}, {}, fail)
    with running(dispatch, on_error=dispatch.answer_error) as server:
        began = server.loop.time()
        answer = server.ask(b"GET /fail HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 500 ")
        with server.connect() as connection:
            for _ in range(999):
                connection.sendall(b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(65_536).startswith(b"HTTP/1.1 500 ")
        seconds = server.loop.time() - began
        lines = [record for record in caplog.records if record.name == "fairlead.api"]
        assert 1 <= len(lines) <= seconds + 1
        assert all(record.getMessage().startswith("GET '/fail' failed") for record in lines if record.exc_info)
        eventually(lambda: "more like it" in caplog.messages[-1])


def test_an_exception_that_is_raised_again_and_again_is_logged_in_bounded_length(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    failures = FailureLog(log, lambda: now[0])
    shared = ValueError("x" * 1_000_000)
    for _ in range(2_000):
        try:
            raise shared
        except ValueError as error:
            failures.error("GET / failed", error)
        now[0] += 0.01
    assert 15 <= len(caplog.records) <= 21
    assert len(caplog.text) < 25 * len(caplog.records) * 1_000
    assert "Traceback" in caplog.text
    frames = shared.__traceback__
    count = 0
    while frames is not None:
        frames, count = frames.tb_next, count + 1
    assert count <= MOST_FRAMES + 1


def test_what_fails_in_callbacks_is_logged_once_a_second_too(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(FailureLog(log).loop_failed)
        for _ in range(100):
            loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert "ZeroDivisionError" in caplog.text
