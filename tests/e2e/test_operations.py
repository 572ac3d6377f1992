"""Embeddings, rerank, moderations and completions of a real gateway: credit that is never overspent, and no bill that is
lost when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from .test_credit import ask, new_key

# By hand: FAIRLEAD_KILLS=100.
KILLS = int(os.environ.get("FAIRLEAD_KILLS", "4"))
MODES = {"embeds": "embedding", "ranks": "rerank", "moderates": "moderation", "chats": "chat"}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "embeds": ("/v1/embeddings", {"input": ["one", "two", "three"], "encoding_format": "base64"}),
    "ranks": ("/v1/rerank", {"query": "one", "documents": ["two", "three"]}),
    "moderates": ("/v1/moderations", {"input": ["one", "two"]}),
    "chats": ("/v1/completions", {"prompt": "one", "max_tokens": 9}),
}


def configuration(url: str) -> str:
    text = AT_ONCE + provider(url)
    for name, mode in MODES.items():
        text += (
            f'[[models]]\nid = "{name}"\nmode = "{mode}"\n'
            f'[[models.deployments]]\nprovider = "mock"\nupstream_model = "{name}"\nmax_inputs = 2\n'
            'price = { input = "1", output = "1", request = "0.01" }\n'
        )
    return text


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("operations"), configuration(upstream.url)) as running:
        yield running


@pytest.mark.parametrize("name", list(MODES))
def test_a_hundred_calls_at_once_on_credit_for_twenty_never_overspend(served: Served, name: str) -> None:
    key = new_key(served, "--credit", "0.205")
    path, body = BODIES[name]
    with ThreadPoolExecutor(25) as threads:
        found = list(threads.map(lambda _: ask(served, key, path, {"model": name, **body}), range(100)))
    statuses = [status for status, _ in found]
    assert set(statuses) == {200, 402}
    assert statuses.count(200) == 20
    spent = sum(answer["usage"]["cost"] for status, answer in found if status == 200)
    assert spent <= 0.205
    short = next(answer["error"] for status, answer in found if status == 402)
    assert short["code"] == "insufficient_credit"
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stderr


def test_what_asks_for_no_words_is_refused_without_a_word_about_a_cap(served: Served) -> None:
    key = new_key(served, "--credit", "0.001")
    for name in ("embeds", "ranks", "moderates"):
        path, body = BODIES[name]
        status, answer = ask(served, key, path, {"model": name, **body})
        assert status == 402
        sentence = answer["error"]["message"]
        assert "input tokens at most" in sentence
        assert "output" not in sentence
        assert "max_tokens" not in sentence


def test_a_long_batch_is_held_for_by_all_its_inputs(served: Served) -> None:
    """A thousand tokens in each of 100 inputs: the hold covers 100,000, and a cent more does."""
    body = {"model": "embeds", "input": [[7] * 1_000] * 100}
    status, answer = ask(served, new_key(served, "--credit", "0.1"), "/v1/embeddings", body)
    assert status == 402
    assert float(answer["error"]["needed_usd"]) >= 0.11
    assert ask(served, new_key(served, "--credit", "0.13"), "/v1/embeddings", body)[0] == 200


def test_no_delivered_answer_is_lost_when_the_gateway_is_killed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    rng = random.Random(3)
    complete: list[str] = []
    key = ""
    for _ in range(KILLS):
        with serving(tmp_path, configuration(upstream.url)) as served:
            key = key or served.key
            threads = [threading.Thread(target=calls, args=(served, key, complete, at)) for at in range(6)]
            for thread in threads:
                thread.start()
            wanted = len(complete) + rng.randrange(10, 50)
            eventually(lambda wanted=wanted: len(complete) >= wanted)
            served.process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    with serving(tmp_path, configuration(upstream.url)):
        eventually(lambda: len(list((tmp_path / "data" / "spool").iterdir())) == 1)  # its own; the dead are adopted
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "fairlead.db")) as database:
        billed = [row[0] for row in database.execute("SELECT id FROM usage_records WHERE price > 0")]
    assert len(complete) > 20
    assert set(complete) <= set(billed)
    assert len(billed) == len(set(billed))
    checked = fairlead("verify", data=tmp_path / "data")
    assert checked.returncode == 0, checked.stderr


def calls(served: Served, key: str, complete: list[str], begin: int) -> None:
    """Calls until the gateway is gone; notes those whose answer came to its end."""
    names = list(MODES)
    with httpx2.Client(trust_env=False, timeout=60) as http, contextlib.suppress(httpx2.HTTPError):
        for at in range(begin, 100_000):
            name = names[at % len(names)]
            path, body = BODIES[name]
            streams = name == "chats" and at % 8 == 3
            with http.stream(
                "POST", served.url + path, headers={"Authorization": f"Bearer {key}"},
                content=json.dumps({"model": name, **body, **({"stream": True} if streams else {})}),
            ) as answer:  # fmt: skip
                answer.read()
                if answer.status_code == 200:
                    complete.append(answer.headers["x-fairlead-generation-id"])
