"""What is kept of responses, and how long."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from fairlead.store import open_store
from fairlead.store.responses import DAY_MS, delete_response, forget_responses, keep_response, stored_response
from fairlead.store.tables import responses
from fairlead.wire.stored import StoredResponse


def test_the_oldest_and_those_of_too_many_are_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.write() as connection:
        for account in ("a", "b"):
            for at in range(5):
                keep_response(connection, account, StoredResponse(f"r{at}", "", b"[]", '{"ü":1}'.encode()))
                connection.execute(
                    update(responses)
                    .where((responses.c.account_id == account) & (responses.c.id == f"r{at}"))
                    .values(at=responses.c.at - (5 - at) * DAY_MS if account == "a" else responses.c.at - (5 - at))
                )
        keep_response(connection, "a", StoredResponse("r0", "p", b"[1]", b"{}"))
        forget_responses(connection, 3, 4)
        left = {
            (account, at) for account in ("a", "b") for at in range(5) if stored_response(connection, account, f"r{at}")
        }
        assert left == {("a", 0), ("a", 3), ("a", 4), ("b", 1), ("b", 2), ("b", 3), ("b", 4)}
        found = stored_response(connection, "a", "r0")
        assert found is not None
        assert (found.previous, found.items, found.body) == ("p", b"[1]", b"{}")
        assert delete_response(connection, "a", "r0")
        assert not delete_response(connection, "a", "r0")
    store.close()
