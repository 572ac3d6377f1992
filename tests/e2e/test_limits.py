"""Limits on rates, tokens and calls at once, and what else a key may be bound to."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import AT_ONCE, IN_ORDER, Held, Served, eventually, fairlead, model, provider, serving
from .test_credit import ask, new_key, race

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]
FREE = '[[models]]\nid = "free"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "f"\nprice = "free"\n'


@pytest.fixture(scope="module")
def upstream() -> Iterator[Held]:
    with Held() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE + "[limits.free]\nrequests_per_day = 3\n" + provider(upstream.url) + model() + FREE
    config += model(name="crowded").replace(
        "[[models.deployments]]", "limits = { requests_per_minute = 2 }\n[[models.deployments]]"
    )
    with serving(tmp_path_factory.mktemp("limits"), config) as running:
        yield running


def call(served: Served, key: str, name: str = MODEL, **more: Any) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.post(
            served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
            json={"model": name, "messages": HELLO, **more},
        )  # fmt: skip


def key_id(served: Served, key: str) -> str:
    return str(ask(served, key, "/v1/key")[1]["data"]["key"])


def test_a_refusal_is_one_that_openais_sdk_understands(served: Served) -> None:
    key = new_key(served, "--limit", "requests_per_minute=15")
    with openai.OpenAI(base_url=served.url + "/v1", api_key=key, max_retries=0) as sdk:
        began, left = time.monotonic(), []
        with pytest.raises(openai.RateLimitError) as refused:
            while True:
                answer = sdk.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
                assert answer.headers["x-ratelimit-limit-requests"] == "15"
                left.append(int(answer.headers["x-ratelimit-remaining-requests"]))
        # One more for every four seconds that they took.
        assert 15 <= len(left) <= 15 + (time.monotonic() - began) / 4
        assert (left[0], left[-1]) == (14, 0)
    error = refused.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert re.search(r"The key may make 15 requests per minute; try again in [\d.]+ seconds", error.message)
    assert 1 <= int(error.response.headers["retry-after"]) <= 4
    assert re.fullmatch(r"[\d.]+m?s", error.response.headers["x-ratelimit-reset-requests"])
    # The SDK's own retries wait as long as they are told, and get in.
    with openai.OpenAI(base_url=served.url + "/v1", api_key=key, max_retries=3) as sdk:
        assert sdk.chat.completions.create(model=MODEL, messages=HELLO).choices
        assert len(left) + 1 <= 15 + (time.monotonic() - began) / 4


def test_a_thousand_calls_at_once_are_let_through_to_the_last_that_is_allowed(served: Served) -> None:
    key = new_key(served, "--limit", "requests_per_day=100")
    found = race(served, key, 1000, model=MODEL)
    assert found == {200: 100, 429: 900}


def test_tokens_are_counted_as_they_were_used(served: Served, upstream: ScriptedUpstream) -> None:
    key = new_key(served, "--limit", "tokens_per_day=1000")
    upstream.enqueue(*[Reply(prompt_tokens=300, completion_tokens=60)] * 3)
    assert [call(served, key).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = call(served, key)
    assert "1,000 tokens per day" in refused.json()["error"]["message"]
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    large = new_key(served, "--limit", "tokens_per_minute=50")
    assert "always exceeds" in call(served, large, max_tokens=100).json()["error"]["message"]
    assert call(served, large, max_tokens=30).status_code == 200


@pytest.mark.parametrize("fault", [None, Fault.RESET, Fault.ERROR_EVENT])
def test_calls_at_once_are_limited_and_every_ending_makes_room(
    served: Served, upstream: Held, fault: Fault | None
) -> None:
    key = new_key(served, "--limit", "concurrent_requests=2")
    upstream.enqueue(*[Reply(text="a b c", fault=fault)] * 2)
    arrived = upstream.arrived
    found: Counter[int] = Counter()
    threads = [threading.Thread(target=lambda: found.update([call(served, key).status_code])) for _ in range(2)]
    upstream.held = True
    try:
        for thread in threads:
            thread.start()
        eventually(lambda: upstream.arrived == arrived + 2)
        refused = call(served, key)
    finally:
        upstream.held = False
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    for thread in threads:
        thread.join()
    assert found == ({200: 2} if fault is None else {502: 2})
    assert call(served, key).status_code == 200


def test_models_accounts_and_free_models_have_limits_of_their_own(served: Served) -> None:
    key, other = new_key(served), new_key(served, "--credit", "1")
    assert [call(served, key, "free").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert call(served, key).status_code == 200
    assert call(served, other, "free").status_code == 200  # another account
    assert [call(served, one, "crowded").status_code for one in (key, other, key)] == [200, 200, 429]
    narrow = new_key(served, "--limit", f"{MODEL}:requests_per_day=1")
    assert [call(served, narrow).status_code for _ in range(2)] == [200, 429]
    account = ask(served, other, "/v1/key")[1]["data"]["account"]
    changed = fairlead("accounts", "set", account, "--limit", "requests_per_day=1", data=served.data)
    assert changed.returncode == 0, changed.stderr
    eventually(lambda: call(served, other).status_code == 429)
    assert "The account may make 1 request per day" in call(served, other).json()["error"]["message"]
    assert fairlead("accounts", "set", account, "--limit", "", data=served.data).returncode == 0
    eventually(lambda: call(served, other).status_code == 200)


def test_a_key_is_bound_to_models_networks_and_a_day(served: Served) -> None:
    key = new_key(served, "--model", MODEL, "--network", "127.0.0.0/8", "--expires", "1h")
    assert call(served, key).status_code == 200
    refused = call(served, key, "free")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    listed = ask(served, key, "/v1/models")[1]["data"]
    assert [entry["id"] for entry in listed] == [MODEL]
    data = ask(served, key, "/v1/key")[1]["data"]
    assert (data["models"], data["networks"], data["rate_limits"]) == ([MODEL], ["127.0.0.0/8"], {})
    assert datetime.fromisoformat(data["expires_at"]).timestamp() == pytest.approx(time.time() + 3600, abs=60)
    name = key_id(served, key)
    assert fairlead("keys", "set", name, "--limit", f"{MODEL}:tokens_per_day=9000", data=served.data).returncode == 0
    eventually(lambda: ask(served, key, "/v1/key")[1]["data"]["rate_limits"] == {f"{MODEL}:tokens_per_day": 9000})
    (line,) = [line for line in fairlead("keys", "list", data=served.data).stdout.splitlines() if line.startswith(name)]
    assert line.endswith(f"{MODEL}:tokens_per_day=9000 {MODEL} 127.0.0.0/8")
    assert (
        fairlead("keys", "set", name, "--network", "10.0.0.0/8", "--network", "::1", data=served.data).returncode == 0
    )
    eventually(lambda: call(served, key).status_code == 403)
    assert "127.0.0.1" in call(served, key).json()["error"]["message"]
    assert fairlead("keys", "set", name, "--network", "", "--model", "", data=served.data).returncode == 0
    eventually(lambda: call(served, key, "free").status_code in (200, 429))
    assert fairlead("keys", "set", name, "--expires", "2020-01-01", data=served.data).returncode == 0
    eventually(lambda: call(served, key).status_code == 401)
    assert "expired" in call(served, key).json()["error"]["message"]
    listed = fairlead("keys", "list", data=served.data).stdout.splitlines()
    assert next(line for line in listed if line.startswith(name)).find("expired 2020-01-01") > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--limit", "requests=5"), "requests_per_minute"), (("--limit", "requests_per_day=0"), "must be a whole number"),
        (("--network", "10.0.0.300"), "10.0.0.0/8"), (("--expires", "tomorrow"), "2027-01-31"),
        (("--expires", "2020-01-01"), "in the past"),
        (("--budget", "year=5"), "day, week, month"), (("--budget", "day"), "day=5.00"), (("--credit", "-1"), "decimal"),
        (("--account", "acc_none"), "accounts list"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_answered_with_a_right_one(served: Served, options: tuple[str, ...], words: str) -> None:
    made = fairlead("keys", "create", "--name", "x", *options, data=served.data)
    assert (made.returncode, made.stdout) == (2, "")
    assert words in made.stderr


MIXED = (
    '[[models]]\nid = "mixed"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "paid"\n'
    'price = { input = "0.10", output = "0.30" }\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "gratis"\n'
    'price = "free"\n'
)
DEAR = (
    '[[models]]\nid = "dear"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "d"\n'
    'price = { input = "0", output = "0", audio_input = "5" }\n'
)


@pytest.fixture(scope="module")
def falling(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = IN_ORDER + "retries = 0\n[limits.free]\nrequests_per_day = 2\n" + provider(upstream.url) + FREE + model()
    config += provider("http://127.0.0.1:1/v1", name="dead") + model("dead", name="broken") + MIXED + DEAR
    config += model(name="crowded").replace(
        "[[models.deployments]]", "limits = { requests_per_day = 1 }\n[[models.deployments]]"
    )
    with serving(tmp_path_factory.mktemp("falling"), config) as running:
        yield running


@pytest.mark.parametrize(("name", "most"), [("crowded", 1), ("free", 2)])
def test_the_limits_are_those_of_the_model_that_serves(falling: Served, name: str, most: int) -> None:
    key = new_key(falling, "--credit", "5")
    for _ in range(most):
        assert call(falling, key, "broken", models=[name]).status_code == 200
    assert call(falling, key, "broken", models=[name]).status_code in (429, 502), "of either, but not served"
    refused = call(falling, key, name)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    # What is over its limits is passed over where another model was named.
    passed = call(falling, key, "broken", models=[name, MODEL])
    assert (passed.status_code, passed.json()["model"]) == (200, MODEL)


def test_a_free_request_falls_under_the_free_limits_whatever_it_may_fall_back_on(falling: Served) -> None:
    key = new_key(falling, "--credit", "5")
    assert [call(falling, key, "free", models=[MODEL]).json()["model"] for _ in range(3)] == ["free", "free", MODEL]
    assert call(falling, key, "mixed:free").status_code == 429


def test_what_is_called_free_is_never_served_paid(falling: Served) -> None:
    refused = call(falling, falling.key, "dear:free", models=[MODEL])
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_candidate")


def test_a_free_deployment_of_a_paid_model_needs_no_credit(falling: Served) -> None:
    key = new_key(falling, "--credit", "0.0000001")
    assert call(falling, key, "mixed:free").status_code == 200
    assert call(falling, key, "mixed").status_code == 402
    assert call(falling, key, "free", models=[MODEL]).status_code == 402, "the dearest that may serve is set aside"
