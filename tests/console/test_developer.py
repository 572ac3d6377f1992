"""A developer's pages: keys, activity, calls and credit, for each role and as a stranger to the organisation."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text
from tests.console.kit import Browser, Kit

from fairlead.accounts.accounts import add_account
from fairlead.accounts.keys import KeyFilter, KeyInfo, add_key, key_by_hash
from fairlead.admin.activity import CallFilter, activity, happenings, server_activity, window_before, window_of
from fairlead.admin.audit import AuditFilter, command_line, list_audit
from fairlead.admin.credit import make_codes, refund
from fairlead.admin.groups import group_info, list_groups
from fairlead.admin.keys import hash_of, key_info, newest_keys
from fairlead.admin.statement import read_month, statement
from fairlead.console import charts
from fairlead.console.charts import Beside, Series, Stretch, Words
from fairlead.errors import InvalidRequest, NotFound
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.funds import grant
from fairlead.ledger.record import Attempt, UsageRecord, encode
from fairlead.ledger.rollups import add_up
from fairlead.money import Picodollars
from fairlead.people.persons import memberships_of
from fairlead.prices import PriceSheet, Schedule, amounts, rates_from
from fairlead.store.tables import health_events
from fairlead.wire.usage import usage_from_openai

SHEET = PriceSheet("p/m", Schedule(rates_from({"input": "0.10", "output": "0.30"})))
USAGE = usage_from_openai(b'{"prompt_tokens":1000,"completion_tokens":100}')
assert USAGE is not None
PRICE = amounts(SHEET, USAGE)[0]
MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(tmp_path_factory.mktemp("developer"))
    with made.store.write() as connection:
        keep_sheets(connection, [SHEET])
        grant(connection, made.acme, Picodollars.parse("10").value, "invoice 17")
    yield made
    made.close()


@pytest.fixture(scope="module")
def owner(kit: Kit) -> Browser:
    return kit.as_role("owner")


def made_key(kit: Kit, account_id: str, name: str = "service", **columns: str | None) -> KeyInfo:
    with kit.store.write() as connection:
        key = add_key(connection, name, account_id, columns)
        found = key_by_hash(connection, hash_of(key))
    assert found is not None
    return found


def member_id(kit: Kit, browser: Browser) -> str:
    with kit.store.read() as connection:
        return memberships_of(connection, browser.person_id)[0].member_id


def call(kit: Kit, key: KeyInfo, name: str, outcome: str = "served", at: float = 0, **more: Any) -> UsageRecord:
    """A call that ended a moment ago, in the books and in the figures."""
    began = int((at or time.time() - 60) * 1000)
    served = outcome == "served"
    assert USAGE is not None
    record = UsageRecord(
        f"gen_{name}", began, began + 800, key.account_id, key.id, "m", outcome, False,
        "reported" if served else "none", "p/m" if served else "", SHEET.id if served else "",
        *((USAGE.tokens, 1000, 100) if served else ()), price=PRICE if served else 0,
        attempts=(Attempt("q/m", "", "upstream_failed", 200), Attempt("p/m", SHEET.id, outcome, 600)), **more,
    )  # fmt: skip
    with kit.store.write() as connection:
        post(connection, [encode(record)], "p")
    assert add_up(kit.store)
    return record


def store_health_events(connection: Connection, events: list[tuple[str, str, str]]) -> None:
    at = int(time.time() * 1000) - 60_000
    connection.execute(
        insert(health_events),
        [
            {"at": at, "deployment": deployment, "provider": owner, "event": event, "reason": ""}
            for deployment, owner, event in events
        ],
    )


# --- keys


def test_a_key_is_created_shown_once_and_stored_as_a_digest(kit: Kit, owner: Browser) -> None:
    page = owner.post("/account/keys/new", {
        "name": "laptop", "budget_month": "25.00", "requests_per_minute": "60", "models": "m\nn",
        "networks": "10.1.2.3/8", "expires": "2099-01-31",
    })  # fmt: skip
    assert page.status == 200
    [key] = re.findall(r'<code data-fresh-key="/account/keys">(sk-fl-[\w-]+)</code>', page.text)
    with kit.store.read() as connection:
        found = key_by_hash(connection, hash_of(key))
    assert found is not None
    assert (found.name, found.account_id, found.models, found.networks) == (
        "laptop",
        kit.acme,
        ["m", "n"],
        ["10.0.0.0/8"],
    )
    assert [(one.period, one.picodollars) for one in found.budgets] == [("month", 25 * 10**12)]
    assert found.limits is not None
    assert found.limits.by_name() == {"requests_per_minute": 60}
    assert found.expires_at == int(datetime(2099, 2, 1, tzinfo=UTC).timestamp())
    listed = owner.get("/account/keys").text
    assert "laptop" in listed
    assert key not in listed
    [row] = list_audit(kit.store, AuditFilter(subject=found.id), 10)
    assert (row["actor_kind"], row["actor"], row["action"]) == ("person", owner.person_id, "key.create")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Give the key a name"),
        ("budget_month", "ten", "A budget is an amount in dollars"),
        ("requests_per_minute", "-1", "must be a whole number"),
        ("networks", "nowhere", "A network must be a range"),
        ("expires", "tomorrow", "Expiry must be a day"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(
    owner: Browser, field: str, value: str, sentence: str
) -> None:
    page = owner.post("/account/keys/new", {"name": "mine", "models": "kept-model", field: value})
    assert page.status == 422
    assert sentence in re.sub(r"<[^>]*>", " ", page.text.partition(f'id="p-{field}"')[2][:200])
    assert "kept-model" in page.text


def test_a_key_is_changed_disabled_enabled_and_revoked(kit: Kit, owner: Browser) -> None:
    key = made_key(kit, kit.acme, "old name", budgets='{"session": 5000000000000}')
    path = f"/account/keys/{key.id}"
    assert "old name" in owner.get(path).text
    assert owner.post(path, {"name": "new name", "tokens_per_day": "1000"}).location == "/account/keys"
    changed = key_info(kit.store, key.id)
    assert changed.name == "new name"
    assert [one.period for one in changed.budgets] == ["session"]  # which no field shows
    undo = owner.follow(owner.post(f"{path}/state", {"disabled": "1"}))
    assert key_info(kit.store, key.id).disabled_at is not None
    assert "new name is disabled" in undo.text
    assert "Undo" in undo.text
    owner.post(f"{path}/state", {"disabled": "0"})
    assert key_info(kit.store, key.id).disabled_at is None
    owner.post(f"{path}/revoke")
    assert key_info(kit.store, key.id).revoked_at is not None
    assert key.id not in owner.get("/account/keys").text
    assert "new name" in owner.get("/account/keys?state=revoked").text


def test_keys_are_found_and_come_in_pages(kit: Kit, owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlead.console.developer import keys

    monkeypatch.setattr(keys, "PER_PAGE", 2)
    names = [f"page {at} of %" for at in range(5)]
    for name in names:
        made_key(kit, kit.acme, name)
    found, target = [], "/account/keys?q=of+%25"
    for _ in range(3):
        page = owner.get(target).text
        found += re.findall(r">(page \d of %)</a>", page)
        more = re.search(r'href="(\?[^"]*before=[^"]*)"', page)
        target = "/account/keys" + unescape(more[1]) if more else ""
    assert sorted(found) == names
    assert not target
    assert "No key matches" in owner.get("/account/keys?q=nothing_like_it").text


def test_a_member_sees_and_changes_own_keys_only(kit: Kit) -> None:
    member, other = kit.as_role("member"), kit.as_role("member")
    mine = made_key(kit, kit.acme, "mine alone", member_id=member_id(kit, member))
    theirs = made_key(kit, kit.acme, "theirs alone", member_id=member_id(kit, other))
    page = member.get("/account/keys").text
    assert "mine alone" in page
    assert "theirs alone" not in page
    assert member.get(f"/account/keys/{mine.id}").status == 200
    assert member.get(f"/account/keys/{theirs.id}").status == 404
    for part in ("", "/state", "/revoke"):
        assert member.post(f"/account/keys/{theirs.id}{part}", {"name": "x", "disabled": "1"}).status == 404
    untouched = key_info(kit.store, theirs.id)
    assert (untouched.name, untouched.disabled_at, untouched.revoked_at) == ("theirs alone", None, None)
    member.post("/account/keys/new", {"name": "made by a member"})
    [made] = newest_keys(kit.store, KeyFilter(kit.acme, text="made by a member"), 10)
    assert made.member_id == member_id(kit, member)
    assert "theirs alone" in kit.as_role("viewer").get("/account/keys").text
    assert kit.as_role("viewer").get(f"/account/keys/{theirs.id}").status == 403


# --- projects


def test_a_project_is_created_changed_archived_and_restored(kit: Kit, owner: Browser) -> None:
    page = owner.follow(owner.post("/account/projects/new", {"name": "search", "budget_day": "5", "models": "m"}))
    assert "search" in page.text
    [project] = [one for one in list_groups(kit.store, "project", kit.acme) if one.name == "search"]
    assert (project.models, [(one.period, one.picodollars) for one in project.budgets]) == (
        ["m"],
        [("day", 5 * 10**12)],
    )
    call(kit, made_key(kit, kit.acme, "of search", project_id=project.id), "project")
    assert Picodollars(PRICE).dollars()[:4] in owner.get("/account/projects").text
    path = f"/account/projects/{project.id}"
    assert owner.post(path, {"name": "", "budget_day": "five"}).status == 422
    owner.post(path, {"name": "find", "requests_per_minute": "9"})
    changed = group_info(kit.store, "project", project.id)
    assert (changed.name, changed.budgets, changed.models) == ("find", (), None)
    assert changed.limits is not None
    undo = owner.follow(owner.post(f"{path}/state", {"archived": "1"}))
    assert "find is archived" in undo.text
    assert group_info(kit.store, "project", project.id).archived_at is not None
    assert owner.get(f"/account/activity?time=24h&project={project.id}").status == 200
    owner.post(f"{path}/state", {"archived": "0"})
    assert group_info(kit.store, "project", project.id).archived_at is None
    stranger, member = kit.as_role("owner", kit.globex), kit.as_role("member")
    assert stranger.get(path).status == stranger.post(f"{path}/state", {"archived": "1"}).status == 404
    assert stranger.get(f"/account/activity?project={project.id}").status == 404
    assert member.get(path).status == member.post(path, {"name": "x"}).status == 403
    assert "find" in member.get("/account/projects").text


# --- activity and calls


def test_activity_comes_to_what_the_receipts_say(kit: Kit, owner: Browser) -> None:
    key = made_key(kit, kit.acme, "counted")
    for at in range(3):
        call(kit, key, f"sum{at}", session="s 1" if at else "", user="alice")
    call(kit, key, "sum-failed", "upstream_failed")
    page = owner.get(f"/account/activity?key={key.id}&time=24h").text
    assert f'title="${Picodollars(3 * PRICE).dollars()}"' in page
    assert all(f"/account/calls/gen_sum{at}" in page for at in range(3))
    narrowed = owner.get(f"/account/activity?key={key.id}&time=24h&session=s+1").text  # two filters at once
    assert f'title="${Picodollars(2 * PRICE).dollars()}"' in narrowed
    assert "gen_sum0" not in narrowed
    receipts = []
    for name in ("sum0", "sum1", "sum2", "sum-failed"):
        detail = owner.get(f"/account/calls/gen_{name}").text
        body = json.loads(unescape(re.findall(r"<pre[^>]*><code>(\{.*?)</code>", detail, re.DOTALL)[0]))
        receipts.append(Picodollars.parse(body["charged_usd"]).value)
    assert sum(receipts) == activity(kit.store, CallFilter(kit.acme, key_id=key.id), window_of("24h")).total.charged


def test_traffic_of_the_server_is_that_of_all_its_accounts(kit: Kit) -> None:
    for account in (kit.acme, kit.globex):
        call(kit, made_key(kit, account), f"of-{account}")
    window = window_of("24h")
    found = server_activity(kit.store, window)
    each = [activity(kit.store, CallFilter(account), window) for account in (kit.own, kit.acme, kit.globex)]
    assert found.total.requests == sum(one.total.requests for one in each) >= 2
    assert found.total.charged == sum(one.total.charged for one in each) > 0
    assert sum(step.total.charged for step in found.steps) == found.total.charged


def test_filters_are_chips_with_a_way_to_remove_each_and_a_menu_of_the_others(kit: Kit, owner: Browser) -> None:
    key = made_key(kit, kit.acme, "chip & co")
    call(kit, key, "chip", user="alice", session="s 1")
    query = f"time=24h&key={key.id}&user=alice"
    page = owner.get(f"/account/activity?{query}").text
    chips = {unescape(text): unescape(target) for target, text in re.findall(
        r'<a href="([^"]*)" aria-label="Remove the filter ([^"]*)"', page
    )}  # fmt: skip
    assert chips == {"Key: chip & co": "?time=24h&user=alice", "End user: alice": f"?time=24h&key={key.id}"}
    offered = re.findall(r'data-dimension="(\w+)"', page)
    assert "session" in offered
    assert not {"key", "user"} & set(offered)
    assert f'href="?{query.replace("&key", "&amp;key").replace("&user", "&amp;session=s+1&amp;user", 1)}"' in page
    [form] = re.findall(r'<form[^>]*>((?:(?!</form>).)*name="session".*?)</form>', page, re.DOTALL)
    assert dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)) == {
        "time": "24h", "key": key.id, "user": "alice",
    }  # fmt: skip
    clear = re.search(r'href="([^"]*)">Clear<', page)
    assert clear is not None
    assert clear[1] == "?time=24h"


def test_calls_are_exported_as_csv_and_new_ones_are_told_of(
    kit: Kit, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairlead.console.developer import activity as module

    monkeypatch.setattr(module, "EXPORTED_AT_ONCE", 2)
    key = made_key(kit, kit.acme, "exported")
    for at in range(5):
        call(kit, key, f"csv{at}", user="=1+1", at=time.time() - 50 + at)
    answer = owner.get(f"/account/activity/calls.csv?time=24h&key={key.id}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == [f"gen_csv{at}" for at in range(5)]
    assert {row["user"] for row in rows} == {"'=1+1"}
    assert sum(int(row["charged_picodollars"]) for row in rows) == 5 * PRICE
    before = json.loads(owner.get(f"/account/activity/newest?time=24h&key={key.id}").text)["newest"]
    call(kit, key, "csv5", at=time.time())
    assert json.loads(owner.get(f"/account/activity/newest?time=24h&key={key.id}").text)["newest"] > before


def test_older_calls_are_on_further_pages(kit: Kit, owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairlead.console.developer import activity as module

    monkeypatch.setattr(module, "CALLS_PER_PAGE", 2)
    key = made_key(kit, kit.acme, "paged")
    moment = time.time() - 30
    for at in range(5):
        call(kit, key, f"paged{at}", at=moment)  # at the same millisecond
    found, query = [], f"?time=24h&key={key.id}"
    while query:
        page = owner.get(f"/account/activity{query}").text
        found += re.findall(r"/account/calls/gen_(paged\d)", page)
        more = re.search(r'href="(\?[^"#]*before=[^"#]*)#calls"', page)
        query = unescape(more[1]) if more else ""
    assert found == [f"paged{at}" for at in (4, 3, 2, 1, 0)]


def test_a_call_has_its_receipt_made_again_its_attempts_and_its_plan(kit: Kit, owner: Browser) -> None:
    key = made_key(kit, kit.acme, "detailed")
    record = call(kit, key, "detail")
    with kit.store.write() as connection:
        routed = {
            "strategy": None, "candidates": [{"deployment": "q/m", "score": 1.5, "resting": False}],
            "rejected": [{"deployment": "z/m", "reason": "resting", "detail": None}], "failed": [],
            "continued_at_character": None, "parameters": {"forwarded": ["temperature"], "dropped": ["logit_bias"]},
        }  # fmt: skip
        connection.execute(
            text("INSERT INTO decisions (id, at, body) VALUES (:id, 1, :body)"),
            {"id": record.id, "body": json.dumps(routed)},
        )
    page = owner.get(f"/account/calls/{record.id}").text
    assert "1000 x 100000 = 100000000 picodollars" in page
    assert "identical to the picodollar" in page
    assert "upstream_failed" in page
    assert re.search(r"200 ms.*200 ms.*800 ms", page, re.DOTALL)  # one attempt begins where the other ends
    assert "z/m: resting" in page
    assert "logit_bias" in page
    assert "Nothing of the prompt and the answer is kept" in page
    assert "First token" not in page
    told = call(kit, key, "told", first_token=450)
    page = owner.get(f"/account/calls/{told.id}").text
    assert 'class="waiting" x="180" y="2" width="225"' in page  # 200 to 450 of 800 ms
    assert re.search(r"First token after</dt><dd>0.45.*–.*450 ms", page, re.DOTALL)
    assert "&#34;first_token_ms&#34;: 450" in page
    with kit.store.write() as connection:
        connection.execute(text("UPDATE usage_records SET body = replace(body, :a, :b) WHERE id = :id"),
                           {"a": f'"price":{PRICE}', "b": f'"price":{PRICE + 1}', "id": record.id})  # fmt: skip
    assert "the charge differs" in owner.get(f"/account/calls/{record.id}").text


def test_nothing_of_another_organisation_or_member_is_seen(kit: Kit) -> None:
    member, other = kit.as_role("member"), kit.as_role("member")
    theirs = made_key(kit, kit.acme, "another member's", member_id=member_id(kit, other))
    foreign = made_key(kit, kit.globex, "another organisation's")
    call(kit, theirs, "of-member", user="known-user", session="known-session")
    call(kit, foreign, "of-globex", user="known-user", session="known-session")
    stranger = kit.as_role("owner", kit.globex)
    for browser, call_id, key in ((member, "gen_of-member", theirs), (member, "gen_of-globex", foreign),
                                  (stranger, "gen_of-member", theirs)):  # fmt: skip
        assert browser.get(f"/account/calls/{call_id}").status == 404
        assert browser.get(f"/account/activity?key={key.id}").status == 404
        assert browser.get(f"/account/activity/calls.csv?key={key.id}").status == 404
        assert browser.get(f"/account/activity/newest?key={key.id}").status == 404
        for query in ("", "&user=known-user", "&session=known-session", "&model=m"):
            assert call_id not in browser.get(f"/account/activity?time=24h{query}").text
            assert call_id not in browser.get(f"/account/activity/calls.csv?time=24h{query}").text
    assert "gen_of-member" in other.get("/account/activity?time=24h").text
    assert "gen_of-globex" in stranger.get("/account/activity?time=24h").text
    # A member is not shown what others have spent; to billing money is open, keys are not.
    assert "Statement" not in member.get("/account/credit").text
    assert member.get("/account/credit/statement.csv").status == 403
    assert kit.as_role("billing").get("/account/credit/statement.csv").status == 200


def test_markup_in_names_is_text(kit: Kit, owner: Browser) -> None:
    key = made_key(kit, kit.acme, MARKUP)
    call(kit, key, "markup", user=MARKUP, session=MARKUP)
    for path in (
        "/account/keys", f"/account/keys/{key.id}", f"/account/activity?time=24h&key={key.id}", "/account/calls/gen_markup",
        "/account/activity?user=%3Cscript%3Ealert(1)%3C/script%3E", "/account/keys?q=%3Cscript%3Ealert(1)%3C/script%3E",
    ):  # fmt: skip
        page = owner.get(path)
        assert page.status == 200
        assert MARKUP not in page.text
        assert unescape(page.text).count(MARKUP)


def test_the_page_of_a_call_has_the_time_itself_beside_the_relative_one(kit: Kit, owner: Browser) -> None:
    at = datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC).timestamp()
    call(kit, made_key(kit, kit.acme), "timed", at=at)
    page = owner.get("/account/calls/gen_timed").text
    assert ">2026-11-03 04:05:06 UTC</span>" in page
    assert "reported them.Before" not in page


def test_exact_amounts_of_a_column_stand_below_each_other(kit: Kit, owner: Browser) -> None:
    record = call(kit, made_key(kit, kit.acme), "aligned")
    page = owner.get(f"/account/calls/{record.id}").text
    amounts = re.findall(
        r'<td class="n"[^>]*>(?:<strong>)?(\$[\d.]+)(?:<span class="pad" aria-hidden="true">([.0]+)</span>)?', page
    )
    prices, sums = [a + b for a, b in amounts[0:-1:2]], [a + b for a, b in amounts[1::2]]
    assert len({len(one.partition(".")[2]) for one in prices}) == 1, prices
    assert len({len(one.partition(".")[2]) for one in sums}) == 1, sums
    assert "pad" in page


def test_windows_and_days_of_one_s_own(owner: Browser) -> None:
    now = datetime(2027, 3, 31, 15, 30, tzinfo=UTC).timestamp()
    day = window_of("24h", now)
    assert (len(day.steps), day.until) == (24, int(datetime(2027, 3, 31, 16, tzinfo=UTC).timestamp()))
    assert [len(window_of(name, now).steps) for name in ("7d", "30d", "90d", "12mo")] == [28, 30, 90, 12]
    own = window_of("2027-01-30..2027-02-02", now)
    assert (len(own.steps), own.span) == (4, "day")
    assert window_of("2027-01-30..2027-01-30", now).span == "hour"
    months = window_of("2026-01-15..2027-02-02", now)
    assert [datetime.fromtimestamp(one, UTC).date() for one in months.steps[:2]] == [
        date(2026, 1, 15),
        date(2026, 2, 1),
    ]
    for wrong in ("soon", "2027-02-02..2027-01-01", "2020-01-01..2027-01-01", "..", "2027-02-30..2027-03-01"):
        with pytest.raises(InvalidRequest):
            window_of(wrong, now)
    assert owner.get("/account/activity?time=soon").status == 400
    assert owner.get("/account/activity?from=2027-01-01&to=2027-01-03").status == 200


def test_a_window_in_hours_and_the_period_before() -> None:
    now = datetime(2027, 3, 31, 15, 30, tzinfo=UTC).timestamp()
    hours = window_of("2027-01-30T22..2027-01-31T01", now)
    assert (len(hours.steps), hours.span, hours.until - hours.since) == (4, "hour", 4 * 3600)
    assert window_of("2027-01-30T22..2027-01-30T22", now).span == "hour"
    for wrong in ("2027-01-30T22..2027-01-30T21", "2027-01-01T00..2027-01-30T00", "2027-01-30T25..2027-01-30T26"):
        with pytest.raises(InvalidRequest):
            window_of(wrong, now)
    for name in ("24h", "7d", "30d", "2027-01-30..2027-02-02", "2027-01-30T22..2027-01-31T01"):
        window = window_of(name, now)
        before = window_before(window)
        assert before.until == window.since
        assert before.until - before.since == window.until - window.since
        assert (len(before.steps), before.span) == (len(window.steps), window.span)
    year = window_before(window_of("12mo", now))
    assert [datetime.fromtimestamp(one, UTC).date() for one in (year.steps[0], year.until)] == [
        date(2025, 4, 1),
        date(2026, 4, 1),
    ]


def test_figures_are_compared_with_the_period_before_and_steps_lead_to_themselves(kit: Kit) -> None:
    with kit.store.write() as connection:
        account = add_account(connection, "Compared", prepaid=False)
    owner, key, now = kit.as_role("owner", account), made_key(kit, account), time.time()
    for at in range(3):
        call(kit, key, f"compared{at}")
    call(kit, key, "former", "failed", at=now - 26 * 3600)
    call(kit, key, "former2", at=now - 26 * 3600)
    page = owner.get("/account/activity?time=24h&compare=1").text
    figures = re.sub(r"<[^>]*>|\s+", " ", page.partition('data-part="figures">')[2].partition("</dl>")[0])
    for told in ("+200.0 %", "−50.0 points", "+50.0 %"):  # spend, failed, calls
        assert told in re.sub(" +", " ", figures)
    assert "Period before" in page.partition("<thead>")[2].partition("</thead>")[0]
    assert 'class="before"' in page
    plain = owner.get("/account/activity?time=24h").text
    assert 'class="before"' not in plain
    spans = re.findall(r'data-spans="([^"]*)"', plain)[0].split(" ")
    assert len(spans) == 24
    assert f'href="?time={spans[-1]}"' in plain
    hour = owner.get(f"/account/activity?time={spans[-1]}").text
    assert "gen_compared0" in hour + owner.get(f"/account/activity?time={spans[-2]}").text
    assert "data-reset" in hour


def test_what_happened_to_deployments_that_serve_the_models_is_marked(kit: Kit, owner: Browser) -> None:
    window = window_of("24h")
    with kit.store.write() as connection:
        store_health_events(connection, [("p/m", "p", "open"), ("other/x", "other", "open"), ("p/m", "p", "closed")])
    found = happenings(kit.store, window, ["p/m"], configuration=False)
    assert [(one.kind, one.subject) for one in found] == [("down", "p/m")]
    words = Words(lambda value: f"{value:g}", lambda value: f"{value:g}", "it", "From")
    beside = Beside((4.0, None), "before", "Event", {1: "<p/m> out of use"}, ["?time=a", "?time=b"])
    made = charts.bars(["one", "two"], [Series("a", [1, 2], "s0")], words, beside=beside)
    assert "two: a 2, &lt;p/m&gt; out of use" in made.svg
    assert "one: a 1, before 4" in made.svg
    assert made.ticks[0] == "4"
    assert made.svg.count('class="happening"') == 1
    assert made.columns[-1] == "before"
    assert '<a href="?time=b">two</a><small>&lt;p/m&gt; out of use</small>' in made.rows


# --- credit


def test_a_code_becomes_credit_once(kit: Kit, owner: Browser) -> None:
    [code] = make_codes(kit.store, command_line(), Picodollars.parse("2.50"), 1)
    told: list[str] = []
    kit.services.credited = told.append
    page = owner.follow(owner.post("/account/credit/redeem", {"code": f" {code} "}))
    assert "$2.50 of credit was added" in page.text
    assert told == [kit.acme]
    again = owner.post("/account/credit/redeem", {"code": code})
    assert again.status == 422
    assert "already redeemed" in again.text
    assert kit.as_role("member").post("/account/credit/redeem", {"code": code}).status == 403


def test_a_statement_ends_with_the_balance_and_an_invoice_is_a_pdf(kit: Kit) -> None:
    browser = kit.as_role("billing", kit.globex)
    with kit.store.write() as connection:
        grant(connection, kit.globex, 10**12, "=invoice 1")
    key = made_key(kit, kit.globex)
    record = call(kit, key, "stated")
    refund(kit.store, command_line(), record.id, Picodollars(7), "sorry")
    found = statement(kit.store, kit.globex, read_month(""))
    charged = -found.total("charge")
    assert charged >= PRICE
    assert found.closing == found.opening + sum(line.amount for line in found.lines) == found.lines[-1].balance
    assert found.closing == 10**12 + 7 - charged
    page = browser.get("/account/credit").text
    assert f"/account/calls/{record.id}" in page
    rows = list(csv.DictReader(io.StringIO(browser.get("/account/credit/statement.csv").text)))
    assert [row["kind"] for row in rows] == ["grant", "refund", "charge"]
    assert rows[0]["note"] == "'=invoice 1"
    assert rows[-1]["balance_usd"] == Picodollars(found.closing).dollars()
    bill = browser.get("/account/credit/invoice.pdf")
    assert bill.headers["content-type"] == "application/pdf"
    assert bill.body.startswith(b"%PDF-")
    assert b"%%EOF" in bill.body[-10:]
    assert browser.get("/account/credit?month=never").status == 404
    with pytest.raises(NotFound):
        statement(kit.store, "acc_none", date(2027, 1, 1))


def test_every_page_is_the_same_on_both_databases(
    tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairlead.console.developer import activity as activity_page
    from fairlead.console.developer import keys as keys_page

    monkeypatch.setattr(keys_page, "PER_PAGE", 1)
    monkeypatch.setattr(activity_page, "CALLS_PER_PAGE", 1)
    kit = Kit(tmp_path / "data", database_url=database_url)
    try:
        with kit.store.write() as connection:
            keep_sheets(connection, [SHEET])
            grant(connection, kit.acme, 10**12, "invoice")
        browser = kit.as_role("owner")
        keys = [made_key(kit, kit.acme, f"key {at}") for at in range(3)]
        for at, key in enumerate(keys):
            call(kit, key, f"both{at}", session="s", user="u")
        for first, name in (("/account/keys?q=key", "key "), ("/account/activity?time=24h", "gen_both")):
            target, pages = first, ""
            for _page in range(3):
                pages += (page := browser.get(target).text)
                more = re.search(r'href="(\?[^"#]*before=[^"#]*)[#"]', page)
                target = first.partition("?")[0] + unescape(more[1]) if more else ""
            assert all(f"{name}{at}" in pages for at in range(3))
            assert not target
        both = browser.get(f"/account/activity?time=24h&user=u&session=s&key={keys[0].id}").text
        assert f'title="${Picodollars(PRICE).dollars()}"' in both
        for path in ("/account", "/account/projects", "/account/calls/gen_both0", "/account/activity?time=12mo"):
            assert browser.get(path).status == 200
        assert statement(kit.store, kit.acme, read_month("")).closing == 10**12 - 3 * PRICE
    finally:
        kit.close()


# --- charts


def test_bars_stack_from_zero_and_their_table_has_every_figure() -> None:
    words = Words(lambda value: f"{value:g}", lambda value: f"{value:g}", "all <of> it", "From")
    made = charts.bars(["one", "two"], [Series("a", [1, 0], "s0"), Series("<b>", [2, 0], "s1")], words, "sum")
    assert made.ticks == ("3", "1.5")
    assert made.svg.count("<g>") == 2
    assert "one: 3, a 1, &lt;b&gt; 2" in made.svg
    heights = [float(one) for one in re.findall(r'class="s\d" [^>]*height="([\d.]+)"', made.svg)]
    assert sum(heights) == pytest.approx(charts.HEIGHT, abs=0.2)
    assert 'class="n">3</td>' in made.rows
    assert made.rows.count("<tr>") == 2
    assert "all &lt;of&gt; it" in made.svg


def test_each_cell_behind_a_chart_is_text_whatever_it_says() -> None:
    words = Words(lambda value: f"<{value:g}>", lambda value: f"{value:g}", "all", "From")
    beside = Beside((5.0, None), "<before>", "Events", {1: "<down>"}, ("?a=1&b=2", ""))
    made = charts.bars(["<one>", "two"], [Series("a", [1, 2], "s0"), Series("b", [3, 0], "s1")], words, "sum", beside)
    assert str(made.rows).splitlines() == [
        (
            '<tr><td class="when"><a href="?a=1&amp;b=2">&lt;one&gt;</a></td><td class="n">&lt;1&gt;</td>'
            '<td class="n">&lt;3&gt;</td><td class="n">&lt;4&gt;</td><td class="n">&lt;5&gt;</td></tr>'
        ),
        (
            '<tr><td class="when">two<small>&lt;down&gt;</small></td><td class="n">&lt;2&gt;</td>'
            '<td class="n">&lt;0&gt;</td><td class="n">&lt;2&gt;</td><td class="n">–</td></tr>'
        ),
    ]
    assert "<title>&lt;one&gt;: &lt;4&gt;, a &lt;1&gt;, b &lt;3&gt;, &lt;before&gt; &lt;5&gt;</title>" in made.svg


def test_a_line_does_not_cross_a_time_without_calls() -> None:
    words = Words(lambda value: f"{value:g}", lambda value: f"{value:g}", "it", "From")
    made = charts.line(list("abcde"), [1, 2, None, 3, 4], [2, 3, None, 4, 8], ("p50", "p95"), words)
    assert made.svg.count('class="line"') == 2
    assert made.svg.count('class="band"') == 2
    assert "a: p50 1, p95 2" in made.svg
    assert made.rows.count("–") == 2
    assert made.ticks[0] == "8"
    assert charts.bars([], [], words).svg.count("<g>") == 0


def test_a_course_is_on_one_scale() -> None:
    first, second = charts.course([Stretch(0, 250, "bad"), Stretch(250, 1000, "s0")], 1000)
    assert 'x="0" y="2" width="180"' in first
    assert 'x="180" y="2" width="540"' in second
    assert "waiting" not in first + second
    [waiting] = charts.course([Stretch(250, 1000, "s0", 500)], 1000)
    assert 'class="waiting" x="180" y="2" width="180"' in waiting


def test_the_overview_shows_what_is_left_and_spent_or_the_way_to_a_first_call(kit: Kit) -> None:
    with kit.store.write() as connection:
        young = add_account(connection, "Young", prepaid=True)
    page = kit.as_role("owner", young).get("/account").text
    assert "Make the first call" in page
    assert "insufficient_credit" in page
    with kit.store.write() as connection:
        grant(connection, young, Picodollars.parse("3").value, "welcome")
    mine = made_key(kit, young, "laptop")
    made = call(kit, mine, "gen_overview")
    page = kit.as_role("owner", young).get("/account").text
    assert "$3.00" in page  # less a ten-thousandth
    assert f"/account/calls/{made.id}" in page
    assert "insufficient_credit" not in page
    assert "Make the first call" not in page
    member = kit.as_role("member", young).get("/account").text
    assert f"/account/calls/{made.id}" not in member
