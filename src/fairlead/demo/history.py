"""Plays 40 days: configurations, organisations, calls, incidents. Everything is stored by the functions that a gateway
stores it with, at the times that the clock of the demonstration shows meanwhile."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from fairlead.accounts.accounts import first_account
from fairlead.accounts.caller import Caller
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import key_by_hash
from fairlead.accounts.options import as_columns
from fairlead.admin import accounts, configuration, credit, groups, keys
from fairlead.admin.audit import Actor, record
from fairlead.admin.people import Visitor, join, sign_in
from fairlead.compose.version import Version, serving_from, version_of
from fairlead.demo.clock import DemoClock, repeatable_randomness
from fairlead.demo.incidents import Span, spans
from fairlead.demo.organisations import ORGANISATIONS, DemoKey, DemoMember, Organisation
from fairlead.demo.providers import DAYS, VERSIONS, document
from fairlead.demo.traffic import OPENS_SECONDS, Call, Traffic, deployments_of, spread
from fairlead.ledger.books import keep_sheets
from fairlead.ledger.ledger import Ledger
from fairlead.ledger.rollups import add_up
from fairlead.ledger.wallets import Scope, Shortage
from fairlead.money import Picodollars
from fairlead.people import passwords, persons
from fairlead.prices import PriceSheet
from fairlead.routing.decision import Decided, body
from fairlead.routing.holding import scopes_of
from fairlead.routing.plan import Plan
from fairlead.routing.retries import Tried
from fairlead.routing.upstream import Upstream
from fairlead.settings import parse_settings
from fairlead.store import Store
from fairlead.store.alerts import AlertRules, announce_health, claim, delivered, failed
from fairlead.store.health import Decision, HealthEvent, keep_decisions, keep_events
from fairlead.telemetry import cells
from fairlead.telemetry.cells import DAY, HOUR, MINUTE, TRAFFIC, Cell, SeriesName
from fairlead.telemetry.layout import Counts, add, seal
from fairlead.telemetry.recorder import Recorder
from fairlead.telemetry.tally import count
from fairlead.wire.notes import CallNotes
from fairlead.wire.usage import TokenClasses, Usage

FLUSH_CALLS: Final = 4_000
CELLS_PER_TRANSACTION: Final = 2_000
# Minutes of so many days are stored, as the gateway's own would be still; before, hours.
MINUTES_DAYS: Final = 3
# One call in so many is kept with how it was routed, beside all that were tried elsewhere.
DECISIONS_OF: Final = 40
# Those that are older would be forgotten at the first start.
DECISIONS_DAYS: Final = 29
ALERTS: Final = AlertRules(("webhook",), (500_000, 800_000, 950_000, 1_000_000))
THEO: Final = Actor("command line", "theo")
MARA: Final = Actor("command line", "mara")
ACTORS: Final = {"mara": MARA, "theo": THEO}
WRITER: Final = "demonstration"
# Of everybody here. No secret: it is printed, and a demonstration listens on the loopback alone.
PASSWORD: Final = "lighthouse at night"  # noqa: S105
SESSION_HOURS: Final = 336.0
PLACES: Final = (
    Visitor(
        "198.51.100.24",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
    ),
    Visitor("203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    Visitor(
        "192.0.2.61", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
    ),
)


class MadeKey(NamedTuple):
    organisation: str
    name: str
    key: str


class MadeOrganisation(NamedTuple):
    """`members`: the id of each by name."""

    organisation: Organisation
    account_id: str
    members: Mapping[str, str]


class History(NamedTuple):
    """What was made."""

    calls: int
    organisations: tuple[MadeOrganisation, ...]
    keys: tuple[MadeKey, ...]


class _Key(NamedTuple):
    organisation: Organisation
    key: DemoKey


def make_history(
    store: Store, clock: DemoClock, now: float, address: str, *, seed: int, calls: int,
    progress: Callable[[int], None] = lambda _: None,
) -> History:  # fmt: skip
    """Fills an empty store. `now`: when history ends; `address`: of the scripted upstream; `progress`: told of the days
    that are done."""
    return asyncio.run(_Player(store, clock, now, address, seed, calls).play(progress))


class _Player:
    def __init__(self, store: Store, clock: DemoClock, now: float, address: str, seed: int, calls: int) -> None:
        self._store = store
        self._clock = clock
        self._now = now
        self._begin = now - DAYS * DAY
        self._seed = seed
        self._calls = spread(calls, DAYS)
        self._list = [_Key(one, key) for one in ORGANISATIONS for key in one.keys]
        self._spans = spans(now)
        self._traffic = Traffic(seed, [one.key for one in self._list], self._spans)
        self._versions = _Versions(address)
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._made: list[MadeOrganisation] = []
        self._secrets: dict[int, str] = {}
        self._callers: dict[int, Caller] = {}
        self._scopes: dict[tuple[int, str], list[Scope]] = {}
        self._cells = _Cells(store, now)
        self._decided: list[Decided] = []
        self._cut: list[str] = []  # calls whose answers were cut, to be refunded once they are stored
        self._cut_lately: list[str] = []
        self._version = 0
        self._password = ""
        self._count = 0

    async def play(self, progress: Callable[[int], None]) -> History:
        clock = self._clock
        clock.set(self._begin)
        self._plan()
        self._run_until(self._begin)
        ledger = Ledger(self._store, self._versions[0].version.sheets, alerts=ALERTS)
        for day in range(DAYS):
            start = self._begin + day * DAY
            await self._play_day(ledger, day, start)
            self._run_until(start + DAY)
            clock.set(start + DAY)
            await self._store_all(ledger)
            await ledger.tick()
            self._deliver_alerts()
            self._cells.store(start + DAY)
            progress(day + 1)
        clock.set(self._now)
        await ledger.close()
        self._cells.store(self._now, last=True)
        while not add_up(self._store):
            pass
        made = [
            MadeKey(one.organisation.name, one.key.name, self._secrets[at])
            for at, one in enumerate(self._list)
            if not one.key.revoked
        ]
        return History(self._count, tuple(self._made), tuple(made))

    # --- what is done besides calls

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._actions, (seconds, self._number, action))
        self._number += 1

    def _run_until(self, seconds: float) -> None:
        while self._actions and self._actions[0][0] <= seconds:
            at, number, action = heapq.heappop(self._actions)
            self._clock.set(at)
            with repeatable_randomness(f"{self._seed} {number}"):  # whatever the number of calls
                action()

    def _plan(self) -> None:
        begin = self._begin
        for number, version in enumerate(VERSIONS):
            self._at(begin + version.day * DAY + version.hour * HOUR, partial(self._apply, number))
        for organisation in ORGANISATIONS:
            self._at(begin + organisation.since * DAY, partial(self._found, organisation))
            for number, day in enumerate(organisation.paid):
                self._at(begin + day * DAY + 9 * HOUR, partial(self._pay, organisation, number + 2))
        for at, one in enumerate(self._list):
            since = max(one.key.since, one.organisation.since)
            self._at(begin + since * DAY + 60, partial(self._make_key, at))
            if one.key.revoked:
                self._at(begin + one.key.revoked * DAY - 60, partial(self._revoke, at))
        for span in self._spans:
            if span.part == 1:
                self._at(span.start + OPENS_SECONDS, partial(self._keep_event, span, "open", span.outcome))
                self._at(span.end - OPENS_SECONDS, partial(self._keep_event, span, "half_open", span.outcome))
                self._at(span.end, partial(self._keep_event, span, "closed", "served again"))
        for number, organisation in enumerate(ORGANISATIONS):
            for at, member in enumerate(organisation.members[:3]):
                day = DAYS - 1 - (number * 2 + at * 3) % 11
                place = PLACES[(number + at) % len(PLACES)]
                self._at(begin + day * DAY + (6 + at) * HOUR, partial(self._sign_in, member.email, place))
        self._at(begin + 21 * DAY + 12 * HOUR, self._give_codes)
        for day in (11, 19, 27, 36):
            self._at(begin + day * DAY + 10.5 * HOUR, self._refund)

    def _apply(self, number: int) -> None:
        version = VERSIONS[number]
        by = configuration.Submission(ACTORS[version.author], "", version.comment)
        if version.restores is None:
            configuration.apply(self._store, self._versions.text(number), f"version {number + 1}", by)
        else:
            configuration.rollback(self._store, version.restores, by)
        self._version = number
        if number:
            with self._store.write() as connection:
                keep_sheets(connection, self._versions[number].version.sheets)

    def _found(self, organisation: Organisation) -> None:
        store = self._store
        if organisation.prepaid:
            account_id = accounts.create_account(store, MARA, organisation.name, Picodollars.parse(organisation.credit))
        else:
            with store.write() as connection:
                account_id = first_account(connection)
            accounts.change_account(store, MARA, account_id, {"name": organisation.name})
        for name, budgets in organisation.projects:
            groups.create_group(store, MARA, "project", name, account_id, _columns(budgets))
        members = {one.name: self._join(one, account_id) for one in organisation.members}
        self._made.append(MadeOrganisation(organisation, account_id, members))

    def _join(self, member: DemoMember, account_id: str) -> str:
        """The id of the row of `members`."""
        self._password = self._password or passwords.hashed(PASSWORD)
        with self._store.write() as connection:
            person = persons.add_person(
                connection, member.email, member.name, self._password, operator=member.operator, confirmed=True
            )
            join(connection, person, account_id, member.role)
            after = {"email": member.email, "name": member.name, "operator": member.operator}
            record(connection, MARA, "person.create", person.id, None, after, account_id=account_id)
            found = persons.membership_of(connection, person.id, account_id)
        assert found is not None
        if member.budgets:
            groups.change_group(self._store, MARA, "member", found.member_id, _columns(member.budgets))
        return found.member_id

    def _sign_in(self, email: str, place: Visitor) -> None:
        sign_in(self._store, email, PASSWORD, place, SESSION_HOURS)

    def _of(self, organisation: Organisation) -> MadeOrganisation:
        return next(one for one in self._made if one.organisation is organisation)

    def _pay(self, organisation: Organisation, number: int) -> None:
        amount = Picodollars.parse(organisation.credit)
        made = self._of(organisation)
        credit.grant(self._store, MARA, made.account_id, amount, f"invoice {number} of {organisation.name}")

    def _make_key(self, at: int) -> None:
        organisation, key = self._list[at]
        made = self._of(organisation)
        columns = as_columns(
            budgets={period: Picodollars.parse(amount) for period, amount in key.budgets},
            given_limits=key.limits or None,
            models=key.models or None,
        )
        if key.project:
            (project,) = (
                one.id for one in groups.list_groups(self._store, "project", made.account_id) if one.name == key.project
            )
            columns["project_id"] = project
        if key.member:
            columns["member_id"] = made.members[key.member]
        secret = keys.create_key(
            self._store, MARA, key.name, account_id=made.account_id, columns={k: v for k, v in columns.items() if v}
        )
        self._secrets[at] = secret
        caller = KeyRing(self._store).read(secret.encode())
        assert caller is not None, key.name
        self._callers[at] = caller

    def _revoke(self, at: int) -> None:
        with self._store.read() as connection:
            found = key_by_hash(connection, keys.hash_of(self._secrets[at]))
        assert found is not None
        keys.revoke_key(self._store, MARA, found.id)

    def _give_codes(self) -> None:
        made = credit.make_codes(self._store, MARA, Picodollars.parse("5"), 8)
        small = next(one for one in self._made if one.organisation.name.startswith("Quill"))
        for code in made[:3]:
            credit.redeem(self._store, Actor("key", "bookshop chat"), code, small.account_id)

    def _refund(self) -> None:
        for cut in self._cut[-3:]:
            credit.refund(self._store, THEO, cut, None, "the answer was cut off at the provider")
        self._cut.clear()

    def _keep_event(self, span: Span, event: str, reason: str) -> None:
        provider, slash, _ = span.subject.partition("/")
        one = HealthEvent(span.subject if slash else "", provider, event, reason)
        with self._store.write() as connection:
            keep_events(connection, [one])
            announce_health(connection, ALERTS, [one])

    def _deliver_alerts(self) -> None:
        """The receiver of the alerts was out of order on one day."""
        broken = 0.6 < (self._now - self._clock.time()) / DAY < 1.4
        with self._store.write() as connection:
            while (row := claim(connection, ALERTS.channels, 1)) is not None:
                if broken:
                    failed(connection, row, "503 Service Unavailable")
                else:
                    delivered(connection, row.id)

    # --- calls

    async def _play_day(self, ledger: Ledger, day: int, start: float) -> None:
        end = start + DAY
        numbers = [number for number, one in enumerate(VERSIONS) if self._begin + _seconds(one) < end]
        there = self._versions[numbers[-1]].deployments
        calls = self._traffic.day(day, start, self._calls[day], deployments_of(there))
        for at, call in enumerate(calls):
            if call.end > self._now:
                continue  # still under way
            self._run_until(call.end)
            await self._play(ledger, call)
            if at % FLUSH_CALLS == FLUSH_CALLS - 1:
                await self._store_all(ledger)

    async def _play(self, ledger: Ledger, call: Call) -> None:
        versions = self._versions[self._version]
        sheets = versions.sheets
        call.order = [name for name in call.order if name in sheets]
        if any(one.deployment not in sheets for one in call.attempts) or call.key not in self._callers:
            return  # a deployment that is added later on this day
        self._count += 1
        if not call.attempts:
            self._cells.call(call)
            return
        clock, caller = self._clock, self._callers[call.key]
        clock.set(call.start)
        hold = None
        scopes = self._scopes_of(call.key, caller, call.start)
        sheet = sheets[call.attempts[-1].deployment]
        if scopes:
            try:
                most = sheet.ceiling(call.prompt * 5 // 4, max(1_024, 2 * call.output))
                hold = await ledger.hold(scopes, most, most)
            except Shortage as short:
                call.outcome = "insufficient_credit" if short.scope.granted is None else "budget_exceeded"
                call.attempts.clear()
                self._cells.call(call)
                return
        bill = ledger.open(caller.account_id, caller.key_id, call.model, call.stream, True, hold)
        if call.session or call.user:
            bill.notes = CallNotes(call.session, call.user)
        at = call.start
        for attempt in call.attempts:
            at += attempt.seconds
            clock.set(at)
            if attempt.outcome not in ("served", "caller_gone"):
                # What was written before the cut is the operator's to pay.
                cut = attempt.outcome == call.outcome == "upstream_cut" and call.output
                bill.failed(sheets[attempt.deployment], attempt.outcome, _usage(call) if cut else None)
        if call.stream and call.first:
            waited = sum(one.seconds for one in call.attempts[:-1])
            bill.first_token = max(1, round((waited + call.first) * 1000))
        if call.outcome in ("served", "caller_gone"):
            bill.settle(sheet, _usage(call), call.outcome)
            if call.outcome == "caller_gone" and bill.price > 0:
                self._cut_lately.append(bill.id)
        else:
            bill.release(call.outcome)
        self._cells.call(call)
        kept = self._now - call.end < DECISIONS_DAYS * DAY
        if kept and (len(call.attempts) > 1 or self._count % DECISIONS_OF == 0):
            self._decided.append(_decided(bill.id, call, versions.upstreams))

    def _scopes_of(self, at: int, caller: Caller, start: float) -> list[Scope]:
        day = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d")
        found = self._scopes.get((at, day))
        if found is None:
            found = self._scopes[at, day] = scopes_of(caller)
        return found

    async def _store_all(self, ledger: Ledger) -> None:
        await ledger.flush()
        assert ledger.trouble is None, ledger.trouble
        self._cut += self._cut_lately
        self._cut_lately.clear()
        with self._store.write() as connection:
            keep_decisions(connection, (Decision(one.id, body(one)) for one in self._decided))
        self._decided.clear()


def _seconds(version: Any) -> float:
    return float(version.day * DAY + version.hour * HOUR)


def _columns(budgets: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return as_columns(budgets={period: Picodollars.parse(amount) for period, amount in budgets})


def _usage(call: Call) -> Usage:
    classes = TokenClasses(
        input=call.prompt - call.cached, cached_input=call.cached, output=call.output - call.reasoning,
        reasoning=call.reasoning, request=1,
    )  # fmt: skip
    return Usage(classes, call.prompt, call.output)


def _decided(record: str, call: Call, upstreams: Mapping[str, Upstream]) -> Decided:
    candidates = tuple(upstreams[name] for name in call.order)
    prices = tuple(round(1 - at * 0.17, 6) for at in range(len(candidates)))
    tried = tuple(Tried(one.deployment, one.outcome, one.seconds) for one in call.attempts[:-1])

    return Decided(record, Plan(candidates, (), prices, "balanced"), tried, None)


class _Built(NamedTuple):
    version: Version
    sheets: Mapping[str, PriceSheet]
    upstreams: Mapping[str, Upstream]
    deployments: frozenset[str]


class _Versions:
    """The versions of the configuration, made when they are needed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._built: list[_Built] = []

    def text(self, number: int) -> str:
        return document(VERSIONS[number], self._address)

    def __getitem__(self, number: int) -> _Built:
        while len(self._built) <= number:
            self._built.append(self._build(len(self._built)))
        return self._built[number]

    def _build(self, number: int) -> _Built:
        before = self._built[-1].version if self._built else None
        version = version_of(parse_settings(self.text(number), f"version {number + 1}"), (), before)
        recorder = Recorder()
        serving = serving_from(
            version, recorder, lambda _, model, deployment: recorder.series(TRAFFIC, model.id, deployment.id)
        )
        sheets = {one.deployment: one for one in version.sheets}
        return _Built(version, sheets, serving.upstreams, frozenset(sheets))


