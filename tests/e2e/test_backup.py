"""A backup of a gateway that serves calls, and a gateway that serves from the restored one."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx2
import pytest

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import AT_ONCE, Served, fairlead, model, provider, serving

REPLY = Reply(text="Good day.", prompt_tokens=11, completion_tokens=5)
BODY = {"model": "mistral-small-3.2", "messages": [{"role": "user", "content": "Hello!"}]}
CALLERS = 3


class Callers:
    """Threads that call until they are told to stop; `answered` has the generations in the order of their answers."""

    def __init__(self, served: Served) -> None:
        self.answered: list[str] = []
        self._served = served
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _call(self) -> None:
        head = {"Authorization": f"Bearer {self._served.key}"}
        with httpx2.Client(trust_env=False, timeout=60) as http:
            while not self._stopping.wait(0.01):
                answer = http.post(f"{self._served.url}/v1/chat/completions", headers=head, json=BODY)
                assert answer.status_code == 200
                self.answered.append(answer.headers["x-fairlead-generation-id"])

    def wait_for(self, count: int) -> None:
        target = len(self.answered) + count
        while len(self.answered) < target:
            assert not self._stopping.wait(0.01)


@pytest.mark.parametrize("engines", ["sqlite to postgresql", "postgresql to sqlite"])
def test_calls_are_served_during_a_backup_and_each_comes_back_once(
    engines: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, target = (
        None if name == "sqlite" else request.getfixturevalue("postgres").new_database(empty=True)
        for name in engines.split(" to ")
    )
    out, home = tmp_path / "a.backup.zip", tmp_path / "second"
    home.mkdir()
    with ScriptedUpstream() as upstream:
        upstream.default = REPLY
        config = AT_ONCE + provider(upstream.url) + model()
        (tmp_path / "first").mkdir()
        with serving(tmp_path / "first", config, database=source) as served:
            with Callers(served) as callers:
                callers.wait_for(30)
                before = set(callers.answered)
                done = fairlead("backup", "create", "--output", str(out), data=served.data, database=source)
                assert done.returncode == 0, done.stderr
                callers.wait_for(10)
            key = served.key
        done = fairlead("restore", str(out), "--json", data=home / "data", database=target)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["discrepancy"] is None
        with serving(home, config, database=target) as served:
            answer = httpx2.post(
                f"{served.url}/v1/chat/completions", headers={"Authorization": f"Bearer {key}"}, json=BODY, timeout=60
            )
            assert answer.status_code == 200
            last = answer.headers["x-fairlead-generation-id"]
    found = fairlead("usage", "export", "--format", "jsonl", data=home / "data", database=target)
    ids = [json.loads(line)["id"] for line in found.stdout.splitlines()]
    assert len(ids) == len(set(ids))
    assert before | {last} <= set(ids) <= set(callers.answered) | {last}
    assert fairlead("verify", data=home / "data", database=target).returncode == 0
