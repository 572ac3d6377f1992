"""Every ending of a call: what its caller gets, and the one record that is left of it. No process is started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.http.support import Running, eventually, pool_to, read_all, read_until, running
from tests.routing.support import model, upstream

from fairlead.accounts.caller import Caller
from fairlead.catalogue.snapshot import Snapshot
from fairlead.compose.options import routing_options
from fairlead.gateway.gateway import Gateway
from fairlead.gateway.protocols import Health
from fairlead.http.request import Request, Response
from fairlead.ledger.record import UsageRecord
from fairlead.operations.chat.operation import CHAT
from fairlead.operations.chat.recovery import ChatRecovery
from fairlead.routing import health as routing
from fairlead.routing.attempt import DisconnectPolicy
from fairlead.routing.needs import CHOICES
from fairlead.routing.options import Options
from fairlead.routing.upstream import Upstream, servable
from fairlead.schemas.checker import SchemaChecker
from fairlead.serving import Serving, Servings
from fairlead.settings import RoutingSettings
from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.testing.gateway import NoLimits, RecordingLedger, SteadyHealth
from fairlead.wire.chat import parse_chat

CALLER = Caller("account", "key")
HANGS = Reply(fault=Fault.HANG)
FAILS = Reply(status=500)
LONG = Reply(text="one two three four five six seven eight nine ten", chunk_delay_seconds=0.02)


class NothingIsEmpty:
    """An operation whose answers need no text to be worth their price."""

    def __getattr__(self, name: str) -> Any:
        return getattr(CHAT, name)

    def is_empty(self, _text: str) -> bool:
        return False


class House:
    """A gateway with two deployments of one model, `a` before `b`, behind a server."""

    def __init__(self, server: Running, serving: Serving, health: Health, ledger: RecordingLedger) -> None:
        self._server = server
        self.serving = serving
        self.health = health
        self.ledger = ledger

    def connect(self, *, seconds: float | None = None, **given: Any) -> socket.socket:
        """A connection that a call was sent on. `seconds`: the caller's own deadline."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello!"}], **given}).encode()
        line = b"" if seconds is None else b"seconds: %g\r\n" % seconds
        connection = self._server.connect()
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%bContent-Length: %d\r\n\r\n%b"
            % (line, len(body), body)
        )
        return connection

    def ask(self, **given: Any) -> tuple[int, str]:
        """Status and body, as they came over the wire."""
        with self.connect(**given) as connection:
            answer = read_all(connection).decode()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split(" ")[1]), body

    def record(self) -> UsageRecord:
        """The only one. Nothing else is left of the call."""
        eventually(lambda: self.ledger.records)
        (found,) = self.ledger.records
        eventually(lambda: not self.serving.calls)
        assert not any(self.health.of(one.deployment).in_flight for one in self.serving.upstreams.values())
        return found

    def ending(self) -> tuple[str, list[tuple[str, str]], bool]:
        """What the call ended with, what each attempt did, and whether the caller pays."""
        record = self.record()
        return record.outcome, [(one.deployment[0], one.outcome) for one in record.attempts], record.price > 0


@pytest.fixture
def providers() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        b.default = Reply(text="from b")
        yield a, b


DISCONNECTED = DisconnectPolicy(seconds=60, tokens=16_384)


def in_order(**given: Any) -> Options:
    return routing_options(RoutingSettings(strategy="priority", probe_interval_seconds=0, **given))


Build = Callable[..., contextlib.AbstractContextManager[House]]


@pytest.fixture
def build(providers: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path: Path) -> Build:
    @contextlib.contextmanager
    def house(
        options: Options | None = None, operation: Any = CHAT, health: Health | None = None, **facts: Any
    ) -> Iterator[House]:
        of, health, ledger = model(), health or routing.Health(), RecordingLedger(tmp_path)
        upstreams: list[Upstream] = []
        for name, provider in zip("ab", providers, strict=True):
            one = replace(upstream(f"{name}/x", of=of), pool=pool_to(provider.url), **facts)
            upstreams.append(one)
        options = options or in_order()
        serving = Serving(Snapshot({}, {"m": of}), [servable(of, upstreams)], options)
        gateways: list[Gateway] = []

        def handler(request: Request, response: Response) -> Coroutine[Any, Any, None]:
            if not gateways:  # here is the loop that it runs on
                gateways.append(gateway_of(serving, health, ledger))
            seconds = request.header(b"seconds")
            demand = CHAT.demand(parse_chat(request.body))
            demand.operation = operation
            return gateways[0].chat(demand, response, CALLER, None if seconds is None else float(seconds))

        with running(handler) as server:
            try:
                yield House(server, serving, health, ledger)
            finally:
                for one in upstreams:
                    server.call(one.pool.close)
                ledger.close()

    return house


def gateway_of(serving: Serving, health: Health, ledger: RecordingLedger) -> Gateway:
    clock = asyncio.get_running_loop().time
    recoveries = {CHAT.name: ChatRecovery(clock, SchemaChecker())}
    return Gateway(Servings(serving), health, clock, ledger, DISCONNECTED, NoLimits(), recoveries)


def test_served_whole(build: Build) -> None:
    with build() as house:
        status, body = house.ask()
        assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "This is a scripted answer.")
        assert house.ending() == ("served", [("a", "served")], True)
        assert house.record().first_token == 0  # it came whole


