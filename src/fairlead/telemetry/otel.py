"""Calls and their attempts as OpenTelemetry's spans and metrics, by its conventions for generative AI, sent by OTLP.

Only loaded when a receiver is configured. The event loop puts a tuple into a queue; the rest is done in a thread.
Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Mapping
from queue import SimpleQueue
from typing import NamedTuple

from fairlead.errors import ConfigurationError
from fairlead.telemetry.layout import CALLER_FAULTS, CALLER_GONE, OK, OUTCOME_SLOTS, OUTCOMES
from fairlead.telemetry.recorder import Series
from fairlead.wire.traceparent import TraceContext

try:
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        set_span_in_context,
    )
except ImportError:
    raise ConfigurationError(
        "[telemetry] otlp_endpoint requires the OpenTelemetry SDK. Install it with: "
        f"{sys.executable} -m pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
    ) from None

# Calls and attempts that wait to be made into spans; more are dropped, and counted.
MOST_WAITING = 10_000
EXPORT_SECONDS = 5
# The conventions' advice for the edges of buckets.
DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


# The conventions' names of operations, where they are not ours.
NAMES = {"completions": "text_completion"}


class Subject(NamedTuple):
    """What attempts are of. `model` as callers know it, `upstream_model` as the provider does. `provider`: the
    conventions' name for it, or its own here. `operation`: the first that serves its mode."""

    model: str
    upstream_model: str
    provider: str
    address: str
    port: int | None
    operation: str = "chat"


class _Ended(NamedTuple):
    subject: Subject
    ended_ns: int
    outcome: str
    first_seconds: float
    total_seconds: float
    prompt_tokens: int
    output_tokens: int
    trace: TraceContext | None


class _CallEnded(NamedTuple):
    parent: TraceContext | None
    own: TraceContext
    operation: str
    model: str
    outcome: str
    began_ns: int
    ended_ns: int


class Call:
    """A call under way. Its ids are drawn now, because its attempts end first and name it as their parent."""

    __slots__ = ("_began_ns", "_operation", "_parent", "_sender", "context")

    def __init__(self, sender: Sender, parent: TraceContext | None, operation: str) -> None:
        self._sender = sender
        self._operation = operation
        self._parent = parent
        self._began_ns = time.time_ns()
        span_id = random.getrandbits(64) or 1
        if parent is None:
            self.context = TraceContext(random.getrandbits(128) or 1, span_id, sampled=True)
        else:
            self.context = parent._replace(span_id=span_id)

    def end(self, model: str, outcome: str) -> None:
        self._sender.put(
            _CallEnded(self._parent, self.context, self._operation, model, outcome, self._began_ns, time.time_ns())
        )


