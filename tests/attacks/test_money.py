"""A paying customer who wants it for nothing, and a provider who reports what cannot be."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import AT_ONCE, Served, eventually, fairlead, provider, serving

from fairlead.accounts.accounts import add_account
from fairlead.accounts.keys import add_key
from fairlead.ledger.funds import grant
from fairlead.money import Picodollars
from fairlead.store import open_store
from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.testing.connection import Received, Wire

HELLO: Any = [{"role": "user", "content": "Hello!"}]
DOLLAR = 10**12
IN, OUT = 1_000_000, 3_000_000  # picodollars per token: 1 and 3 dollars per million
WORDS = "word " * 2_000
PAID = """
[[models]]
id = "paid"
[[models.deployments]]
provider = "mock"
upstream_model = "some-model"
price = { input = "1", output = "3" }
"""
# A base64 PNG of one pixel.
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Dear(ScriptedUpstream):
    """A provider who takes every byte of a request for a token of the prompt, and an image for 5,000 more."""

    billed = 0

    async def answer(self, request: Received, wire: Wire) -> bool:
        tokens = len(request.body) - 400  # what Fairlead adds itself, and numbers
        tokens += 5_000 * request.body.count(b'"image_url":{')
        self.default = replace(self.default, prompt_tokens=max(1, tokens), completion_tokens=10, delay_seconds=0.3)
        if b"Hello!" in request.body:
            self.billed += self.default.prompt_tokens * IN + 10 * OUT
        return await super().answer(request, wire)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Dear]:
    with Dear() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: Dear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    image = PAID.replace('"paid"\n', '"paid"\ninput_modalities = ["text", "image"]\ncontext_length = 100000\n')
    lacking = PAID.replace('"paid"', '"lacking"') + 'lacks = ["json_schema", "n"]\n'
    with serving(tmp_path_factory.mktemp("money"), AT_ONCE + provider(upstream.url) + image + lacking) as running:
        yield running
    checked = fairlead("verify", data=running.data)
    assert checked.returncode == 0, checked.stderr


def new_key(served: Served, credit: str) -> str:
    """A key of a prepaid account of its own."""
    store = open_store(served.data)
    try:
        with store.write() as connection:
            account = add_account(connection, "test", prepaid=True)
            grant(connection, account, Picodollars.parse(credit).value, "")
            key = add_key(connection, "test", account)
    finally:
        store.close()
    eventually(lambda: all(ask(served, key, "/v1/generation?id=x")[0] == 404 for _ in range(8 * served.workers - 7)))
    return key


def send(served: Served, key: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """On a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask(served: Served, key: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, answer = send(served, key, path, body)
    return status, json.loads(answer)


def race(served: Served, key: str, body: Any, calls: int = 100) -> Counter[int]:
    """So many calls at the same moment, each on its own connection; how often each status came."""
    with ThreadPoolExecutor(calls) as threads:
        return Counter(threads.map(lambda _: ask(served, key, "/v1/chat/completions", body)[0], range(calls)))


def records(served: Served) -> list[Any]:
    """All records in the books, as they were stored."""
    with contextlib.closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        return [json.loads(row[0]) for row in database.execute("SELECT body FROM usage_records ORDER BY number")]


def spent(served: Served) -> list[tuple[int, int]]:
    """(charged, waived) of all records, in picodollars."""
    return [(body.get("price", 0), body.get("shortfall", 0)) for body in records(served)]


SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        # Written again by a program, each of these numbers has 18 digits.
        "schema": {"type": "object", "description": WORDS, "properties": {"a": {"enum": [9e15] * 100}}},
    },
}
TOOL = {"type": "function", "function": {"name": "f", "description": WORDS, "parameters": {}}}
HEAVY: dict[str, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "Hello!" + WORDS}]},
    "tools": {"tools": [TOOL]},
    "documents": {"documents": [{"text": WORDS}]},
    "response_format": {"response_format": SCHEMA},
    "emulated": {"model": "lacking", "response_format": SCHEMA},
    "emulated n": {"model": "lacking", "messages": [{"role": "user", "content": "Hello!" + WORDS}], "n": 3},
    "prediction": {"prediction": {"type": "content", "content": WORDS}},
    "structured_outputs": {"structured_outputs": {"regex": WORDS}},
    "chat_template_kwargs": {"chat_template_kwargs": {"system": WORDS}},
    "unknown": {"never_heard_of": WORDS},
    "names of members": {f"{WORDS[:100]}{at}": 1 for at in range(20)},
    "stop": {"stop": [WORDS]},
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hello!"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
            }
        ]
    },
}


