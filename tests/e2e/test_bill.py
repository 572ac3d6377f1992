"""The bill of a call: in the answer, in its receipt, after a kill, and made again by `fairlead verify`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, model, provider, serving

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]
PRICE = "0.0000026"  # 11 x 0.10 and 5 x 0.30 dollars per million
REPLY = Reply(text="Good day to you all.", prompt_tokens=11, completion_tokens=5)


# By hand: FAIRLEAD_KILLS=100.
KILLS = int(os.environ.get("FAIRLEAD_KILLS", "10"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE + provider(upstream.url) + provider(upstream.url, name="plain", dialect="generic")
    config += model() + model("plain", name="by/generic")
    with serving(tmp_path_factory.mktemp("bill"), config) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk


def get(served: Served, path: str, key: str | None = None) -> tuple[int, Any]:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        answer = http.get(served.url + path, headers={"Authorization": f"Bearer {key or served.key}"})
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", [MODEL, "by/generic"])
def test_a_stream_and_a_whole_answer_cost_the_same_and_say_so(
    client: openai.OpenAI, served: Served, upstream: ScriptedUpstream, name: str
) -> None:
    upstream.enqueue(REPLY, REPLY)
    whole = client.chat.completions.with_raw_response.create(model=name, messages=HELLO)
    usage = whole.parse().usage
    assert usage is not None
    assert (usage.cost, usage.cost_usd) == (0.0000026, PRICE)  # type: ignore[attr-defined]
    assert whole.headers["x-fairlead-cost"] == PRICE
    stream = client.chat.completions.with_raw_response.create(
        model=name, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream.parse())[-1]
    assert last.usage is not None
    assert (last.usage.total_tokens, last.usage.cost_usd) == (16, PRICE)  # type: ignore[attr-defined]
    for answer, streamed in ((whole, False), (stream, True)):
        name_ = answer.headers["x-fairlead-generation-id"]
        status, body = get(served, f"/v1/generation?id={name_}")
        assert status == 200
        assert body["data"]["total_cost_usd"] == PRICE
        assert (body["data"]["streamed"], body["data"]["native_tokens_completion"]) == (streamed, 5)
        status, receipt = get(served, f"/v1/receipts/{name_}")
        assert status == 200
        assert receipt["charged_usd"] == PRICE
        assert [(line["class"], line["tokens"]) for line in receipt["lines"]] == [
            ("input", 11), ("output", 5), ("request", 1),
        ]  # fmt: skip
        assert receipt["usage"]["classes"]["output"] == {"tokens": 5, "provenance": "reported"}
        assert receipt["price_sheet"]["id"].startswith("ps_")


def test_a_receipt_is_shown_to_its_own_account_only(served: Served) -> None:
    assert get(served, "/v1/generation?id=gen_nothing")[0] == 404
    assert get(served, "/v1/receipts/gen_nothing")[0] == 404
    assert get(served, "/v1/generation")[0] == 400
    assert get(served, "/v1/generation?id=x", key="sk-fl-unknown")[0] == 401


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault.MISSING_USAGE, "usage_missing"), (Fault.ZERO_USAGE, "usage_missing"), (Fault.RESET, "none"),
        (Fault.EOF, "none"), (Fault.ERROR_EVENT, "none"), (Fault.EMPTY_CHOICES, "none"),
    ],
)  # fmt: skip
def test_errors_cost_nothing_and_missing_usage_is_visible(
    served: Served, upstream: ScriptedUpstream, fault: Fault, state: str, stream: bool
) -> None:
    upstream.enqueue(Reply(text="a b c d e f", fault=fault))
    with httpx2.Client(trust_env=False, timeout=60) as http, contextlib.suppress(httpx2.HTTPError):
        with http.stream(
            "POST", served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {served.key}"},
            json={"model": MODEL, "messages": HELLO, "stream": stream},
        ) as answer:  # fmt: skip
            name = answer.headers["x-fairlead-generation-id"]
            answer.read()
    status, receipt = get(served, f"/v1/receipts/{name}")
    assert status == 200
    # "a b c d e f" is six tokens, the prompt five, as the model's own tokenizer counts them.
    charged = "0.0000023" if state == "usage_missing" else "0"
    assert (receipt["usage"]["state"], receipt["charged_usd"]) == (state, charged)
    assert {one["provenance"] for one in receipt["usage"]["classes"].values()} <= {"counted"}
    assert (receipt["outcome"] == "served") == (state == "usage_missing")


@pytest.mark.timeout(600 + 5 * KILLS)
def test_what_reached_a_caller_is_billed_once_whenever_the_process_is_killed(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    rng = random.Random(3)
    config = provider(upstream.url) + model()
    complete: list[str] = []
    key = ""
    for _ in range(KILLS):
        with serving(tmp_path, config) as served:
            key = key or served.key
            threads = [threading.Thread(target=calls, args=(served, key, complete)) for _ in range(6)]
            for thread in threads:
                thread.start()
            wanted = len(complete) + rng.randrange(1, 40)
            eventually(lambda wanted=wanted: len(complete) >= wanted)
            time.sleep(rng.random() * 0.02)
            served.process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    assert len(complete) > 20
    with serving(tmp_path, config):
        eventually(lambda: len(list((tmp_path / "data" / "spool").iterdir())) == 1)  # its own; the dead are adopted
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "fairlead.db")) as database:
        billed = [row[0] for row in database.execute("SELECT id FROM usage_records WHERE price > 0")]
    assert set(complete) <= set(billed)
    assert len(billed) == len(set(billed))
    assert len(complete) == len(set(complete))
    checked = fairlead("verify", data=tmp_path / "data")
    assert checked.returncode == 0, checked.stderr
    found = re.match(r"Records: ([\d,]+)", checked.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) >= len(complete)


def calls(served: Served, key: str, complete: list[str]) -> None:
    """Calls until the gateway is gone; notes those whose answer came to its end."""
    with httpx2.Client(trust_env=False, timeout=60) as http, contextlib.suppress(httpx2.HTTPError):
        for at in range(100_000):
            with http.stream(
                "POST", served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
                json={"model": MODEL, "messages": HELLO, "stream": at % 2 == 0},
            ) as answer:  # fmt: skip
                answer.read()
                if answer.status_code == 200:
                    complete.append(answer.headers["x-fairlead-generation-id"])


def test_verify_ends_with_one_at_a_charge_that_was_changed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with serving(tmp_path, provider(upstream.url) + model()) as served:
        with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key) as sdk:
            upstream.enqueue(REPLY)
            answer = sdk.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    data = tmp_path / "data"
    good = fairlead("verify", data=data)
    assert good.returncode == 0
    assert f"Records: 1. Price sheets: 1. Recomputed total: {PRICE} USD, as charged" in good.stdout
    assert "Records: 0." in fairlead("verify", "--since", "2999-01-01", data=data).stdout
    with contextlib.closing(sqlite3.connect(data / "fairlead.db")) as database:
        database.execute("UPDATE usage_records SET price = price + 1")
        database.commit()
    bad = fairlead("verify", data=data)
    assert bad.returncode == 1
    assert answer.headers["x-fairlead-generation-id"] in bad.stderr


def test_answers_with_durability_power_are_as_good_as_others(tmp_path: Path) -> None:
    settings = '[ledger]\ndurability = "power"\n'
    # A provider of its own: the gateway of the other tests still runs, and takes what is prepared for this one.
    with ScriptedUpstream() as own, serving(tmp_path, settings + provider(own.url) + model()) as served:
        with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
            for stream in (False, True):
                own.enqueue(REPLY)
                answer: Any = sdk.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
                text = (
                    "".join(c.choices[0].delta.content or "" for c in answer)
                    if stream
                    else answer.choices[0].message.content
                )
                assert text.strip() == REPLY.text
    assert "Records: 2." in fairlead("verify", data=tmp_path / "data").stdout


def test_metrics_and_export_tell_the_same_story(
    served: Served, upstream: ScriptedUpstream, client: openai.OpenAI
) -> None:
    upstream.enqueue(REPLY)
    client.chat.completions.create(model=MODEL, messages=HELLO)
    with httpx2.Client(trust_env=False, timeout=60) as http:
        eventually(lambda: re.search(r"fairlead_spool_waiting_bytes.* 0.0", http.get(served.url + "/metrics").text))
        found = http.get(served.url + "/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    for name, value in (
        ("ready", "1.0"),
        ("spool_full", "0.0"),
        ("database_trouble", "0.0"),
        ("requests_in_flight", "1.0"),
    ):
        assert re.search(rf'^fairlead_{name}{{process="[0-9a-f]+"}} {value}$', found.text, re.MULTILINE), found.text
    out = fairlead("usage", "export", "--format", "jsonl", data=served.data)
    assert out.returncode == 0, out.stderr
    last = json.loads(out.stdout.splitlines()[-1])
    assert (last["charged_usd"], last["input_tokens"], last["usage"]) == (PRICE, 11, "reported")
    assert fairlead("usage", "export", "--format", "parquet", data=served.data).returncode == 2