class _Cells:
    """Measurements: counted by the minute, stored as hours, and those of the last days as minutes."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._minutes_from = int(now) // HOUR * HOUR - MINUTES_DAYS * DAY
        self._minutes: dict[tuple[SeriesName, int], Counts] = {}
        self._names: dict[tuple[str, str], SeriesName] = {}
        self._ids: dict[SeriesName, int] = {}

    def _cell(self, model: str, deployment: str, at: float) -> Counts:
        name = self._names.get((model, deployment))
        if name is None:
            name = self._names[model, deployment] = SeriesName(TRAFFIC, model, deployment)
        return self._minutes.setdefault((name, int(at) // MINUTE * MINUTE), {})

    def call(self, call: Call) -> None:
        """Counts a call and its attempts."""
        at = call.start
        for attempt in call.attempts:
            at += attempt.seconds
            served = attempt.outcome in ("served", "caller_gone")
            tokens = (call.prompt, call.output) if served else (0, 0)
            first = call.first if served else 0.0
            count(self._cell(call.model, attempt.deployment, at), attempt.outcome, first, attempt.seconds, *tokens)
        tokens = (call.prompt, call.output) if call.outcome in ("served", "caller_gone") else (0, 0)
        waited = at - call.start - (call.attempts[-1].seconds if call.attempts else 0.0)
        first = call.first + waited if call.first else 0.0
        count(self._cell(call.model, "", at), call.outcome, first, at - call.start, *tokens)

    def store(self, until: float, *, last: bool = False) -> None:
        """Stores what ended before `until`, whole hours as far as they are over."""
        hour = int(until) // HOUR * HOUR
        hours: dict[tuple[SeriesName, int], Counts] = {}
        minutes: list[Cell] = []
        for (name, start), counts in list(self._minutes.items()):
            if start >= self._minutes_from:
                if start + MINUTE <= until or last:
                    minutes.append(Cell(name, start, cells.pack(counts)))
                    del self._minutes[name, start]
            elif start < hour:
                add(hours.setdefault((name, start // HOUR * HOUR), {}), seal(counts, deployment=bool(name.deployment)))
                del self._minutes[name, start]
        for at in range(0, len(minutes), CELLS_PER_TRANSACTION):
            with self._store.write() as connection:
                cells.write(connection, WRITER, minutes[at : at + CELLS_PER_TRANSACTION], self._ids)
        if hours:
            with self._store.write() as connection:
                cells.write_hours(connection, hours, self._ids)
        self._tidy(until)

    def _tidy(self, until: float) -> None:
        for span, seconds in (("hour", HOUR), ("day", DAY)):
            with self._store.read() as connection:
                starts = sorted(cells.marked(connection)[span])
            for start in starts:
                if start + seconds <= until:
                    with self._store.write() as connection:
                        cells.add_up(connection, span, start)


__all__ = ["History", "MadeKey", "MadeOrganisation", "make_history"]
