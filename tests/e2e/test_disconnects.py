"""A caller disconnects, at every frame: one record, charged by the rule of docs/internals/disconnects.md."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.tokens import count_text

from .conftest import Served, eventually, fairlead, model, provider, serving
from .test_credit import ask, new_key

HELLO: Any = [{"role": "user", "content": "Hello!"}]
WORDS = [f"word{number} " for number in range(40)]
PROMPT = 5  # of `HELLO`, as mistral-common counts it


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = "[ledger]\ndisconnect_seconds = 3\ndisconnect_tokens = 100\n"
    config += provider(upstream.url, name="own", dialect="vllm") + provider(
        upstream.url, name="hosted", dialect="openai", extra='disconnect = "drain"'
    )
    config += model("own", name="own/mistral-small") + model("hosted", name="hosted/mistral-small")
    config += model("own", name="own/free").replace('price = { input = "0.10", output = "0.30" }', 'price = "free"')
    with serving(tmp_path_factory.mktemp("disconnects"), config) as running:
        yield running


def leave(
    served: Served,
    name: str,
    frames: int,
    *,
    stream: bool = True,
    reset: bool = False,
    key: str = "",
    until: Callable[[], bool] | None = None,
) -> str:
    """A call that is left after so many events; gives its generation id ("": nothing was seen of it)."""
    body = json.dumps({"model": name, "messages": HELLO, "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", served.port)) as caller:
        caller.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
            % ((key or served.key).encode(), len(body), body)
        )
        got = b""
        while got.count(b"data: ") < frames:
            got += caller.recv(65536)
        if until is not None:
            eventually(until)
        if reset:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found = re.search(rb"x-fairlead-generation-id: (\S+)", got)
    return found[1].decode() if found else ""


def receipt_of(served: Served, name: str) -> Any:
    eventually(lambda: ask(served, served.key, f"/v1/receipts/{name}")[0] == 200)
    return ask(served, served.key, f"/v1/receipts/{name}")[1]


def records(served: Served) -> int:
    with closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        return int(database.execute("SELECT count(*) FROM usage_records").fetchone()[0])


def test_an_engine_of_our_own_is_stopped_and_what_it_wrote_is_counted_at_every_frame(
    served: Served, upstream: ScriptedUpstream
) -> None:
    reply = Reply(text="".join(WORDS), chunk_delay_seconds=0.06)
    names: dict[int, str] = {}

    def one(frames: int) -> None:
        names[frames] = leave(served, "own/mistral-small", frames, reset=frames % 2 == 0)

    before = records(served)
    upstream.enqueue(*[reply] * 40)
    threads = [threading.Thread(target=one, args=(frames,)) for frames in range(1, 41)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for frames, name in names.items():
        receipt = receipt_of(served, name)
        output = receipt["usage"]["completion_tokens"]
        state = receipt["usage"]["state"]
        if receipt["outcome"] == "served":
            assert frames > 20  # all had been said before it was noticed
            continue
        assert receipt["outcome"] == "caller_gone"
        if not output:
            assert (frames, state, receipt["charged_usd"]) == (1, "none", "0")  # the first event says nothing yet
            continue
        assert state == "counted"
        # What had been written when it was stopped: at least what the caller had, at most all.
        assert output >= count_text("tekken", "".join(WORDS[: max(0, frames - 2)])).tokens - 1
        assert output <= count_text("tekken", "".join(WORDS)).tokens
        assert receipt["usage"]["prompt_tokens"] == PROMPT
        price = PROMPT * 100_000 + output * 300_000
        assert receipt["charged_usd"] == f"{price / 1e12:.7f}".rstrip("0")
    assert len(set(names.values())) == 40
    eventually(lambda: records(served) == before + 40)
    assert fairlead("verify", data=served.data).returncode == 0


def test_a_hosted_answer_is_read_to_its_end_and_charged_as_reported(served: Served, upstream: ScriptedUpstream) -> None:
    for stream, frames in ((True, 1), (True, 7), (False, 0)):
        upstream.enqueue(
            Reply(
                text="".join(WORDS),
                chunk_delay_seconds=0.01,
                delay_seconds=2 if not stream else 0,
                prompt_tokens=5,
                completion_tokens=120,
            )
        )
        before, asked = records(served), len(upstream.requests)
        # In the middle of the upstream's answer.
        name = leave(
            served, "hosted/mistral-small", frames, stream=stream, reset=stream,
            until=lambda asked=asked: len(upstream.requests) > asked,
        )  # fmt: skip
        if name:
            receipt = receipt_of(served, name)
            assert (receipt["outcome"], receipt["usage"]["state"]) == ("caller_gone", "reported")
            assert receipt["usage"]["completion_tokens"] == 120
            assert receipt["charged_usd"] == f"{(5 * 100_000 + 120 * 300_000) / 1e12:.7f}".rstrip("0")
        eventually(lambda before=before: records(served) == before + 1)


def test_reading_on_ends_at_its_bounds(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text="x " * 8000, chunk_delay_seconds=0.002))
    receipt = receipt_of(served, leave(served, "hosted/mistral-small", 3))
    assert (receipt["outcome"], receipt["usage"]["state"]) == ("caller_gone", "counted")
    # 100 events after the disconnect was noticed, which takes as long as the machine is busy, and not all of them.
    assert 90 <= receipt["usage"]["completion_tokens"] < 8000
    upstream.enqueue(Reply(text="x " * 40, fault=Fault.HANG_IN_THE_MIDDLE))
    name = leave(served, "hosted/mistral-small", 2, reset=True)
    began = time.monotonic()
    eventually(lambda: ask(served, served.key, f"/v1/receipts/{name}")[0] == 200)
    assert time.monotonic() - began > 1
    assert receipt_of(served, name)["outcome"] == "caller_gone"


def test_nobody_is_charged_for_an_answer_without_a_word_or_of_a_free_model(
    served: Served, upstream: ScriptedUpstream
) -> None:
    upstream.enqueue(Reply(text="", prompt_tokens=900, completion_tokens=1))
    before = records(served)
    assert ask(served, served.key, "/v1/chat/completions", {"model": "own/mistral-small", "messages": HELLO})[0] == 200
    eventually(lambda: records(served) == before + 1)  # a record enters the books a quarter of a second later
    upstream.enqueue(Reply(text="".join(WORDS), chunk_delay_seconds=0.01))
    receipt = receipt_of(served, leave(served, "own/free", 4))
    assert (receipt["outcome"], receipt["charged_usd"]) == ("caller_gone", "0")


def test_a_failed_attempt_that_the_provider_bills_is_the_operators(upstream: ScriptedUpstream, tmp_path: Any) -> None:
    config = provider(upstream.url, name="hosted", dialect="openai") + model("hosted", name="m/mistral-small")
    config = config.replace("price = {", 'cost = { input = "0.05", output = "0.20" }\nprice = {')
    with serving(tmp_path, config) as served:
        upstream.enqueue(Reply(text="".join(WORDS), fault=Fault.RESET))
        body = {"model": "m/mistral-small", "messages": HELLO, "stream": True}
        sent = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (served.key.encode(), len(sent), sent)
            )
            got = b""
            while block := caller.recv(65536):
                got += block
        found = re.search(rb"x-fairlead-generation-id: (\S+)", got)
        assert found is not None
        receipt = receipt_of(served, found[1].decode())
        assert (receipt["outcome"], receipt["charged_usd"]) == ("upstream_cut", "0")
        (attempt,) = receipt["attempts"]
        assert float(attempt["cost_usd"]) > 0
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stderr


def until_deadline(served: Served, name: str, seconds: str | None, *, stream: bool = True, key: str = "") -> Any:
    """A call with this deadline: what the caller got, as (status, generation id, bytes)."""
    body = json.dumps({"model": name, "messages": HELLO, "stream": stream}).encode()
    more = b"" if seconds is None else b"x-fairlead-timeout: %b\r\n" % seconds.encode()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as caller:
        caller.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n%b"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % ((key or served.key).encode(), more, len(body), body)
        )
        got = b""
        while block := caller.recv(65536):
            got += block
    found = re.search(rb"x-fairlead-generation-id: (\S+)", got)
    assert found is not None, got
    return int(got.split(b" ", 2)[1]), found[1].decode(), got


def slow_words(**more: Any) -> Reply:
    return Reply(text="".join(WORDS), chunk_delay_seconds=0.05, prompt_tokens=5, completion_tokens=120, **more)


def test_a_callers_own_deadline_is_charged_like_a_disconnect(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(slow_words())
    status, name, got = until_deadline(served, "own/mistral-small", "0.6")
    assert (status, got.count(b'"deadline_exceeded"')) == (200, 2), "in each of the two shapes"
    receipt = receipt_of(served, name)
    delivered = len(re.findall(rb'"content":"word', got))
    assert delivered > 2
    assert (receipt["outcome"], receipt["usage"]["state"]) == ("deadline_exceeded", "counted")
    assert receipt["usage"]["completion_tokens"] >= count_text("tekken", "".join(WORDS[:delivered])).tokens - 1
    price = PROMPT * 100_000 + receipt["usage"]["completion_tokens"] * 300_000
    assert receipt["charged_usd"] == f"{price / 1e12:.7f}".rstrip("0")


@pytest.mark.parametrize("stream", [True, False])
def test_where_the_provider_bills_to_the_end_the_caller_is_answered_at_its_deadline_and_charged_for_all(
    served: Served, upstream: ScriptedUpstream, stream: bool
) -> None:
    upstream.enqueue(slow_words() if stream else slow_words(delay_seconds=1.2))
    status, name, got = until_deadline(served, "hosted/mistral-small", "0.5", stream=stream)
    assert got.count(b'"content":"word') < 120, "the caller does not wait for what is read for nobody"
    assert (status, got.count(b'"deadline_exceeded"')) == ((200, 2) if stream else (504, 1))
    assert b"[DONE]" not in got
    receipt = receipt_of(served, name)
    assert (receipt["outcome"], receipt["usage"]["state"]) == ("deadline_exceeded", "reported")
    assert receipt["charged_usd"] == f"{(5 * 100_000 + 120 * 300_000) / 1e12:.7f}".rstrip("0")


def test_a_connection_serves_its_next_call_while_an_answer_is_read_for_nobody(
    served: Served, upstream: ScriptedUpstream
) -> None:
    upstream.enqueue(slow_words(), Reply(text="The second answer."))
    before = records(served)
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        for timeout, expected in (("0.4", b"deadline_exceeded"), ("20", b"second")):
            body = json.dumps({"model": "hosted/mistral-small", "messages": HELLO, "stream": True})
            headers = {"Authorization": f"Bearer {served.key}", "x-fairlead-timeout": timeout}
            connection.request("POST", "/v1/chat/completions", body, headers)
            assert expected in connection.getresponse().read()
    eventually(lambda: records(served) == before + 2)
    assert fairlead("verify", data=served.data).returncode == 0


@pytest.mark.parametrize("ending", ["deadline", "disconnect"])
@pytest.mark.parametrize("name", ["own/mistral-small", "own/free"])
def test_what_was_delivered_counts_for_the_limits_on_tokens(
    served: Served, upstream: ScriptedUpstream, name: str, ending: str
) -> None:
    key = new_key(served, "--limit", "tokens_per_day=10000")
    upstream.enqueue(slow_words())
    if ending == "deadline":
        until_deadline(served, name, "0.8", key=key)
    else:
        gone = leave(served, name, 12, reset=True, key=key)
        eventually(lambda: ask(served, key, f"/v1/receipts/{gone}")[0] == 200)

    def left() -> int:
        answer = until_deadline(served, name, None, stream=False, key=key)[2]
        found = re.search(rb"x-ratelimit-remaining-tokens: (\d+)", answer)
        assert found is not None
        return int(found[1])

    upstream.enqueue(Reply(text="a", prompt_tokens=1, completion_tokens=1))
    assert left() < 10_000 - 25


def test_the_operators_deadline_charges_what_was_delivered(upstream: ScriptedUpstream, tmp_path: Any) -> None:
    config = "[routing]\ntimeout_seconds = 0.6\n" + provider(upstream.url, name="hosted", dialect="openai")
    with serving(tmp_path, config + model("hosted", name="m/mistral-small")) as served:
        upstream.enqueue(slow_words(), slow_words(delay_seconds=1.0))
        _, name, got = until_deadline(served, "m/mistral-small", None)
        receipt = receipt_of(served, name)
        assert (receipt["outcome"], receipt["usage"]["state"]) == ("deadline_exceeded", "counted")
        assert receipt["usage"]["completion_tokens"] < 120, "it is not read to its end: the caller did not want that"
        assert float(receipt["charged_usd"]) > 0
        # Of a whole answer nothing was delivered.
        status, name, got = until_deadline(served, "m/mistral-small", None, stream=False)
        assert (status, receipt_of(served, name)["charged_usd"]) == (504, "0"), got
