"""Schemas of callers and answers of providers that are meant to stop the service, to leak an answer or to ride free."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.conftest import IN_ORDER, Served, eventually, fairlead, provider, serving

from fairlead.accounts.key_ring import ASK_SECONDS
from fairlead.testing import Reply, ScriptedUpstream
from fairlead.testing.connection import Received, Wire

PRICE = 'price = { input = "1", output = "2" }\ncost = { input = "1", output = "2" }\n'
LACKS = 'lacks = ["json_schema", "json_object", "n"]\n'
CATASTROPHE = "^(a+)+$"
EVIL_TEXT = "a" * 64 + "!"
SECRET = "swordfish"


def doubled(levels: int) -> dict[str, Any]:
    """`allOf` of twice the same, so many levels deep: two to that power of steps."""
    deeper = {
        f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}, {"$ref": f"#/$defs/d{at + 1}"}]} for at in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**deeper, f"d{levels}": {"type": "object"}}}


BROKEN: dict[str, str] = {
    "a number as $schema": '{"$schema": 5}',
    "a number as $schema inside": '{"properties": {"a": {"$schema": 5}}}',
    "a maximum of 5,000 digits": '{"maximum": ' + "1" * 5000 + "}",
    "a number that is infinite": '{"minimum": 1e999}',
    "a type that is a number": '{"type": 7}',
    "a reference to nowhere": '{"properties": {"a": {"$ref": "#/nowhere"}}}',
    "a reference to the network": '{"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}',
    "a file": '{"$ref": "file:///etc/passwd"}',
    "a reference to itself": '{"$ref": "#"}',
    "a reference to itself inside": '{"properties": {"a": {"$ref": "#/properties/a"}}}',
    "an id that is a number": '{"$id": 5}',
    "nothing conforms": '{"not": {}}',
    "no value is allowed": '{"enum": []}',
    "too deep": '{"items": ' * 70 + "{}" + "}" * 70,
    "too large": json.dumps({"description": "x" * 140_000}),
    "two to the power of 30": json.dumps(doubled(30)),
    "two to the power of 29, in a property": json.dumps(
        {"properties": {"a": doubled(29)}, "$defs": doubled(29)["$defs"]}
    ),
}

PATTERNS: dict[str, tuple[dict[str, Any], Any]] = {
    "in its place": ({"type": "string", "pattern": CATASTROPHE}, EVIL_TEXT),
    "behind a reference": ({"$ref": "#/default", "default": {"type": "string", "pattern": CATASTROPHE}}, EVIL_TEXT),
    "in const": ({"$ref": "#/const", "const": {"pattern": CATASTROPHE}}, EVIL_TEXT),
    "patternProperties": ({"patternProperties": {CATASTROPHE: {"type": "integer"}}}, {"a" * 64: "x", EVIL_TEXT: 1}),
    "additionalProperties": ({"patternProperties": {CATASTROPHE: {}}, "additionalProperties": False}, {EVIL_TEXT: 1}),
    "unevaluatedProperties": ({"patternProperties": {CATASTROPHE: {}}, "unevaluatedProperties": False}, {EVIL_TEXT: 1}),
    "propertyNames": ({"propertyNames": {"pattern": CATASTROPHE}}, {EVIL_TEXT: 1}),
    "another draft inside": (
        {"items": {"$schema": "http://json-schema.org/draft-04/schema#", "pattern": CATASTROPHE}},
        [EVIL_TEXT],
    ),
}


class CountingUpstream(ScriptedUpstream):
    """Notes how many calls it answers at once at most."""

    now = most_at_once = 0

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            return await super().answer(request, wire)
        finally:
            self.now -= 1


@pytest.fixture(scope="module")
def upstream() -> Iterator[CountingUpstream]:
    with CountingUpstream() as one:
        yield one


@pytest.fixture(scope="module")
def served(upstream: CountingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = IN_ORDER + provider(upstream.url)
    config += f'[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "x"\n{PRICE}{LACKS}'
    with serving(tmp_path_factory.mktemp("schemas"), config) as running:
        yield running


def key_of(served: Served, name: str, *options: str) -> str:
    made = fairlead("keys", "create", "--name", name, *options, data=served.data)
    assert made.returncode == 0, made.stderr
    time.sleep(2 * ASK_SECONDS)  # the gateway may just have asked for another new key
    return next(word for word in made.stdout.split() if word.startswith("sk-fl-"))


class Answer(NamedTuple):
    status_code: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    def __init__(self, served: Served, key: str | None = None) -> None:
        self._port = served.port
        self._key = key or served.key

    def chat(self, schema: str | None = None, *, seconds: float = 60, **members: Any) -> Answer:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members})
        if schema is not None:
            shape = '{"type": "json_schema", "json_schema": {"name": "s", "schema": ' + schema + "}}"
            body = body[:-1] + ', "response_format": ' + shape + "}"
        return self._ask("POST", "/v1/chat/completions", body, seconds)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, 60)

    def _ask(self, method: str, path: str, body: str | None, seconds: float) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)) as connection:
            headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())

    def receipt(self, answer: Answer) -> Any:
        return self.get("/v1/receipts/" + answer.headers["x-fairlead-generation-id"]).json()


@pytest.fixture
def client(served: Served) -> Client:
    return Client(served)


def workers(served: Served) -> list[int]:
    """The processes that check schemas for this server, or for a worker of it."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    found = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    serving_ids = {served.process.pid, *(int(pid) for pid, parent, _ in found if int(parent) == served.process.pid)}
    return [int(pid) for pid, parent, args in found if "fairlead.schemas.worker" in args and int(parent) in serving_ids]


