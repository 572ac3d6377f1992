"""What ends in one process ends in another one, which has the database and nothing else in common with it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.console.kit import Browser, Kit
from tests.console.test_members import made_keys
from tests.console.test_playground import get_key

from fairlead.accounts.keys import list_keys
from fairlead.admin.audit import Actor
from fairlead.admin.keys import revoke_key

DEADLINE_SECONDS = 60
# Another process with a key ring of its own, as a worker has one: for each key that it reads, whether it is in force.
WORKER = """
import asyncio, sys, time
from pathlib import Path
from fairlead.accounts.key_ring import KeyRing
from fairlead.store import open_store

async def main():
    ring = KeyRing(open_store(Path(sys.argv[1]), sys.argv[2] or None))
    ring.follow()
    watching = asyncio.create_task(ring.watch())
    loop = asyncio.get_running_loop()
    while key := (await loop.run_in_executor(None, sys.stdin.readline)).strip().encode():
        found = ring.find(key)
        if found is None and (pending := ring.look_up(key).pending) is not None:
            await pending
            found = ring.find(key)
        in_force = found is not None and (found.expires_at is None or found.expires_at > time.time())
        print("yes" if in_force else "no", flush=True)

asyncio.run(main())
"""


class Worker:
    def __init__(self, directory: Path, database_url: str | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(directory), database_url or ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def takes(self, key: str) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(key + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "yes\n"

    def seconds_until_refused(self, key: str) -> float:
        began = time.monotonic()
        while self.takes(key):
            assert time.monotonic() - began < DEADLINE_SECONDS
            time.sleep(0.02)
        return time.monotonic() - began

    def close(self) -> None:
        self._process.communicate("\n", timeout=DEADLINE_SECONDS)


@pytest.fixture
def kits(tmp_path: Path, database_url: str | None) -> Iterator[tuple[Kit, Kit]]:
    """Two consoles over one database, as two processes have them."""
    one = Kit(tmp_path, database_url=database_url)
    two = Kit(tmp_path, database_url=database_url)
    yield one, two
    two.close()
    one.close()


@pytest.fixture
def worker(kits: tuple[Kit, Kit], tmp_path: Path, database_url: str | None) -> Iterator[Worker]:
    assert kits
    made = Worker(tmp_path, database_url)
    yield made
    made.close()


def elsewhere(browser: Browser, kit: Kit) -> Browser:
    """The same browser at another process."""
    return Browser(kit.app, browser.token, browser.person_id)


def test_a_key_that_ends_in_one_process_is_refused_in_the_other(kits: tuple[Kit, Kit], worker: Worker) -> None:
    kit, _ = kits
    owner, member, other = kit.as_role("owner"), kit.as_role("member"), kit.as_role("member")
    made = made_keys(kit, member, other)
    revoked, of_member = made[other.person_id], made[member.person_id]
    short = get_key(owner)
    assert all(worker.takes(one) for one in (revoked, of_member, short))
    [row] = [one for one in list_keys(kit.store) if revoked.startswith(one.shown)]
    ways: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("revoked", revoked, lambda: revoke_key(kit.store, Actor("server"), row.id)),
        ("removed", of_member, lambda: owner.post(f"/account/members/{member.person_id}/remove")),
        ("signed out", short, lambda: owner.post("/sign-out")),
    )
    for name, key, end in ways:
        assert worker.takes(key), name
        end()
        print(f"{name}: refused in the other process {worker.seconds_until_refused(key):.2f} s after the commit")


def test_sessions_memberships_and_roles_end_in_the_other_process_with_the_next_request(kits: tuple[Kit, Kit]) -> None:
    here, there = kits
    owner, admin, member = here.as_role("owner"), here.as_role("admin"), here.as_role("member")
    admin_there, member_there, owner_there = (elsewhere(one, there) for one in (admin, member, owner))
    page = f"/account/members/{member.person_id}"
    assert admin_there.get(page).status == 200
    owner.post(f"/account/members/{admin.person_id}/role", {"role": "viewer"})
    assert admin_there.get(page).status == 403
    assert member_there.get("/account/members").status == 200
    owner.post(f"{page}/remove")
    assert member_there.get("/account/members").status == 403
    second = here.signed_in(owner.person_id)
    assert owner_there.get("/account").status == 200
    second.post("/account/security/sessions/end")
    assert owner_there.get("/account").location.startswith("/sign-in")
    operator = here.as_operator()
    operator.post(f"/admin/people/{owner.person_id}/disable", {"disabled": "yes"})
    assert elsewhere(second, there).get("/account").location.startswith("/sign-in")
