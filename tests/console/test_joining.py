"""Sign-up, invitations and new passwords: by links that are good once, and without telling who is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.kit import PASSWORD, Answer, Browser, Kit, hidden

from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.people import persons
from fairlead.people.links import LinkKind, add_link

URL = "http://llm.example"
OPEN = f'[server]\npublic_url = "{URL}"\n[console]\nsign_up = "open"\n'


class Mails(list[tuple[str, str, str]]):
    """What was sent: to whom, subject, text."""

    def take(self, to: str, subject: str, text: str) -> None:
        self.append((to, subject, text))

    def link(self) -> tuple[str, str]:
        """Path and token of the link in the last one."""
        [found] = re.findall(r"http://llm\.example(/\S*)", self[-1][2])
        path, _, token = found.partition("#")
        return path, token


@pytest.fixture
def mails() -> Mails:
    return Mails()


@pytest.fixture
def kit(tmp_path: Path, mails: Mails) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", OPEN, public_url=URL, has_mail=lambda: True, mail=mails.take)
    yield made
    made.close()


def visitor(kit: Kit, address: str = "192.0.2.1") -> Browser:
    browser = kit.stranger(address)
    browser.get("/sign-in")
    return browser


def opened(kit: Kit, kind: LinkKind, email: str, **given: object) -> str:
    with kit.store.write() as connection:
        return add_link(connection, kind, email, **given)[0]  # type: ignore[arg-type]


def test_a_visitor_signs_up_with_an_organisation_of_their_own(kit: Kit, mails: Mails) -> None:
    browser = visitor(kit)
    assert "Look at your mail" in browser.post("/sign-up", {"email": "Bob@Example.org"}).text
    kit.wait()
    assert mails[0][0] == "bob@example.org"
    path, token = mails.link()
    assert path == "/confirm"
    assert hidden(browser.post(path, {"token": token}), "token") == token
    pasted = browser.post(path, {"token": f" http://127.0.0.1:8080{path}#{token}\n"})
    assert hidden(pasted, "token") == token, "the whole link will do"
    given = {"token": token, "name": "Bob", "organisation": "Bob's", "password": PASSWORD}
    assert browser.post(path, {**given, "organisation": " "}).status == 422
    home = browser.follow(browser.post(path, given))
    assert "<h1>Bob&#39;s" in home.text
    [account] = re.findall(r"acc_\w+", str(list_audit(kit.store, AuditFilter(action="account.create"), 1)))[:1]
    from fairlead.admin.accounts import one_account

    assert one_account(kit.store, account).prepaid
    assert visitor(kit).post(path, given).status == 403


def test_known_and_unknown_addresses_get_the_same_answer_and_their_owners_different_mails(
    kit: Kit, mails: Mails
) -> None:
    kit.person("ann@example.org", "owner", kit.acme)
    for path in ("/sign-up", "/reset"):
        answers = []
        for email in ("ann@example.org", "who@example.org"):
            answer = visitor(kit).post(path, {"email": email})
            answers.append((answer.status, re.sub(email + r"|value=\"[\w-]{86}\"", "", answer.text)))
        assert answers[0] == answers[1]
        kit.wait()
    assert [(to, subject.split()[0]) for to, subject, _ in mails] == [
        ("ann@example.org", "You"), ("who@example.org", "Finish"), ("ann@example.org", "Choose"),
    ]  # fmt: skip


def test_mails_to_one_address_are_few_from_wherever_they_are_asked_for(kit: Kit, mails: Mails) -> None:
    statuses = [visitor(kit, f"198.51.100.{at}").post("/reset", {"email": "a@b.example"}).status for at in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


def test_domains_restrict_who_signs_up_and_tell_nobody(kit: Kit, mails: Mails) -> None:
    kit.restarted(
        OPEN.replace('"open"', '"domain"\ndomains = ["example.org"]'),
        public_url=URL, has_mail=lambda: True, mail=mails.take,
    )  # fmt: skip
    for email in ("a@example.org", "a@example.com", "a@sub.example.org"):
        assert visitor(kit).post("/sign-up", {"email": email}).status == 200
    kit.wait()
    assert [to for to, _, _ in mails] == ["a@example.org"]


@pytest.mark.parametrize("mode", ["closed", "invitation"])
def test_without_open_sign_up_no_link_is_made(tmp_path: Path, mode: str) -> None:
    kit = Kit(tmp_path / "other", f'[console]\nsign_up = "{mode}"\n')
    assert "invitation" in visitor(kit).post("/sign-up", {"email": "a@b.example"}).text
    kit.wait()
    assert list_audit(kit.store, AuditFilter(action="link."), 1) == []
    kit.close()


def test_no_mail_is_sent_whose_link_would_begin_with_what_the_request_says(kit: Kit, mails: Mails) -> None:
    kit.restarted('[console]\nsign_up = "open"\n', has_mail=lambda: True, mail=mails.take)
    kit.person("ann@example.org", "owner", kit.acme)
    assert "Ask the operator" in visitor(kit).post("/reset", {"email": "ann@example.org"}).text
    kit.wait()
    assert mails == []


def test_a_new_password_ends_all_sessions_and_its_link_is_good_once(kit: Kit, mails: Mails) -> None:
    signed_in = kit.person("ann@example.org", "owner", kit.acme)
    browser = visitor(kit)
    browser.post("/reset", {"email": "ann@example.org"})
    kit.wait()
    path, token = mails.link()
    assert "ann@example.org" in browser.post(path, {"token": token}).text
    assert browser.post(path, {"token": token, "password": "ann@example.org"}).status == 422
    assert "All sessions have ended" in browser.post(path, {"token": token, "password": "another good password"}).text
    assert signed_in.get("/account").status == 303
    assert browser.post(path, {"token": token, "password": "yet another password"}).status == 403
    assert browser.post("/sign-in", {"email": "ann@example.org", "password": PASSWORD}).status == 403
    assert browser.post("/sign-in", {"email": "ann@example.org", "password": "another good password"}).status == 303


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("operator", ("/confirm", "/reset", "/invitation")),
        ("sign-up", ("/sign-in/link", "/reset", "/invitation")),
        ("reset", ("/sign-in/link", "/confirm", "/invitation")),
        ("invitation", ("/sign-in/link", "/confirm", "/reset")),
    ],
)
def test_a_link_opens_nothing_but_what_it_was_made_for(kit: Kit, kind: LinkKind, paths: tuple[str, ...]) -> None:
    token = opened(kit, kind, "" if kind == "operator" else "who@example.org", account_id=kit.acme, role="member")
    given = {"token": token, "name": "X", "organisation": "X", "password": PASSWORD, "email": "x@example.org"}
    for path in paths:
        assert visitor(kit).post(path, given).status == 403


def invited(kit: Kit, browser: Browser, email: str, role: str = "member") -> Answer:
    return browser.post("/account/members/invite", {"email": email, "role": role})


def test_an_admin_invites_somebody_new_who_joins_in_the_role(kit: Kit, mails: Mails) -> None:
    admin = kit.as_role("admin")
    assert invited(kit, admin, "new@example.org", "billing").location == "/account/members"
    kit.wait()
    path, token = mails.link()
    assert "Acme" in mails[-1][1]
    browser = visitor(kit)
    assert "billing" in browser.post(path, {"token": token}).text
    home = browser.follow(browser.post(path, {"token": token, "name": "New", "password": PASSWORD}))
    assert "<h1>Acme" in home.text
    with kit.store.read() as connection:
        person = persons.find_by_email(connection, "new@example.org")
        assert person is not None
        assert person[0].confirmed_at is not None  # the mail has shown whose address it is
        assert [(one.role) for one in persons.memberships_of(connection, person[0].id)] == ["billing"]
    assert visitor(kit).post(path, {"token": token, "name": "New", "password": PASSWORD}).status == 403


def test_somebody_who_is_known_signs_in_and_joins_and_nobody_else_can(kit: Kit, mails: Mails) -> None:
    known = kit.person("known@example.org", "viewer", kit.globex)
    invited(kit, kit.as_role("owner"), "known@example.org")
    kit.wait()
    path, token = mails.link()
    stranger = visitor(kit)
    assert "Sign in" in stranger.post(path, {"token": token, "name": "Evil", "password": PASSWORD}).text
    other = kit.as_role("owner", kit.globex)
    assert other.post(path, {"token": token, "accept": "yes"}).status == 403
    assert 'value="yes"' in known.post(path, {"token": token}).text
    assert "<h1>Acme" in known.follow(known.post(path, {"token": token, "accept": "yes"})).text


def test_without_mail_the_inviter_sees_the_link_which_shows_nobodys_address(kit: Kit) -> None:
    kit.restarted(OPEN, public_url=URL)
    page = invited(kit, kit.as_role("admin"), "new@example.org")
    [token] = re.findall(r"http://llm\.example/invitation#(fl-link-[\w-]+)", page.text)
    assert visitor(kit).post("/invitation", {"token": token, "name": "New", "password": PASSWORD}).status == 303
    with kit.store.read() as connection:
        person = persons.find_by_email(connection, "new@example.org")
    assert person is not None
    assert person[0].confirmed_at is None


def test_an_invitation_that_was_withdrawn_is_worth_nothing_and_others_cannot_withdraw_it(
    kit: Kit, mails: Mails
) -> None:
    admin = kit.as_role("admin")
    invited(kit, admin, "new@example.org")
    kit.wait()
    path, token = mails.link()
    [link] = re.findall(r"/account/invitations/(lnk_\w+)/withdraw", admin.get("/account/members").text)
    assert kit.as_role("owner", kit.globex).post(f"/account/invitations/{link}/withdraw").status == 404
    assert admin.post(f"/account/invitations/{link}/withdraw").status == 303
    assert visitor(kit).post(path, {"token": token}).status == 403


def test_where_sign_up_is_closed_only_operators_invite(kit: Kit) -> None:
    kit.restarted('[console]\nsign_up = "closed"\n')
    refused = invited(kit, kit.as_role("owner"), "new@example.org")
    assert refused.status == 422
    assert "its operator invites people" in refused.text
    operator = kit.as_operator()
    from fairlead.admin.people import join

    with kit.store.write() as connection:
        person = persons.person_of(connection, operator.person_id)
        assert person is not None
        join(connection, person, kit.acme, "owner")
    assert "/invitation#fl-link-" in invited(kit, operator, "new@example.org").text


def test_only_owners_invite_owners(kit: Kit) -> None:
    assert "Only an owner" in invited(kit, kit.as_role("admin"), "a@example.org", "owner").text
    assert invited(kit, kit.as_role("owner"), "a@example.org", "owner").status == 303
    assert invited(kit, kit.as_role("owner"), "b@example.org", "operator").status == 400