class _Ids(RandomIdGenerator):
    """Gives a span the ids that were drawn for it; 0: any. Only the sender's thread begins spans."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.span_id or super().generate_span_id()


class Traced:
    """A series whose attempts become spans besides."""

    __slots__ = ("_sender", "_series", "_subject")

    def __init__(self, series: Series, subject: Subject, sender: Sender) -> None:
        self._series = series
        self._subject = subject
        self._sender = sender

    def add(
        self,
        outcome: str,
        first_seconds: float,
        total_seconds: float,
        prompt_tokens: int,
        output_tokens: int,
        trace: TraceContext | None = None,
        /,
    ) -> None:
        self._series.add(outcome, first_seconds, total_seconds, prompt_tokens, output_tokens)
        now = time.time_ns()
        self._sender.put(
            _Ended(self._subject, now, outcome, first_seconds, total_seconds, prompt_tokens, output_tokens, trace)
        )


class Sender:
    """Of one process. To be made after it was forked: it has threads."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], service_name: str, version: str) -> None:
        resource = Resource.create({"service.name": service_name, "service.version": version})
        base = endpoint.rstrip("/")
        given = dict(headers)
        self._queue: SimpleQueue[_Ended | _CallEnded | None] = SimpleQueue()
        self.dropped = 0
        self._ids = _Ids()
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        self._traces.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces", headers=given, timeout=EXPORT_SECONDS))
        )
        self._metrics = MeterProvider(
            [
                PeriodicExportingMetricReader(
                    OTLPMetricExporter(f"{base}/v1/metrics", headers=given, timeout=EXPORT_SECONDS)
                )
            ],
            resource,
            shutdown_on_exit=False,
        )
        self._tracer = self._traces.get_tracer("fairlead", version)
        meter = self._metrics.get_meter("fairlead", version)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )  # fmt: skip
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Time to receive the first chunk.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )  # fmt: skip
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._work, name="otel", daemon=True)
        self._thread.start()

    def traced(self, series: Series, subject: Subject) -> Traced:
        return Traced(series, subject, self)

    def call(self, parent: TraceContext | None, operation: str) -> Call:
        """A call begins, as a part of its caller's trace where there is one."""
        return Call(self, parent, NAMES.get(operation, operation))

    def put(self, ended: _Ended | _CallEnded) -> None:
        if self._queue.qsize() < MOST_WAITING:
            self._queue.put(ended)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Sends what is left. Takes a few seconds at most when nobody takes it; not for the event loop."""
        self._queue.put(None)
        self._thread.join(EXPORT_SECONDS)
        self._traces.shutdown()
        self._metrics.shutdown(EXPORT_SECONDS * 1000)

    def _work(self) -> None:
        while (ended := self._queue.get()) is not None:
            if isinstance(ended, _CallEnded):
                self._tell_call(ended)
            else:
                self._tell(ended)

    def _tell_call(self, ended: _CallEnded) -> None:
        slot = OUTCOME_SLOTS.get(ended.outcome)
        failed = slot not in OK and slot != CALLER_GONE
        attributes = {
            "gen_ai.operation.name": ended.operation,
            "gen_ai.request.model": ended.model,
            "fairlead.model": ended.model,
            "fairlead.outcome": ended.outcome,
        }
        if failed:
            attributes["error.type"] = ended.outcome if ended.outcome in OUTCOMES else "_OTHER"
        self._ids.trace_id, self._ids.span_id = ended.own.trace_id, ended.own.span_id
        span = self._tracer.start_span(
            f"{ended.operation} {ended.model}",
            _below(ended.parent, remote=True),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=ended.began_ns,
        )
        self._ids.trace_id = self._ids.span_id = 0
        if failed and slot not in CALLER_FAULTS:
            span.set_status(Status(StatusCode.ERROR, ended.outcome))
        span.end(ended.ended_ns)

    def _tell(self, ended: _Ended) -> None:
        subject = ended.subject
        shared: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": subject.operation,
            "gen_ai.provider.name": subject.provider,
            "gen_ai.request.model": subject.upstream_model,
            "server.address": subject.address,
        }
        if subject.port is not None:
            shared["server.port"] = subject.port
        slot = OUTCOME_SLOTS.get(ended.outcome)
        failed = slot not in OK and slot != CALLER_GONE
        if failed:
            shared["error.type"] = ended.outcome if ended.outcome in OUTCOMES else "_OTHER"
        self._duration.record(ended.total_seconds, shared)
        attributes = {**shared, "fairlead.model": subject.model, "fairlead.outcome": ended.outcome}
        if ended.first_seconds > 0:
            self._first.record(ended.first_seconds, shared)
            attributes["gen_ai.response.time_to_first_chunk"] = ended.first_seconds
        for kind, tokens in (("input", ended.prompt_tokens), ("output", ended.output_tokens)):
            if tokens:
                self._tokens.record(tokens, {**shared, "gen_ai.token.type": kind})
                attributes[f"gen_ai.usage.{kind}_tokens"] = tokens
        span = self._tracer.start_span(
            f"{subject.operation} {subject.upstream_model}",
            _below(ended.trace),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended.ended_ns - int(ended.total_seconds * 1e9),
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR, ended.outcome))
        span.end(ended.ended_ns)


def _below(parent: TraceContext | None, *, remote: bool = False) -> Context:
    """Where a child of that span begins; with no parent, a trace of its own."""
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return set_span_in_context(NonRecordingSpan(SpanContext(parent.trace_id, parent.span_id, remote, flags)), Context())
