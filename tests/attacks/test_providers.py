"""Broken, careless and hostile providers: whatever they answer, the caller gets an answer or an error of ours, the bill is
right, and the next caller is served."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from tests.e2e.conftest import Served, eventually, provider, serving

from fairlead.testing import Reply, ScriptedUpstream

HELLO: Any = [{"role": "user", "content": "Hello!"}]
ALONE = '[routing]\nstrategy = "priority"\nretries = 0\nprobe_interval_seconds = 0\n'
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
        (429, {"code": "insufficient_quota", "message": "No."}, "upstream_rate_limited", "insufficient_quota"),
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
