"""A full disk: credentials, versions of the configuration and alerts are as they were before, or as they are to become."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from tests.console.kit import Kit
from tests.routing.support import upstream

from fairlead.admin.alerts import list_alerts
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.configuration import Submission, apply, current, history, rollback
from fairlead.admin.credentials import list_credentials, set_credential
from fairlead.errors import UpstreamFailed
from fairlead.providers.sealed import Reader
from fairlead.routing.health import FAST_FLOOR, Health
from fairlead.routing.health_store import HealthStore
from fairlead.store import Store, open_store
from fairlead.store.alerts import AlertRules
from fairlead.store.health import HealthEvent, keep_events

ALICE = Actor("command line", "alice")
ROOM = "[routing]\n" + "# a line of a document that is longer than what is free in the file\n" * 4_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path)
    yield found
    found.close()


@contextlib.contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """The file of the database cannot grow."""
    engine = store._engine
    with store.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(connection: object, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

    event.listen(engine, "connect", limit)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def fill(store: Store) -> None:
    """Until not even a row fits."""
    for size in (4_000, 100, 1):
        with contextlib.suppress(OperationalError):
            for at in range(1_000):
                set_credential(store, ALICE, f"filler-{size}-{at}", "x" * size)
    for reason in ("x" * 128, "x"):
        with contextlib.suppress(OperationalError):
            for _ in range(10_000):
                with store.write() as connection:
                    keep_events(connection, [HealthEvent("a/x", "a", "resting", reason)])


def test_a_credential_stays_what_it_was(store: Store) -> None:
    set_credential(store, ALICE, "openai", "sk-the-old-one")
    with full_disk(store):
        fill(store)
        count = len(list_audit(store, AuditFilter(), 5_000))
        with pytest.raises(OperationalError, match="full"):
            set_credential(store, ALICE, "openai", "y" * 8_000)
        assert Reader(store)("openai") == "sk-the-old-one"
        assert len(list_audit(store, AuditFilter(), 5_000)) == count, "nothing is noted that has not happened"
    set_credential(store, ALICE, "openai", "sk-the-new-one")
    assert Reader(store)("openai") == "sk-the-new-one"


def test_the_version_in_force_stays_in_force(store: Store) -> None:
    apply(store, "[routing]\nprobes = false\n", "x", Submission(ALICE))
    with full_disk(store):
        with pytest.raises(OperationalError, match="full"):
            apply(store, f"{ROOM}probes = true\n", "x", Submission(ALICE))
        assert (current(store).number, len(history(store))) == (1, 1)
        assert "probes = false" in current(store).text
    apply(store, f"{ROOM}probes = true\n", "x", Submission(ALICE))
    rollback(store, 1, Submission(ALICE))
    assert [one.restored for one in history(store)] == [1, None, None]


def test_an_alert_is_sent_once_there_is_room_again(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    one, health = upstream("a/x").deployment, Health()

    async def story() -> None:
        kept = HealthStore(
            store, health, list, asyncio.get_running_loop().time, lambda: {"a/x": one},
            alerts=AlertRules(("webhook",)),
        )  # fmt: skip
        with full_disk(store):
            fill(store)
            for _ in range(FAST_FLOOR):
                health.failed(health.of(one), UpstreamFailed("500 " + "z" * 100), 1.0)
            for _ in range(3):
                await kept._flush()
            assert list_alerts(store) == []
        await kept._flush()
        await kept._flush()

    asyncio.run(story())
    assert [alert["type"] for alert in list_alerts(store)] == ["deployment.down"]
    assert sum("cannot be stored" in record.message for record in caplog.records) == 1


def test_a_page_of_the_console_says_so(tmp_path: Path) -> None:
    kit = Kit(tmp_path / "data")
    operator = kit.as_operator()
    with full_disk(kit.store):
        answer = operator.post("/admin/configuration/apply", {"document": f"{ROOM}probes = true\n", "expected": "0"})
    assert answer.status == 503
    assert "Nothing changed" in answer.text
    assert history(kit.store) == []
    assert list_credentials(kit.store) == []
    kit.close()
