"""Credit and budgets: spent to the last call, never beyond, by any number of callers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fairlead.accounts.key_ring import ASK_SECONDS
from fairlead.money import Picodollars
from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.tokens import count_chat

from .conftest import AT_ONCE, Served, eventually, fairlead, model, provider, serving

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]
# A price per request alone: what a call may cost is what it costs.
FLAT = """
[[models]]
id = "flat"
[[models.deployments]]
provider = "mock"
upstream_model = "flat-1"
price = { input = "0", output = "0", request = "0.01" }
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE + provider(upstream.url) + model() + FLAT
    with serving(tmp_path_factory.mktemp("credit"), config) as running:
        yield running


def new_key(served: Served, *options: str) -> str:
    made = fairlead("keys", "create", "--name", "test", *options, data=served.data, database=served.database)
    assert made.returncode == 0, made.stderr
    key = made.stdout.split()[-1]
    eventually(lambda: ask(served, key, "/v1/generation?id=x")[0] == 404)
    # Every new connection may come to another worker: by now all know it.
    eventually(lambda: all(ask(served, key, "/v1/generation?id=x")[0] == 404 for _ in range(8 * served.workers - 7)))
    return key


def ask(served: Served, key: str, path: str, body: Any = None) -> tuple[int, Any]:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        headers = {"Authorization": f"Bearer {key}"}
        if body is None:
            answer = http.get(served.url + path, headers=headers)
        else:
            answer = http.post(served.url + path, headers=headers, json=body)
    return answer.status_code, answer.json()


def chat(served: Served, key: str, **more: Any) -> tuple[int, Any]:
    return ask(served, key, "/v1/chat/completions", {"model": MODEL, "messages": HELLO, **more})


def funds(served: Served, start: str = "account/") -> list[tuple[str, int, int, int]]:
    with contextlib.closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        rows = database.execute("SELECT scope, granted, spent, leased FROM funds WHERE scope LIKE ?", (start + "%",))
        return rows.fetchall()


def test_a_call_beyond_the_credit_is_refused_with_what_would_fit(served: Served, upstream: ScriptedUpstream) -> None:
    key = new_key(served, "--credit", "0.0001")
    with openai.OpenAI(base_url=served.url + "/v1", api_key=key, max_retries=0) as sdk:
        with pytest.raises(openai.APIStatusError) as refused:
            sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1000)
        error = refused.value
        assert (error.status_code, error.code, error.param) == (402, "insufficient_credit", "max_tokens")
        body: Any = error.body
        prompt = len('[{"role":"user","content":"Hello!"}]')
        assert body["available_usd"] == "0.0001"
        assert body["needed_usd"] == f"{(prompt * 100_000 + 1000 * 300_000) / 1e12:.7f}"
        largest = body["largest_max_tokens"]
        assert largest == (100_000_000 - prompt * 100_000) // 300_000
        with pytest.raises(openai.APIStatusError):
            sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=largest + 1)
        answer = sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=largest)
        assert answer.usage is not None
        assert answer.usage.cost_usd != "0"  # type: ignore[attr-defined]


def test_a_prompt_is_counted_before_a_call_is_refused_for_it(served: Served) -> None:
    key = new_key(served, "--credit", "0.0004")
    long: Any = [{"role": "user", "content": "the quick brown fox " * 400}]  # 8,000 bytes, 1,600 tokens
    assert chat(served, key, messages=long, max_tokens=500)[0] == 200
    status, body = chat(served, key, messages=long, max_tokens=2000)
    assert status == 402
    tokens = count_chat("tekken", json.dumps(long).encode()).tokens
    assert f"({tokens + 32 + tokens // 32} input and 2000 output tokens" in body["error"]["message"]


def test_what_an_account_has_is_shown_with_every_digit(served: Served) -> None:
    key = new_key(served, "--credit", "0.000001")
    status, body = chat(served, key)
    assert (status, body["error"]["available_usd"]) == (402, "0.000001")
    assert "the account has 0.000001 USD of credit" in body["error"]["message"]


