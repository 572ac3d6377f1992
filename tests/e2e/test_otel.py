"""A receiver of OTLP over HTTP gets a span and metrics for each attempt of a real call."""

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


def say_hello(url: str, key: str) -> None:
    with openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as client:
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
    (span,) = receiver.spans()
    assert span.name == f"chat {UPSTREAM_MODEL}"
    assert span.kind == span.SPAN_KIND_CLIENT
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


def test_a_failed_attempt_is_a_span_with_its_error(tmp_path: Path, receiver: Receiver) -> None:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(status=500)
        config = f'[telemetry]\notlp_endpoint = "{receiver.url}"\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served, pytest.raises(openai.InternalServerError):
            say_hello(served.url, served.key)
    spans = receiver.spans()
    assert spans
    for span in spans:  # one for each time that it was tried
        assert span.status.code == span.status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"] == "upstream_failed"


def test_a_receiver_that_is_not_there_costs_calls_nothing(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = '[telemetry]\notlp_endpoint = "http://127.0.0.1:1"\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served:
            say_hello(served.url, served.key)
            assert served.stop(30) == 0


def test_without_a_receiver_nothing_of_opentelemetry_is_loaded() -> None:
    code = "import sys, fairlead.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"}).returncode == 0
