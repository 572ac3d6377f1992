"""Two upstreams, A faulty and B healthy: what a caller sees of each fault, and that there is exactly one bill.

The table of docs/internals/routing.md says the same; a test keeps the two together.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, fairlead, provider, serving
from .published import CHECKS
from .speaking import WAYS, Way
from .speaking import Answer as DoorAnswer
from .speaking import ask as ask_door

PAGE = Path(__file__).parents[2] / "docs" / "internals" / "routing.md"
HELLO = [{"role": "user", "content": "Count, please."}]
TEXT = "One two  three four, é🎈 five\nsix seven."
GRACE_SECONDS = 60.0
QUICK = "connect_timeout_seconds = 0.5\nfirst_byte_timeout_seconds = 0.5\nidle_timeout_seconds = 0.4"
# Where a slow machine must not be taken for a slow provider.
PATIENT = "first_byte_timeout_seconds = 60\nidle_timeout_seconds = 60"
NEVER = "http://nowhere.invalid/v1"

# "a": A's own answer, whole; "b": B's; "joined": A's beginning and B's rest as one answer.
Seen = Literal["a", "b", "joined"]


class Case(NamedTuple):
    name: str
    reply: Reply | str  # or the address of something that is not there
    plain: Seen = "b"
    stream: Seen = "b"

    @property
    def times_out(self) -> bool:
        return isinstance(self.reply, str) or self.reply.fault in (Fault.HANG, Fault.HANG_IN_THE_MIDDLE)


def cut(fault: Fault, seconds: float = 0.02) -> Reply:
    """After two words at least, whatever events an API sends before them."""
    return Reply(text=TEXT, fault=fault, after_chunks=6, chunk_delay_seconds=seconds)


def date_in(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


CASES = (
    Case("connection refused", "refused"),
    Case("name not found", NEVER),
    Case("TLS failure", "tls"),
    *(Case(f"status {status}", Reply(status=status)) for status in (500, 502, 503, 529)),
    Case("status 429 with seconds", Reply(status=429, headers={"retry-after": "7"})),
    Case("status 429 with a date", Reply(status=429, headers={"retry-after": date_in(60)})),
    *(Case(f"status {status}", Reply(status=status)) for status in (401, 402, 403)),
    Case("closed without an answer", Reply(fault=Fault.CLOSE_AT_ONCE)),
    Case("hang before the first byte", Reply(fault=Fault.HANG)),
    Case("slow first byte", Reply(text=TEXT, delay_seconds=0.3), "a", "a"),
    Case("hang in the middle", cut(Fault.HANG_IN_THE_MIDDLE), stream="joined"),
    Case("reset in the middle", cut(Fault.RESET), stream="joined"),
    Case("clean end in the middle", cut(Fault.EOF), stream="joined"),
    Case("error event in the stream", cut(Fault.ERROR_EVENT), stream="joined"),
    Case("malformed JSON", cut(Fault.MALFORMED_JSON), stream="joined"),
    Case("malformed frame", cut(Fault.MALFORMED_FRAME), stream="joined"),
    Case("HTML with 200", Reply(fault=Fault.HTML)),
    Case("empty choices", Reply(fault=Fault.EMPTY_CHOICES)),
    Case("missing usage", Reply(text=TEXT, fault=Fault.MISSING_USAGE), "a", "a"),
    Case("zero usage", Reply(text=TEXT, fault=Fault.ZERO_USAGE), "a", "a"),
    Case("a frame of 1 MB", Reply(text=TEXT, fault=Fault.HUGE_FRAME), "a", "a"),
    Case("one byte at a time", Reply(text=TEXT, fault=Fault.ONE_BYTE_AT_A_TIME), "a", "a"),
    Case("split UTF-8", Reply(text=TEXT, fault=Fault.SPLIT_UTF8), "a", "a"),
    Case("CR LF", Reply(text=TEXT, fault=Fault.CRLF), "a", "a"),
    Case("keep-alive comments", Reply(text=TEXT, fault=Fault.COMMENTS), "a", "a"),
)
# Of a lone deployment.
ALONE = (Fault.EOF, Fault.RESET, Fault.ERROR_EVENT, Fault.MALFORMED_JSON)
CUTS = (Fault.EOF, Fault.RESET, Fault.MALFORMED_JSON)
PIECES = len(re.findall(r"\S+\s*", TEXT))
# A deployment that has just failed is tried last: each cut is made at a deployment of its own.
SPLICED = [f"spliced-{fault.value}-{after}" for fault in CUTS for after in range(1, PIECES + 2)]
BY_NAME = {case.name: at for at, case in enumerate(CASES)}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    chunks: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        if not self.chunks:
            return str(json.loads(self.body)["choices"][0]["message"]["content"])
        return "".join(
            choice["delta"].get("content") or "" for chunk in self.chunks for choice in chunk.get("choices") or ()
        )

    @property
    def finish_reason(self) -> str | None:
        if not self.chunks:
            return str(json.loads(self.body)["choices"][0]["finish_reason"])
        found = [choice.get("finish_reason") for chunk in self.chunks for choice in chunk.get("choices") or ()]
        return next((one for one in reversed(found) if one), None)


def ask(
    served: Served, model: str, *, stream: bool = False, headers: dict[str, str] | None = None, **given: Any
) -> Answer:
    body: dict[str, Any] = {"model": model, "messages": HELLO, "stream": stream, **given}
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    began = time.monotonic()
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body).encode(),
            {"Authorization": f"Bearer {served.key}", **(headers or {})},
        )  # fmt: skip
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data, time.monotonic() - began)
    if stream and answer.status == 200:
        events = re.findall(rb"data: (.*)\n\n", data)
        found.chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    return found


def ask_everywhere(served: Served, name: str, *, stream: bool) -> list[tuple[Way, DoorAnswer]]:
    """The answer of each way's model of this name, asked for at the same time: what hangs does so once."""
    with ThreadPoolExecutor(len(WAYS)) as pool:
        asked = [
            pool.submit(ask_door, served.port, served.key, way, f"{name}-{way.name}", stream=stream) for way in WAYS
        ]
    return [(way, pending.result()) for way, pending in zip(WAYS, asked, strict=True)]