def test_without_a_cap_the_cap_shrinks_to_the_credit(served: Served, upstream: ScriptedUpstream) -> None:
    key = new_key(served, "--credit", "0.001")
    upstream.requests.clear()
    status, _ = chat(served, key)
    assert status == 200
    prompt = len('[{"role":"user","content":"Hello!"}]')
    sent = upstream.requests[-1].json
    assert sent["max_tokens"] == (1_000_000_000 - prompt * 100_000) // 300_000
    rich = new_key(served, "--credit", "5")
    assert chat(served, rich)[0] == 200
    assert "max_tokens" not in upstream.requests[-1].json


@pytest.mark.parametrize(
    "fault", [Fault.RESET, Fault.EOF, Fault.ERROR_EVENT, Fault.MALFORMED_JSON, Fault.EMPTY_CHOICES]
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_ending_gives_the_hold_back(
    served: Served, upstream: ScriptedUpstream, fault: Fault, stream: bool
) -> None:
    key = new_key(served, "--credit", "0.01")
    upstream.enqueue(Reply(text="a b c", fault=fault))
    with contextlib.suppress(httpx2.HTTPError, ValueError):
        ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO, "stream": stream})
    # All the credit again, and now it is spent.
    assert ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 200
    status, body = ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})
    assert (status, body["error"]["code"], body["error"]["available_usd"]) == (402, "insufficient_credit", "0")


