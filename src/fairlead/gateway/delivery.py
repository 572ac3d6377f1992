"""The way of an answer to its caller: whole, block by block, or put together here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fairlead.errors import CallerGone, UpstreamError
from fairlead.gateway.call import CallState
from fairlead.gateway.protocols import Emulation, Health, Recovery
from fairlead.http.exchange import Exchange
from fairlead.money.text import written
from fairlead.routing.attempt import Attempt
from fairlead.routing.hedge import Entry
from fairlead.routing.parameters import shown
from fairlead.routing.protocols import Answer, Assembler, Call, MadeAnswer, Relay
from fairlead.wire.heads import JSON_HEAD
from fairlead.wire.usage import Usage

# After the last event of a stream: how long its connection may take to say that it was the last.
END_SECONDS: Final = 1.0
# Events without a word that are held at the beginning of a stream; each choice has one.
HELD_BYTES: Final = 8_192

# That the provider ignored `n` is only known at the end of a stream, when the head has long been sent: a comment, which
# readers of event streams skip.
SHORT_OF_CHOICES: Final = b": x-fairlead-dropped: n\n\n"


class Delivery:
    """Delivers the answers of all calls. `recoveries`: by the names of operations; `drained_tokens`: the most of an
    answer that is read for nobody."""

    __slots__ = ("_health", "_recoveries", "clock", "drained_tokens")

    def __init__(
        self,
        health: Health,
        clock: Callable[[], float],
        recoveries: Mapping[str, Recovery],
        drained_tokens: int,
    ) -> None:
        self._health = health
        self._recoveries = recoveries
        self.clock = clock
        self.drained_tokens = drained_tokens

    def on_first_token(self, attempt: Attempt) -> None:
        """The first word of an answer has come."""
        health, exchange = self._health, attempt.exchange
        assert exchange is not None
        attempt.said_at = now = self.clock()
        health.first_token(health.of(attempt.upstream.deployment), now - exchange.sent_at, now)

    def begin(self, head: bytes, call_state: CallState, relay: Relay) -> None:
        """The first event of a stream has come."""
        response, payload = call_state.response, call_state.payload
        if response.started:
            return
        response.error_event = relay.error_event
        response.start(200, head)
        if len(call_state.plan.candidates) > 1 and call_state.serving.options.continue_streams:
            recovery = self._recoveries.get(call_state.demand.operation.name)
            if recovery is not None:
                call_state.record = recovery.record(payload, relay)
        if call_state.record is None:
            # Not sent again from here on: a stream may be open for an hour, and thousands of them.
            payload.release()

    def whole(self, attempt: Attempt, call: Call, call_state: CallState) -> None:
        """Sends an answer that is complete and settled."""
        answer, response = attempt.answer, call_state.response
        assert answer is not None
        usd = written(attempt.bill.price)
        if response.finished:  # the caller was answered at its deadline
            return
        head = head_of(answer.head, attempt, call, usd)
        choices = call_state.demand.choices
        if choices > 1 and _lacks_choices(answer, choices, call):
            call_state.note_dropped("n")
            head = head_of(answer.head, attempt, call, usd, (*call.dropped, "n"))
        response.send(200, head, answer.end(usage_members(usd, attempt.counted), attempt.counted))

    def at_once(self, attempt: Attempt, made: MadeAnswer, call: Call, call_state: CallState) -> None:
        """Sends the events of an answer that came whole, settled."""
        response, choices = call_state.response, call_state.demand.choices
        if response.finished:  # the caller was answered at its deadline
            return
        head = head_of(made.stream_head, attempt, call)
        if choices > 1 and _lacks_choices(made, choices, call):
            call_state.note_dropped("n")
            head = head_of(made.stream_head, attempt, call, None, (*call.dropped, "n"))
        members = usage_members(written(attempt.bill.price), attempt.counted)
        response.start(200, head)
        response.end(made.stream(members, attempt.counted, include_usage=call_state.payload.include_usage))

    def emulated(
        self, attempt: Attempt, made: MadeAnswer, call: Call, call_state: CallState, emulation: Emulation
    ) -> None:
        """Sends an answer that was put together here, as the caller wants it."""
        usd = written(attempt.bill.price)
        members = usage_members(usd, attempt.counted)
        mark = b"x-fairlead-emulated: %b\r\n" % ", ".join(emulation.names).encode() if emulation.names else b""
        response = call_state.response
        if response.finished:  # the caller was answered at its deadline
            return
        if call_state.demand.stream:
            response.start(200, head_of(made.stream_head + mark, attempt, call))
            response.end(made.stream(members, attempt.counted, include_usage=call_state.payload.include_usage))
        else:
            response.send(200, head_of(JSON_HEAD + mark, attempt, call, usd), made.end(members, attempt.counted))

    async def stream(
        self, attempt: Attempt, call: Call, exchange: Exchange, call_state: CallState, entry: Entry | None
    ) -> None:
        """Sends a stream on as it comes, settles it, and sends its end."""
        response = call_state.response
        relay: Relay = attempt.adapter.relay(call)
        if call_state.continuation is not None:
            relay = call_state.continuation.joined(relay)
        attempt.answer = relay
        head = head_of(relay.head, attempt, call)
        exchange.headers = ()
        call.body.clear()
        sink = StreamSink(self, attempt, relay, exchange, call_state, head)
        response.on_pause = exchange.pause
        response.on_resume = exchange.resume
        try:
            try:
                await (exchange if entry is None else entry).relay(sink.take)
            except UpstreamError:
                if not relay.done:  # a connection that breaks after the last event takes nothing away
                    raise
            rest = relay.finish()
            if sink.held:
                rest = sink.held + rest
            choices = call_state.demand.choices
            if choices > 1 and _lacks_choices(relay, choices, call):
                call_state.note_dropped("n")
                rest += SHORT_OF_CHOICES
            attempt.ended_at = self.clock()
            call_state.settle_now()
            await attempt.settle()
            members = usage_members(written(attempt.bill.price), attempt.counted)
        finally:
            response.on_pause = response.on_resume = None
        if not response.started:
            response.start(200, head)
        response.end(rest + relay.end(members, attempt.counted))


class BufferSink:
    """Takes the stream of an answer that is sent whole."""

    __slots__ = ("_assembler", "_attempt", "_delivery")

    def __init__(self, delivery: Delivery, assembler: Assembler, attempt: Attempt) -> None:
        self._delivery = delivery
        self._assembler = assembler
        self._attempt = attempt

    def take(self, data: bytes) -> None:
        self._assembler.feed(data)
        if not self._attempt.said_at and self._assembler.delivered():
            self._delivery.on_first_token(self._attempt)


class StreamSink:
    """Takes the stream of an answer block by block, on the stack of the upstream's read callback, and sends it on."""

    __slots__ = (
        "_attempt", "_call_state", "_continuation", "_delivery", "_drained", "_exchange", "_head", "_most", "_relay",
        "_response", "held",
    )  # fmt: skip

    def __init__(
        self, delivery: Delivery, attempt: Attempt, relay: Relay, exchange: Exchange, call_state: CallState, head: bytes
    ) -> None:
        self._delivery = delivery
        self._attempt = attempt
        self._relay = relay
        self._exchange = exchange
        self._call_state = call_state
        self._head = head
        self._response = call_state.response
        self._most = delivery.drained_tokens
        self._drained = 0
        self._continuation = call_state.continuation
        self.held = b""  # what has come before the first word

    def take(self, data: bytes) -> None:
        """The status is settled by the first word: until then another candidate may serve."""
        out = self._relay.feed(data)
        response = self._response
        if out:
            if not self._attempt.said_at:
                out = self._opening(out)
            response.write(out)
            if self._call_state.record is not None and out:
                self._call_state.record.add(out)
        if self._relay.done:
            continuation = self._continuation
            self._exchange.set_deadline(END_SECONDS if continuation is None or not continuation.stopped else 0.0)
        elif response.disconnected:
            self._drained += out.count(b"\n\n")
            if self._drained > self._most:
                raise CallerGone("The caller disconnected.")

    def _opening(self, out: bytes) -> bytes:
        """What leaves of the stream while its first word is awaited. An event that bears only a role is held back:
        when nothing follows it, another candidate can still serve."""
        attempt, relay = self._attempt, self._relay
        if not attempt.first_at:
            attempt.first_at = self._delivery.clock()
        if relay.delivered():
            self._delivery.on_first_token(attempt)
            attempt.bill.on_first_token()
        elif not self._response.started and not relay.choices and self._is_short(out):
            self.held += out
            return b""
        out, self.held = self.held + out, b""
        self._delivery.begin(self._head, self._call_state, relay)
        self._head = b""
        return out

    def _is_short(self, out: bytes) -> bool:
        """Words of a kind that is not known here must not be held: one event for each choice is, and one more."""
        held = self.held + out
        return len(held) <= HELD_BYTES and held.count(b"\n\n") <= self._call_state.demand.choices + 1


def usage_members(usd: bytes, counted: Usage | None) -> bytes:
    """What the usage of an answer gets: the cost as a number, which SDKs read as a float, and as a string; both with
    every digit. And who counted, where that was not the provider."""
    if counted is not None:
        return b',"cost":%b,"cost_usd":"%b","usage_source":"counted"' % (usd, usd)
    return b',"cost":%b,"cost_usd":"%b"' % (usd, usd)


def head_of(
    head: bytes, attempt: Attempt, call: Call, usd: bytes | None = None, dropped: tuple[str, ...] | None = None
) -> bytes:
    """`usd` when the bill is settled already. `dropped`: instead of what the dialect has no word for."""
    head = b"%b%b%b" % (head, attempt.upstream.answer_headers, attempt.report)
    if usd is not None:
        head = b"%bx-fairlead-cost: %b\r\n" % (head, usd)
    if dropped is None:
        dropped = call.dropped
    if dropped:
        head += b"x-fairlead-dropped: " + shown(dropped) + b"\r\n"
    return head


def _lacks_choices(answer: Answer, choices: int, call: Call) -> bool:
    """Whether the provider took `n` and gave fewer answers."""
    return answer.choices < choices and "n" not in call.dropped
