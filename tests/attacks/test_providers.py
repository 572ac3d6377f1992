"""Broken, careless and hostile providers: whatever they answer, the caller gets an answer or an error of ours, the bill is
right, and the next caller is served."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.conftest import Served, eventually, provider, serving
from tests.providers import recorded
from tests.providers.recorded import adapter

from fairlead.errors import FairleadError
from fairlead.testing import Reply, ScriptedUpstream
from fairlead.wire.chat import parse_chat
from fairlead.wire.usage import TokenClasses, Usage

HELLO: Any = [{"role": "user", "content": "Hello!"}]
ALONE = '[routing]\nstrategy = "priority"\nretries = 0\nprobe_interval_seconds = 0\nprobes = false\n'
INPUT, OUTPUT = 100_000, 300_000  # picodollars per token


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[Any]:
        found = re.findall(rb"^data: (.*)$", self.body, re.MULTILINE)
        return [json.loads(event) for event in found if event != b"[DONE]"]

    @property
    def text(self) -> str:
        if self.body.startswith(b"{"):
            return "".join(choice["message"]["content"] or "" for choice in json.loads(self.body)["choices"])
        deltas = [choice["delta"] for event in self.events for choice in event.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def usage(self) -> Any:
        if self.body.startswith(b"{"):
            return json.loads(self.body).get("usage")
        return next((event["usage"] for event in self.events if event.get("usage")), None)

    @property
    def error(self) -> Any:
        if self.body.startswith(b"{"):
            return json.loads(self.body)["error"]
        return next((event["error"] for event in self.events if "error" in event), None)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = ALONE + "".join(
        provider(upstream.url, name=name, dialect=dialect)
        + f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{name}"\nupstream_model = "up"\n'
        'price = { input = "0.10", output = "0.30" }\n'
        for name, dialect in (("hosted", "openai"), ("streams", "vllm"))
    )
    config += "".join(provider(upstream.url, name=f"p{at}") for at in range(9))
    for name, places in (("two", (0, 1)), ("three", (2, 3, 4)), ("cut", (5, 6)), ("role", (7, 8))):
        config += f'[[models]]\nid = "{name}"\n' + "".join(
            f'[[models.deployments]]\nprovider = "p{at}"\nupstream_model = "up"\n'
            'price = { input = "0.10", output = "0.30" }\n'
            for at in places
        )
    with serving(tmp_path_factory.mktemp("providers"), config) as running:
        yield running
    assert "Traceback" not in running.output, running.output[-4000:]


def ask(served: Served, model: str = "hosted", *, key: str = "", headers: Any = None, **given: Any) -> Got:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        body = json.dumps({"model": model, "messages": HELLO, **given})
        sent = {"Authorization": f"Bearer {key or served.key}", **(headers or {})}
        connection.request("POST", "/v1/chat/completions", body, sent)
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def receipt(served: Served, got: Got) -> Any:
    def fetch() -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
            name = got.headers["x-fairlead-generation-id"]
            connection.request("GET", f"/v1/receipts/{name}", headers={"Authorization": f"Bearer {served.key}"})
            answer = connection.getresponse()
            body = answer.read()
            return json.loads(body) if answer.status == 200 else None

    eventually(lambda: fetch() is not None)
    return fetch()


def picodollars(served: Served, got: Got) -> int:
    return round(float(receipt(served, got)["charged_usd"]) * 1e12)


def sse(*events: Any, done: bool = True) -> Reply:
    """A stream of these events; bytes are sent as they are."""
    text = b"".join(b"data: %b\n\n" % (one if isinstance(one, bytes) else json.dumps(one).encode()) for one in events)
    return Reply(body=text + (b"data: [DONE]\n\n" if done else b""), headers={"content-type": "text/event-stream"})


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> Any:
    change = {} if content is None else {"content": content}
    return {
        "id": "c",
        "created": 1,
        "model": "up",
        "choices": [{"index": 0, "delta": change, "finish_reason": finish}],
        **more,
    }


def whole(text: str = "Hi there.", **more: Any) -> Any:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "created": 1,
        "model": "up",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        **more,
    }


USED = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


# --- a parameter that the provider ignores


@pytest.mark.parametrize("model", ["hosted", "streams"])
def test_choices_that_a_provider_does_not_give_are_told_and_what_it_gave_is_charged(
    served: Served, upstream: ScriptedUpstream, model: str
) -> None:
    stream = sse(delta("Hi "), delta("there.", "stop"), {**delta(), "choices": [], "usage": USED})
    for _ in range(21):  # so many failures would open the breaker for everybody
        upstream.enqueue(stream)
        got = ask(served, model, stream=True, n=3)
        assert (got.status, got.text, got.error) == (200, "Hi there.", None)
        assert got.body.endswith(b": x-fairlead-dropped: n\n\ndata: [DONE]\n\n")
    assert picodollars(served, got) == 7 * INPUT + 3 * OUTPUT
    upstream.enqueue(stream if model == "streams" else Reply(body=json.dumps(whole(usage=USED))))
    got = ask(served, model, n=3)
    assert (got.status, got.text, got.headers["x-fairlead-dropped"]) == (200, "Hi there.", "n")
    assert picodollars(served, got) == 7 * INPUT + 3 * OUTPUT
    upstream.enqueue(Reply(text="Two."))
    assert "x-fairlead-dropped" not in ask(served, model, n=2).headers


# --- usage


ODD_USAGES: list[Any] = [
    {}, [], "x", 5, True, None, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": "many"},
    {"prompt_tokens": -5, "completion_tokens": 3}, {"prompt_tokens": 5, "prompt_tokens_details": []},
    {"prompt_tokens": 1e300}, {"prompt_tokens": 2**70, "completion_tokens": 2}, [{"prompt_tokens": 5}],
]  # fmt: skip


@pytest.mark.parametrize("model", ["hosted", "streams"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("usage", [*ODD_USAGES, "missing"], ids=str)
def test_usage_that_is_none_is_counted_here_and_the_answer_says_so(
    served: Served, upstream: ScriptedUpstream, usage: Any, stream: bool, model: str
) -> None:
    more = {} if usage == "missing" else {"usage": usage}
    if stream or model == "streams":
        upstream.enqueue(
            sse(delta("Hi "), delta("there.", "stop"), *([{**delta(), "choices": [], **more}] if more else []))
        )
    else:
        upstream.enqueue(Reply(body=json.dumps(whole("Hi there.", **more))))
    asked = {"stream_options": {"include_usage": True}} if stream else {}
    got = ask(served, model, stream=stream, **asked)
    assert (got.status, got.text) == (200, "Hi there.")
    counted = got.usage
    assert counted["usage_source"] == "counted"
    assert counted["prompt_tokens"] > 0
    assert counted["completion_tokens"] > 0
    assert counted["total_tokens"] == counted["prompt_tokens"] + counted["completion_tokens"]
    price = counted["prompt_tokens"] * INPUT + counted["completion_tokens"] * OUTPUT
    assert round(counted["cost"] * 1e12) == round(float(counted["cost_usd"]) * 1e12) == price
    assert not stream or got.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("usage", [True, False])
def test_a_provider_that_ignores_stream_serves_a_streaming_caller_all_the_same(
    served: Served, upstream: ScriptedUpstream, usage: bool
) -> None:
    upstream.enqueue(Reply(body=json.dumps(whole("Hi there.", **({"usage": USED} if usage else {})))))
    got = ask(served, stream=True, stream_options={"include_usage": True})
    assert (got.status, got.error, got.text) == (200, None, "Hi there.")
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.body.endswith(b"data: [DONE]\n\n")
    assert {event["model"] for event in got.events} == {"hosted"}
    finishes = [choice["finish_reason"] for event in got.events for choice in event["choices"]]
    assert finishes == [None, "stop"]
    price = got.usage["prompt_tokens"] * INPUT + got.usage["completion_tokens"] * OUTPUT
    assert picodollars(served, got) == price > 0
    assert receipt(served, got)["attempts"][-1]["outcome"] == "served"


def test_tool_calls_of_a_provider_that_ignores_stream_arrive_as_events(
    served: Served, upstream: ScriptedUpstream
) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call], "refusal": None}
    document = {**whole(), "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    upstream.enqueue(Reply(body=json.dumps(document)))
    got = ask(served, stream=True)
    delta = got.events[0]["choices"][0]["delta"]
    assert delta == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [{**call, "index": 0}],
    }
    assert got.events[1]["choices"][0]["finish_reason"] == "tool_calls"
    assert picodollars(served, got) > 0


@pytest.mark.parametrize("text", ["{", "[]", '{"choices": []}', '{"choices": [5]}', '{"choices": [{"message": 5}]}'])
def test_what_is_no_answer_is_no_stream_either(served: Served, upstream: ScriptedUpstream, text: str) -> None:
    upstream.enqueue(Reply(body=text))
    got = ask(served, stream=True)
    assert (got.status, got.error["code"]) == (502, "upstream_invalid")


@pytest.mark.parametrize("model", ["hosted", "streams"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_provider_asks_of_us_is_not_shown_to_the_caller(
    served: Served, upstream: ScriptedUpstream, stream: bool, model: str
) -> None:
    usage = json.dumps({**USED, "cost": 99.5, "cost_details": {"upstream": 98}, "cost_usd": "97", "more": 1})
    for text in (usage, usage.replace('"cost', '"\\u0063ost')):
        if stream or model == "streams":
            last = json.dumps({**delta(), "choices": [], "usage": 0}).replace('"usage": 0', '"usage": ' + text)
            upstream.enqueue(sse(delta("Hi"), delta(None, "stop"), last.encode()))
        else:
            upstream.enqueue(Reply(body=json.dumps(whole("Hi", usage=0)).replace('"usage": 0', '"usage": ' + text)))
        got = ask(served, model, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
        cost = 7 * INPUT + 3 * OUTPUT
        assert got.usage == {**USED, "more": 1, "cost": cost / 1e12, "cost_usd": f"{cost / 1e12:.7f}"}
        assert got.body.count(b'ost"') == 1
        assert b"9" not in json.dumps(got.usage).encode()


@pytest.mark.parametrize("model", ["hosted", "streams"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("tokens", "charged"), [(1, 900 * INPUT + OUTPUT), (40, 900 * INPUT + 40 * OUTPUT), (0, 0)])
def test_an_answer_without_text_is_free_only_when_no_tokens_are_reported(
    served: Served, upstream: ScriptedUpstream, tokens: int, charged: int, stream: bool, model: str
) -> None:
    upstream.enqueue(Reply(text="", prompt_tokens=900, completion_tokens=tokens))
    got = ask(served, model, stream=stream, stop=["yes"])
    assert got.status == 200
    bill = receipt(served, got)
    assert bill["outcome"] == ("served" if tokens else "empty")
    assert round(float(bill["charged_usd"]) * 1e12) == charged


# --- heads


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    "value",
    [
        "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "1e400", "-1e400", "nan", "-5", "9" * 400, "1e15",
        "Mon, 01 Jan 0001 00:00:00 GMT", "Mon, 01 Jan 1 00:00:00 -9999", "x" * 4000, "", "Sat, 99 Foo 2026 99:99:99 +9999999999",
    ],
)  # fmt: skip
def test_a_retry_after_of_any_kind_is_bounded(
    served: Served, upstream: ScriptedUpstream, value: str, status: int
) -> None:
    upstream.enqueue(Reply(status=status, headers={"retry-after": value}))
    got = ask(served)
    assert got.error["code"] == ("upstream_rate_limited" if status == 429 else "upstream_failed")
    assert 0 <= int(got.headers.get("retry-after", "0")) <= 86_400


# --- errors


@pytest.mark.parametrize(
    ("status", "error", "code", "provider_code"),
    [
        (400, {"code": "content_policy_violation", "message": "No."}, "content_policy_violation", "content_policy_violation"),
        (400, {"code": "invalid_image_url", "message": "No."}, "invalid_image_url", "invalid_image_url"),
        (400, {"code": "context_length_exceeded", "message": "No."}, "context_length_exceeded", "context_length_exceeded"),
        (400, {"code": "vendor_code_7", "message": "No."}, "upstream_refused", "vendor_code_7"),
        (400, {"code": "sk-live-0123456789", "message": "No."}, "upstream_refused", None),
        (400, {"code": "x" * 5000, "message": "No."}, "upstream_refused", None),
        (400, {"code": ["a"], "message": {"a": 5}, "param": 7}, "upstream_refused", None),
        (429, {"code": "rate_limit_exceeded", "message": "No."}, "upstream_rate_limited", "rate_limit_exceeded"),
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota."}, "upstream_denied", None),
        (401, {"code": "invalid_api_key", "message": "Key sk-123456789 is wrong"}, "upstream_denied", None),
    ],
)  # fmt: skip
def test_a_providers_code_survives_beside_ours(
    served: Served, upstream: ScriptedUpstream, status: int, error: Any, code: str, provider_code: str | None
) -> None:
    upstream.enqueue(Reply(status=status, body=json.dumps({"error": error})))
    got = ask(served)
    assert (got.error["code"], got.error.get("provider_code")) == (code, provider_code)
    assert got.error.get("fairlead_code", code) in (code, "upstream_refused")
    if got.headers.get("x-fairlead-generation-id") and status == 400:
        assert receipt(served, got)["outcome"] in ("upstream_refused", "context_length_exceeded")


@pytest.mark.parametrize("model", ["hosted", "streams"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_refuses_inside_its_answer_is_believed_and_not_blamed(
    served: Served, upstream: ScriptedUpstream, stream: bool, model: str
) -> None:
    for _ in range(21):
        error = {
            "error": {"code": "content_filter", "message": "Filtered at http://10.1.2.3:8000/x with sk-secret-12345678"}
        }
        upstream.enqueue(sse(error) if stream or model == "streams" else Reply(body=json.dumps(error)))
        got = ask(served, model, stream=stream)
        assert (got.status, got.error["code"]) == (400, "content_filter")
        assert b"10.1.2.3" not in got.body
        assert b"sk-secret" not in got.body
    upstream.enqueue(Reply(text="Fine."))
    assert ask(served, model).text == "Fine."


def test_a_continuation_that_is_refused_shows_the_cut_or_the_next_candidate_goes_on(
    served: Served, upstream: ScriptedUpstream
) -> None:
    refused = Reply(status=400, body=json.dumps({"error": {"message": "no prefill here"}}))
    cut = sse(delta("One "), delta("two"), done=False)
    upstream.enqueue(cut, refused)
    got = ask(served, "cut", stream=True)
    assert (got.text, got.error["code"]) == ("One two", "upstream_cut")
    assert receipt(served, got)["outcome"] == "upstream_cut"
    upstream.enqueue(cut, refused, Reply(text="One two three.", continues=True))
    got = ask(served, "three", stream=True)
    assert (got.text, got.error) == ("One two three.", None)


@pytest.mark.parametrize("role", ["", None])
def test_a_stream_that_ends_after_its_role_is_rescued(served: Served, upstream: ScriptedUpstream, role: Any) -> None:
    opening = {
        **delta(),
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": role}, "finish_reason": None}],
    }
    tools = [{"type": "function", "function": {"name": "f"}}]  # of one piece: it could not be continued
    upstream.enqueue(sse(opening, done=False), Reply(text="All of it."))
    got = ask(served, "two" if role is None else "role", stream=True, tools=tools)
    assert (got.status, got.text, got.error) == (200, "All of it.", None)
    assert sum("role" in choice["delta"] for event in got.events for choice in event["choices"]) == 1


def test_what_is_no_word_is_not_held_for_long(served: Served, upstream: ScriptedUpstream) -> None:
    odd = [
        {**delta(), "choices": [{"index": 0, "delta": {"refusal": f"part {at}"}, "finish_reason": None}]}
        for at in range(9)
    ]
    upstream.enqueue(sse(*odd, delta(None, "stop")))
    got = ask(served, "hosted", stream=True)
    assert [choice["delta"].get("refusal") for event in got.events for choice in event["choices"]][:9] == [
        f"part {at}" for at in range(9)
    ]


# --- anything at all


class RawUpstream:
    """A server that answers every request with the bytes of `answer`, and then closes."""

    def __init__(self) -> None:
        self.answer: bytes | Callable[[], Iterator[bytes]] = b""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            got = b""
            while b"\r\n\r\n" not in got:
                got += connection.recv(65536)
            head, _, body = got.partition(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            while found and len(body) < int(found[1]):
                body += connection.recv(65536)
            for piece in [self.answer] if isinstance(self.answer, bytes) else self.answer():
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def raw() -> Iterator[RawUpstream]:
    running = RawUpstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def attacked(
    upstream: ScriptedUpstream, raw: RawUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    config = ALONE + "".join(
        provider(url, name=name, dialect=dialect)
        + f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{name}"\nupstream_model = "up"\n'
        f"price = {price}\n"
        for name, url, dialect, price in (
            ("hosted", raw.url, "openai", '{ input = "0.10", output = "0.30" }'),
            ("streams", raw.url, "vllm", '{ input = "0.10", output = "0.30" }'),
            ("honest", upstream.url, "openai", '"free"'),
        )
    )
    with serving(tmp_path_factory.mktemp("attacked"), config) as running:
        yield running
    assert "Traceback" not in running.output, running.output[-4000:]


def memory(served: Served) -> int:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def head(kind: str = "application/json", *more: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


# More of them by hand: FAIRLEAD_ATTACK_EVENTS=1000000.
MANY = int(os.environ.get("FAIRLEAD_ATTACK_EVENTS", "100000"))
JSON, SSE = "application/json", "text/event-stream"
OK = json.dumps(whole(usage=USED)).encode()
STREAM = (
    b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in (delta("Hi"), delta(None, "stop")))
    + b"data: [DONE]\n\n"
)
DEEP = b"[" * 100_000
RAW: dict[str, bytes | Callable[[], Iterator[bytes]]] = {
    "nothing": b"",
    "binary": bytes(range(256)) * 300,
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200_000,
    "a header of 1 MB": head(JSON, "x: " + "y" * 1_000_000) + OK,
    "10,000 headers": head(JSON, *("x: y" for _ in range(10_000))) + OK,
    "no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n" + OK,
    "a NUL": b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n" + OK,
    "status 999": head(status="999 Odd") + OK,
    "status 42": head(status="42 Odd") + OK,
    "status 000": head(status="000 Odd") + OK,
    "status of words": head(status="good OK") + OK,
    "HTTP/9.9": head().replace(b"1.1", b"9.9") + OK,
    "HTTP/0.9": OK,
    "negative length": head(JSON, "content-length: -5") + OK,
    "two lengths": head(JSON, "content-length: 5", "content-length: 7") + OK,
    "a length of 10**30": head(JSON, "content-length: 1" + "0" * 30) + OK,
    "a length that is too long": head(JSON, f"content-length: {len(OK) + 100}") + OK,
    "a length that is too short": head(JSON, f"content-length: {len(OK) - 5}") + OK,
    "length and chunks": head(JSON, "content-length: 5", "transfer-encoding: chunked") + OK,
    "a flood of 100s": lambda: (b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000 for _ in range(1_000)),
    "a flood of 103s": lambda: (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1_000 for _ in range(500)),
    "101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n" + OK,
    **{f"redirect {code}": head(JSON, "location: http://127.0.0.1:1/x", "content-length: 0", status=f"{code} PostingFields")
       for code in (301, 302, 303, 307, 308)},
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a chunk of 2**64": head(JSON, "transfer-encoding: chunked") + b"ffffffffffffffffff\r\n" + OK,
    "a chunk of no size": head(JSON, "transfer-encoding: chunked") + b"zz\r\n" + OK,
    "endless trailers": lambda: iter([head(JSON, "transfer-encoding: chunked") + b"0\r\n", *(b"x: y\r\n" * 1_000 for _ in range(500))]),
    "gzip": head(JSON, "content-encoding: gzip") + gzip.compress(OK),
    "a gzip stream": head(SSE, "content-encoding: gzip") + gzip.compress(STREAM),
    "200 with an error": head() + b'{"error": {"message": "boom", "code": 500}}',
    "200 with an error of words": head() + b'{"error": "boom"}',
    "200 with an error of numbers": head() + b'{"error": [1, {"code": 1e999}], "choices": []}',
    "200 with a deep error": head() + b'{"error": ' + DEEP,
    "400 with a deep error": head(status="400 Bad") + b'{"error": ' + DEEP,
    "400 with garbage": head(status="400 Bad") + bytes(range(256)),
    "400 with a number": head(status="400 Bad") + b"5",
    "400 with odd members": head(status="400 Bad") + b'{"error": {"message": [{}], "code": {}, "param": [], "type": 5}}',
    "an error of 10 MB": head(status="400 Bad") + b'{"error": {"message": "' + b"key=" * 2_500_000 + b'"}}',
    "HTML": head("text/html") + b"<html>" * 1_000,
    "no body": head(),
    "a stream that is none": head(SSE) + OK,
    "an empty stream": head(SSE),
    "only comments": head(SSE) + b": x\n\n" * MANY,
    "empty objects": head(SSE) + b"data: {}\n\n" * MANY,
    "line ends": head(SSE) + b"\n" * MANY + b"\r" * MANY,
    "tiny events": head(SSE) + b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * (MANY // 5) + STREAM,
    "an event of 10 MB": head(SSE) + b"data: " + json.dumps(delta("x" * 10_000_000)).encode() + b"\n\n" + STREAM,
    "an event without end": lambda: iter([head(SSE) + b"data: ", *(b"x" * 1_000_000 for _ in range(40))]),
    "fields without end": lambda: iter([head(SSE), *(b"data: x\n" * 100_000 for _ in range(40))]),
    "a BOM": head(SSE) + b"\xef\xbb\xbf" + STREAM,
    "UTF-16": head(JSON) + OK.decode().encode("utf-16"),
    "two DONEs": head(SSE) + STREAM + STREAM,
    "DONE first": head(SSE) + b"data: [DONE]\n\n" + STREAM,
    "an error after DONE": head(SSE) + STREAM + b'data: {"error": {"message": "x"}}\n\n',
}  # fmt: skip
ODD: tuple[Any, ...] = (None, 5, -1, 1e300, "x", "", True, [], {}, [None], [5], [[]], [{}], {"a": {}}, "\ud800")


def odd_documents() -> Iterator[tuple[str, Any]]:
    """Chunks and answers with every member of a wrong type."""
    for value in ODD:
        for name in (
            "choices",
            "id",
            "created",
            "model",
            "object",
            "usage",
            "error",
            "system_fingerprint",
            "service_tier",
        ):
            yield name, {name: value}
        for name in ("index", "finish_reason", "logprobs", "delta", "message"):
            yield name, {"choices": [{"index": 0, "delta": {"content": "a"}, "message": {"content": "a"}, name: value}]}
        for name in ("content", "role", "tool_calls", "refusal", "reasoning", "reasoning_content", "audio"):
            words = {"content": "a", name: value}
            yield name, {"choices": [{"index": 0, "delta": words, "message": words}]}
        for name in ("index", "id", "type", "function"):
            calls = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}, name: value}]}
            yield f"call {name}", {"choices": [{"index": 0, "delta": calls, "message": calls}]}
    for index in (-1, 128, 10**9, 2**70, 1.5):
        yield "index", {"choices": [{"index": index, "delta": {"content": "a"}}]}
        calls = {"tool_calls": [{"index": index, "function": {"arguments": "x"}}]}
        yield "call index", {"choices": [{"index": 0, "delta": calls, "message": calls}]}


@pytest.mark.parametrize("name", RAW)
def test_whatever_a_provider_sends_the_caller_gets_an_answer_or_an_error_of_ours(
    attacked: Served, raw: RawUpstream, name: str
) -> None:
    raw.answer = RAW[name]
    before = memory(attacked)
    for model in ("hosted", "streams"):
        for stream in (False, True):
            check(ask(attacked, model, stream=stream), name)
    assert ask(attacked, "honest").status == 200
    assert memory(attacked) - before < 200_000_000
    raw.answer = head(SSE) + STREAM
    for model in ("hosted", "streams"):
        assert ask(attacked, model, stream=True).text == "Hi", "the next answer is as good as any"


def check(got: Got, name: str) -> None:
    """An answer, or an error of ours that blames no fault here; JSON in either case."""
    if got.status != 200:
        error = json.loads(got.body)["error"]
        assert error["code"] not in ("internal_error", "candidates_resting", None), (name, error)
        assert got.status != 500
        assert len(got.body) < 5_000
    elif got.body.startswith(b"{"):
        assert json.loads(got.body)["choices"], name
    else:
        events = got.events  # each of them is JSON
        assert got.body.endswith(b"data: [DONE]\n\n") != ("error" in events[-1]), (name, got.body[-200:])


HELLO_CHAT = {"model": "m", "messages": HELLO}


@pytest.mark.parametrize("dialect", ["openai", "vllm", "mistral", "llamacpp", "anthropic", "gemini", "bedrock"])
def test_members_of_any_type_are_an_answer_or_an_error_of_ours(dialect: str) -> None:
    one = adapter(dialect)
    body = {**HELLO_CHAT, "stream": True, "stream_options": {"include_usage": True}}
    call = one.to_vendor(parse_chat(json.dumps(body).encode()))
    prefilled = one.to_vendor(
        parse_chat(json.dumps({**body, "messages": [*HELLO, {"role": "assistant", "content": "a"}]}).encode())
    )
    finished = json.dumps(delta(None, "stop")).encode()
    counted = Usage(TokenClasses(1, output=1, request=1), 1, 1)
    for _, change in odd_documents():
        document = json.dumps({**whole(usage=USED), **change}).encode()
        chunk = json.dumps({"id": "c", "created": 1, "model": "up", **change}).encode()
        stream = b"data: %b\n\ndata: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (chunk, chunk, finished)
        with contextlib.suppress(FairleadError):
            answer = one.plain(call, document)
            answer.delivered()
            json.loads(answer.end(b',"cost":1', None if answer.usage is not None else counted))
        for each in (call, prefilled):
            with contextlib.suppress(FairleadError):
                assembler = one.assembler(each)
                assembler.feed(stream)
                assembler.finish()
                assembler.delivered()
                json.loads(assembler.end(b',"cost":1', None if assembler.usage is not None else counted))
            with contextlib.suppress(FairleadError):
                relay = one.relay(each)
                out = relay.feed(stream) + relay.finish()
                relay.delivered()
                out += relay.end(b',"cost":1', None if relay.usage is not None else counted)
                for event in out.split(b"\n\n")[:-2]:
                    json.loads(event.removeprefix(b"data: "))
        for status in (400, 429, 500):
            assert one.error(status, (), document).message


VENDOR_WORDS = ("anthropic", "gemini", "bedrock")


@pytest.mark.parametrize("vendor", VENDOR_WORDS)
def test_a_vendors_own_members_of_any_type_are_an_error_of_ours(vendor: str) -> None:
    """Every value of a recorded answer, in turn, is something else."""
    one = adapter(vendor)
    call = one.to_vendor(parse_chat(json.dumps({**HELLO_CHAT, "stream": True}).encode()))
    for case in ("text", "tools", "reasoning"):
        document = json.loads(recorded.whole(vendor, case))
        for changed in broken(document):
            with contextlib.suppress(FairleadError):
                answer = one.plain(call, json.dumps(changed).encode())
                json.loads(answer.end(b',"cost":1', Usage(TokenClasses(1), 1, 1)))
        if vendor == "bedrock":
            frames = recorded.amazon_events(case)
            streams = [
                [
                    recorded.frame(kind, other if at == place else payload)
                    for place, (kind, payload) in enumerate(frames)
                ]
                for at in range(len(frames))
                for other in broken(frames[at][1])
                if "\\ud800" not in json.dumps(other)  # the helper writes UTF-8
            ]
        else:
            events = recorded.events(vendor, case)
            streams = []
            for at, event in enumerate(events):
                found = re.search(rb"(?m)^data: (\{.*\})$", event)
                if found is not None:
                    for other in broken(json.loads(found[1])):
                        new = event.replace(found[1], json.dumps(other).encode())
                        streams.append([*events[:at], new, *events[at + 1 :]])
        for stream in streams:
            with contextlib.suppress(FairleadError):
                relay = one.relay(call)
                for event in stream:
                    relay.feed(event)
                relay.finish()
                relay.end(b"")
            with contextlib.suppress(FairleadError):
                assembler = one.assembler(call)
                for event in stream:
                    assembler.feed(event)
                assembler.finish()
                json.loads(assembler.end(b""))


def broken(value: Any) -> Iterator[Any]:
    """The document with one of its values replaced, for every value and every replacement."""
    if isinstance(value, dict):
        for name, inner in value.items():
            for other in broken(inner):
                yield {**value, name: other}
        yield {}
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            for other in broken(inner):
                yield [*value[:at], other, *value[at + 1 :]]
    yield from ODD
