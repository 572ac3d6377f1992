"""Visitors without a key, at a real gateway: free models only, within caps that nothing they send can move."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import AT_ONCE, Served, model, provider, serving

FREE = model(name="gratis", upstream="gratis").replace('{ input = "0.10", output = "0.30" }', '"free"')
GUESTS = """[console]
trusted_proxies = ["127.0.0.1"]
[console.guests]
requests_per_minute = 1000
requests_per_day = 20
tokens_per_day = 3000
total_requests_per_day = 100
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    config = GUESTS + AT_ONCE + provider(upstream.url) + model() + FREE
    with serving(tmp_path_factory.mktemp("guests"), config) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[Served]:
    """Where no guest has called yet."""
    upstream.requests.clear()
    with serving(tmp_path, GUESTS + AT_ONCE + provider(upstream.url) + FREE) as running:
        yield running


def body(name: str = "gratis", **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": [{"role": "user", "content": "Hi"}], **more}


def call(served: Served, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    headers = {"authorization": "Bearer guest", "x-forwarded-for": "192.0.2.1", **more.pop("headers", {})}
    with httpx.Client(verify=False, timeout=60) as client:  # to read the certificates of this machine takes 30 ms
        return client.post(served.url + path, headers=headers, **(more or {"json": body()}))


def test_the_first_start_still_gives_the_operator_a_key(served: Served) -> None:
    answer = httpx.get(f"{served.url}/v1/key", headers={"authorization": f"Bearer {served.key}"})
    assert answer.json()["data"]["label"] == "first key"


def test_a_guest_calls_free_models_by_every_chat_api_and_nothing_else(served: Served) -> None:
    assert call(served).json()["choices"][0]["message"]["content"] == "This is a scripted answer."
    assert call(served, "/v1/messages", json=body(max_tokens=50)).status_code == 200
    assert call(served, "/v1/responses", json={"model": "gratis", "input": "Hi"}).status_code == 200
    contents = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert call(served, "/v1beta/models/gratis:generateContent", json=contents).status_code == 200
    paid = call(served, json=body("mistral-small-3.2"))
    assert paid.status_code == 402, paid.text
    generation = call(served).headers["x-fairlead-generation-id"]
    headers = {"authorization": "Bearer guest"}
    receipt = httpx.get(f"{served.url}/v1/receipts/{generation}", headers=headers)
    assert receipt.json()["charged_usd"] == "0"
    for method, path in (
        ("GET", "/v1/key"), ("GET", "/v1/credits"), ("POST", "/v1/credits/redeem"), ("GET", "/v1/access"),
        ("POST", "/v1/auth/keys/code"), ("POST", "/v1/embeddings"), ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/admin/accounts"), ("POST", "/v1/audio/transcriptions"), ("GET", "/v1/activity"),
    ):  # fmt: skip
        answer = httpx.request(method, served.url + path, headers=headers, json={} if method == "POST" else None)
        assert answer.status_code in (401, 403), (path, answer.status_code, answer.text)


def test_a_long_compressed_or_endless_body_of_a_guest_is_not_read(served: Served) -> None:
    long = json.dumps(body(content="x" * 1_100_000)).encode()
    assert call(served, content=long).status_code == 413
    assert call(served, content=iter([b"{}"])).status_code == 413
    assert call(served, content=b"x", headers={"content-encoding": "gzip"}).status_code == 413
    with httpx.Client(headers={"authorization": "Bearer guest"}) as client:  # the same head as a call that went through
        assert client.post(f"{served.url}/v1/chat/completions", content=json.dumps(body()).encode()).status_code == 200
        assert client.post(f"{served.url}/v1/chat/completions", content=long).status_code == 413


def test_an_address_has_its_own_caps_and_none_of_its_words_moves_them(served: Served) -> None:
    def one(at: int) -> int:
        claimed = {"x-real-ip": f"203.0.113.{at}", "forwarded": f"for=203.0.113.{at}", "x-api-key": "guest"}
        claimed["x-forwarded-for"] = f"203.0.113.{at}, 192.0.2.7"  # the proxy has written the last one
        return call(served, json=body(user=f"user-{at}", session_id=f"s{at}"), headers=claimed).status_code

    assert Counter(one(at) for at in range(25)) == {200: 20, 429: 5}
    assert call(served, headers={"x-forwarded-for": "192.0.2.8"}).status_code == 200
    network = [call(served, headers={"x-forwarded-for": f"2001:db8::{at}"}).status_code for at in range(25)]
    assert Counter(network) == {200: 20, 429: 5}, "a network of IPv6 is one guest"


def test_tokens_are_capped_too(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(prompt_tokens=2_900, completion_tokens=200))
    headers = {"x-forwarded-for": "192.0.2.9"}
    assert call(served, headers=headers).status_code == 200
    refused = call(served, headers=headers)
    assert refused.status_code == 429
    assert "token" in refused.json()["error"]["message"]


def test_of_1000_calls_at_once_from_many_addresses_no_more_get_through_than_all_guests_may(
    fresh: Served, upstream: ScriptedUpstream
) -> None:
    sent = json.dumps(body()).encode()
    host, _, port = fresh.url.removeprefix("http://").partition(":")

    async def all_at_once() -> list[int]:
        connections = asyncio.Semaphore(200)

        async def one(at: int) -> int:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer guest\r\n"
                f"X-Forwarded-For: 198.51.{at % 50}.{at % 7}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
            )
            async with connections:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(head.encode() + sent)
                answer = await reader.read()
                writer.close()
            return int(answer.split(maxsplit=2)[1])

        return list(await asyncio.gather(*(one(at) for at in range(1_000))))

    with ThreadPoolExecutor(1) as pool:
        statuses = Counter(pool.submit(asyncio.run, all_at_once()).result())
    assert set(statuses) == {200, 429}
    assert 0 < statuses[200] <= 100
    assert len(upstream.requests) == statuses[200]
    # Whoever comes when those are through finds what is left of the day, and then nothing.
    left = [call(fresh, headers={"x-forwarded-for": f"203.0.113.{at}"}).status_code for at in range(101)]
    assert left.count(200) + statuses[200] == 100
    assert left[-1] == 429


def test_without_the_setting_the_word_guest_is_no_key(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with serving(tmp_path, AT_ONCE + provider(upstream.url) + FREE) as running:
        assert call(running).status_code == 401
        page = httpx.get(f"{running.url}/playground").text
        assert 'data-guests=""' in page