def test_a_budget_ends_calls_and_the_account_goes_on(served: Served) -> None:
    key = new_key(served, "--budget", "day=0.03", "--budget", "total=9")
    other = new_key(served)
    found = Counter(ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] for _ in range(5))
    assert found == {200: 3, 402: 2}
    status, body = ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})
    assert (status, body["error"]["code"]) == (402, "budget_exceeded")
    assert "of this key's budget of 0.03 USD per day (UTC) 0 USD are left" in body["error"]["message"]
    assert ask(served, other, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 200


def test_free_models_need_no_credit(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    free = model().replace('price = { input = "0.10", output = "0.30" }', 'price = "free"')
    with serving(tmp_path, provider(upstream.url) + free) as served:
        key = new_key(served, "--credit", "0")
        assert chat(served, key)[0] == 200


@pytest.mark.parametrize("workers", [1, 8])
def test_a_thousand_calls_spend_a_hundred_calls_credit_exactly(
    upstream: ScriptedUpstream, tmp_path: Path, workers: int, database_url: str | None
) -> None:
    config = provider(upstream.url) + FLAT
    with serving(tmp_path, config, workers=workers, database=database_url) as served:
        key = new_key(served, "--credit", "1.00")
        found = race(served, key, 1000)
        assert found[200] <= 100
        assert sum(found.values()) == 1000
        assert set(found) == {200, 402}
        if workers == 1:
            assert found[200] == 100
        # What was refused is served when the slices are back; how soon that is depends on the machine.
        eventually(lambda: found.update(race(served, key, 20)) or found[200] >= 100)
        assert found[200] == 100
        assert ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 402
    shown = fairlead("credit", "balance", data=served.data, database=database_url).stdout
    assert [line.split()[-3:] for line in shown.splitlines() if " test " in line] == [["1.00", "1.00", "0.00"]]
    checked = fairlead("verify", data=served.data, database=database_url)
    assert checked.returncode == 0, checked.stderr


def test_a_database_server_that_goes_away_during_calls_loses_nothing(
    upstream: ScriptedUpstream, tmp_path: Path, postgres: Any
) -> None:
    url = postgres.new_database()
    with serving(tmp_path, provider(upstream.url) + FLAT + model(), database=url) as served:
        key = new_key(served, "--credit", "1.00")
        assert race(served, key, 10, 4) == {200: 10}
        postgres.stop()
        try:
            # The slice is spent on; callers without credit of their own are served all the time.
            assert ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] in (200, 503)
            for _ in range(20):
                assert ask(served, served.key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 200
            eventually(lambda: "usage records cannot be stored" in str(ask(served, key, "/readyz")[1]["warnings"]))
        finally:
            postgres.start()
        eventually(lambda: ask(served, key, "/readyz")[1]["warnings"] == [])
        assert fairlead("keys", "list", "--json", data=served.data, database=url).returncode == 0
        first = ask(served, served.key, "/v1/key")[1]["data"]
        assert first["usage_usd"] == "0.2"
        assert fairlead("keys", "revoke", first["key"], data=served.data, database=url).returncode == 0
        eventually(lambda: ask(served, served.key, "/v1/key")[0] == 401)
    checked = fairlead("verify", data=served.data, database=url)
    assert checked.returncode == 0, checked.stderr
    assert "Not stored yet: 0." in checked.stdout
    assert fairlead("verify", data=served.data).returncode == 2  # without the address it is not taken for an empty one


def race(served: Served, key: str, calls: int, at_once: int = 50, *, model: str = "flat") -> Counter[int]:
    """So many calls, by so many callers at once, each on its own connection; how often each status came."""
    found: Counter[int] = Counter()
    lock = threading.Lock()
    left = iter(range(calls))

    def caller() -> None:
        with httpx2.Client(trust_env=False, timeout=60) as http:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                answer = http.post(
                    served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
                    json={"model": model, "messages": HELLO},
                )  # fmt: skip
                with lock:
                    found[answer.status_code] += 1

    threads = [threading.Thread(target=caller) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_worker_that_is_killed_is_replaced_and_its_slice_comes_back(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    with serving(tmp_path, provider(upstream.url) + FLAT, workers=3) as served:
        key = new_key(served, "--credit", "0.60")
        assert race(served, key, 20, 6) == {200: 20}
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
        assert len(children) == 3
        os.kill(int(children[1]), signal.SIGKILL)
        eventually(lambda: "Restarting in" in served.output)
        # None of the calls that follow is lost, and no picodollar of what the dead worker had leased.
        eventually(lambda: funds(served)[0][2:] == (20 * 10**10, 0))
        assert race(served, key, 50, 6) == {200: 40, 402: 10}
        answer = ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})
        assert answer[0] == 402
    assert fairlead("verify", data=served.data).returncode == 0
    assert not list((served.data / "spool").iterdir())


def test_credit_of_a_killed_process_is_there_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = provider(upstream.url) + FLAT
    with serving(tmp_path, config, forked=False) as served:
        key = new_key(served, "--credit", "0.05")
        assert race(served, key, 2, 1) == {200: 2}
        served.process.kill()
        served.process.wait()
    assert funds(served)[0][3] > 0  # it died with a lease
    with serving(tmp_path, config, forked=False) as served:
        eventually(lambda: funds(served)[0][2:] == (2 * 10**10, 0))
        assert race(served, key, 5, 1) == {200: 3, 402: 2}
    assert fairlead("verify", data=served.data).returncode == 0


def test_credit_is_granted_redeemed_refunded_and_taken_away(served: Served, upstream: ScriptedUpstream) -> None:
    data = served.data
    key = new_key(served, "--credit", "0.01")
    account = ask(served, key, "/v1/key")[1]["data"]["account"]
    answer = ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})
    assert answer[0] == 200
    assert ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 402
    assert fairlead("credit", "grant", account, "0.02", "--note", "paid by bank", data=data).returncode == 0
    code = fairlead("credit", "codes", "--amount", "0.03", data=data).stdout.strip()
    assert ask(served, key, "/v1/credits/redeem", {"code": code}) == (200, {"data": {"credited_usd": "0.03"}})
    for wrong in (code, "fl-code-0", "x" * 10_000):
        assert ask(served, key, "/v1/credits/redeem", {"code": wrong})[0] == 404
    assert ask(served, key, "/v1/credits/redeem", {"kode": code})[0] == 400
    assert ask(served, served.key, "/v1/credits/redeem", {"code": code})[0] == 400
    assert fairlead("credit", "withdraw", account, "0.01", data=data).returncode == 0
    assert fairlead("credit", "withdraw", account, "1", data=data).returncode == 1
    status, body = ask(served, key, "/v1/credits")
    assert status == 200
    assert (body["data"]["total_credits"], body["data"]["total_usage_usd"]) == (0.05, "0.01")
    assert body["data"]["remaining_usd"] == "0.04"
    with httpx2.Client(trust_env=False, timeout=60) as http:
        made = http.post(
            served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
            json={"model": "flat", "messages": HELLO},
        )  # fmt: skip
    name = made.headers["x-fairlead-generation-id"]
    receipt = ask(served, key, f"/v1/receipts/{name}")[1]
    assert receipt["hold"] == {"usd": "0.01", "scopes": [f"account/{account}"]}
    assert fairlead("credit", "refund", name, "--amount", "0.004", data=data).returncode == 0
    assert fairlead("credit", "refund", name, "--amount", "0.007", data=data).returncode == 1
    assert f"0.006 USD were refunded to {account}" in fairlead("credit", "refund", name, data=data).stdout
    assert fairlead("credit", "refund", name, data=data).returncode == 1
    assert fairlead("credit", "refund", "gen_nobody", data=data).returncode == 1
    assert ask(served, key, f"/v1/receipts/{name}")[1]["refunded_usd"] == "0.01"
    assert ask(served, key, "/v1/credits")[1]["data"]["remaining_usd"] == "0.04"
    shown = fairlead("credit", "balance", account, data=data).stdout.splitlines()[1].split()
    assert (shown[0], shown[-3:]) == (account, ["0.05", "0.01", "0.04"])
    first = ask(served, served.key, "/v1/key")[1]["data"]["account"]
    refused = fairlead("credit", "grant", first, "1", data=data)
    assert (refused.returncode, "needs no credit" in refused.stderr) == (2, True)
    assert fairlead("verify", data=data).returncode == 0


