"""With several workers, what one has found out about a deployment is known to all of them within two seconds."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, provider, serving
from .test_faults import HELLO, deployments


class Line:
    """One kept connection: one worker answers everything that is asked on it."""

    def __init__(self, served: Served) -> None:
        self._key = served.key
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        self.worker = self.call()[:-8]

    def _post(self, path: str, **more: Any) -> tuple[dict[str, str], Any]:
        body = json.dumps({"model": "m", "messages": HELLO, **more}).encode()
        self._connection.request("POST", path, body, {"Authorization": f"Bearer {self._key}"})
        answer = self._connection.getresponse()
        return {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())

    def call(self, **more: Any) -> str:
        return self._post("/v1/chat/completions", **more)[0]["x-fairlead-generation-id"]

    def refused(self) -> list[tuple[str, str]]:
        """Who would not be tried, and why: what this worker thinks of them."""
        return [(one["deployment"], one["reason"]) for one in self._post("/v1/plan")[1]["rejected"]]

    def close(self) -> None:
        self._connection.close()


def lines(served: Served, stack: contextlib.ExitStack) -> tuple[Line, Line]:
    """One connection to each worker."""
    found: dict[str, Line] = {}
    for _ in range(100):
        line = Line(served)
        stack.callback(line.close)
        found.setdefault(line.worker, line)
        if len(found) == 2:
            one, two = found.values()
            return one, two
    raise AssertionError("always the same worker")


def test_an_open_breaker_is_known_to_the_other_worker_and_so_is_that_it_works_again(tmp_path: Path) -> None:
    with ScriptedUpstream() as a, ScriptedUpstream() as b, contextlib.ExitStack() as stack:
        config = (
            IN_ORDER.replace("probes = false", "probes = true")
            + provider(a.url, name="a")
            + provider(b.url, name="b")
            + deployments("m", "a", "b")
        )
        with serving(tmp_path, config, workers=2, forked=False) as served:
            one, two = lines(served, stack)
            assert two.refused() == []
            a.default = Reply(status=500)
            while one.refused() == []:
                one.call(provider={"only": ["a"]})
            calls = len(a.requests)
            eventually(lambda: two.refused() == [("a/x", "breaker_open")])
            two.call()
            assert len(a.requests) == calls, "it was not found out once more"
            a.default = Reply()
            eventually(lambda: one.refused() == [] and two.refused() == [])
            one.call()
            assert not [line for line in served.lines if "Traceback" in line], served.output
