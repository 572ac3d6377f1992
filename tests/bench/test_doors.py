"""`script/bench --doors`: what each API of callers costs to each kind of provider, and the verdicts on it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest
from tests.bench.test_rig import NO_COMPILER, wait_for
from tests.e2e.test_every_door import SPOKEN, Answer

from doors import BASE, DOORS, door_table, door_verdicts, name_of
from gateways import VENDORS, Route
from measure import EVENTS_PER_STREAM, mock_upstream
from report import Samples

ROUTES = {name: Route(1) for name in ("burst", *VENDORS)}


@pytest.mark.skipif(NO_COMPILER, reason="gcc is not installed")
def test_the_mock_answers_in_each_dialect(tmp_path: Path) -> None:
    with mock_upstream(0, tmp_path) as mock:
        ports = {"chat": mock.upstream.ports["burst"], **mock.upstream.vendors}
        for name, port in ports.items():
            wait_for(port)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for stream in (False, True):
                connection.request("POST", SPOKEN[name].path("m", stream), json.dumps({"stream": stream}))
                body = connection.getresponse().read().decode()
                if stream:
                    assert body.count("TS#") == EVENTS_PER_STREAM
                else:
                    assert SPOKEN[name].answer(json.loads(body)) == Answer(_fox(), (), "stop")
            connection.close()


def _fox() -> str:
    lines: list[str] = []
    length = 0
    while length < 560:
        lines.append(f"The quick brown fox jumps over the lazy dog; line {length}.\n")
        length += len(lines[-1]) + 1  # the mock counts its two characters for the end of a line
    return "".join(lines)


def samples(of: dict[str, tuple[float, float]]) -> Samples:
    """The same cost everywhere, 50 us and 2 us, but for `of`."""
    made = Samples()
    for door in DOORS:
        for vendor in ROUTES:
            request, chunk = of.get(name_of(door, vendor), (50.0, 2.0))
            for number in range(3):
                values = {"cpu_request_us": request, "cpu_chunk_us": chunk}
                if name_of(door, vendor) != BASE:
                    values |= {"base_cpu_request_us": 50.0, "base_cpu_chunk_us": 2.0}
                made.add(name_of(door, vendor), number, values)
    return made


def test_each_pair_is_held_to_its_bar() -> None:
    found = door_verdicts(samples({}), ROUTES)
    assert len(found) == 2 * (len(DOORS) * len(ROUTES) - 1)
    assert all(verdict.kept for verdict in found)
    slow = {"messages to messages": (56.0, 2.0), "messages to chat": (65.1, 2.0), "chat to gemini": (65.0, 5.1)}
    missed = [str(verdict) for verdict in door_verdicts(samples(slow), ROUTES) if not verdict.kept]
    assert [line.split(":")[0] for line in missed] == [
        "FAIL  CPU per chunk more, chat to gemini",
        "FAIL  CPU per request more, messages to chat",
        "FAIL  CPU per request, messages to messages",
    ]


def test_what_is_more_is_told_in_microseconds_of_the_machine_at_its_fastest() -> None:
    made = samples({"gemini to chat": (60.0, 4.0)})
    for column in made.columns["gemini to chat"].values():
        column[:2] = [2 * value for value in column[:2] if value is not None]  # the host had other work
    [more] = [one for one in door_verdicts(made, ROUTES) if one.label == "CPU per request more, gemini to chat"]
    assert more.seen is not None
    assert (more.seen.least, more.seen.most) == pytest.approx((10.0, 10.0))


def test_what_could_not_be_measured_is_not_kept_and_leaves_a_gap() -> None:
    made = samples({})
    del made.columns["gemini to chat"]
    assert {str(verdict) for verdict in door_verdicts(made, ROUTES) if not verdict.kept} == {
        "FAIL  CPU per request more, gemini to chat: not measured, bar 15.0",
        "FAIL  CPU per chunk more, gemini to chat: not measured, bar 3.00",
    }
    assert "| gemini | -; - | 50.0 (50.0–50.0); 2.00 (2.00–2.00) |" in door_table(made, ROUTES)