def test_served_as_a_stream(build: Build) -> None:
    with build() as house:
        status, body = house.ask(stream=True)
        assert (status, "[DONE]" in body) == (200, True)
        assert house.ending() == ("served", [("a", "served")], True)
        record = house.record()
        assert 0 < record.first_token <= record.done - record.at + 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("operation", "outcome", "paid"),
    [(CHAT, "empty", False), (NothingIsEmpty(), "served", True)],
    ids=("chat", "other"),
)
def test_whether_an_answer_without_a_word_is_free_is_up_to_the_operation(
    build: Build, providers: Any, operation: Any, outcome: str, paid: bool, stream: bool
) -> None:
    providers[0].default = Reply(text="", completion_tokens=0)
    with build(operation=operation) as house:
        assert house.ask(stream=stream)[0] == 200
        assert house.ending() == (outcome, [("a", outcome)], paid)


def test_refused_by_the_provider(build: Build, providers: Any) -> None:
    providers[0].default = Reply(status=400)
    with build() as house:
        assert house.ask()[0] == 400
        assert house.ending() == ("upstream_refused", [], False)
    assert not providers[1].requests, "what one provider refuses is no better elsewhere"


def test_failed_and_served_elsewhere(build: Build, providers: Any) -> None:
    providers[0].default = FAILS
    with build() as house:
        assert "from b" in house.ask()[1]
        assert house.ending() == ("served", [("a", "upstream_failed"), ("b", "served")], True)


def test_failed_everywhere(build: Build, providers: Any) -> None:
    providers[0].default = providers[1].default = FAILS
    with build(in_order(retries=0)) as house:
        assert house.ask()[0] == 502
        assert house.ending() == ("upstream_failed", [("a", "upstream_failed"), ("b", "upstream_failed")], False)


def test_cut_before_the_first_word(build: Build, providers: Any) -> None:
    providers[0].default = Reply(fault=Fault.RESET, after_chunks=1)
    with build() as house:
        status, body = house.ask(stream=True)
        assert (status, "from" in body, "[DONE]" in body) == (200, True, True)
        assert house.ending() == ("served", [("a", "upstream_cut"), ("b", "served")], True)


def test_cut_in_the_middle_and_continued(build: Build, providers: Any) -> None:
    providers[0].default = Reply(text="one two three four", fault=Fault.RESET, after_chunks=3)
    providers[1].default = Reply(text="one two three four", continues=True)
    with build() as house:
        status, body = house.ask(stream=True)
        words = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
        text = "".join(choice["delta"].get("content") or "" for one in words for choice in one["choices"])
        assert (status, text, "[DONE]" in body) == (200, "one two three four", True)
        record = house.record()
        assert 0 < record.first_token <= record.attempts[0].milliseconds + 1, (
            "the caller had it of the first deployment"
        )
        assert house.ending() == ("served", [("a", "upstream_cut"), ("b", "served")], True)


def test_cut_in_the_middle_and_not_continued(build: Build, providers: Any) -> None:
    providers[0].default = Reply(text="one two three four", fault=Fault.RESET, after_chunks=3)
    with build(in_order(continue_streams=False)) as house:
        assert "[DONE]" not in house.ask(stream=True)[1]
        assert house.ending() == ("upstream_cut", [("a", "upstream_cut")], False)
        assert house.record().first_token > 0
    assert not providers[1].requests


@pytest.mark.parametrize("stream", [False, True])
def test_the_deadline_of_the_caller(build: Build, providers: Any, stream: bool) -> None:
    providers[0].default = HANGS
    with build() as house:
        assert house.ask(stream=stream, seconds=1)[0] == 504
        assert house.ending() == ("deadline_exceeded", [("a", "deadline_exceeded")], False)
    assert not providers[1].requests


def test_the_deadline_of_the_caller_where_the_rest_is_billed(build: Build, providers: Any) -> None:
    providers[0].default = replace(LONG, chunk_delay_seconds=0.2)
    with build(bills_cut=True) as house:
        house.ask(stream=True, seconds=1)
        assert house.ending() == ("deadline_exceeded", [("a", "deadline_exceeded")], True)
        assert house.record().usage == "reported", "it was read to its end"


def test_the_deadline_of_the_operator(build: Build, providers: Any) -> None:
    providers[0].default = HANGS
    with build(in_order(timeout_seconds=1)) as house:
        assert house.ask()[0] == 504
        assert house.ending() == ("deadline_exceeded", [("a", "deadline_exceeded")], False)


@pytest.mark.parametrize(
    ("bills_cut", "usage", "cancelled"), [(False, "estimated", 1), (True, "reported", 0)], ids=("cancelled", "drained")
)
def test_the_caller_disconnects(build: Build, providers: Any, bills_cut: bool, usage: str, cancelled: int) -> None:
    providers[0].default = LONG
    with build(bills_cut=bills_cut) as house:
        with house.connect(stream=True) as connection:
            read_until(connection, b"two")
        assert house.ending() == ("caller_gone", [("a", "caller_gone")], True)
        assert house.record().usage == usage
        eventually(lambda: providers[0].cancelled == cancelled)


@pytest.mark.parametrize("stream", [False, True])
def test_emulated(build: Build, providers: Any, stream: bool) -> None:
    with build(lacks=CHOICES) as house:
        status, body = house.ask(n=2, stream=stream)
        assert (status, body.count("This is a scripted answer.")) == (200, 2)
        assert house.ending() == ("served", [("a", "served")], True)
    assert len(providers[0].requests) == 2


def test_attempts_report_how_they_went_to_whatever_keeps_health(build: Build, providers: Any) -> None:
    providers[0].default = FAILS
    health = SteadyHealth()
    with build(health=health) as house:
        for _ in range(8):  # a breaker would have opened
            assert "from b" in house.ask()[1]
        eventually(lambda: len(house.ledger.records) == 8)
    assert health.reports == [("a/x", "upstream_failed"), ("b/x", "served")] * 8
