"""A receiver of OTLP over HTTP gets spans and metrics of real calls and of each of their attempts."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import model, provider, serving

UPSTREAM_MODEL = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"


class Receiver:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                posts.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for path, _, body in self.posts if path == "/v1/traces"]
        return [span for one in requests for res in one.resource_spans for sc in res.scope_spans for span in sc.spans]

    def metrics(self) -> dict[str, Any]:
        requests = [
            ExportMetricsServiceRequest.FromString(body) for path, _, body in self.posts if path == "/v1/metrics"
        ]
        return {
            metric.name: metric
            for one in requests
            for res in one.resource_metrics
            for sc in res.scope_metrics
            for metric in sc.metrics
        }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def attempts(spans: list[Any]) -> list[Any]:
    return [span for span in spans if span.kind == span.SPAN_KIND_CLIENT]


def calls(spans: list[Any]) -> list[Any]:
    return [span for span in spans if span.kind == span.SPAN_KIND_SERVER]


def say_hello(url: str, key: str, traceparent: str | None = None) -> None:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    with openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, default_headers=headers) as client:
        client.chat.completions.create(model="mistral-small-3.2", messages=[{"role": "user", "content": "Hello!"}])


def test_a_call_becomes_a_span_and_metrics_by_the_conventions(tmp_path: Path, receiver: Receiver) -> None:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text="word " * 20, delay_seconds=0.05)
        config = f'[telemetry]\notlp_endpoint = "{receiver.url}/"\notlp_headers = {{ x-key = "secret" }}\n'
        config += provider(upstream.url) + model()
        before = time.time_ns()
        with serving(tmp_path, config) as served:
            say_hello(served.url, served.key)
        after = time.time_ns()
    (span,) = attempts(receiver.spans())
    assert span.name == f"chat {UPSTREAM_MODEL}"
    assert before < span.start_time_unix_nano < span.end_time_unix_nano < after
    assert span.end_time_unix_nano - span.start_time_unix_nano > 50_000_000
    found = attributes(span)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "mock"
    assert found["gen_ai.request.model"] == UPSTREAM_MODEL
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (12, 20)
    assert found["gen_ai.response.time_to_first_chunk"] > 0.05
    assert found["server.address"] == "127.0.0.1"
    assert f":{found['server.port']}" in upstream.url
    assert found["fairlead.model"] == "mistral-small-3.2"
    assert "error.type" not in found
    metrics = receiver.metrics()
    for name in ("operation.duration", "operation.time_to_first_chunk", "token.usage"):
        assert metrics[f"gen_ai.client.{name}"].histogram.data_points, name
    assert {headers["x-key"] for _, headers, _ in receiver.posts} == {"secret"}


def test_every_operation_has_its_name_in_the_conventions(tmp_path: Path, receiver: Receiver) -> None:
    with ScriptedUpstream() as upstream:
        config = f'[telemetry]\notlp_endpoint = "{receiver.url}"\n' + provider(upstream.url) + model()
        config += model(name="embeds", upstream="up").replace('id = "embeds"', 'id = "embeds"\nmode = "embedding"')
        with (
            serving(tmp_path, config) as served,
            openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client,
        ):
            client.embeddings.create(model="embeds", input="Hello!")
            client.completions.create(model="mistral-small-3.2", prompt="Hello!")
    assert sorted(span.name for span in calls(receiver.spans())) == [
        "embeddings embeds", "text_completion mistral-small-3.2",
    ]  # fmt: skip
    assert "embeddings up" in {span.name for span in attempts(receiver.spans())}


def test_a_failed_attempt_is_a_span_with_its_error(tmp_path: Path, receiver: Receiver) -> None:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(status=500)
        config = f'[telemetry]\notlp_endpoint = "{receiver.url}"\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served, pytest.raises(openai.InternalServerError):
            say_hello(served.url, served.key)
    spans = receiver.spans()
    (call,) = calls(spans)
    tried = attempts(spans)
    assert tried
    for span in tried:  # one for each time that it was tried
        assert attributes(span)["error.type"] == "upstream_failed"
        assert (span.trace_id, span.parent_span_id) == (call.trace_id, call.span_id)
    for span in spans:
        assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(call)["fairlead.outcome"] == "upstream_failed"


def test_a_call_is_a_part_of_its_callers_trace_and_its_attempts_are_parts_of_the_call(
    tmp_path: Path, receiver: Receiver
) -> None:
    trace, above = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with ScriptedUpstream() as broken, ScriptedUpstream() as good:
        broken.default = Reply(status=500)
        config = f'[telemetry]\notlp_endpoint = "{receiver.url}"\n'
        config += provider(broken.url, name="broken") + provider(good.url, name="good")
        config += model("broken", "good").replace('provider = "good"', 'provider = "good"\npriority = 1')
        with serving(tmp_path, config) as served:
            say_hello(served.url, served.key, f"00-{trace}-{above}-01")
            say_hello(served.url, served.key, f"00-{trace}-{above}-00")  # its caller records nothing
            say_hello(served.url, served.key, "00-nonsense-01")
    spans = receiver.spans()
    mine = [span for span in spans if span.trace_id.hex() == trace]
    (call,) = calls(mine)
    assert call.name == "chat mistral-small-3.2"
    assert (call.parent_span_id.hex(), attributes(call)["fairlead.outcome"]) == (above, "served")
    tried = attempts(mine)
    assert [attributes(span)["gen_ai.provider.name"] for span in tried] == ["broken", "good"]
    assert {span.parent_span_id for span in tried} == {call.span_id}
    for span in tried:
        assert call.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= call.end_time_unix_nano
    (other,) = calls([span for span in spans if span.trace_id.hex() != trace])
    assert other.parent_span_id == b"", "what is no traceparent begins a trace of its own"
    assert {span.trace_id for span in spans} == {call.trace_id, other.trace_id}


def test_a_receiver_that_is_not_there_costs_calls_nothing(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = '[telemetry]\notlp_endpoint = "http://127.0.0.1:1"\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served:
            say_hello(served.url, served.key)
            assert served.stop(30) == 0


def test_without_a_receiver_nothing_of_opentelemetry_is_loaded() -> None:
    code = "import sys, fairlead.runtime; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"}).returncode == 0
