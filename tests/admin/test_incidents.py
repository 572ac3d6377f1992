"""What an operator sees at night: what fails, since when, whom it hits, and the version that may be the cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply
from fairlead.admin.incidents import Hit, incidents
from fairlead.store import Store, open_store
from fairlead.store.configuration import list_versions
from fairlead.store.health import HealthEvent, keep_events
from fairlead.store.tables import calls


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "data")
    yield made
    made.close()


def deployment(name: str, model: str, state: str = "closed") -> dict[str, Any]:
    return {"id": name, "model": model, "state": state, "last_error": "" if state == "closed" else "upstream_failed"}


def called(store: Store, number: int, at: int, model: str, outcome: str, account: str) -> None:
    zero = dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens", "charged", "milliseconds"), 0)
    row = {"number": number, "id": f"gen_{number}", "at": at, "account_id": account, "key_id": "key_1"}
    with store.write() as connection:
        connection.execute(insert(calls), [{**row, "model": model, "deployment": "a/x", "outcome": outcome, **zero}])


def happened(store: Store, name: str, event: str, at: int, *, provider: bool = False) -> None:
    with store.write() as connection:
        keep_events(connection, [HealthEvent("" if provider else name, name.partition("/")[0], event, "x")], at)


def test_an_incident_says_since_when_whom_it_hits_and_which_version_came_before(store: Store) -> None:
    for comment in ("first", "second"):
        document = f"# {comment}\n[limits]\nrequests_per_minute = 5\n"
        apply(store, document, "x", Submission(Actor("command line", "ann"), comment=comment))
    with store.read() as connection:
        applied = list_versions(connection, 1)[0].at
    began = applied + 60_000
    for event, at in (("open", began - 40_000), ("closed", began - 20_000), ("open", began), ("half_open", began + 9)):
        happened(store, "a/x", event, at)
    happened(store, "a/x", "open", began + 30_000)
    now = (began + 600_000) / 1000
    called(store, 1, began - 7_200_000, "x", "upstream_failed", "acc_3")  # long ago
    for number, (outcome, account) in enumerate((("served", "acc_1"), ("upstream_failed", "acc_2")), 2):
        called(store, number, began + 1_000, "x", outcome, account)
    found = incidents(store, [deployment("a/x", "x", "open"), deployment("b/x", "x"), deployment("a/y", "y")], (), now)
    [one] = found
    assert (one.subject, one.since, one.reason) == ("a/x", began, "upstream_failed")
    assert one.hits == (Hit("x", 1, 2, 1, 2),)
    assert not one.alone
    assert one.suspect is not None
    assert (one.suspect.number, one.suspect.before, one.suspect.comment) == (2, 1, "second")


def test_a_provider_of_which_nothing_works_is_one_incident_and_drained_ones_are_none(store: Store) -> None:
    there = [deployment("a/x", "x", "open"), deployment("a/y", "y", "open"), deployment("b/y", "y")]
    happened(store, "a/x", "open", 1_000_000, provider=True)
    [one] = incidents(store, there, (), 2_000)
    assert (one.subject, one.deployments, one.since) == ("a", ("a/x", "a/y"), 1_000_000)
    assert one.alone, "nobody else serves x"
    assert [(hit.model, hit.others) for hit in one.hits] == [("x", 0), ("y", 1)]
    assert one.suspect is None
    [one] = incidents(store, there, ("a/x",), 2_000)
    assert one.subject == "a/y"
    assert incidents(store, there, ("a/x", "a/y"), 2_000) == []
