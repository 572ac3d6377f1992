"""Two gateways over one PostgreSQL and one Valkey: a limit is one limit, wherever its calls arrive."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.accounts.valkey_server import ValkeyServer

from fairlead.testing import ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, fairlead, model, provider, serving
from .test_credit import new_key

MODEL = "mistral-small-3.2"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateways(
    valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory, postgres: object
) -> Iterator[tuple[Served, Served]]:
    database = postgres.new_database()  # type: ignore[attr-defined]
    with ScriptedUpstream() as upstream, contextlib.ExitStack() as stack:
        config = f'[limits]\nvalkey = "{valkey.url}"\n' + IN_ORDER + provider(upstream.url) + model()
        made = [
            stack.enter_context(serving(tmp_path_factory.mktemp("node"), config, workers=2, database=database))
            for _ in range(2)
        ]
        yield made[0], made[1]


def post(served: Served, key: str, http: httpx2.Client) -> int:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello!"}]}
    answer = http.post(
        f"{served.url}/v1/chat/completions", headers={"Authorization": f"Bearer {key}"}, json=body
    )  # fmt: skip
    assert answer.status_code in (200, 429), answer.text
    return answer.status_code


def warnings(served: Served) -> list[str]:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        found: list[str] = http.get(f"{served.url}/readyz").json()["warnings"]
        return found


def is_away(served: Served) -> bool:
    """For one of its workers: each connection may reach another one."""
    return any("Valkey at valkey://127.0.0.1" in one for _ in range(12) for one in warnings(served))


def has_its_whole_limit(gateways: tuple[Served, Served], key: str, limit: int) -> None:
    """All is let through on one kept connection to one gateway, and nothing more anywhere."""
    first, second = gateways
    served = 0
    with httpx2.Client(trust_env=False, timeout=60) as http:

        def is_used_up() -> bool:
            nonlocal served
            served += post(first, key, http) == 200
            return served >= limit

        eventually(is_used_up)
    for one in (first, second) * 6:
        with httpx2.Client(trust_env=False, timeout=60) as http:  # a connection of its own: any worker
            served += post(one, key, http) == 200
    assert served == limit


def test_all_of_a_limit_is_had_on_one_connection_and_no_more_on_others(gateways: tuple[Served, Served]) -> None:
    eventually(lambda: not any(map(is_away, gateways)))
    has_its_whole_limit(gateways, new_key(gateways[0], "--limit", "requests_per_day=60"), 60)


def test_a_valkey_that_is_away_is_told_everywhere_and_used_again(
    gateways: tuple[Served, Served], valkey: ValkeyServer
) -> None:
    first, second = gateways
    key = new_key(first, "--limit", "requests_per_day=40")
    valkey.stop()
    try:
        eventually(lambda: is_away(first) and is_away(second))
        eventually(lambda: "Limits are divided among" in first.output)
        eventually(lambda: "is away" in fairlead("config", "status", data=first.data, database=first.database).stdout)
        with httpx2.Client(trust_env=False, timeout=60) as http:
            assert re.search(r"fairlead_limits_shared(\{[^}]*\})? 0", http.get(f"{first.url}/metrics").text)
            assert 1 <= sum(post(first, key, http) == 200 for _ in range(40)) <= 24
    finally:
        valkey.start()
    eventually(lambda: not any(map(is_away, gateways)))


def test_a_killed_worker_takes_no_part_of_a_limit_along(gateways: tuple[Served, Served]) -> None:
    first, second = gateways
    key = new_key(first, "--limit", "concurrent_requests=1")
    parent = second.process.pid
    with httpx2.Client(trust_env=False, timeout=60) as http:
        eventually(lambda: post(second, key, http) == 200)
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    with httpx2.Client(trust_env=False, timeout=60) as http:
        eventually(lambda: post(first, key, http) == 200)
