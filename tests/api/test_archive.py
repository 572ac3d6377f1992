"""The archive of stored responses in one process."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from fairlead.api.archive import ResponseArchive
from fairlead.errors import NotFound
from fairlead.store import open_store
from fairlead.wire.stored import StoredResponse

ACCOUNT, ID = "acct_1", "resp_1"


def test_a_response_that_is_deleted_while_it_is_still_being_written_does_not_come_back(tmp_path: Path) -> None:
    """The threads of the database keep no order: the write may be the last to run."""
    store = open_store(tmp_path)
    try:
        may_write, written = threading.Event(), threading.Event()

        class Slow(ResponseArchive):
            def _write(self, account_id: str, response: StoredResponse) -> bool:
                assert may_write.wait(60)
                done = super()._write(account_id, response)
                written.set()
                return done

        async def delete() -> None:
            archive = Slow(store, 30)
            archive.keep(ACCOUNT, StoredResponse(ID, "", b"[]", b"{}"))
            assert (await archive.one(ACCOUNT, ID)).body == b"{}", "it can be read at once"
            deleting = asyncio.create_task(archive.delete(ACCOUNT, ID))
            for _ in range(100):  # long enough for a deletion that would not wait
                await asyncio.get_running_loop().run_in_executor(store.threads, lambda: None)
            may_write.set()
            await deleting
            assert await asyncio.to_thread(written.wait, 60)
            with pytest.raises(NotFound):
                await ResponseArchive(store, 30).one(ACCOUNT, ID)

        asyncio.run(delete())
    finally:
        store.close()
