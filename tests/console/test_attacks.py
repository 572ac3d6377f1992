"""What somebody hostile tries: each is refused, and the audit log says so."""

from __future__ import annotations

from typing import Any

import pytest
from tests.console.kit import HOST, PASSWORD, Browser, Kit

from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.console.app import PAGES
from fairlead.console.forms import FIELD, form_token, is_form_token
from fairlead.people import passwords, persons

EMAIL = "ann@example.org"
EVIL = "\"><script>alert(1)</script>'{{7*7}}${7*7}"


def actions(kit: Kit) -> list[str]:
    return [one["action"] for one in list_audit(kit.store, AuditFilter(), 50)]


def opened(kit: Kit, address: str = "192.0.2.1") -> Browser:
    browser = kit.stranger(address)
    browser.get("/sign-in")
    return browser


# --- Cross-site requests


def test_a_form_of_another_visitor_or_of_an_earlier_session_is_refused_and_audited(kit: Kit) -> None:
    mine, theirs = kit.as_role("owner"), opened(kit)
    assert mine.post("/account/members/invite", {FIELD: form_token(theirs.token), "email": "a@b.example"}).status == 403
    before = mine.token
    mine.post("/sign-in/again", {"password": PASSWORD})
    assert mine.post("/account/members/invite", {FIELD: form_token(before), "email": "a@b.example"}).status == 403
    assert "form.refuse" in actions(kit)


def test_a_sign_in_that_another_site_sends_is_refused_so_that_nobody_works_in_the_account_of_an_attacker(
    kit: Kit,
) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    browser = opened(kit)
    answer = browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD}, origin="https://evil.example")
    assert answer.status == 403
    assert browser.get("/account").status == 303


def test_tokens_of_forms_look_different_each_time_and_a_changed_one_is_wrong() -> None:
    one, two = form_token("cookie"), form_token("cookie")
    assert one != two
    assert is_form_token(one, "cookie")
    assert is_form_token(two, "cookie")
    assert not is_form_token(one, "another")
    assert not is_form_token(one[:-2] + ("A" if one[-2] != "A" else "B") + one[-1], "cookie")
    for bad in ("", "A", "é" * 86, one + one, "=" * 10):
        assert not is_form_token(bad, "cookie")
    assert not is_form_token(form_token(""), "")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_no_other_type_of_body_goes_around_the_token(kit: Kit, kind: str) -> None:
    browser = kit.as_role("owner")
    answer = browser.post("/account/members/invite", {FIELD: None, "email": "a@b.example"}, content_type=kind)
    assert answer.status in (400, 403)
    assert "invitation.create" not in actions(kit)


# --- Who is known