@pytest.mark.parametrize("what", HEAVY)
def test_a_hundred_calls_at_once_get_no_more_than_a_cent_buys(served: Served, upstream: Dear, what: str) -> None:
    key = new_key(served, "0.01")
    upstream.billed = 0
    before = len(spent(served))
    body = {"model": "paid", "messages": HELLO, "max_tokens": 10, **HEAVY[what]}
    found = race(served, key, body)
    assert set(found) <= {200, 402}, found
    assert found[402]
    assert upstream.billed <= DOLLAR // 100
    eventually(lambda: len(spent(served)) >= before + found[200])
    assert not sum(waived for _, waived in spent(served)), "the operator pays nothing of it"


def test_of_three_processes_and_a_fallback_that_is_dearer(upstream: Dear, tmp_path: Path) -> None:
    dearer = PAID.replace('"paid"', '"dearer"').replace('"1"', '"7"').replace("some-model", "dearer-model")
    with serving(tmp_path, AT_ONCE + provider(upstream.url) + PAID + dearer, workers=3) as served:
        key = new_key(served, "0.01")
        body = {"model": "paid", "models": ["dearer"], "messages": HELLO, "max_tokens": 10, "documents": [WORDS[:500]]}
        upstream.billed = 0
        found = race(served, key, body)
        assert set(found) == {200, 402}
        assert upstream.billed <= DOLLAR // 100
    assert not sum(waived for _, waived in spent(served))
    assert fairlead("verify", data=served.data).returncode == 0


ABSURD: dict[str, dict[str, Any]] = {
    "a thousand million": {"prompt_tokens": 12, "completion_tokens": 10**9, "total_tokens": 10**9 + 12},
    "of the prompt": {"prompt_tokens": 10**9, "completion_tokens": 5, "total_tokens": 10**9 + 5},
    "over the cap": {"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 212},
    "2^40": {"prompt_tokens": 2**40, "completion_tokens": 2**40},
    "2^63": {"prompt_tokens": 2**63, "completion_tokens": 2**63},
    "negative": {"prompt_tokens": -5, "completion_tokens": 5},
    "fraction": {"prompt_tokens": 1.5, "completion_tokens": 2.5},
    "strings": {"prompt_tokens": "12", "completion_tokens": "many"},
    "cached": {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2**40}},
}