def receipt(served: Served, answer: Answer | DoorAnswer) -> Any:
    return get(served, "/v1/receipts/" + answer.headers["x-fairlead-generation-id"])


def get(served: Served, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {served.key}"})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, data
    return json.loads(data)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        b.default = Reply(text=TEXT, continues=True)
        yield a, b


def deployments(name: str, *providers: str, upstream: str = "x") -> str:
    text = f'[[models]]\nid = "{name}"\n'
    for one in providers:
        text += (
            f'[[models.deployments]]\nprovider = "{one}"\nupstream_model = "{upstream}"\n'
            'price = { input = "1", output = "2" }\ncost = { input = "0.5", output = "1" }\n'
        )
    return text


@pytest.fixture(scope="module")
def served(
    upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Every case has a provider of its own at A, so that what one has shown says nothing about the next."""
    a, b = upstreams
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    places = {"refused": refused, "tls": a.url.replace("http:", "https:"), NEVER: NEVER}
    config = IN_ORDER + provider(b.url, name="b")
    for at, case in enumerate(CASES):
        for kind in ("plain", "stream"):
            for way in WAYS:
                url = places[case.reply] if isinstance(case.reply, str) else a.url
                extra = QUICK if case.times_out else PATIENT
                name = f"a-{kind}{at}-{way.name}"
                config += provider(url, name=name, dialect=way.dialect, extra=extra)
                # Retries of a deployment are bounded: each door has its own at B.
                config += deployments(f"{kind}{at}-{way.name}", name, "b", upstream=way.name)
    for name in ("lone", "slow", "bad", "tools", "json", "capped", "explained", "fallen", "stopped", *SPLICED):
        config += provider(a.url, name=f"a-{name}", extra=PATIENT)
    config += deployments("lone", "a-lone") + deployments("slow", "a-slow") + deployments("bad", "a-bad", "b")
    config += deployments("tools", "a-tools", "b") + deployments("json", "a-json", "b")
    config += deployments("capped", "a-capped", "b") + deployments("explained", "a-explained", "a-lone", "b")
    config += deployments("stopped", "a-stopped", "b")
    for way in WAYS:
        for name in ("empty", *(f"alone-{fault.value}" for fault in ALONE)):
            config += provider(a.url, name=f"a-{name}-{way.name}", dialect=way.dialect, extra=PATIENT)
            config += deployments(f"{name}-{way.name}", f"a-{name}-{way.name}")
    config += deployments("fallen", "a-fallen") + deployments("other", "b")
    for name in SPLICED:
        config += deployments(name, f"a-{name}", "b")
    with serving(tmp_path_factory.mktemp("faults"), config) as running:
        yield running


def test_the_table_of_the_page_is_what_is_tested_here() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| (\w+) \| (\w+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(case.name, case.plain, case.stream) for case in CASES]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_no_fault_of_a_is_seen_through_any_door_while_b_is_healthy(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], case: Case, stream: bool
) -> None:
    a, b = upstreams
    if isinstance(case.reply, Reply):
        a.default = case.reply
    before = len(a.requests), len(b.requests)
    kind = f"{'stream' if stream else 'plain'}{BY_NAME[case.name]}"
    answers = ask_everywhere(served, kind, stream=stream)
    wanted = case.stream if stream else case.plain
    both = [[received.path for received in one.requests[at:]] for one, at in zip(upstreams, before, strict=True)]
    for way, answer in answers:
        seen = wanted if wanted != "joined" or way.joins else "error"
        bill = receipt(served, answer)
        outcomes = [one["outcome"] for one in bill["attempts"]]
        assert answer.status == 200, (way, answer.body)
        if stream and (way.joins or case.name != "missing usage"):  # passed on as it came, where it is
            CHECKS[way.door](answer.events, answer.done, "error" if seen == "error" else "complete")
        if seen == "error":
            assert (len(answer.errors), answer.ends, answer.text in TEXT) == (1, 0, True), (way, answer.body)
            assert outcomes == [bill["outcome"]], way
            assert float(bill["charged_usd"]) == 0, way
            continue
        text = TEXT * (len(answer.text) // len(TEXT)) if case.name == "a frame of 1 MB" else TEXT
        assert (answer.text == text, answer.finish) == (True, "stop"), (way, answer.body)
        assert (answer.errors, b'"error":{' in answer.body) == ([], False), way
        assert answer.ends == (1 if stream else 0), (way, answer.body)
        assert answer.identities <= 1, (way, "one answer, whoever wrote it")
        assert (bill["outcome"], outcomes[-1:], len(outcomes)) == ("served", ["served"], 1 if seen == "a" else 2), way
        assert float(bill["charged_usd"]) > 0, way
        assert bill["usage"]["completion_tokens"] > 0, way
        assert bill["deployment"].startswith(f"a-{kind}" if seen == "a" else "b"), way
    assert len(both[1]) == {"a": 0, "b": len(WAYS), "joined": sum(way.joins for way in WAYS)}[wanted]
    assert len(both[0]) <= len(WAYS)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_without_a_word_costs_nothing_at_any_door(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], stream: bool
) -> None:
    upstreams[0].default = Reply(text="", prompt_tokens=12, completion_tokens=0)
    for way, answer in ask_everywhere(served, "empty", stream=stream):
        assert (answer.status, answer.text) == (200, ""), (way, answer.body)
        bill = receipt(served, answer)
        assert (bill["outcome"], float(bill["charged_usd"])) == ("empty", 0), (way, bill)
        assert len(bill["attempts"]) == 1, way


@pytest.mark.parametrize("fault", ALONE)
def test_a_stream_that_cannot_continue_ends_with_the_error_event_of_its_door(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], fault: Fault
) -> None:
    upstreams[0].default = cut(fault)
    for way, first in ask_everywhere(served, f"alone-{fault.value}", stream=True):
        answer = first
        if answer.status == 502:  # on a busy machine words and fault may be read at once
            upstreams[0].default = cut(fault, 0.5)
            answer = ask_door(served.port, served.key, way, f"alone-{fault.value}-{way.name}", stream=True)
        assert (answer.status, len(answer.errors), answer.ends) == (200, 1, 0), (way, answer.body)
        CHECKS[way.door](answer.events, answer.done, "error")
        assert answer.text, way
        assert TEXT.startswith(answer.text), way
        bill = receipt(served, answer)
        assert bill["outcome"] in ("upstream_cut", "upstream_failed", "upstream_invalid"), (way, bill["outcome"])
        assert (len(bill["attempts"]), float(bill["charged_usd"])) == (1, 0), way


def test_exactly_one_bill_for_each_call_and_every_charge_can_be_made_again(served: Served) -> None:
    receipt(served, ask(served, "lone"))  # before this record, all earlier ones were stored
    before = count(served)
    ask_everywhere(served, f"plain{BY_NAME['status 500']}", stream=False)
    receipt(served, ask(served, "lone"))
    assert count(served) == before + len(WAYS) + 1
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stderr


def count(served: Served) -> int:
    return len(fairlead("usage", "export", "--format", "jsonl", data=served.data).stdout.splitlines())


@pytest.mark.parametrize("fault", CUTS)
def test_a_stream_goes_on_from_every_place_without_a_lost_or_repeated_character(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], fault: Fault
) -> None:
    a, b = upstreams
    for after in range(1, PIECES + 2):
        a.default = Reply(text=TEXT, fault=fault, after_chunks=after, chunk_delay_seconds=0.005)
        name = f"spliced-{fault.value}-{after}"
        answer = ask(served, name, stream=True, stream_options={"include_usage": True})
        assert answer.text == TEXT, after
        assert answer.finish_reason == "stop"
        assert answer.body.count(b'"role"') == 1
        # Before the first word nothing has left: the other one answers.
        assert answer.headers["x-fairlead-deployment"] == (f"a-{name}/x" if after > 1 else "b/x")
        sent = b.requests[-1].json["messages"][-1]
        begun = sent["content"] if sent["role"] == "assistant" else ""
        assert begun == "".join(re.findall(r"\S+\s*", TEXT)[: after - 1]).rstrip(), "the exact text so far"
        usage = answer.chunks[-1]["usage"]
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
        assert usage["prompt_tokens"] <= 12, "the prompt once, and nothing of the answer in it"
        bill = receipt(served, answer)
        assert [one["outcome"] for one in bill["attempts"]][1:] == ["served"]
        assert bill["usage"]["completion_tokens"] == usage["completion_tokens"]
        assert bill["usage"]["prompt_tokens"] == usage["prompt_tokens"]
        own = len(re.findall(r"\S+\s*|\s+", TEXT[len(begun) :]))
        billed = Decimal(12 * 5 + own * 10) / 10**7
        assert Decimal(bill["attempts"][-1]["cost_usd"]) == billed, "what b bills: all of its prompt, its own words"
    assert fairlead("verify", data=served.data).returncode == 0


def test_a_stop_sequence_is_honoured_across_the_seam(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.default = Reply(text=TEXT, fault=Fault.EOF, after_chunks=3)
    b.enqueue(Reply(text=TEXT, continues=True, chunk_delay_seconds=0.15))
    before = b.cancelled
    options = {"stream_options": {"include_usage": True}}
    answer = ask(served, "stopped", stream=True, stop=["never", "two  three"], **options)
    assert (answer.text, answer.finish_reason) == ("One two  ", "stop")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    eventually(lambda: b.cancelled == before + 1)
    bill = receipt(served, answer)
    assert (bill["outcome"], bill["usage"]["state"]) == ("served", "estimated"), "its tokenizer is not known"
    assert 1 <= bill["usage"]["completion_tokens"] <= 4, "what the caller has"
    assert float(bill["attempts"][-1]["cost_usd"]) > 0, "the operator pays what was written in vain"


def test_the_callers_own_prefill_and_cap_hold_over_the_seam(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.default = Reply(text=TEXT, fault=Fault.EOF, after_chunks=4)
    messages = [*HELLO, {"role": "assistant", "content": "Well: "}]
    b.enqueue(Reply(text="Well: " + TEXT, continues=True))
    answer = ask(served, "capped", stream=True, messages=messages, max_tokens=100)
    assert answer.text == TEXT
    sent = b.requests[-1].json
    assert sent["messages"][-1] == {"role": "assistant", "content": "Well: One two  three"}
    assert len(sent["messages"]) == len(messages), "still one message of the assistant's"
    assert 85 <= sent["max_tokens"] < 100, "less what has been written already"


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("json", {"response_format": {"type": "json_object"}}),
    ],
)
def test_tool_calls_and_json_are_never_spliced(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], model: str, given: dict[str, Any]
) -> None:
    a, b = upstreams
    a.default = cut(Fault.EOF)
    before = len(b.requests)
    answer = ask(served, model, stream=True, **given)
    assert answer.status == 200
    assert answer.chunks[-1]["error"]["code"] == "upstream_cut"
    assert answer.finish_reason == "error"
    assert b"[DONE]" not in answer.body
    assert len(b.requests) == before
    bill = receipt(served, answer)
    assert (bill["outcome"], float(bill["charged_usd"])) == ("upstream_cut", 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_IN_THE_MIDDLE])
def test_nothing_outlives_its_deadline(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], stream: bool, fault: Fault
) -> None:
    upstreams[0].default = Reply(text=TEXT, fault=fault, after_chunks=3)
    answer = ask(served, "slow", stream=stream, headers={"x-fairlead-timeout": "1"})
    assert 0.95 <= answer.seconds <= 1 + GRACE_SECONDS
    if stream and fault is Fault.HANG_IN_THE_MIDDLE:
        assert answer.chunks[-1]["error"]["code"] == "deadline_exceeded"
    else:
        assert answer.status == 504
        assert json.loads(answer.body)["error"]["code"] == "deadline_exceeded"
    bill = receipt(served, answer)
    assert bill["outcome"] == "deadline_exceeded"
    # As after a disconnect: what had been written by then is charged.
    assert (float(bill["charged_usd"]) > 0) == (fault is Fault.HANG_IN_THE_MIDDLE)


@pytest.mark.parametrize("wrong", ["soon", "0", "-1", "nan", "100000"])
def test_a_deadline_is_a_number_of_seconds(served: Served, wrong: str) -> None:
    answer = ask(served, "slow", headers={"x-fairlead-timeout": wrong})
    assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "x-fairlead-timeout")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_callers_mistake_is_told_and_tried_nowhere_else(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], status: int
) -> None:
    a, b = upstreams
    a.default = Reply(status=status)
    before = len(a.requests), len(b.requests)
    assert ask(served, "bad").status == status
    assert (len(a.requests), len(b.requests)) == (before[0] + 1, before[1])


def test_a_lone_deployment_is_tried_once_more_after_a_pause(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, _ = upstreams
    a.default = Reply(text=TEXT)
    a.enqueue(Reply(status=500))
    answer = ask(served, "lone")
    assert answer.text == TEXT
    assert answer.seconds >= 0.2, "not at once"
    a.enqueue(Reply(status=500), Reply(status=500), Reply(status=500))
    before = len(a.requests)
    assert ask(served, "lone").status == 502
    assert len(a.requests) == before + 2
    a.enqueue(Reply(status=401))
    assert ask(served, "lone").status == 502, "a refused credential is refused again"


def test_explain_replays_how_a_call_was_routed(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    upstreams[0].default = Reply(text=TEXT, fault=Fault.EOF, after_chunks=3)
    answer = ask(served, "explained", stream=True, provider={"ignore": ["a-lone"]})
    assert answer.text == TEXT
    name = answer.headers["x-fairlead-generation-id"]

    def explained() -> Any:
        told = fairlead("explain", name, "--json", data=served.data)
        return json.loads(told.stdout) if told.returncode == 0 else {}

    eventually(lambda: {"candidates", "attempts"} <= explained().keys())  # stored one after the other, in either order
    found = explained()
    assert [one["deployment"] for one in found["candidates"]] == ["a-explained/x", "b/x"]
    assert [(one["deployment"], one["reason"]) for one in found["rejected"]] == [("a-lone/x", "ignored")]
    assert [one["outcome"] for one in found["attempts"]] == ["upstream_cut", "served"]
    assert found["continued_at_character"] == len("One two  ")
    text = fairlead("explain", name, data=served.data).stdout
    assert "a-lone/x was rejected: ignored" in text
    assert "continued by another deployment at character 9" in text
    assert fairlead("explain", "gen_nothing", data=served.data).returncode == 1


def test_a_plan_is_told_and_nothing_is_called(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    before = [len(one.requests) for one in upstreams]
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    body = {"model": "bad", "messages": HELLO, "provider": {"max_price": {"prompt": 5}, "ignore": ["a-bad"]}}
    try:
        connection.request("POST", "/v1/plan", json.dumps(body).encode(), {"Authorization": f"Bearer {served.key}"})
        found = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    assert (found["model"], found["strategy"]) == ("bad", "priority")
    assert [one["deployment"] for one in found["candidates"]] == ["b/x"]
    assert [(one["provider"], one["reason"]) for one in found["rejected"]] == [("a-bad", "ignored")]
    assert [len(one.requests) for one in upstreams] == before


def test_preferences_that_nobody_meets_are_404_with_the_reasons(served: Served) -> None:
    answer = ask(served, "bad", provider={"data_collection": "deny"})
    assert answer.status == 404
    error = json.loads(answer.body)["error"]
    assert error["code"] == "no_candidate"
    assert "b/x: data_policy (not known)" in error["message"]


def test_a_model_to_fall_back_on_serves_when_the_first_cannot(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    upstreams[0].default = Reply(status=503)
    answer = ask(served, "fallen", models=["fallen", "other"])
    assert answer.text == TEXT
    assert json.loads(answer.body)["model"] == "other", "the answer says who wrote it"
    assert answer.headers["x-fairlead-deployment"] == "b/x"
    assert ask(served, "other:floor").text == TEXT
    assert ask(served, "other:free").status == 404
    assert ask(served, "other:unknown").status == 404
