"""Real calls through a real gateway show in its figures: in the API and for Prometheus, with several workers too."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import Served, eventually, model, provider, serving

# What is looked at before it was stored is shown again for 5 s.
STORED_SECONDS = 0.5
MODEL = "mistral-small-3.2"
DEPLOYMENT = "mock/mistralai/Mistral-Small-3.2-24B-Instruct-2506"
HELLO: Any = [{"role": "user", "content": "Hello!"}]
FAST = "[telemetry]\nflush_seconds = 0.1\n"
# 40 words at 2 ms each: a first token after 50 ms or more, then 500 tokens a second or less.
TALE = Reply(text="word " * 40, delay_seconds=0.05, chunk_delay_seconds=0.002)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.default = TALE
        yield running


def get(served: Served, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(served.url + path, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, {k.lower(): v for k, v in answer.headers.items()}, answer.read()


def performance(served: Served, window: str = "1h", name: str = MODEL) -> Any:
    status, _, body = get(served, f"/v1/models/{name}/performance?window={window}")
    assert status == 200, body
    return json.loads(body)


def call(served: Served, number: int, name: str = MODEL, *, stream: bool) -> None:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
        for _ in range(number):
            if stream:
                for _chunk in client.chat.completions.create(model=name, messages=HELLO, stream=True):
                    pass
            else:
                client.chat.completions.create(model=name, messages=HELLO)


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_show_in_the_figures_of_their_model_and_deployment(
    upstream: ScriptedUpstream, tmp_path: Path, workers: int
) -> None:
    with serving(tmp_path, FAST + provider(upstream.url) + model(), workers=workers) as served:
        for stream in (True, False):
            call(served, 3, stream=stream)
        time.sleep(STORED_SECONDS)
        eventually(lambda: performance(served)["total"]["traffic"]["calls"] == 6)
        shown = performance(served, "24h")
        (deployment,) = shown["deployments"]
        assert deployment["deployment"] == DEPLOYMENT
        for figures in (shown["total"]["traffic"], deployment["traffic"]):
            assert (figures["calls"], figures["ok"], figures["outcomes"]) == (6, 6, {"served": 6})
            assert figures["success"] == {"value": 1.0, "of": 6, "reason": None}
            assert figures["uptime"]["value"] == 1.0
            first, speed, whole = figures["first_token"], figures["speed"], figures["latency"]
            assert first["samples"] == speed["samples"] == whole["samples"] == 6
            assert 50 * 0.95 < first["p50"] < whole["p50"]
            assert whole["p50"] > 50 + 39 * 2
            assert 0 < speed["p50"] < 100_000  # a busy machine reads late, and then much at once
            assert figures["output_tokens"] == 240
        assert sum(point["calls"] for point in deployment["series"]) == 6

        text = get(served, "/metrics")[2].decode()
        served_calls = re.findall(
            rf'^fairlead_calls_total\{{model="{MODEL}",outcome="served",process="\w+"\}} (\S+)', text, re.MULTILINE
        )
        assert sum(map(float, served_calls)) == 6, "of all workers, whichever answers"
        counts = re.findall(r"^fairlead_attempt_first_token_seconds_count\{.*\} (\S+)", text, re.MULTILINE)
        assert sum(map(float, counts)) == 6
    with serving(tmp_path, FAST + provider(upstream.url) + model()) as again:
        assert performance(again)["total"]["traffic"]["calls"] == 6, "kept across a restart"


def test_what_went_wrong_is_told_by_its_code_and_by_whose_fault_it_was(tmp_path: Path) -> None:
    with ScriptedUpstream() as broken, ScriptedUpstream() as good:
        good.default = TALE
        broken.default = Reply(status=500, body="{}")
        config = FAST + provider(broken.url, name="broken") + provider(good.url, name="good")
        config += model("broken", name="down") + model("good", name="up")
        with serving(tmp_path, config) as served:
            with pytest.raises(openai.InternalServerError):
                call(served, 1, "down", stream=True)
            call(served, 2, "up", stream=True)
            good.default = Reply(status=400)
            with pytest.raises(openai.BadRequestError):
                call(served, 1, "up", stream=False)
            time.sleep(STORED_SECONDS)
            eventually(lambda: performance(served, name="up")["total"]["traffic"]["calls"] == 3)
            shown = performance(served, name="up")
            for figures in (shown["total"]["traffic"], shown["deployments"][0]["traffic"]):
                assert figures["outcomes"] == {"served": 2, "upstream_refused": 1}
                assert (figures["caller_faults"], figures["faults"], figures["success"]["of"]) == (1, 0, 2)
            shown = performance(served, name="down")
            assert shown["total"]["traffic"]["outcomes"] == {"upstream_failed": 1}
            tried = shown["deployments"][0]["traffic"]
            assert tried["faults"] == tried["outcomes"]["upstream_failed"] == tried["calls"] >= 1
            assert (shown["total"]["traffic"]["uptime"]["value"], tried["uptime"]["value"]) == (0, 0)


def test_a_caller_who_hangs_up_is_counted_apart(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text="word " * 400, chunk_delay_seconds=0.01)
        with serving(tmp_path, FAST + provider(upstream.url, extra='disconnect = "cancel"') + model()) as served:
            with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
                stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
                next(iter(stream))
                stream.close()
            time.sleep(STORED_SECONDS)
            eventually(lambda: performance(served)["total"]["traffic"]["caller_gone"] == 1)
            shown = performance(served)
            assert shown["deployments"][0]["traffic"]["outcomes"] == {"caller_gone": 1}
            assert shown["total"]["traffic"]["faults"] == 0


def test_figures_need_no_key_and_are_not_sent_twice(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = FAST + provider(upstream.url) + model() + model(name="by/vendor", upstream="v")
    with serving(tmp_path, config) as served:
        path = f"/v1/models/{MODEL}/performance"
        status, headers, _ = get(served, path)
        assert (status, headers["cache-control"]) == (200, "public, max-age=5")
        status, _, body = get(served, path, **{"If-None-Match": headers["etag"]})
        assert (status, body) == (304, b"")
        assert performance(served, name="by/vendor")["model"] == "by/vendor"
        assert get(served, "/v1/models/by%2Fvendor/performance")[0] == 200
        status, _, body = get(served, path + "?window=2y")
        assert (status, json.loads(body)["error"]["param"]) == (400, "window")
        assert get(served, "/v1/models/nothing/performance")[0] == 404
        assert get(served, f"/v1/models/{MODEL}")[0] == 200


def test_endpoints_come_in_the_shape_of_openrouter(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    own = 'quantization = "fp8"\ncontext_length = 4096\nparameters = ["temperature", "max_tokens"]\nprice = {'
    config = FAST + provider(upstream.url) + model().replace("price = {", own)
    with serving(tmp_path, config) as served:
        call(served, 6, stream=True)

        def endpoint() -> Any:
            status, headers, body = get(served, f"/v1/models/{MODEL}/endpoints")
            assert status == 200
            assert headers["etag"]
            data = json.loads(body)["data"]
            assert (data["id"], data["status"], len(data["endpoints"])) == (MODEL, "available", 1)
            return data["endpoints"][0]

        eventually(lambda: endpoint()["uptime_last_30m"] is not None)
        shown = endpoint()
        assert shown["provider_name"] == "mock"
        assert shown["tag"] == DEPLOYMENT
        assert shown["pricing"]["prompt"] == "0.0000001"
        assert shown["pricing"]["completion"] == "0.0000003"
        assert shown["uptime_last_30m"] == 100
        assert 0.04 < shown["latency_last_30m"]["p50"] < 60
        assert shown["throughput_last_30m"]["p50"] > 0
        for figure in (shown["latency_last_30m"], shown["throughput_last_30m"]):
            assert list(figure) == ["p50", "p75", "p90", "p99"]
            assert sorted(figure.values()) == list(figure.values())
        # What this deployment is said to be, and not what its model is.
        assert shown["supported_parameters"] == ["max_tokens", "temperature"]
        assert (shown["context_length"], shown["quantization"]) == (4096, "fp8")
