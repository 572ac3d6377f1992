"""Whose schema is checked when, and what becomes of a process that does not answer."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fairlead.errors import InvalidRequest, Overloaded, RateLimited
from fairlead.operations.chat.unpaid import UnpaidEmulations
from fairlead.schemas.checker import MOST_WAITING, MOST_WAITING_PER_KEY, SchemaChecker


def schema(number: int) -> bytes:
    return json.dumps({"title": str(number)}).encode()


async def waiting(checker: SchemaChecker, key: str, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(checker.check(key, schema(at))) for at in range(count)]
    await asyncio.sleep(0)
    return tasks


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_key_has_only_so_many_schemas_waiting_and_the_others_are_not_refused() -> None:
    async def run() -> None:
        checker = SchemaChecker(processes=0)
        tasks = await waiting(checker, "a", MOST_WAITING_PER_KEY)
        with pytest.raises(Overloaded, match="Too many JSON schemas"):
            await checker.check("a", schema(-1))
        tasks += await waiting(checker, "b", 1)
        assert not tasks[-1].done()
        for at in range(MOST_WAITING // MOST_WAITING_PER_KEY):
            tasks += await waiting(checker, f"key {at}", MOST_WAITING_PER_KEY)
        with pytest.raises(Overloaded):
            await checker.check("c", schema(-1))
        await end(*tasks)

    asyncio.run(run())


def test_keys_take_turns_and_have_one_check_at_a_time() -> None:
    async def run() -> None:
        checker = SchemaChecker(processes=0)
        tasks = [*await waiting(checker, "a", 3), *await waiting(checker, "b", 1), *await waiting(checker, "c", 1)]
        taken = [job.key for job in iter(checker._take, None)]
        assert taken == ["a", "b", "c", "a", "a"]
        await end(*tasks)
        tasks = [*await waiting(checker, "a", 2), *await waiting(checker, "b", 1)]
        checker._busy.add("a")
        assert [job.key for job in iter(checker._take, None)] == ["b"]
        await end(*tasks)

    asyncio.run(run())


def test_who_does_not_wait_any_more_takes_no_time() -> None:
    async def run() -> None:
        checker = SchemaChecker(processes=0)
        await end(*await waiting(checker, "a", MOST_WAITING_PER_KEY))
        await end(*await waiting(checker, "b", 1))
        assert checker._take() is None

    asyncio.run(run())


def test_a_process_that_was_killed_is_replaced_and_all_end_with_the_checker() -> None:
    deep: Any = {"type": "object"}
    parts = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)}
    slow = json.dumps({"$ref": "#/$defs/d0", "$defs": {**parts, "d30": deep}}).encode()

    async def run() -> None:
        checker = SchemaChecker(processes=1)
        await checker.check("a", b"{}")
        first = checker.processes
        assert len(first) == 1
        with pytest.raises(InvalidRequest, match="longer than 1 s"):
            await checker.check("a", slow)
        assert (await checker.conforms("a", b'{"type": "integer"}', "5")).good
        assert not checker.processes & first
        many = "[" + ",".join(f'{{"a":{at}}}' for at in range(40_000)) + "]"
        assert (await checker.conforms("a", b'{"uniqueItems": true}', many)).too_much
        with pytest.raises(InvalidRequest, match="longer than 1 s"):
            await checker.check("a", slow)  # remembered
        await checker.close()
        assert not checker.processes

    asyncio.run(run())


@pytest.mark.parametrize(
    ("wanted", "answer", "where"),
    [
        ({"pattern": "^[a-z]+$"}, "ABC", "#/pattern"),
        ({"pattern": "^[a-z]+$"}, "abc", ""),
        ({"pattern": "^(?=a)b"}, "anything", ""),  # look-ahead
        ({"patternProperties": {"^(?=a)": {"type": "integer"}}, "additionalProperties": False}, {"a": "x"}, ""),
        ({"patternProperties": {"^x-": {"type": "integer"}}}, {"x-a": "no"}, "#/patternProperties/^x-/type"),
        ({"const": {"pattern": "("}}, {"pattern": "("}, ""),
        ({"properties": {"pattern": {"type": "integer"}}}, {"pattern": 5}, ""),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, {"a": {"a": {}}}, ""),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{}], "additionalItems": False}, [1, 2], "#/additionalItems"),
    ],
)  # fmt: skip
def test_answers_are_checked_by_their_schema(wanted: Any, answer: Any, where: str) -> None:
    async def run() -> None:
        checker = SchemaChecker(processes=1)
        body = json.dumps(wanted).encode()
        await checker.check("a", body)
        assert (await checker.conforms("a", body, json.dumps(answer))).where == where
        await checker.close()

    asyncio.run(run())


def test_every_module_of_the_validator_that_runs_expressions_gets_the_engine_of_linear_time() -> None:
    """They call `re.search` by the name `re`, which is replaced; `from re import` would go around it."""
    for file in Path(jsonschema.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("re", "regress", "regex"), file
            if isinstance(node, ast.Import):
                assert all(one.asname is None for one in node.names if one.name == "re"), file


def test_a_key_whose_emulated_answers_fail_is_refused_until_time_or_paid_answers_make_up_for_it() -> None:
    now = 0.0
    unpaid = UnpaidEmulations(lambda: now)
    for _ in range(10):
        unpaid.admit("a")
        unpaid.failed("a", 0)
    with pytest.raises(RateLimited) as caught:
        unpaid.admit("a")
    unpaid.admit("b")
    assert caught.value.retry_after_seconds is not None
    now += caught.value.retry_after_seconds
    unpaid.admit("a")
    unpaid.failed("a", 0)
    with pytest.raises(RateLimited):
        unpaid.admit("a")
    for _ in range(4):
        unpaid.paid("a")
    unpaid.admit("a")
    unpaid.failed("b", 2 * 10**12)
    with pytest.raises(RateLimited, match="minutes"):
        unpaid.admit("b")


def test_a_process_that_cannot_be_started_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a package that it needs is missing: it starts, and ends."""
    python, starts = sys.executable, tmp_path / "starts"
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\necho x >> {starts}\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    now = 1000.0

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "fairlead"]

    async def run() -> None:
        nonlocal now
        checker = SchemaChecker(processes=1, clock=lambda: now)
        tried: list[float] = []
        for refused in range(400):  # one request each half second, of any key
            before = len(starts.read_text()) if starts.exists() else 0
            with pytest.raises(Overloaded) as caught:
                await checker.check(f"key {refused}", schema(refused))
            assert caught.value.status == 503
            assert caught.value.retry_after_seconds is not None
            if len(starts.read_text()) > before:
                tried.append(now - 1000)
            now += 0.5
        assert tried == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
        (began,) = said()
        assert "cannot be checked" in began
        monkeypatch.setattr(sys, "executable", python)
        now += 60
        await checker.check("a", b"{}")
        await checker.check("b", b'{"type": "string"}')
        _, over = said()
        assert "checked again" in over
        await checker.close()

    asyncio.run(run())