def test_an_unknown_person_costs_the_same_work_as_a_known_one(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    kit.as_role("owner")
    calls: list[str] = []

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            calls.append(stored.split("$")[3])
            return real.verify(stored, password)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = passwords._HASHER
    monkeypatch.setattr(passwords, "_HASHER", Counting())
    for email in (EMAIL, "who@example.org", "not an address"):
        opened(kit).post("/sign-in", {"email": email, "password": "wrong password!"})
    with kit.store.write() as connection:  # somebody who signs in elsewhere has none
        found = persons.find_by_email(connection, EMAIL)
        assert found is not None
        persons.change_person(connection, found[0].id, password=None)
    opened(kit).post("/sign-in", {"email": EMAIL, "password": "wrong password!"})
    assert len(calls) == 4
    assert len(set(calls)) == 1  # the same parameters, so the same time


def test_a_refused_sign_in_is_audited_with_its_address_and_without_what_was_typed(kit: Kit) -> None:
    kit.person(EMAIL, "owner", kit.acme)
    opened(kit, "198.51.100.7").post("/sign-in", {"email": EMAIL, "password": "hunter2hunter2"})
    [row] = list_audit(kit.store, AuditFilter(action="sign-in.refuse"), 5)
    assert row["address"] == "198.51.100.7"
    assert "hunter2" not in str(row)


# --- Addresses and hosts


def test_a_header_of_a_stranger_does_not_change_their_address_and_one_of_a_trusted_proxy_does(kit: Kit) -> None:
    statuses = []
    for at in range(22):
        browser = opened(kit)
        answer = browser.post(
            "/sign-in", {"email": f"{at}@example.org", "password": "x"}, x_forwarded_for=f"198.51.100.{at}"
        )
        statuses.append(answer.status)
    assert statuses[-1] == 429
    kit.restarted('[console]\ntrusted_proxies = ["192.0.2.0/24"]\n')
    browser = opened(kit)
    given = {"email": "z@example.org", "password": "x"}
    assert browser.post("/sign-in", given, x_forwarded_for="203.0.113.9").status == 403
    # What a visitor puts in front of it themselves counts for nothing.
    browser.post("/sign-in", given, x_forwarded_for="10.0.0.1, 203.0.113.10, 192.0.2.5")
    found = [one["address"] for one in list_audit(kit.store, AuditFilter(action="sign-in.refuse"), 2)]
    assert found == ["203.0.113.10", "203.0.113.9"]


def test_https_before_a_trusted_proxy_counts_and_a_strangers_word_for_it_does_not(kit: Kit) -> None:
    assert "strict-transport-security" not in kit.stranger().get("/sign-in", x_forwarded_proto="https").headers
    kit.restarted('[console]\ntrusted_proxies = ["192.0.2.1"]\n')
    answer = kit.stranger().get("/sign-in", x_forwarded_proto="https")
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.cookies[0].startswith("__Host-fairlead=")


def test_under_somebody_elses_name_there_is_no_console(kit: Kit) -> None:
    kit.restarted('[console]\nhosts = ["admin.internal"]\n', public_url=f"https://{HOST}")
    browser = kit.stranger()
    for host, status in (
        (HOST, 200), (f"{HOST}:8080", 200), ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("[::1]:8080", 200),
        ("admin.internal", 200), ("evil.example", 421), (f"{HOST}.evil.example", 421), (f"evil.example@{HOST}", 421),
    ):  # fmt: skip
        assert browser.get("/sign-in", host=host).status == status, host
    assert "host.refuse" in actions(kit)


@pytest.mark.parametrize("name", ["x-forwarded-host", "x-host", "x-original-url", "x-rewrite-url", "forwarded"])
def test_no_header_gets_into_a_page_or_another_page_out_of_it(kit: Kit, name: str) -> None:
    browser = kit.as_role("owner")
    plain = browser.get("/account/members")
    answer = browser.ask("GET", "/account/members", b"", {name: "evil.example/admin"})
    assert answer.status == 200
    assert "evil.example" not in answer.text
    assert answer.headers["cache-control"] == plain.headers["cache-control"] == "no-store"


# --- Injection


def test_markup_and_templates_in_what_people_write_are_text(kit: Kit) -> None:
    kit.restarted('[console]\nsign_up = "open"\n')
    owner, operator = kit.person(EMAIL, "owner", kit.acme), kit.as_operator()
    with kit.store.write() as connection:
        persons.change_person(connection, owner.person_id, name=EVIL)
    evil = kit.signed_in(owner.person_id)
    owner.post("/sign-in/again", {"password": PASSWORD}, user_agent=EVIL)
    pages = [
        owner.get("/account"),
        owner.get("/account/members"),
        owner.get("/account/security"),
        operator.get("/admin/people"),
        operator.get(f"/admin/people/{owner.person_id}"),
        operator.get("/admin/people?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
        owner.post("/account/members/invite", {"email": EVIL}),
        opened(kit).post("/sign-in", {"email": EVIL, "password": "x"}),
        opened(kit).post("/sign-up", {"email": EVIL}),
        opened(kit).get("/sign-in?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
        evil.get("/account"),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "49" not in page.text.replace("&#39;49", "49").partition("alert(1)")[2][:60]


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "\\", "'; DROP TABLE people; --", "\x00"])
def test_sql_in_a_field_or_a_path_is_text(kit: Kit, text: str) -> None:
    from urllib.parse import quote

    kit.person(EMAIL, "owner", kit.acme)
    operator = kit.as_operator()
    nul = "\0" in text
    assert EMAIL not in operator.get(f"/admin/people?q={quote(text)}").text
    assert operator.get(f"/admin/people/{quote(text, safe='')}").status == (400 if nul else 404)
    if not nul:
        assert opened(kit).post("/sign-in", {"email": f"{EMAIL}{text}", "password": PASSWORD}).status == 403
    with kit.store.read() as connection:
        assert persons.find_by_email(connection, EMAIL) is not None


# --- Too much


def test_a_form_of_many_fields_is_refused_before_it_is_read(kit: Kit) -> None:
    browser = kit.as_role("owner")
    assert browser.post("/account/members/invite", {f"f{at}": "x" for at in range(600)}).status == 400


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 5_000, "é" * 43, "\x00" * 43])
def test_no_invented_token_signs_anybody_in(kit: Kit, token: str) -> None:
    kit.as_role("owner")
    assert kit.stranger().get("/account", cookie=f"fairlead={token}".encode().decode("latin-1")).status == 303


def test_pages_that_change_something_are_forms(kit: Kit) -> None:
    owner = kit.as_role("owner")
    paths = {one.path for one in PAGES if "GET" in one.methods}
    for page in PAGES:
        if "POST" in page.methods and page.path not in paths and "{" not in page.path:
            assert owner.get(page.path).status in (403, 404, 405), page.path


def test_who_may_not_see_a_page_is_in_the_audit_log(kit: Kit) -> None:
    viewer = kit.as_role("viewer")
    assert viewer.get("/admin/people").status == 403
    [row] = list_audit(kit.store, AuditFilter(action="page.refuse"), 5)
    assert (row["actor"], row["subject"]) == (viewer.person_id, "/admin/people")