def is_worker(process: int) -> bool:
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(process)], capture_output=True, text=True, check=False)
    return "fairlead.schemas.worker" in listed.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_a_schema_that_cannot_be_used_is_refused_before_the_provider_is_called(
    client: Client, upstream: CountingUpstream, name: str
) -> None:
    before = len(upstream.requests)
    answer = client.chat(BROKEN[name])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_format"), answer.text
    assert len(upstream.requests) == before


@pytest.mark.parametrize("name", PATTERNS)
def test_expressions_of_callers_take_no_longer_than_the_text(
    served: Served, upstream: CountingUpstream, name: str
) -> None:
    """The answer is found to break a keyword: an engine that backtracks would have been ended by the deadline."""
    schema, value = PATTERNS[name]
    client = Client(served, key_of(served, name.replace(" ", "-")))
    upstream.enqueue(Reply(text=json.dumps(value)), Reply(text=json.dumps(value)))
    answer = client.chat(json.dumps(schema))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "answer_invalid")
    assert "takes too long" not in error["message"]
    assert "does not conform to the JSON schema at #/" in error["message"]


def test_schemas_that_take_for_ever_stop_neither_keys_nor_prepaid_calls_nor_other_schemas(
    served: Served, upstream: CountingUpstream
) -> None:
    attacker, honest = (
        Client(served, key_of(served, "attacker")),
        Client(served, key_of(served, "honest", "--credit", "5")),
    )
    # No two alike, because what is known of a schema is remembered.
    schemas = [json.dumps({**doubled(30), "description": str(at)}) for at in range(8)]
    with concurrent.futures.ThreadPoolExecutor(len(schemas)) as pool:
        attacks = [pool.submit(attacker.chat, schema, seconds=5) for schema in schemas]
        eventually(lambda: workers(served), 60)
        assert attacker.get("/healthz").status_code == 200
        for _ in range(3):
            assert honest.get("/v1/key").status_code == 200
            assert honest.chat().status_code == 200
        assert not attacks[-1].done(), "checks of one key wait for one another"
        upstream.enqueue(Reply(text='{"a": 1}'))
        assert honest.chat('{"type": "object", "required": ["a"]}').status_code == 200
        for attack in attacks:
            if attack.exception() is None:
                assert attack.result().status_code == 400


