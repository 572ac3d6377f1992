"""Alerts of a running gateway: from a call to the webhook, once for all workers, and nothing of the call in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.alerts.support import SECRET, Receiver, receiver
from tests.alerts.test_delivery import is_genuine_now

from fairlead.testing import ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from .test_credit import FLAT, ask, new_key

WORD = "a-word-of-the-prompt"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def configuration(upstream: ScriptedUpstream, hook: Receiver, tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(SECRET + "\n")
    return (
        AT_ONCE + "[alerts]\nthresholds = [0.5, 1.0]\nallow_networks = ['127.0.0.0/8']\n"
        f"webhook = {{ url = 'http://127.0.0.1:{hook.port}/hook', secret = {{ file = '{tmp_path}/secret' }} }}\n"
        + provider(upstream.url) + FLAT
    )  # fmt: skip


def chat(served: Served, key: str) -> tuple[int, Any]:
    return ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": [{"role": "user", "content": WORD}]})


def test_budgets_and_credit_are_told_of_by_webhook_once_for_all_workers(
    upstream: ScriptedUpstream, hook: Receiver, tmp_path: Path, database_url: str | None
) -> None:
    with serving(tmp_path, configuration(upstream, hook, tmp_path), workers=2, database=database_url) as served:
        key = new_key(served, "--budget", "total=0.04")
        rich = new_key(served, "--credit", "0.02")
        assert [chat(served, key)[0] for _ in range(5)] == [200] * 4 + [402]
        assert chat(served, rich)[0] == 200
        eventually(lambda: len(hook.got) >= 3)
        tested = fairlead(
            "alerts", "test", "--config", str(tmp_path / "fairlead.toml"), data=served.data, database=database_url
        )
        assert (tested.returncode, tested.stdout) == (0, "webhook: delivered\n")
        assert sorted(hook.kinds) == ["alerts.test", "budget.exhausted", "budget.threshold", "credit.low"]
        assert all(is_genuine_now(SECRET, one.signature, one.body) for one in hook.got)
        everything = b"".join(one.body for one in hook.got).decode() + served.output.replace(served.key, "")
        assert WORD not in everything
        assert SECRET not in everything
        assert all(one not in everything for one in (key, rich))
        listed = fairlead("alerts", "list", "--state", "delivered", "--json", data=served.data, database=database_url)
        assert listed.stdout.count('"delivered"') == 3


def test_a_refused_configuration_is_told_of_and_a_changed_webhook_is_used_without_a_restart(
    upstream: ScriptedUpstream, hook: Receiver, tmp_path: Path
) -> None:
    good = configuration(upstream, hook, tmp_path)
    with serving(tmp_path, good, workers=2) as served, receiver() as second:
        file = tmp_path / "fairlead.toml"
        file.write_text(good + "\n[nonsense]\n")
        eventually(lambda: hook.kinds == ["configuration.refused"])
        assert "nonsense" in hook.got[0].told["data"]["reason"]
        file.write_text(good.replace(str(hook.port), str(second.port)))
        key = new_key(served, "--budget", "total=0.02")
        eventually(lambda: fairlead("config", "status", data=served.data).returncode == 0)
        eventually(lambda: chat(served, key)[0] == 402 and "budget.exhausted" in second.kinds)
        assert hook.kinds == ["configuration.refused"]