@pytest.mark.parametrize("stream", [False, True])
def test_absurd_usage_is_counted_here_and_told(served: Served, upstream: Dear, stream: bool) -> None:
    key = new_key(served, "1")
    before = len(spent(served))
    for usage in ABSURD.values():
        upstream.enqueue(Reply(text="a b c d e", usage=usage))
    raw = whole_usage("1e400").encode()
    if not stream:
        upstream.enqueue(Reply(body=raw, headers={"content-type": "application/json"}))
    body = {"model": "paid", "messages": HELLO, "max_tokens": 10, "stream": stream}
    for what in [*ABSURD, *([] if stream else ["1e400"])]:
        assert send(served, key, "/v1/chat/completions", body)[0] == 200, what
    eventually(lambda: len(spent(served)) >= before + len(ABSURD))
    eventually(lambda: len(records(served)) >= before + len(ABSURD) + (not stream))
    for record in records(served)[before:]:
        assert record["price"] <= 100 * IN + 74 * OUT, record
        assert record.get("shortfall", 0) == 0
    marked = [record for record in records(served)[before:] if "implausible" in record]
    assert [record["implausible"] for record in marked[:3]] == [[12, 10**9], [10**9, 5], [12, 200]]
    assert len(marked) == 4
    assert ask(served, key, f"/v1/receipts/{marked[0]['id']}")[1]["usage"]["state"] == "implausible"
    assert "Implausible usage from mock/some-model" in served.output
    with urllib.request.urlopen(served.url + "/metrics") as answer:
        (line,) = (
            line for line in answer.read().decode().splitlines() if line.startswith("fairlead_usage_implausible")
        )
    assert float(line.split()[-1]) >= 4
    told = fairlead("verify", data=served.data)
    assert told.returncode == 0, told.stderr
    assert marked[0]["id"] in told.stdout


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 10**9, "completion_tokens": 10**9}], ids=["none", "absurd"])
def test_an_answer_beyond_its_cap_is_counted_up_to_it(
    served: Served, upstream: Dear, usage: dict[str, int] | None
) -> None:
    key = new_key(served, "1")
    before = len(records(served))
    upstream.enqueue(Reply(text=WORDS, usage=usage, fault=Fault.MISSING_USAGE if usage is None else None))
    body = {"model": "paid", "messages": HELLO, "max_tokens": 10, "stream": True}
    assert send(served, key, "/v1/chat/completions", body)[0] == 200
    eventually(lambda: len(records(served)) > before)
    (record,) = records(served)[before:]
    assert record["completion"] == 10
    assert 10 * OUT < record["price"] <= record["hold"]


def whole_usage(number: str) -> str:
    return (
        '{"id":"x","object":"chat.completion","created":1,"model":"some-model","choices":[{"index":0,"message":'
        '{"role":"assistant","content":"a b c"},"finish_reason":"stop"}],'
        f'"usage":{{"prompt_tokens":{number},"completion_tokens":{number}}}}}'
    )


DEARER = {
    "service_tier": "priority",
    "web_search_options": {"search_context_size": "high"},
    "prediction": {"type": "content", "content": "x"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "n_predict": 100_000,
    "max_new_tokens": 100_000,
    "max_output_tokens": 100_000,
    "num_predict": 100_000,
    "best_of": 50,
    "use_beam_search": True,
    "options": {"num_predict": 100_000},
    "plugins": [{"id": "web"}],
}
PASSED = {"chat_template_kwargs": {"a": 1}, "documents": ["d"], "temperature": 0.5, "top_k": 5, "stop_token_ids": [1]}


def test_what_is_billed_beside_the_sheet_is_not_sent_unless_it_is_allowed(upstream: Dear, tmp_path: Path) -> None:
    allowed = PAID.replace('"paid"', '"allowed"') + 'allow_parameters = ["service_tier", "plugins"]\n'
    free = PAID.replace('"paid"', '"free"').replace('{ input = "1", output = "3" }', '"free"')
    engine = PAID.replace('"paid"', '"engine"').replace('"mock"', '"vllm"')
    config = AT_ONCE + provider(upstream.url, dialect="generic") + provider(upstream.url, name="vllm")
    with serving(tmp_path, config + PAID + allowed + free + engine) as served:
        body = {"messages": HELLO, "max_tokens": 10, **DEARER, **PASSED}

        def sent(model: str) -> set[str]:
            upstream.requests.clear()
            assert ask(served, served.key, "/v1/chat/completions", {"model": model, **body})[0] == 200
            found = upstream.requests[-1].json
            assert found["max_tokens"] == 10
            return set(found)

        assert sent("paid") & {*DEARER, *PASSED} == set(PASSED)
        assert sent("allowed") & {*DEARER, *PASSED} == {"service_tier", "plugins", *PASSED}
        assert sent("free") >= {*DEARER, *PASSED}
        assert not sent("engine") & ({*DEARER} - {"plugins"})
        status, refused = ask(
            served, served.key, "/v1/chat/completions",
            {"model": "paid", "messages": HELLO, "service_tier": "priority", "fairlead": {"strict": True}},
        )  # fmt: skip
        assert (status, refused["error"]["parameters"]) == (400, ["service_tier"])
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        headers = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps({"model": "paid", **body}), headers)
        assert set((connection.getresponse().headers["x-fairlead-dropped"] or "").split(", ")) == set(DEARER)
        connection.close()
