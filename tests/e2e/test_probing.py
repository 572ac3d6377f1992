"""Probes on a schedule: what they send, and in whose books they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import eventually, fairlead, provider, serving
from .test_faults import deployments

OFTEN = "[routing]\nprobe_interval_seconds = 0.3\n"


@pytest.mark.parametrize("probe", ["call", "list", "off"])
def test_a_probe_that_costs_is_in_the_operators_books_and_a_list_costs_nothing(tmp_path: Path, probe: str) -> None:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        config = OFTEN + provider(a.url, name="a", extra=f'probe = "{probe}"') + provider(b.url, name="b")
        with serving(tmp_path, config + deployments("m", "a", "b")) as served:
            eventually(lambda: len(b.requests) >= 2)
            if probe == "off":
                assert not a.requests
            else:
                eventually(lambda: bool(a.requests))
            looked = {(one.method, one.path, one.headers["x-fairlead-probe"]) for one in b.requests}
            assert looked == {("GET", "/v1/models", "1")}, (
                "what costs is only asked for its list, unless told otherwise"
            )
            if probe == "call":
                eventually(lambda: bool(records(served.data)))
                assert a.requests[0].json["max_tokens"] == 1
                assert a.requests[0].headers["x-fairlead-probe"] == "1"
        found = records(tmp_path / "data")
        assert bool(found) == (probe == "call")
        for one in found:
            assert (one["account"], one["key"], one["outcome"]) == ("operator", "probe", "probe")
            assert one["charged_usd"] == "0"
            assert float(one["cost_usd"]) > 0
        assert fairlead("verify", data=tmp_path / "data").returncode == 0


def records(data: Path) -> list[dict[str, str]]:
    exported = fairlead("usage", "export", "--format", "jsonl", data=data).stdout
    return [json.loads(line) for line in exported.splitlines()]
