"""Every page says the same of a model: from what can be called, from breakers and from recent calls."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from tests.e2e.conftest import IN_ORDER, Held, Served, eventually, model, provider, serving
from tests.e2e.test_chat import raw

from fairlead.catalogue.facts import ModelFacts
from fairlead.catalogue.load import model_of
from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.prices import FREE, PriceSheet
from fairlead.site.states import state_of, worst
from fairlead.telemetry.figures import Rate
from fairlead.testing import Reply, ScriptedUpstream

PATH = "/models/mistralai/mistral-small-3.2"


def deployed(*names: str) -> Model:
    one = model_of(ModelFacts("m", "acme", {}, {}))
    return replace(one, deployments=tuple(Deployment(name, "p", "m", PriceSheet(name, FREE), 1.0, 0) for name in names))


@pytest.mark.parametrize(
    ("names", "obstacle", "broken", "share", "kind"),
    [
        ((), None, (), None, "none"),
        (("a",), None, (), None, "up"),
        (("a",), "the engine is not ready", (), None, "down"),
        (("a", "b"), None, ("a",), 1.0, "degraded"),
        (("a", "b"), None, ("a", "b"), 1.0, "down"),
        (("a",), None, (), 0.94, "degraded"),
        (("a",), None, (), 0.95, "up"),
        (("a",), None, (), 0.49, "down"),
    ],
)
def test_a_model_is_as_well_as_its_breakers_and_its_calls(
    names: tuple[str, ...], obstacle: str | None, broken: tuple[str, ...], share: float | None, kind: str
) -> None:
    rate = None if share is None else Rate(share, 100)
    found = state_of(deployed(*names), obstacle, lambda one: "x" if one.id in broken else None, rate)
    assert found.kind == kind
    assert found.broken == broken


def test_everything_is_down_only_when_all_of_it_is() -> None:
    assert worst(["up", "none"]) == "up"
    assert worst(["up", "down"]) == "degraded"
    assert worst(["down", "none"]) == "down"
    assert worst(["none"]) == worst([]) == "none"


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Served]:
    """A server whose first provider fails, until its breaker has opened; the second one serves."""
    with Held() as one, ScriptedUpstream() as other:
        one.default = Reply(status=500)
        config = (
            IN_ORDER.replace("probes = false", "probes = true")
            + provider(one.url, name="one")
            + provider(other.url, name="other")
            + model("one", "other")
        )
        with serving(tmp_path, config) as served:
            # At once, before the first has failed: after that the deployment rests for a moment.
            with (
                openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client,
                ThreadPoolExecutor(12) as pool,
            ):
                one.held = True
                calls = [pool.submit(call, client) for _ in range(12)]
                eventually(lambda: one.arrived == 12)
                one.held = False
                for done in calls:
                    done.result()
            # What is looked at before it was written down is shown again for 5 s.
            eventually(lambda: written_down(served))
            yield served


def written_down(served: Served) -> bool:
    with closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        return database.execute("SELECT 1 FROM health_events WHERE event = 'open'").fetchone() is not None


def call(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="mistral-small-3.2", messages=[{"role": "user", "content": "Hello!"}])


def test_an_open_breaker_makes_the_model_degraded_on_every_page_and_unreadable_records_hide_no_facts(
    failing: Served,
) -> None:
    def data(path: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(raw(failing, "GET", path)[2])
        return found

    eventually(lambda: data(f"{PATH}.json")["status"]["state"] == "degraded")  # type: ignore[index]
    broken = "one/mistralai/Mistral-Small-3.2-24B-Instruct-2506"
    assert data(f"{PATH}.json")["status"]["out_of_use"] == [broken]  # type: ignore[index]
    eventually(lambda: data("/status.json")["incidents"])
    status = data("/status.json")
    assert status["state"] == "degraded"
    assert [(one["model"], one["state"]) for one in status["models"]] == [("mistral-small-3.2", "degraded")]  # type: ignore[attr-defined]
    assert status["incidents"][0]["end"] is None  # type: ignore[index]
    listed = {one["id"]: one["state"] for one in data("/models.json")["models"]}  # type: ignore[attr-defined]
    assert listed["mistral-small-3.2"] == "degraded"
    page = raw(failing, "GET", PATH)[2].decode()
    assert "1 of 2 deployments is out of use" in page
    assert "Out of use" in page.split('id="providers"')[1].split("</table>")[0]

    # From here on nothing that was recorded can be read; what was read before may still be shown.
    with sqlite3.connect(failing.data / "fairlead.db") as database:
        for table in ("telemetry_minutes", "telemetry_hours", "telemetry_days", "telemetry_series", "health_events"):
            database.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
    status_, _, body = raw(failing, "GET", f"{PATH}?window=1h", Accept="text/html")  # which no page has shown yet
    assert (status_, b"Measurements are unavailable at the moment" in body, b"131,072" in body) == (200, True, True)
    status_, headers, body = raw(failing, "GET", "/rankings", Accept="text/html")
    assert (status_, headers["retry-after"], b"<h1>503" in body) == (503, "5", True)
    status_, headers, body = raw(failing, "GET", "/rankings.json", Accept="text/html")
    assert (status_, json.loads(body)["error"]["code"]) == (503, "overloaded")
    status_, _, body = raw(failing, "GET", "/status", Accept="text/html")
    assert (status_, b"Mistral Small 3.2" in body) == (200, True)
    assert raw(failing, "GET", "/compare/mistral-small-3.2/gpt-oss-120b", Accept="text/html")[0] == 200
