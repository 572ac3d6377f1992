"""Alerts of an account's own: to the account that they are about, once, and none waits for another account's receiver."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.alerts.support import CENT, SECRET, SHEET, MailServer, Receiver, receiver, record
from tests.alerts.test_delivery import ENVIRONMENT, is_genuine_now, mailing, tls
from tests.http.test_guard import PRIVATE

from fairlead.accounts.accounts import add_account
from fairlead.accounts.groups import add_group
from fairlead.accounts.keys import add_key, key_by_hash
from fairlead.admin import account_alerts as use_cases
from fairlead.admin.account_alerts import own_alerts, read_thresholds, renew_secret, resend, send_test
from fairlead.admin.alerts import list_alerts, retry_alert
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.keys import hash_of
from fairlead.admin.people import join
from fairlead.alerts.accounts import AccountDelivery
from fairlead.alerts.delivery import Channels
from fairlead.errors import ConfigurationError, InvalidRequest, NotFound
from fairlead.http.guard import Guard
from fairlead.ledger.books import keep_sheets, post
from fairlead.ledger.funds import credit_scope, grant, take
from fairlead.ledger.thresholds import announce_exhausted
from fairlead.people import persons
from fairlead.people.persons import Person
from fairlead.providers.sealed import Reader
from fairlead.settings import AlertSettings, Secrets
from fairlead.store import Store, open_store
from fairlead.store.account_alerts import alerts_of
from fairlead.store.alerts import AlertRules, accounts_due, announce
from fairlead.store.tables import alert_outbox, sealed_secrets

ACTOR = Actor("person", "usr_1", "192.0.2.1")
LOOPBACK = ("127.0.0.0/8",)
OPEN = Guard()
HOOK = "https://hooks.example.org/x"
RULES = AlertRules()
numbers = itertools.count()
assert tls  # a fixture


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    with opened.write() as connection:
        keep_sheets(connection, [SHEET])
    yield opened
    opened.close()


@pytest.fixture
def accounts(store: Store) -> tuple[str, str]:
    with store.write() as connection:
        return add_account(connection, "Acme", prepaid=True), add_account(connection, "Globex", prepaid=True)


def wants(store: Store, account_id: str, **given: Any) -> str | None:
    chosen = {"thresholds": (500_000, 800_000, 1_000_000), "low_credit": None, "people": (), "webhook": HOOK, **given}
    guard = chosen.pop("guard", OPEN)
    return use_cases.change_own_alerts(store, ACTOR, account_id, guard=guard, **chosen)


def key_of(store: Store, account_id: str, name: str = "laptop") -> str:
    with store.write() as connection:
        found = key_by_hash(connection, hash_of(add_key(connection, name, account_id)))
    assert found is not None
    return found.id


def member(store: Store, account_id: str, email: str, *, confirmed: bool = True) -> Person:
    with store.write() as connection:
        person = persons.add_person(connection, email, "Ada", None, confirmed=confirmed)
        join(connection, person, account_id, "admin")
    return person


def budget(store: Store, scope: str, cents: int) -> None:
    with store.write() as connection:
        take(connection, "p", scope, cents * CENT, 0, 0, 60)


def spend(store: Store, cents: int, *scopes: str) -> None:
    with store.write() as connection:
        post(connection, [record(next(numbers), *scopes, cents=cents)], "p", alerts=RULES)


def told(store: Store, account_id: str) -> list[tuple[str, Any]]:
    found = own_alerts(store, account_id).deliveries
    return [(one["type"], one["data"]) for one in reversed(found)]


# --- what is told


def test_each_threshold_is_told_once_per_period_and_to_its_own_account_only(
    store: Store, accounts: tuple[str, str]
) -> None:
    acme, globex = accounts
    for account_id in accounts:
        wants(store, account_id)
    with store.write() as connection:
        project = add_group(connection, "project", "<b>bot</b>", acme)
        person = add_group(connection, "member", "Ada", acme)
    mine, theirs = key_of(store, acme), key_of(store, globex, "theirs")
    today, tomorrow = f"key/{mine}/day/2026-11-30", f"key/{mine}/day/2026-12-01"
    for scope in (
        today,
        tomorrow,
        f"project/{project}/month/2026-11",
        f"member/{person}/total",
        f"account/{acme}/total",
    ):
        budget(store, scope, 10)
    budget(store, f"key/{theirs}/total", 10)
    for _ in range(3):
        spend(store, 2, today)
    data = {"key": mine, "name": "laptop", "period": "day", "date": "2026-11-30", "threshold": 0.5, "budget_usd": "0.1"}
    assert told(store, acme) == [("budget.threshold", {**data, "spent_usd": "0.06"})]
    spend(store, 3, today)
    spend(store, 1, tomorrow)
    assert [one["threshold"] for _, one in told(store, acme)] == [0.5, 0.8]
    spend(store, 10, tomorrow)  # past all of them at once
    assert [(kind, one["date"]) for kind, one in told(store, acme)[2:]] == [("budget.exhausted", "2026-12-01")]
    spend(store, 5, f"project/{project}/month/2026-11", f"member/{person}/total", f"account/{acme}/total")
    assert {(one["name"], one["period"]) for _, one in told(store, acme)[3:]} == {
        ("<b>bot</b>", "month"), ("Ada", "total"), ("Acme", "total"),
    }  # fmt: skip
    assert told(store, globex) == []
    spend(store, 5, f"key/{theirs}/total")
    assert [one["name"] for _, one in told(store, globex)] == ["theirs"]
    assert len(told(store, acme)) == 6
    assert list_alerts(store) == []  # they are not the server's


def test_credit_is_told_below_the_sum_that_was_chosen_and_again_when_it_is_used_up(
    store: Store, accounts: tuple[str, str]
) -> None:
    acme, globex = accounts
    wants(store, acme, thresholds=(), low_credit=5 * CENT)
    wants(store, globex, thresholds=(500_000,), low_credit=None)
    for account_id in accounts:
        with store.write() as connection:
            grant(connection, account_id, 10 * CENT, "first")
    for _ in range(10):
        spend(store, 1, credit_scope(acme))
        spend(store, 1, credit_scope(globex))
    assert told(store, acme) == [
        ("credit.low", {"account": acme, "name": "Acme", "credit_usd": "0.04", "below_usd": "0.05"}),
        ("credit.exhausted", {"account": acme, "name": "Acme", "credit_usd": "0", "below_usd": "0.05"}),
    ]
    assert told(store, globex) == []
    with store.write() as connection:
        grant(connection, acme, 6 * CENT, "second")
    spend(store, 1, credit_scope(acme))
    assert len(told(store, acme)) == 2
    spend(store, 1, credit_scope(acme))
    spend(store, 1, credit_scope(acme))
    assert [kind for kind, _ in told(store, acme)[2:]] == ["credit.low"]
    with store.write() as connection:  # a call was refused: what is left is too little
        announce_exhausted(connection, RULES, [credit_scope(acme)])
        announce_exhausted(connection, RULES, [credit_scope(acme)])
    assert [kind for kind, _ in told(store, acme)[3:]] == ["credit.exhausted"]


def test_a_refused_call_exhausts_a_budget_of_which_little_is_left(store: Store, accounts: tuple[str, str]) -> None:
    scope = f"account/{accounts[0]}/total"
    wants(store, accounts[0], thresholds=(1_000_000,))
    budget(store, scope, 100)
    spend(store, 95, scope)
    assert told(store, accounts[0]) == []
    for _ in range(2):
        with store.write() as connection:
            announce_exhausted(connection, RULES, [scope])
    assert [kind for kind, _ in told(store, accounts[0])] == ["budget.exhausted"]


def test_the_servers_alerts_and_an_accounts_own_do_not_know_of_each_other(
    store: Store, accounts: tuple[str, str]
) -> None:
    acme, globex = accounts
    scope = f"account/{acme}/total"
    wants(store, acme, thresholds=(900_000,))
    budget(store, scope, 10)
    with store.write() as connection:
        rules = AlertRules(("webhook",), (500_000,))
        post(connection, [record(next(numbers), scope, cents=9)], "p", alerts=rules)
    [server], [own] = list_alerts(store), own_alerts(store, acme).deliveries
    assert list_alerts(store, account_id=acme) == [own]
    assert list_alerts(store, account_id=globex) == []
    assert (server["data"]["threshold"], own["data"]["threshold"]) == (0.5, 0.9)
    for account_id, event in ((globex, own["id"]), (acme, server["id"])):
        with pytest.raises(NotFound):
            resend(store, ACTOR, account_id, event)
    with pytest.raises(ConfigurationError, match="There is no alert"):
        retry_alert(store, ACTOR, own["id"])
    assert resend(store, ACTOR, acme, own["id"]) == 1


# --- what is chosen


def test_a_webhook_in_a_private_network_is_refused_however_it_is_spelled(
    store: Store, accounts: tuple[str, str]
) -> None:
    for url in PRIVATE:
        with pytest.raises(InvalidRequest) as refused:
            wants(store, accounts[0], webhook=url)
        assert refused.value.param == "webhook", url
    with store.read() as connection:
        assert alerts_of(connection, accounts[0]).webhook is None


@pytest.mark.parametrize("text", ["0", "101", "-5", "half", "5.5", "1e1", "٥", " ".join(map(str, range(1, 12)))])
def test_thresholds_are_whole_numbers_of_per_cent(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_thresholds(text)
    assert read_thresholds("100, 50 % 50\n80") == (500_000, 800_000, 1_000_000)
    assert read_thresholds(" ") == ()


def test_a_secret_is_sealed_shown_once_and_another_one_for_another_webhook(
    store: Store, accounts: tuple[str, str]
) -> None:
    acme = accounts[0]
    first = wants(store, acme)
    assert first is not None
    assert wants(store, acme, thresholds=()) is None
    second, third = wants(store, acme, webhook=HOOK + "?token=of-mine"), renew_secret(store, ACTOR, acme)
    assert len({first, second, third}) == 3
    with store.read() as connection:
        rows = connection.execute(select(sealed_secrets)).all()
        if store.is_shared:  # no key that every machine has: as it is
            assert alerts_of(connection, acme).secret == third
        else:
            assert Reader(store)(rows[0].name) == third
            assert alerts_of(connection, acme).secret is None
    log = json.dumps(list_audit(store, AuditFilter(account_id=acme), 10))
    assert log.count("alerts.change") == 3
    assert "alerts.renew_secret" in log
    assert not any(one in log for one in (str(first), str(second), third, "of-mine"))
    wants(store, acme, webhook=None)
    with store.read() as connection:
        assert connection.execute(select(sealed_secrets)).all() == []
    with pytest.raises(NotFound):
        renew_secret(store, ACTOR, acme)


def test_mail_goes_to_members_only(store: Store, accounts: tuple[str, str]) -> None:
    acme, globex = accounts
    for other in (member(store, globex, "o@example.org"), member(store, acme, "u@example.org", confirmed=False)):
        with pytest.raises(InvalidRequest, match="Only members"):
            wants(store, acme, people=[other.id])


def test_tests_are_few(store: Store, accounts: tuple[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="Choose who"):
        send_test(store, ACTOR, accounts[0])
    wants(store, accounts[0])
    for _ in range(3):
        send_test(store, ACTOR, accounts[0])
    with pytest.raises(InvalidRequest, match="At most 3"):
        send_test(store, ACTOR, accounts[0])


# --- delivery


@pytest.fixture
def hooks() -> Iterator[tuple[Receiver, Receiver]]:
    with receiver() as first, receiver() as second:
        yield first, second


def delivery(store: Store, settings: AlertSettings | None = None, **more: Any) -> AccountDelivery:
    chosen = settings or AlertSettings(account_networks=LOOPBACK)
    channels = Channels(chosen, Secrets(ENVIRONMENT, Reader(store)), **more)
    return AccountDelivery(store, lambda: channels)


def deliver_all(one: AccountDelivery) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(1) as mailing:
            while await one.begin_due(mailing):
                await one.settle()

    asyncio.run(run())


def hooked(store: Store, account_id: str, hook: Receiver) -> str:
    guard = Guard([ip_network("127.0.0.0/8")])
    secret = wants(store, account_id, webhook=f"http://127.0.0.1:{hook.port}/own", guard=guard)
    assert secret is not None
    return secret


def test_a_webhook_is_signed_with_the_secret_of_its_account(
    store: Store, accounts: tuple[str, str], hooks: tuple[Receiver, Receiver]
) -> None:
    secrets = [hooked(store, account_id, hook) for account_id, hook in zip(accounts, hooks, strict=True)]
    for account_id in accounts:
        send_test(store, ACTOR, account_id)
    with store.write() as connection:
        announce(connection, AlertRules(("webhook",)), "deployment.down", {"deployment": "d"})  # is not for them
    deliver_all(delivery(store))
    for account_id, hook, secret in zip(accounts, hooks, secrets, strict=True):
        [got] = hook.got
        assert (got.path, got.told["data"]) == ("/own", {"account": account_id})
        assert is_genuine_now(secret, got.signature, got.body)
        assert not is_genuine_now(SECRET, got.signature, got.body)
        assert own_alerts(store, account_id).deliveries[0]["state"] == "delivered"
    assert list_alerts(store)[0]["state"] == "waiting"


def test_a_receiver_that_does_not_answer_keeps_no_other_account_waiting(
    store: Store, accounts: tuple[str, str], hooks: tuple[Receiver, Receiver]
) -> None:
    broken, sound = hooks
    broken.hold.clear()
    for account_id, hook in zip(accounts, hooks, strict=True):
        hooked(store, account_id, hook)
    for account_id in accounts:
        for _ in range(3):
            send_test(store, ACTOR, account_id)
    running = delivery(store)

    def states() -> set[str]:
        return {one["state"] for one in own_alerts(store, accounts[1]).deliveries}

    async def run() -> None:
        task = asyncio.get_running_loop().create_task(running.run())
        async with asyncio.timeout(120):
            while not broken.got or states() != {"delivered"}:  # noqa: ASYNC110 - receivers are threads
                await asyncio.sleep(0.05)
        assert len(broken.got) == 1  # one at a time; it has not answered yet
        task.cancel()

    asyncio.run(run())
    assert len(sound.got) == 3


def test_what_fails_is_shown_and_sent_again(
    store: Store, accounts: tuple[str, str], hooks: tuple[Receiver, Receiver]
) -> None:
    acme, hook = accounts[0], hooks[0]
    hook.status = 500
    hooked(store, acme, hook)
    send_test(store, ACTOR, acme)
    deliver_all(delivery(store))
    [one] = own_alerts(store, acme).deliveries
    assert (one["state"], one["attempts"], one["error"]) == ("waiting", 1, "the receiver answered 500")
    hook.status = 200
    resend(store, ACTOR, acme, one["id"])
    deliver_all(delivery(store))
    assert [got.event for got in hook.got] == [one["id"]] * 2
    # Networks that the server's own webhook may be in are not the accounts'.
    send_test(store, ACTOR, acme)
    deliver_all(delivery(store, AlertSettings(allow_networks=LOOPBACK)))
    assert "private address" in own_alerts(store, acme).deliveries[0]["error"]
    assert len(hook.got) == 2


def test_mail_stops_when_its_recipient_has_left(store: Store, accounts: tuple[str, str], tls: Any) -> None:
    acme = accounts[0]
    ada, bob = member(store, acme, "ada@example.org"), member(store, acme, "bob@example.org")
    wants(store, acme, webhook=None, people=[ada.id, bob.id])
    mail = MailServer(tls[0])
    try:
        for left in (None, bob, ada):
            if left is not None:
                with store.write() as connection:
                    persons.remove_membership(connection, left.id, acme)
            send_test(store, ACTOR, acme)
            deliver_all(delivery(store, mailing(mail), tls=tls[1]))
    finally:
        mail.close()
    found = [text.partition("To: ")[2].partition("\r\n")[0] for _, _, text in mail.mails]
    assert found == ["ada@example.org, bob@example.org", "ada@example.org"]
    assert "nobody of its recipients" in own_alerts(store, acme).deliveries[0]["error"]


def test_alerts_of_accounts_due_for_the_first_time_go_before_those_that_failed(
    store: Store, accounts: tuple[str, str]
) -> None:

    for account_id in accounts:
        wants(store, account_id)
        send_test(store, ACTOR, account_id)
    with store.write() as connection:
        connection.execute(update(alert_outbox).where(alert_outbox.c.account_id == accounts[0]).values(attempts=2))
        assert accounts_due(connection, "webhook", 5, ()) == [accounts[1], accounts[0]]
        assert accounts_due(connection, "webhook", 5, [accounts[1]]) == [accounts[0]]
        assert accounts_due(connection, "email", 5, ()) == []


def test_an_error_of_ours_counts_as_an_attempt(
    store: Store, accounts: tuple[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_given: object) -> None:
        raise RuntimeError("broken")

    wants(store, accounts[0])
    send_test(store, ACTOR, accounts[0])
    monkeypatch.setattr(Channels, "deliver_own", break_down)
    deliver_all(delivery(store))
    [one] = own_alerts(store, accounts[0]).deliveries
    assert (one["state"], one["attempts"], one["error"]) == ("waiting", 1, "internal error")
    assert "could not be sent" in caplog.text