class TestAnswers:
    """`served` has a deployment without schemas and without `n`."""

    @pytest.mark.parametrize(
        "answer",
        [
            {"choices": [5]},
            {"choices": []},
            {"choices": {"a": 1}},
            {"choices": [{}]},
            {"choices": [{"message": 5}]},
            {"choices": [{"message": {"content": [{"type": "text", "text": "{}"}]}}]},
            {"choices": [{"message": {"content": None, "tool_calls": [5]}}]},
            {"choices": [{"message": {"content": "{}"}, "finish_reason": 5}]},
            [],
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("members", [{"n": 2}, {"response_format": {"type": "json_object"}}], ids=["n", "json"])
    def test_a_provider_that_answers_nonsense_is_told_so(
        self, client: Client, upstream: CountingUpstream, answer: Any, members: Any
    ) -> None:
        reply = Reply(body=json.dumps(answer), headers={"content-type": "application/json"})
        upstream.enqueue(reply, reply)
        found = client.chat(**members)
        upstream._queue.clear()
        assert (found.status_code, found.json()["error"]["code"]) == (502, "upstream_invalid"), found.text

    def test_an_error_contains_nothing_that_the_model_wrote(self, served: Served, upstream: CountingUpstream) -> None:
        client = Client(served, key_of(served, "reader"))
        for schema, text in (
            ({"allOf": [{"type": "integer"}]}, SECRET),
            ({"type": "integer"}, json.dumps(SECRET)),
            ({"additionalProperties": False}, json.dumps({SECRET: SECRET})),
            ({"additionalProperties": {"type": "integer"}}, json.dumps({SECRET: SECRET})),
            ({"propertyNames": {"maxLength": 2}}, json.dumps({SECRET: 1})),
        ):
            upstream.enqueue(Reply(text=text), Reply(text=text))
            answer = client.chat(json.dumps(schema))
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "answer_invalid")
            assert SECRET not in answer.text + str(answer.headers)
            assert SECRET in upstream.requests[-1].json["messages"][-1]["content"] or schema.get("allOf")
            assert SECRET not in json.dumps(client.receipt(answer))

    def test_answers_that_fail_are_free_a_few_times_and_then_refused(
        self, served: Served, upstream: CountingUpstream
    ) -> None:
        client = Client(served, key_of(served, "rider", "--credit", "5"))
        before = len(upstream.requests)
        codes = []
        for _ in range(14):
            answer = client.chat('{"allOf": [{"type": "string"}, {"type": "integer"}]}')
            codes.append(answer.json()["error"]["code"])
        assert set(codes[:10]) == {"answer_invalid"}
        assert set(codes[10:]) == {"rate_limit_exceeded"}
        assert int(answer.headers["retry-after"]) > 0
        assert len(upstream.requests) - before == 20
        assert client.chat().status_code == 200, "what needs no emulation is served"
        other = Client(served, key_of(served, "neighbour"))
        upstream.enqueue(Reply(text="{}"))
        assert other.chat("{}").status_code == 200

    def test_emulated_n_is_paid_in_full_a_few_calls_at_once(self, served: Served, upstream: CountingUpstream) -> None:
        client = Client(served, key_of(served, "many", "--credit", "5"))
        before = len(upstream.requests)
        upstream.enqueue(
            *(Reply(text="yes", prompt_tokens=1000, completion_tokens=2, delay_seconds=0.02) for _ in range(40))
        )
        answer = client.chat(n=40, max_tokens=10)
        assert answer.status_code == 200
        document = answer.json()
        assert len(document["choices"]) == 40
        assert (document["usage"]["prompt_tokens"], document["usage"]["completion_tokens"]) == (40_000, 80)
        receipt = client.receipt(answer)
        assert float(receipt["charged_usd"]) == pytest.approx((40_000 + 2 * 80) / 1e6)
        assert len(upstream.requests) == before + 40
        assert upstream.most_at_once <= 8

    def test_emulated_n_is_held_in_full(self, served: Served, upstream: CountingUpstream) -> None:
        client = Client(served, key_of(served, "poor", "--credit", "0.001"))
        before = len(upstream.requests)
        assert client.chat(max_tokens=10).status_code == 200
        answer = client.chat(n=128, max_tokens=10)
        assert answer.status_code == 402
        assert len(upstream.requests) == before + 1

    def test_a_disconnect_pays_for_the_answers_that_had_come(self, served: Served, upstream: CountingUpstream) -> None:
        client = Client(served, key_of(served, "leaver", "--credit", "5"))
        upstream.enqueue(*(Reply(text="one two three " * 20, chunk_delay_seconds=0.2) for _ in range(3)))
        before = len(upstream.requests)
        with pytest.raises(TimeoutError):
            client.chat(n=3, seconds=2.0)
        eventually(lambda: len(upstream.requests) == before + 3)

        def used() -> float:
            return float(client.get("/v1/credits").json()["data"]["total_usage"])

        eventually(lambda: used() > 0)


def test_a_limit_on_requests_counts_each_call_of_an_emulated_n(upstream: CountingUpstream, tmp_path: Path) -> None:
    config = IN_ORDER + provider(upstream.url) + "[limits]\nrequests_per_minute = 10\n"
    config += f'[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "x"\n{PRICE}{LACKS}'
    with serving(tmp_path, config) as running:
        client = Client(running)
        assert client.chat(n=128).status_code == 429
        assert client.chat(n=6).status_code == 200
        assert client.chat(n=6).status_code == 429
        assert client.chat(n=4).status_code == 200


def test_the_books_are_right_after_all_of_this(served: Served) -> None:
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_no_process_that_checks_schemas_outlives_the_server(
    upstream: CountingUpstream, tmp_path: Path, end: signal.Signals, count: int
) -> None:
    config = IN_ORDER + provider(upstream.url) + "[server]\ndrain_timeout_seconds = 1\n"
    config += f'[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "mock"\nupstream_model = "x"\n{PRICE}{LACKS}'
    with serving(tmp_path, config, workers=count) as running:
        client = Client(running)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            attack = pool.submit(client.chat, json.dumps(doubled(30)))
            eventually(lambda: workers(running), 60)
            children = workers(running)
            os.kill(running.process.pid, end)
            running.process.wait(30)
            eventually(lambda: not any(is_worker(child) for child in children), 30)
            attack.exception()
