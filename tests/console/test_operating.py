"""The pages of operators: what they do is what the use-cases do, and what is stored is never markup."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from tests.console.kit import Answer, Browser, Kit

from fairlead.admin.alerts import list_alerts
from fairlead.admin.audit import Actor, export_audit, list_audit
from fairlead.admin.audit import AuditFilter as Filter
from fairlead.admin.configuration import Submission, apply, current, history
from fairlead.admin.credentials import list_credentials
from fairlead.admin.credit import balances
from fairlead.admin.deployments import drained
from fairlead.admin.overview import overview
from fairlead.background import Job
from fairlead.catalogue.load import build
from fairlead.console.operating import log
from fairlead.console.operating.overview import JOBS
from fairlead.console.operating.pages import PAGES
from fairlead.console.services import NotLive
from fairlead.providers.dialects import DIALECTS
from fairlead.settings import Settings, Unread, parse_settings
from fairlead.store.alerts import event_body, new_event_id
from fairlead.store.health import HealthEvent, keep_events
from fairlead.store.tables import alert_outbox, usage_rollups

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
DOCUMENT = """
[[providers]]
id = "gpu1"
base_url = "https://8.8.8.8/v1"
dialect = "vllm"
api_key = { env = "GPU1_KEY" }

[[models]]
id = "mistral-small-3.2"

