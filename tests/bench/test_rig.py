"""The benchmark's figures come from finished work, and its verdicts follow from them."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways import Gateway, Route
from measure import (
    EVENTS_PER_STREAM,
    REPLY_BYTES,
    Bench,
    BenchError,
    Cpu,
    Load,
    Mock,
    Running,
    mock_upstream,
    raise_open_files,
    read_wrk,
    request_body,
)
from report import BARS, Samples, spread, table, verdicts
from rig import GATEWAYS, TESTS, Site, arguments, turns, write_docs

NO_COMPILER = shutil.which("gcc") is None and os.environ.get("CI") != "true"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[Mock]:
    with mock_upstream(min(os.sched_getaffinity(0)), tmp_path) as running:
        wait_for(running.upstream.ports["burst"])
        yield running


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.connect()
        except OSError:
            time.sleep(0.01)
        else:
            connection.close()
            return
    raise AssertionError("the mock does not listen")


@pytest.mark.skipif(NO_COMPILER, reason="gcc is not installed")
def test_mock_and_stream_client_compile_and_count_the_same_events(mock: Mock, tmp_path: Path) -> None:
    direct = GATEWAYS["direct"](Site(tmp_path, mock.upstream))
    core = min(os.sched_getaffinity(0))
    bench = Bench(tmp_path, mock, core, core, secs=1)
    run = Running(direct, None)
    bench.check(direct)
    assert mock.requests() == 1 + len(direct.routes) - 1  # a plain call, a stream at each pace but the slow one
    seen = bench.streams(run, "paced", 8, warm=0.3, secs=0.7)
    assert seen["flowing"] == 8
    assert 400 < seen["events_per_second"] < 1200  # 8 streams with 100 chunks a second each
    assert seen["delay_p50_us"] < 50_000


@pytest.mark.skipif(NO_COMPILER or shutil.which("wrk") is None, reason="gcc or wrk is not installed")
def test_loads_run_by_turns_and_what_is_answered_wrongly_is_not_measured(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = min(os.sched_getaffinity(0))
    bench = Bench(tmp_path, mock, core, core, secs=1)
    body = request_body("1k", "any", stream=False)
    ports = {"one": mock.upstream.ports["burst"], "other": mock.upstream.vendors["messages"]}
    loads = {name: Load(name, Route(port), body, 700) for name, port in ports.items()}
    run = Running(GATEWAYS["direct"](Site(tmp_path, mock.upstream)), None)
    order: list[int] = []

    def turn(_self: Bench, _run: Running, load: subprocess.Popen[str]) -> list[float]:
        order.append(load.pid)
        stat, until = Path(f"/proc/{load.pid}/stat"), time.monotonic() + 60
        while stat.read_text().rpartition(")")[2].split()[0] != "T":  # it stands still until its turn
            assert time.monotonic() < until
            time.sleep(0.001)
        return [7.0, 5.0, 6.0, 8.0, 9.0][len(order) % 5 :] or [5.0]

    assert bench.by_turns(run, loads, 2, 0.5).keys() == {"one", "other", "other_cores"}
    with monkeypatch.context() as patched:
        patched.setattr(Bench, "_turn", turn)
        seen = bench.by_turns(run, loads, 2, 0.5)
    assert [order[0], order[1]] == [order[3], order[2]]  # forth and back, so that a drift falls on both
    assert len(order) == 4
    assert 5.0 <= seen["one"] <= 9.0
    with pytest.raises(BenchError, match=r"other: \d+ answers of"):
        bench.by_turns(run, loads | {"other": Load("other", Route(ports["other"]), body, 10**6)}, 2, 0.5)


@pytest.mark.skipif(NO_COMPILER, reason="gcc is not installed")
def test_mock_answers_large_requests_with_usage(mock: Mock) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", mock.upstream.ports["burst"], timeout=60)
    connection.request("POST", "/v1/chat/completions", request_body("100k", "any", stream=False))
    answer = connection.getresponse().read()
    connection.close()
    assert len(answer) > REPLY_BYTES - 200
    assert json.loads(answer)["usage"]["total_tokens"] == 320


class LosesTheLastEvent(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        events = b"data: TS#0000000000000000;\n\n" * (EVENTS_PER_STREAM - 1) + b"data: [DONE]\n\n"
        body = events if asked.get("stream") else b'{"usage": {"total_tokens": 320}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(NO_COMPILER, reason="gcc is not installed")
def test_a_gateway_that_loses_an_event_is_not_measured(mock: Mock, tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), LosesTheLastEvent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            bench = Bench(tmp_path, mock, 0, 0, secs=1)
            with pytest.raises(BenchError, match="lossy: a burst stream gave 200, 99 events"):
                bench.check(Gateway("lossy", {"burst": Route(server.server_port)}))
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("size", "least", "most"), [("1k", 800, 1_400), ("100k", 95_000, 110_000), ("1m", 1e6, 1.1e6)])
def test_request_bodies_have_their_size_and_end_with_the_user(size: str, least: float, most: float) -> None:
    body = request_body(size, "model", stream=True)
    parsed = json.loads(body)
    assert least < len(body) < most
    assert parsed["messages"][-1]["role"] == "user"
    assert parsed["stream"] is True
    assert not body.isascii()


def test_wrk_output_is_read_with_its_units_and_failures() -> None:
    out = "  50%    1.20ms\n  99%    3.00ms\n  100 requests in 2.00s, 1.50MB read\n  Non-2xx or 3xx responses: 7\n"
    seen = read_wrk(out)
    assert seen is not None
    assert (seen.count, seen.seconds, seen.p50_us, seen.bytes) == (100, 2.0, 1200.0, 1.5 * 1024**2)
    assert seen.failures == ("Non-2xx or 3xx responses: 7",)
    assert read_wrk("0 requests in 2.00s, 0.00B read\n 50% 0.00us") is None


def test_cpu_parts_add_up_to_the_exact_total() -> None:
    used = Cpu(10.0, 3.0, 1.0) - Cpu(8.0, 2.0, 0.6)
    per = used.per(1000)
    assert per["cpu_us"] == pytest.approx(2000)
    assert per["user_us"] + per["system_us"] == pytest.approx(2000)
    assert per["user_us"] == pytest.approx(2000 * 1 / 1.4)


def test_ratios_are_taken_round_by_round_and_skip_what_failed() -> None:
    samples = Samples()
    for number, (floor, ours) in enumerate([(10.0, 15.0), (20.0, 40.0), (10.0, None), (10.0, 18.0)]):
        samples.add("nginx", number, {"cpu_1k_us": floor})
        if ours is not None:
            samples.add("fairlead", number, {"cpu_1k_us": ours})
    assert samples.ratios("fairlead", "nginx", "cpu_1k_us") == [1.5, 2.0, None, 1.8]
    found = spread(samples.ratios("fairlead", "nginx", "cpu_1k_us"))
    assert found is not None
    assert (found.median, found.least, found.most, found.count) == (1.8, 1.5, 2.0, 3)


def test_a_bar_is_kept_at_its_limit_missed_above_and_missed_when_not_measured() -> None:
    samples = Samples()
    samples.add("nginx", 0, {"cpu_1k_us": 10.0, "cpu_100k_us": 10.0})
    samples.add("fairlead", 0, {"cpu_1k_us": 20.0, "cpu_100k_us": 22.1})
    kept = {verdict.bar.test: verdict.kept for verdict in verdicts(samples, TESTS)}
    assert kept["1k"]
    assert not kept["100k"]
    assert not kept["startup"]
    assert [verdict.bar.test for verdict in verdicts(samples, ["1k"])] == ["1k"]


def test_the_table_shows_medians_parts_and_ratios() -> None:
    samples = Samples()
    for number, factor in enumerate((1.0, 2.0, 3.0)):
        samples.add("nginx", number, {"cpu_1k_us": 10.0, "user_1k_us": 4.0, "system_1k_us": 6.0})
        samples.add("fairlead", number, {"cpu_1k_us": 10.0 * factor, "user_1k_us": 5.0, "system_1k_us": 15.0})
    lines = table(samples, ["nginx", "fairlead"]).splitlines()
    assert lines[0].split("|")[-2].strip() == "fairlead / nginx"
    assert [cell.strip() for cell in lines[2].split("|")[2:5]] == [
        "10.0 (10.0–10.0)",
        "20.0 (10.0–30.0)",
        "2.00 (1.00–3.00)",
    ]
    assert [cell.strip() for cell in lines[3].split("|")[2:4]] == ["4.00 + 6.00", "5.00 + 15.0"]
    assert len(lines) == 4


def test_every_second_round_runs_in_the_opposite_order() -> None:
    assert [list(turns([1, 2, 3], number)) for number in (0, 1)] == [[1, 2, 3], [3, 2, 1]]  # type: ignore[list-item]


def test_unknown_tests_are_refused_with_the_list_of_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--only", "1k,nope"])
    assert "no test 'nope'; choose from latency,1k" in capsys.readouterr().err
    assert arguments(["--only", "startup,1k"]).only == ["1k", "startup"]


def test_the_docs_page_has_the_bars_of_the_rig_and_a_place_for_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text((ROOT / "docs/internals/performance.md").read_text())
    bars = re.findall(r"at most ([\d.]+)", page.read_text())
    assert [float(bar) for bar in bars] == [bar.limit if bar.limit != 1000 else 1.0 for bar in BARS]
    write_docs(page, "NEW")
    assert "<!-- figures: begin -->\nNEW\n<!-- figures: end -->" in page.read_text()
    with pytest.raises(SystemExit, match="no <!-- figures"):
        write_docs(ROOT / "bench/README.md", "NEW")


def test_the_open_file_limit_is_raised_but_never_lowered() -> None:
    before = raise_open_files(0)
    assert raise_open_files(before) >= before
