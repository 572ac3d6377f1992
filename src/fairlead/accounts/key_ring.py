"""The keys that a process has in memory: those that are in use, each read from the database when it is first used.

Threads read the database and publish; the event loop only looks into dictionaries. Each read is published before the
next one begins, so what is in memory is never replaced by something older.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from typing import Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from fairlead.accounts.accounts import Budget
from fairlead.accounts.caller import Caller
from fairlead.accounts.changes import Changes, changes_since, current_number
from fairlead.accounts.content import ContentRule, rule_for
from fairlead.accounts.guests import Guests
from fairlead.accounts.keys import LONGEST_KEY, key_digest
from fairlead.accounts.known_digests import KnownDigests
from fairlead.accounts.levels import NO_LEVEL, common_models, level
from fairlead.accounts.limits import Limited, LimitGroup, UserCap
from fairlead.accounts.options import Network, read_list, read_networks
from fairlead.background import rest
from fairlead.store import Store
from fairlead.store.tables import accounts, api_keys, members, projects
from fairlead.threads import SHORT_TURNS

log = logging.getLogger("fairlead.accounts")

# Keys in memory, about 600 bytes each. Those that were read first make room, and are read again when they are used.
MOST_CACHED_KEYS = 25_000
# The part of them that makes room at once.
EVICTED_PART = 8
# Of those, the ones that are ready for the next call. The garbage collector looks at them.
MOST_CALLERS = 2_000
# Digests that are remembered because the database has no key in force for them.
MOST_ABSENT_KEYS = 10_000
# Where there are no more keys than this, all are read at the start, and stay in force without the database.
PRELOADED_KEYS = 1_000
# Keys that are read by one statement.
KEYS_AT_ONCE = 100
# Digests that are read by one statement at the start.
DIGESTS_AT_ONCE = 2_000
# A change is in force within a second: this is how often the database is asked for changes.
WATCH_SECONDS = 0.25
# How long keys are read again at most that a change may concern, so that it is in force within a second for all.
RENEW_SECONDS = 0.4
# A key that this process has not heard of may have been made a moment ago. The database is asked for such keys at most
# this often, for all callers together: it costs strangers nothing, so it must cost little.
ASK_SECONDS = 0.02
# The same for a database across the network.
SHARED_ASK_SECONDS = 0.05
# How long a request waits for its key to be read.
LONGEST_LOOKUP_SECONDS = 2.0

_LEVEL = ("budgets", "limits", "models", "each_user")
_IN_FORCE = (
    select(
        *(api_keys.c[name] for name in ("digest", "id", "account_id", "name", "expires_at", "networks")),
        accounts.c.prepaid,
        *(api_keys.c[name] for name in _LEVEL),
        *(members.c[name] for name in ("id", *_LEVEL)),
        *(projects.c[name] for name in ("id", *_LEVEL)),
        *(accounts.c[name] for name in _LEVEL),
        accounts.c.content,
    )
    .select_from(api_keys)
    .join(accounts, accounts.c.id == api_keys.c.account_id)
    .outerjoin(members, members.c.id == api_keys.c.member_id)
    .outerjoin(projects, projects.c.id == api_keys.c.project_id)
    .where(api_keys.c.revoked_at.is_(None), api_keys.c.disabled_at.is_(None))
    .where(members.c.archived_at.is_(None), projects.c.archived_at.is_(None), accounts.c.disabled_at.is_(None))
    .where(api_keys.c.digest.in_(bindparam("digests", expanding=True)))
)
_DIGESTS = (
    select(api_keys.c.digest)
    .where(api_keys.c.digest > bindparam("after"))
    .order_by(api_keys.c.digest)
    .limit(DIGESTS_AT_ONCE)
)


class CachedKey(msgspec.Struct, frozen=True, gc=False):
    """What `Caller` has, in its order. Not one of thousands of keys is looked at by the garbage collector, which would
    stop the event loop for as long as that takes; nothing here can refer to what refers to it."""

    account_id: str
    key_id: str
    name: str
    prepaid: bool
    budgets: tuple[Budget, ...]
    limited: Limited | None
    models: frozenset[str] | None
    restricted: bool
    expires_at: int | None
    networks: tuple[Network, ...] | None
    user_caps: tuple[UserCap, ...] | None
    content: ContentRule | None


class KeyLookup:
    """A key that is not in memory, once for a request. `pending`: until it has been looked up; its result tells whether
    the database could be read. None: it is refused without. `is_known`: the database seems to have this key, so a body
    that comes with it is worth its memory."""

    __slots__ = ("is_known", "pending")

    def __init__(self, pending: asyncio.Future[bool] | None, *, is_known: bool = False) -> None:
        self.pending = pending
        self.is_known = is_known

    @property
    def has_failed(self) -> bool:
        return self.pending is not None and self.pending.done() and not self.pending.result()


REFUSED = KeyLookup(None)


class KeyRing:
    """The keys in force, as far as they are in use. `watch` follows the database.

    `callers`: those that were found since keys changed last, another object after each change; who was found before may
    not be in force any more. `guests`: who calls without a key; None: nobody may."""

    __slots__ = (
        "_absent", "_ask_at", "_asking", "_cached", "_following", "_known", "_loading", "_number", "_publishing",
        "_store", "_strangers", "_version", "_waiting", "callers", "guests",
    )  # fmt: skip

    def __init__(self, store: Store) -> None:
        self._store = store
        self.guests: Guests | None = None
        self.callers: dict[bytes, Caller] = {}
        self._cached: dict[bytes, CachedKey] = {}  # by digest, those that were read first at the beginning
        self._absent: dict[bytes, None] = {}
        self._known: KnownDigests | None = None  # until all digests have been read
        self._following = threading.Lock()  # held while changes are read
        self._publishing = threading.Lock()  # and while keys are read and what was read is published
        self._waiting: dict[bytes, list[asyncio.Future[bool]]] = {}  # requests by the digest of their key
        self._strangers: dict[bytes, list[asyncio.Future[bool]]] = {}  # those whose digests are not known
        self._loading = False
        self._asking = False
        self._ask_at = 0.0
        self._version = -1
        with store.read() as connection:
            self._number = current_number(connection)

    def __len__(self) -> int:
        """How many keys are in memory."""
        return len(self._cached)

    def find(self, key: bytes) -> Caller | None:
        """Who holds this key, if it is in memory. Keys that begin alike take the same time: digests are compared, which
        nobody can choose."""
        if len(key) > LONGEST_KEY:
            return None
        digest = key_digest(key)
        callers = self.callers  # before the look-up: after a change meanwhile, this one is not looked at any more
        caller = callers.get(digest)
        if caller is None:
            found = self._cached.get(digest)
            if found is None:
                return None
            if len(callers) >= MOST_CALLERS:
                callers.clear()
            caller = callers[digest] = Caller(*astuple(found))
        return caller

    def read(self, key: bytes) -> Caller | None:
        """Who holds this key, in memory or in the database. For a thread."""
        if self.find(key) is None and len(key) <= LONGEST_KEY:
            self._load([key_digest(key)])
        return self.find(key)

    def look_up(self, key: bytes) -> KeyLookup:
        """Begins to look up a key that is not in memory. When that is done, `find` can tell. For an event loop.

        A key whose digest is not known is a stranger's, or new. Up to KEYS_AT_ONCE of those are looked up together, at
        most once in ASK_SECONDS; the others are refused at once.
        """
        digest = key_digest(key)
        if len(key) > LONGEST_KEY or digest in self._absent:
            return REFUSED
        if self._may_be_known(digest):
            return KeyLookup(self._wait_for(digest), is_known=True)
        if len(self._strangers) >= KEYS_AT_ONCE and digest not in self._strangers:
            return REFUSED
        loop = asyncio.get_running_loop()
        waiting = _waiting(loop)
        self._strangers.setdefault(digest, []).append(waiting)
        if not self._asking:
            self._asking = True
            loop.call_later(max(0.0, self._ask_at - time.monotonic()), self._ask)
        return KeyLookup(waiting)

    def _ask(self) -> None:
        """Looks up the strangers that have come since the last time."""
        self._ask_at = time.monotonic() + (SHARED_ASK_SECONDS if self._store.is_shared else ASK_SECONDS)
        strangers, self._strangers = self._strangers, {}
        waiting = [request for requests in strangers.values() for request in requests]
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._store.threads, self._load, list(strangers)).add_done_callback(
            partial(self._asked, waiting)
        )

    def refuses(self, key: bytes) -> bool:
        """Whether a key that was looked up is not in force. When it is not in memory either, it has left that since."""
        return key_digest(key) in self._absent

    def _may_be_known(self, digest: bytes) -> bool:
        known = self._known
        return known is None or digest in known

    def _wait_for(self, digest: bytes) -> asyncio.Future[bool]:
        """Requests that come while keys are being read are served by the next statement, all together."""
        waiting = _waiting(asyncio.get_running_loop())
        self._waiting.setdefault(digest, []).append(waiting)
        if not self._loading:
            self._begin_loading()
        return waiting

    def _begin_loading(self) -> None:
        self._loading = True
        digests = list(islice(self._waiting, KEYS_AT_ONCE))
        waiting = [request for digest in digests for request in self._waiting.pop(digest)]
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._store.threads, self._load, digests).add_done_callback(partial(self._loaded, waiting))

    def _loaded(self, waiting: Iterable[asyncio.Future[bool]], done: asyncio.Future[None]) -> None:
        self._loading = False
        _tell(waiting, done)
        if self._waiting:
            self._begin_loading()

    def _asked(self, waiting: Iterable[asyncio.Future[bool]], done: asyncio.Future[None]) -> None:
        _tell(waiting, done)
        self._asking = bool(self._strangers)
        if self._asking:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._ask_at - time.monotonic()), self._ask)

    async def watch(self) -> None:
        """Follows changes. While the database cannot be read, what is in memory stays in force."""
        in_trouble = False  # said once, not four times a second
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._store.threads, self.follow)
            except (sqlite3.Error, SQLAlchemyError) as error:
                if not in_trouble:
                    log.warning(
                        "Key changes cannot be read, the last known keys stay in force; retrying: %s",
                        getattr(error, "orig", None) or error,
                    )
                in_trouble = True
            else:
                in_trouble = False
            await rest(WATCH_SECONDS, "the database cannot be read" if in_trouble else "")

    def follow(self) -> None:
        """Puts in force what has changed in the database. For a thread."""
        with self._following:
            version = self._store.version()
            if version != self._version:
                self._follow_changes()
                self._version = version
            if self._known is None:
                with SHORT_TURNS:
                    self._known = self._read_digests()

    def _follow_changes(self) -> None:
        with self._store.read() as connection:
            last = current_number(connection)
            if last == self._number:  # the database has changed, the keys have not: usage is stored all the time
                return
            changes = changes_since(connection, self._number, last)
        if changes is None:
            self._follow_everything()
        else:
            self._apply(changes)
        self._number = last

    def _apply(self, changes: Changes) -> None:
        digests = changes.digests
        if self._known is not None:
            self._known.add(digests)
        with self._publishing:
            for digest in digests:
                self._absent.pop(digest, None)
        self._renew([digest for digest in digests if digest in self._cached])
        if changes.accounts:
            with SHORT_TURNS:
                concerned = [digest for digest in self._digests() if self._is_of(digest, changes.accounts)]
            self._renew(concerned)

    def _follow_everything(self) -> None:
        self._known = None  # first: new keys are not strangers' meanwhile
        with self._publishing:
            self._absent.clear()
        self._renew(self._digests())

    def _digests(self) -> list[bytes]:
        # Nothing is made but the list, and so at once: pairs of 25,000 keys would stop the event loop for some ms.
        with self._publishing:
            return list(self._cached)

    def _is_of(self, digest: bytes, account_ids: Container[str]) -> bool:
        found = self._cached.get(digest)
        return found is not None and found.account_id in account_ids

    def _renew(self, digests: Sequence[bytes]) -> None:
        """Reads keys in memory again. Those that are not in force any more go, as do those for which there is no time,
        which are read when they are used."""
        give_up = time.monotonic() + RENEW_SECONDS
        with SHORT_TURNS:
            for chunk in _chunks(digests):
                with self._publishing:
                    if time.monotonic() > give_up:
                        for digest in chunk:
                            self._cached.pop(digest, None)
                        continue
                    found = self._in_force(chunk)
                    for digest in chunk:
                        if digest not in found:
                            self._cached.pop(digest, None)
                            self._add_absent(digest)
                        elif digest in self._cached:
                            self._cached[digest] = found[digest]
                # Only now may a caller be remembered who was found from here on.
                self.callers = {}
        self.callers = {}  # also of keys that made room, but whose callers are remembered

    def _load(self, digests: Sequence[bytes]) -> None:
        with SHORT_TURNS, self._publishing:
            found = self._in_force(digests)
            for digest in digests:
                if digest not in found:
                    self._add_absent(digest)
            if len(self._cached) + len(found) > MOST_CACHED_KEYS:
                _drop_oldest(self._cached, max(len(found), MOST_CACHED_KEYS // EVICTED_PART))
            self._cached.update(found)

    def _add_absent(self, digest: bytes) -> None:
        if len(self._absent) >= MOST_ABSENT_KEYS:
            _drop_oldest(self._absent, MOST_ABSENT_KEYS // EVICTED_PART)
        self._absent[digest] = None

    def _in_force(self, digests: Sequence[bytes]) -> dict[bytes, CachedKey]:
        with self._store.read() as connection:
            rows = connection.execute(_IN_FORCE, {"digests": digests}).all()
        return {row[0]: _cached_key(*row[1:]) for row in rows}

    def _read_digests(self) -> KnownDigests:
        """All of them, those of revoked keys included: the index has them in order."""
        known, after = KnownDigests(), b""
        first: list[bytes] = []
        while True:
            with self._store.read() as connection:
                found = connection.execute(_DIGESTS, {"after": after}).scalars().all()
            known.extend(found)
            if len(known) <= PRELOADED_KEYS:
                first += found
            if len(found) < DIGESTS_AT_ONCE:
                break
            after = found[-1]
        if len(known) <= PRELOADED_KEYS:
            for chunk in _chunks(first):
                self._load(chunk)
        return known


def _chunks(digests: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (digests[at : at + KEYS_AT_ONCE] for at in range(0, len(digests), KEYS_AT_ONCE))


def _drop_oldest(entries: dict[bytes, Any], count: int) -> None:
    for digest in list(islice(entries, count)):
        del entries[digest]


def _waiting(loop: asyncio.AbstractEventLoop) -> asyncio.Future[bool]:
    """Of one request, which does not wait longer than it may."""
    waiting: asyncio.Future[bool] = loop.create_future()
    timer = loop.call_later(LONGEST_LOOKUP_SECONDS, _set, waiting, False)
    waiting.add_done_callback(lambda _: timer.cancel())
    return waiting


def _tell(waiting: Iterable[asyncio.Future[bool]], done: asyncio.Future[None]) -> None:
    """Where the database cannot be read, `watch` says so."""
    error = None if done.cancelled() else done.exception()
    if error is not None and not isinstance(error, (sqlite3.Error, SQLAlchemyError)):
        log.error("A key cannot be looked up. Please report the traceback.", exc_info=error)
    was_read = error is None and not done.cancelled()
    for request in waiting:
        _set(request, was_read)


def _set(waiting: asyncio.Future[bool], was_read: bool) -> None:
    if not waiting.done():
        waiting.set_result(was_read)


def _cached_key(
    key_id: str,
    account_id: str,
    name: str,
    expires_at: int | None,
    networks: str | None,
    prepaid: bool,
    *given: str | None,
) -> CachedKey:
    """`given`: the values of `_LEVEL` of the key, of its member and its project with their ids, and of its account;
    then what the account keeps of the content of its calls."""
    own = level(f"key/{key_id}", *given[:4]) if any(given[:4]) else NO_LEVEL
    groups = [_shared_level(f"{noun}/{row[0]}", *row[1:]) for noun, row in _groups(given) if any(row[1:])]
    account = _shared_level(f"account/{account_id}", *given[14:18])
    levels = (own, *groups, account) if groups else (own, account)
    shared = tuple(
        LimitGroup(one.owner, one.owner.partition("/")[0], one.limits) for one in groups if one.limits is not None
    )
    limited = None
    if own.limits is not None or account.limits is not None or shared:
        limited = Limited(key_id, account_id, own.limits, account.limits, shared)
    return CachedKey(
        sys.intern(account_id),
        key_id,
        name,
        bool(prepaid),
        tuple(chain.from_iterable(one.budgets for one in levels)),
        limited,
        common_models(levels),
        expires_at is not None or networks is not None,
        expires_at,
        None if networks is None else read_networks(read_list(networks) or ()),
        tuple(one.user_cap for one in levels if one.user_cap is not None) or None,
        rule_for(given[18], key_id, given[9]),
    )


def _groups(given: Sequence[str | None]) -> tuple[tuple[str, Sequence[str | None]], ...]:
    return ("member", given[4:9]), ("project", given[9:14])


# Decoded once for many keys, which share it.
_shared_level = lru_cache(maxsize=4_096)(level)