[[models.deployments]]
provider = "gpu1"
upstream_model = "mistral"
price = { input = "0.10", output = "0.30" }
cost = { input = "0.05", output = "0.20" }
"""
DEPLOYMENT = "gpu1/mistral"


class Live(NotLive):
    """A process that serves DOCUMENT. `outcome`: what a test of a deployment gives."""

    def __init__(self) -> None:
        self.outcome: dict[str, Any] = {"outcome": "served", "message": None, "status": 200}
        self.models_there: list[str] = ["mistral-small-2506", "own-model"]
        self.tried: list[tuple[Settings, str]] = []

    def deployments(self) -> list[dict[str, Any]]:
        one = {"id": DEPLOYMENT, "model": "mistral-small-3.2", "state": "closed", "in_flight": 2, "last_error": None}
        return [one]

    def trial(self, deployment: str) -> Any:
        if deployment != DEPLOYMENT:
            return super().trial(deployment)

        async def later() -> dict[str, Any]:
            figures = {"latency_ms": 12, "first_token_ms": 3, "prompt_tokens": 7, "completion_tokens": 1}
            return {"deployment": deployment, **figures, **self.outcome}

        return later

    def trial_of(self, settings: Settings, deployment: str) -> Any:
        self.tried.append((settings, deployment))
        return self.trial(DEPLOYMENT)

    def models_of(self, settings: Settings, provider: str) -> Any:
        self.tried.append((settings, provider))

        async def later() -> list[str]:
            return self.models_there

        return later


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", live=Live())
    served(made, DOCUMENT)
    yield made
    made.close()


def served(kit: Kit, document: str) -> None:
    kit.settings = parse_settings(document, "kit.toml", {})
    snapshot = build(kit.settings, DIALECTS, lambda *_: None, Unread())
    kit.services.snapshot = lambda: snapshot


@pytest.fixture
def operator(kit: Kit) -> Browser:
    return kit.as_operator()


def ok(answer: Answer) -> str:
    assert answer.status == 200, answer.text
    return answer.text


def test_the_overview_shows_spend_margin_and_errors(kit: Kit, operator: Browser) -> None:
    now = int(time.time())
    figures = {"reasoning_tokens": 0, "latencies": b"", "scope": "all", "model": "mistral-small-3.2"}
    day = {"span": "day", "start": now // 86_400 * 86_400, "deployment": DEPLOYMENT, "requests": 10, "failed": 1}
    tokens = {"prompt_tokens": 3_000_000, "cached_tokens": 1_000_000, "completion_tokens": 1_000_000}
    hour = {**day, "span": "hour", "start": now // 3600 * 3600, "deployment": ""}
    with kit.store.write() as connection:
        for row in (day, hour):
            connection.execute(insert(usage_rollups), [{**row, **tokens, **figures, "charged": 600_000_000_000}])
    found = overview(kit.store, kit.services.snapshot(), now)
    assert (found.requests, found.failed, found.error_share) == (10, 1, 0.1)
    # $0.60 were charged; 3 million tokens in cost $0.15 and a million out $0.20.
    assert (found.charged, found.margin) == (600_000_000_000, 250_000_000_000)
    page = ok(operator.get("/admin"))
    assert "The only deployment is in use" in page
    assert page.count('<figure class="figure read') == 5
    assert re.search(r'aria-current="true">24 hours<', page)
    week = ok(operator.get("/admin?time=7d&compare=1"))
    assert re.search(r'aria-current="true">7 days<', week)
    assert "Without comparison" in week
    assert 'class="before"' in week
    assert '<a href="?compare=1">24 hours</a>' in week
    # Of whole days the margin is known: all of it is of today.
    assert "$0.25" in ok(operator.get("/admin?time=30d")).partition("Traffic")[2]
    assert "$0.25" not in page.partition("Traffic")[2]
    assert operator.get("/admin?time=never").status == 400


def test_a_deployment_is_tested_drained_and_put_back(kit: Kit, operator: Browser) -> None:
    page = ok(operator.post("/admin/deployments/test", {"deployment": DEPLOYMENT}))
    assert "answered in 12 ms" in page
    assert "7 tokens in, 1 out" in page
    page = ok(operator.follow(operator.post("/admin/deployments/drain", {"deployment": DEPLOYMENT})))
    assert [one.deployment for one in drained(kit.store)] == [DEPLOYMENT]
    assert operator.person_id not in page, "people are called by their name"
    assert "Put back" in page
    operator.post("/admin/deployments/undrain", {"deployment": DEPLOYMENT})
    assert drained(kit.store) == []
    actions = [one["action"] for one in list_audit(kit.store, Filter(subject=DEPLOYMENT), 10)]
    assert actions == ["deployment.undrain", "deployment.drain", "deployment.test"]
    assert operator.post("/admin/deployments/drain", {"deployment": "gpu9/x"}).status == 404


def test_credentials_are_shown_by_their_place_alone(kit: Kit, operator: Browser) -> None:
    served(kit, DOCUMENT.replace('{ env = "GPU1_KEY" }', '"sk-of-the-provider-0123456789"'))
    assert "sk-of-the" not in ok(operator.get("/admin/deployments"))
    served(kit, DOCUMENT)
    assert "env GPU1_KEY" in ok(operator.get("/admin/deployments"))


def test_models_show_what_is_declared_beside_what_was_measured(operator: Browser) -> None:
    page = ok(operator.get("/admin/models"))
    assert DEPLOYMENT in page
    assert "0.05 / 0.20" in page


def test_credit_is_granted_and_withdrawn_and_codes_are_shown_once(kit: Kit, operator: Browser) -> None:
    credited: list[str] = []
    kit.services.credited = credited.append
    path = f"/admin/accounts/{kit.acme}"
    operator.post(f"{path}/grant", {"amount": "$1,000.50", "note": "invoice 17"})
    operator.post(f"{path}/withdraw", {"amount": "0.50"})
    [held] = balances(kit.store, kit.acme)
    assert held.held.granted == 1_000 * 10**12
    assert credited == [kit.acme, kit.acme]
    assert "Acme" in ok(operator.get("/admin/accounts"))
    for wrong in ("", "0", "-5", "five", "1e3"):
        answer = operator.post(f"{path}/grant", {"amount": wrong})
        assert answer.status == 422
        assert 'aria-invalid="true"' in answer.text
    codes = re.findall(
        r"<li>(fl-code-[\w-]+)</li>", ok(operator.post("/admin/credit/codes", {"amount": "5", "count": "3"}))
    )
    assert len(set(codes)) == 3
    assert "fl-code" not in ok(operator.get("/admin/credit"))
    assert operator.post("/admin/credit/codes", {"amount": "5", "count": "1000"}).status == 422
    assert operator.post("/admin/credit/refund", {"generation": "gen_nothing"}).status == 422


def test_an_account_is_created_and_limited(kit: Kit, operator: Browser) -> None:
    answer = operator.post("/admin/accounts", {"name": "Harbour Ltd", "credit": "25"})
    page = ok(operator.follow(answer))
    assert "$25.00" in page
    fields = {"name": "Harbour", "budget-month": "100", "limit-requests_per_minute": "600", "models": "a, b"}
    page = ok(operator.follow(operator.post(answer.location, fields)))
    for text in ('value="100.00"', 'value="600"', 'value="a, b"', "<h1>Harbour</h1>"):
        assert text in page
    page = ok(operator.follow(operator.post(f"{answer.location}/disable", {"disabled": "yes"})))
    assert "its keys are refused" in page
    assert "Disable the account" in ok(operator.follow(operator.post(f"{answer.location}/disable", {"disabled": "no"})))
    assert operator.post(answer.location, {**fields, "limit-requests_per_minute": "many"}).status == 422
    assert operator.get("/admin/accounts/acc_nothing").status == 404


def test_limits_are_shown_by_whose_rule_they_are(kit: Kit, operator: Browser) -> None:
    served(kit, "[limits]\nrequests_per_minute = 1234\n[limits.free]\ntokens_per_day = 5678\n" + DOCUMENT)
    operator.post(f"/admin/accounts/{kit.acme}", {"name": "Acme", "limit-concurrent_requests": "9012"})
    page = ok(operator.get("/admin/limits"))
    for number in ("1,234", "5,678", "9,012"):
        assert number in page


def test_a_document_is_planned_then_applied_and_rolled_back_as_it_was_seen(kit: Kit, operator: Browser) -> None:
    page = ok(operator.post("/admin/configuration/plan", {"document": DOCUMENT}))
    assert "model mistral-small-3.2 can be called" in page
    assert history(kit.store) == []
    sent = {"document": DOCUMENT, "expected": "0", "comment": "first"}
    page = ok(operator.follow(operator.post("/admin/configuration/apply", sent)))
    assert "Version 1 is applied" in page
    [version] = history(kit.store)
    assert version.comment == "first"
    # Somebody else was faster: what was seen is not what would change.
    cheaper = DOCUMENT.replace("0.30", "0.25")
    apply(kit.store, cheaper, "x", Submission(Actor("command line", "bob")))
    answer = operator.post("/admin/configuration/apply", {**sent, "document": DOCUMENT.replace("0.30", "0.35")})
    assert answer.status == 422 or answer.status == 409 or answer.status == 412
    assert operator.post("/admin/configuration/apply", {"document": DOCUMENT}).status == 400
    assert "0.30 -&gt; 0.25" in ok(operator.get("/admin/configuration/diff?from=1&to=2"))
    assert "0.25 -&gt; 0.30" in ok(operator.get("/admin/configuration/rollback?version=1"))
    operator.post("/admin/configuration/rollback", {"version": "1", "expected": "2"})
    assert [one.restored for one in history(kit.store)] == [1, None, None]
    wrong = operator.post("/admin/configuration/plan", {"document": DOCUMENT + "\n[routin]\n"})
    assert (wrong.status, "routin" in wrong.text) == (422, True)


def test_the_editor_names_every_mistake_with_line_and_column_and_keeps_the_draft(kit: Kit, operator: Browser) -> None:
    draft = '[limits]\nrequests_per_minute = "many"\n\n[[providers]]\nid = "a"\n  base_urll = "https://8.8.8.8/v1"\n'
    answer = operator.post("/admin/configuration/plan", {"document": draft, "base": "0:"})
    assert answer.status == 422
    found = re.findall(r'data-line="(\d+)" data-column="(\d+)"', answer.text)
    assert found == [("2", "1"), ("6", "3")]
    assert "requests_per_minute takes a whole number" in answer.text
    assert "did you mean &#39;base_url&#39;" in answer.text
    assert 'id="L6" class="bad"' in answer.text, "where the link leads without a script"
    assert "base_urll = " in answer.text
    broken = operator.post("/admin/configuration/plan", {"document": "[limits]\nx =\n", "base": "0:"})
    assert 'data-line="2"' in broken.text
    assert "not valid TOML" in broken.text
    later = operator.post("/admin/configuration/plan", {"document": DOCUMENT.replace('"gpu1"\nup', '"gpu9"\nup')})
    assert 'data-line="12"' in later.text, "what contradicts another setting"


def test_the_editor_shows_the_difference_and_says_that_somebody_was_faster(kit: Kit, operator: Browser) -> None:
    page = ok(operator.get("/admin/configuration/edit"))
    base = hidden_value(page, "base")
    apply(kit.store, DOCUMENT, "x", Submission(Actor("command line", "bob")))
    dearer = DOCUMENT.replace("0.30", "0.35")
    page = ok(operator.post("/admin/configuration/plan", {"document": dearer, "base": base}))
    assert "Somebody else has changed the configuration since you began." in page
    assert hidden_value(page, "base") == base, "it stays so until the editor is opened again"
    assert "version 1 is in force" in page
    assert re.search(r'class="add">\+<i class="t-k">price</i> = .*0\.35', page)
    assert re.search(r'class="cut">-<i class="t-k">price</i> = .*0\.30', page)
    fresh = ok(operator.get("/admin/configuration/edit"))
    assert "Somebody else" not in fresh
    page = ok(operator.post("/admin/configuration/plan", {"document": dearer, "base": hidden_value(fresh, "base")}))
    assert "Somebody else" not in page


def test_an_applied_version_can_be_undone_until_another_one_follows(kit: Kit, operator: Browser) -> None:
    apply(kit.store, DOCUMENT, "x", Submission(Actor("command line", "bob")))
    cheaper = DOCUMENT.replace("0.30", "0.25")
    page = ok(operator.follow(operator.post("/admin/configuration/apply", {"document": cheaper, "expected": "1"})))
    form = re.search(r'<form[^>]*action="/admin/configuration/rollback" data-live>.*?</form>', page, re.DOTALL)
    assert form is not None
    undo = {name: hidden_value(form[0], name) for name in ("version", "expected")}
    assert undo == {"version": "1", "expected": "2"}
    assert operator.post("/admin/configuration/rollback", undo).status == 303
    assert current(kit.store).text == DOCUMENT
    assert operator.post("/admin/configuration/rollback", undo).status == 412, "another version has followed"


def test_at_night_the_overview_says_what_fails_whom_it_hits_and_drains_it_with_undo(
    kit: Kit, operator: Browser
) -> None:
    other = "gpu1/other"
    states = {"id": DEPLOYMENT, "model": "mistral-small-3.2", "state": "open", "in_flight": 0, "last_error": MARKUP}
    kit.services.live.deployments = lambda: [states, {**states, "id": other}]  # type: ignore[method-assign]
    with kit.store.write() as connection:
        keep_events(connection, [HealthEvent("", "gpu1", "open", "upstream_failed")])
    page = ok(operator.get("/admin"))
    assert "What is wrong now" in page
    assert "nobody else serves it, so calls fail" in page
    assert MARKUP not in page
    sent = {"deployment": f"{DEPLOYMENT} {other}", "on": "overview"}
    assert f'value="{sent["deployment"]}"' in page
    answer = operator.post("/admin/deployments/drain", sent)
    assert answer.location == "/admin"
    assert [one.deployment for one in drained(kit.store)] == sorted([DEPLOYMENT, other])
    page = ok(operator.follow(answer))
    assert "2 deployments are out of use" in page
    assert "What is wrong now" not in page
    operator.post("/admin/deployments/undrain", {"deployment": hidden_value(page, "deployment")})
    assert drained(kit.store) == []


def test_jobs_show_their_turns_what_waits_and_why_one_failed(kit: Kit, operator: Browser) -> None:
    fine, bad = Job("usage counter"), Job("alerts")
    fine.turned_at, fine.next_at = time.time() - 5, time.time() + 30
    bad.failures, bad.error, bad.failed_at = 2, "<b>Error</b>", time.time()
    kit.services.live.jobs = lambda: [fine, bad]  # type: ignore[method-assign]
    page = ok(operator.get("/admin/jobs"))
    assert page.index(">alerts<") < page.index(">usage counter<"), "what failed comes first"
    for words in ("Roll-ups: adds up", "5 s ago", "in 30 s", "&lt;b&gt;Error", "Last backup"):
        assert words in page, words


def test_what_can_be_taken_back_has_its_undo_in_the_notice(kit: Kit, operator: Browser) -> None:
    member = kit.as_role("member")
    for path, fields in (
        (f"/admin/accounts/{kit.acme}/disable", {"disabled": "yes"}),
        (f"/admin/people/{member.person_id}/disable", {"disabled": "yes"}),
        (f"/admin/people/{member.person_id}/operator", {"operator": "yes"}),
    ):
        page = ok(operator.follow(operator.post(path, fields)))
        notice = page.partition('class="notice"')[2].partition("</div>")[0]
        assert f'action="{path}" data-live' in notice
        [name] = fields
        assert hidden_value(notice, name) == "no"
        assert 'class="notice"' not in ok(operator.get(path.rpartition("/")[0])), "shown once"
    assert ok(operator.get(f"/admin/people/{member.person_id}"))


def hidden_value(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://0x7f.1/v1", "http://[::ffff:10.0.0.1]/v1"])
def test_a_provider_in_a_private_network_is_not_added_by_a_browser(kit: Kit, operator: Browser, url: str) -> None:
    document = DOCUMENT.replace("https://8.8.8.8/v1", url)
    answer = operator.post("/admin/configuration/apply", {"document": document, "expected": "0"})
    assert answer.status == 422
    assert history(kit.store) == []


def test_a_dead_alert_is_sent_again(kit: Kit, operator: Browser) -> None:
    event = new_event_id()
    values = {"at": 1, "attempts": 3, "next_at": 1, "claimed_until": 0, "error": MARKUP, "state": "dead"}
    with kit.store.write() as connection:
        body = event_body(event, "alerts.test", 0, {})
        connection.execute(
            insert(alert_outbox),
            [{"event": event, "kind": "alerts.test", "channel": "webhook", "body": body, **values}],
        )
    page = ok(operator.get("/admin/events"))
    assert "Send again" in page
    assert "<script>alert" not in page
    operator.post("/admin/events/retry", {"alert": event})
    assert [one["state"] for one in list_alerts(kit.store)] == ["waiting"]
    assert operator.post("/admin/events/retry", {"alert": "evt_nothing"}).status == 404


def test_the_audit_log_is_filtered_and_exported(kit: Kit, operator: Browser) -> None:
    operator.post("/admin/deployments/drain", {"deployment": DEPLOYMENT})
    operator.post(f"/admin/accounts/{kit.acme}/grant", {"amount": "5", "note": "=1+1"})
    page = ok(operator.get("/admin/audit?action=credit."))
    assert "credit.grant" in page
    assert "deployment.drain" not in page
    assert operator.get("/admin/audit?since=yesterday").status == 422
    for disabled in ("yes", "no"):
        operator.post(f"/admin/accounts/{kit.globex}/disable", {"disabled": disabled})
    page = ok(operator.get(f"/admin/audit?action=account.&subject={kit.globex}"))
    assert "<code>disabled</code>: no → yes" in page
    assert "<code>disabled</code>: yes → no" in page
    exported = operator.get("/admin/audit/export?format=jsonl&action=deployment.")
    lines = [json.loads(line) for line in exported.body.splitlines()]
    assert [one["action"] for one in lines] == ["deployment.drain"]
    assert exported.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    assert operator.get("/admin/audit/export?format=exe").status == 400


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("more", ["", "action=person."])
def test_an_export_in_parts_is_what_the_command_line_writes(
    kit: Kit, operator: Browser, monkeypatch: pytest.MonkeyPatch, kind: str, more: str
) -> None:
    operator.post(f"/admin/accounts/{kit.acme}/grant", {"amount": "5", "note": '=1+1, \n"x"'})
    whole = io.BytesIO()
    rows = export_audit(kit.store, Filter(action=more.partition("=")[2] or None), kind, whole)
    for at_once in (1, 7, max(1, rows), rows + 1):
        monkeypatch.setattr(log, "EXPORTED_AT_ONCE", at_once)
        assert operator.get(f"/admin/audit/export?format={kind}&{more}").body == whole.getvalue()


def test_nothing_that_is_stored_or_sent_becomes_markup(kit: Kit, operator: Browser) -> None:
    name = MARKUP[:100]
    answer = operator.post("/admin/accounts", {"name": name, "credit": "1"})
    account = answer.location
    with kit.store.write() as connection:
        keep_events(connection, [HealthEvent(MARKUP, MARKUP, MARKUP[:16], MARKUP)])
    document = DOCUMENT.replace("gpu1", "gpu1").replace(
        'upstream_model = "mistral"', f"upstream_model = {json.dumps(MARKUP)}"
    )
    apply(kit.store, f"# {MARKUP}\n{document}", "x", Submission(Actor("command line", MARKUP), MARKUP[:60], MARKUP))
    served(kit, document)
    live = kit.services.live
    assert isinstance(live, Live)
    live.outcome = {"outcome": MARKUP, "message": MARKUP, "status": 500}
    pages = [one.path for one in PAGES if "GET" in one.methods and "{" not in one.path]
    targets = [
        *pages,
        account,
        "/admin/configuration/1",
        f"/admin/audit?actor={MARKUP}",
        "/admin/configuration/rollback?version=0",
    ]
    answers = [operator.get(target) for target in targets]
    answers += [
        operator.post("/admin/deployments/test", {"deployment": DEPLOYMENT}),
        operator.post("/admin/deployments/test", {"deployment": MARKUP}),
        operator.post("/admin/configuration/plan", {"document": MARKUP}),
        operator.post("/admin/configuration/plan", {"document": f"# {MARKUP}\n{document}"}),
        operator.post(f"{account}/grant", {"amount": MARKUP, "note": MARKUP}),
        operator.post(account, {"name": MARKUP, "models": MARKUP}),
        operator.post("/admin/credit/refund", {"generation": MARKUP}),
    ]
    seen = 0
    for target, one in zip([*targets, *["POST"] * 7], answers, strict=True):
        assert one.status < 500, target
        if "html" in one.headers.get("content-type", ""):
            assert "<script>alert" not in one.text, target
            assert "<img src=x" not in one.text, target
            seen += "&lt;script&gt;alert" in one.text
    assert seen > 8, "the markup is on many of them, as text"
    assert list_credentials(kit.store) == []


def test_the_audit_log_names_people_and_accounts_and_leads_to_them(kit: Kit, operator: Browser) -> None:
    operator.post(f"/admin/accounts/{kit.acme}/disable", {"disabled": "yes"})
    page = ok(operator.get("/admin/audit?action=account."))
    assert re.search(rf'<a href="/admin/accounts/{kit.acme}" title="{kit.acme}">Acme</a>', page)
    assert f'<a href="/admin/people/{operator.person_id}" title="{operator.person_id}">' in page
    page = ok(operator.get(f"/admin/people/{operator.person_id}"))
    assert f'href="/admin/audit?actor={operator.person_id}"' in page
    assert "This is you." in page


def test_every_background_task_of_a_server_is_explained() -> None:
    source = (Path(__file__).parents[2] / "src" / "fairlead" / "compose" / "service.py").read_text("utf-8")
    begun = re.findall(r'begin\("([a-z ]+)"', source)
    assert len(begun) > 10
    assert set(begun) <= set(JOBS), "say in JOBS what it does"
