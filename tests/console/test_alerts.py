"""/account/alerts: for those who may change it, those who may look, and nobody of another organisation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from tests.console.kit import Kit
from tests.http.test_guard import PRIVATE

from fairlead.admin.account_alerts import own_alerts
from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.store.account_alerts import alerts_of
from fairlead.store.alerts import failed, listed, put

MARKUP = "<script>alert(1)</script>"
HOOK = "https://hooks.example.org/secret-path?token=x"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(tmp_path_factory.mktemp("alerts"))
    yield made
    made.close()


def test_an_owner_chooses_what_is_told_and_sees_the_secret_once(kit: Kit) -> None:
    owner = kit.as_role("owner")
    assert "No alerts yet" in owner.get("/account/alerts").text
    form = {"thresholds": "50, 100", "low_credit": "$7.50", "people": owner.person_id, "webhook": HOOK}
    page = owner.post("/account/alerts", dict(form))
    assert page.status == 200
    [secret] = re.findall(r"<code>(fl-hook-[\w-]{43})</code>", page.text)
    with kit.store.read() as connection:
        found = alerts_of(connection, kit.acme)
    assert (found.thresholds, found.low_credit, found.people, found.webhook) == (
        (500_000, 1_000_000), 7_500_000_000_000, (owner.person_id,), HOOK,
    )  # fmt: skip
    again = owner.post("/account/alerts", {**form, "thresholds": "80"})
    assert again.location == "/account/alerts"
    shown = owner.follow(again).text
    assert secret not in shown
    assert 'value="80"' in shown
    assert 'value="7.5"' in shown
    [renewed] = re.findall(r"<code>(fl-hook-[\w-]{43})</code>", owner.post("/account/alerts/secret").text)
    assert renewed != secret
    rows = list_audit(kit.store, AuditFilter(account_id=kit.acme, action="alerts."), 10)
    assert {(row["actor_kind"], row["actor"]) for row in rows} == {("person", owner.person_id)}
    assert "secret-path" not in str(rows)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("thresholds", "half", "Write whole numbers from 1 to 100"),
        ("low_credit", "much", "Write an amount in dollars"),
        ("people", "usr_of_another", "Only members"),
        *(("webhook", url, "") for url in PRIVATE[:6]),
    ],
)
def test_what_is_wrong_stands_beside_its_field(kit: Kit, field: str, value: str, sentence: str) -> None:
    owner = kit.as_role("owner", kit.globex)
    page = owner.post("/account/alerts", {"thresholds": "77", field: value})
    assert page.status == 422
    assert 'class="problem"' in page.text
    assert sentence in unescape(page.text)
    with kit.store.read() as connection:
        assert alerts_of(connection, kit.globex).webhook is None


def test_deliveries_are_those_of_the_own_organisation_without_markup_and_can_be_sent_again(kit: Kit) -> None:
    data = {"key": "key_1", "name": MARKUP, "period": "day", "threshold": 0.8}
    with kit.store.write() as connection:
        event = put(connection, ("webhook",), "budget.threshold", data, kit.acme)
        [row, *_] = listed(connection, None, 50, kit.acme)
        failed(connection, row, f"the receiver answered {MARKUP}")
    path = f"/account/alerts/deliveries/{event}/resend"
    stranger = kit.as_role("owner", kit.globex)
    assert "80 % of the budget" not in stranger.get("/account/alerts").text
    assert stranger.post(path).status == 404
    owner = kit.as_role("owner")
    page = owner.get("/account/alerts").text
    assert MARKUP not in page
    assert f"80 % of the budget of key {MARKUP} (day) is spent" in unescape(page)
    assert path in page
    assert owner.post(path).location == "/account/alerts"
    [one] = [one for one in own_alerts(kit.store, kit.acme).deliveries if one["id"] == event]
    assert (one["state"], one["attempts"]) == ("waiting", 0)


def test_others_look_and_a_member_sees_nothing_of_what_others_spend(kit: Kit) -> None:
    owner = kit.person(f"ada-{MARKUP.strip('<>')[:6]}@example.org", "owner", kit.acme)
    owner.post("/account/alerts", {"thresholds": "50", "webhook": HOOK})
    with kit.store.write() as connection:
        put(connection, ("webhook",), "budget.threshold", {"account": kit.acme, "threshold": 0.5}, kit.acme)
    viewer, member = (
        kit.as_role("viewer").get("/account/alerts").text,
        kit.as_role("member").get("/account/alerts").text,
    )
    for page in (viewer, member):
        assert '<form class="fields"' not in page
        assert "hooks.example.org" in page
        assert "secret-path" not in page
    assert "50 % of the budget" in viewer
    assert "50 % of the budget" not in member


def test_a_test_is_put_on_its_way_for_those_who_are_told(kit: Kit) -> None:
    owner = kit.as_role("owner", kit.globex)
    assert owner.post("/account/alerts/test").status == 422
    owner.post("/account/alerts", {"people": owner.person_id})
    assert owner.post("/account/alerts/test").location == "/account/alerts"
    assert "Test alert" in owner.get("/account/alerts").text
    for _ in range(2):
        owner.post("/account/alerts/test")
    refused = owner.post("/account/alerts/test")
    assert (refused.status, "At most 3 tests" in refused.text) == (422, True)