def test_a_key_says_what_is_left_of_its_budgets(served: Served) -> None:
    key = new_key(served, "--budget", "total=0.05", "--budget", "month=0.02")
    assert ask(served, key, "/v1/chat/completions", {"model": "flat", "messages": HELLO})[0] == 200
    data = ask(served, key, "/v1/key")[1]["data"]
    assert (data["limit"], data["usage_usd"], data["limit_remaining_usd"]) == (0.02, "0.01", "0.01")
    assert data["limit_reset"] == "monthly"
    assert [budget["remaining_usd"] for budget in data["budgets"]] == ["0.04", "0.01"]
    assert ask(served, "sk-fl-nobody", "/v1/key")[0] == 401


def test_a_fresh_key_works_on_its_first_use(served: Served) -> None:
    for _ in range(5):
        ask(served, "sk-fl-" + "x" * 51, "/v1/key")  # a stranger's
        made = fairlead("keys", "create", "--name", "fresh", "--credit", "1", data=served.data)
        time.sleep(2 * ASK_SECONDS)  # the database is asked for one stranger at a time
        assert "prepaid account" in made.stderr
        assert ask(served, made.stdout.strip(), "/v1/key")[0] == 200


def test_a_key_of_the_operators_account_says_whose_money_it_spends(served: Served) -> None:
    made = fairlead("keys", "create", "--name", "mine", data=served.data)
    assert "the operator's own" in made.stderr
    assert made.stdout.startswith("sk-fl-")
    shown = fairlead("keys", "list", data=served.data).stdout.splitlines()
    assert [line for line in shown if " mine " in line and " operator " in line]


def test_receipts_of_customers_do_not_tell_what_a_call_cost_the_operator(served: Served) -> None:
    for key, told in ((new_key(served, "--credit", "1"), False), (served.key, True)):
        with httpx2.Client(trust_env=False, timeout=60) as http:
            answer = http.post(
                served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"},
                json={"model": MODEL, "messages": HELLO},
            )  # fmt: skip
        bill = ask(served, key, f"/v1/receipts/{answer.headers['x-fairlead-generation-id']}")[1]
        assert ["cost_usd" in one for one in bill["attempts"]] == [told]


@pytest.mark.parametrize("amount", ["\u0661\u0662", "1_000", "1e5", "nan", "inf", "-1", "+1", " 1", "0x10", "1.", ""])
def test_credit_is_granted_in_plain_digits_only(served: Served, amount: str) -> None:
    with pytest.raises(ValueError, match="decimal string"):
        Picodollars.parse(amount)
