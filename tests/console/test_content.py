"""The organisation's choice of what is kept, and the content of a call on its page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from tests.console.kit import Browser, Kit

from fairlead.accounts.keys import KeyInfo, add_key, key_by_hash
from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.admin.content import content_state
from fairlead.admin.keys import hash_of
from fairlead.content.conversation import Conversation, Part, Turn
from fairlead.content.sealing import sealed_content
from fairlead.ledger.books import post
from fairlead.ledger.record import Attempt, UsageRecord, encode
from fairlead.people.persons import memberships_of
from fairlead.people.roles import ROLES
from fairlead.providers.sealed import seal_key
from fairlead.settings import parse_settings
from fairlead.store.content import ContentRow, add_rows

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
POLICY = {"enabled": "1", "share": "50", "days": "7", "detectors": ["email", "iban"], "patterns": "EMP-[0-9]{6}"}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    made = Kit(tmp_path_factory.mktemp("content"))
    yield made
    made.close()


def key_of(kit: Kit, account_id: str, member_id: str | None = None) -> KeyInfo:
    with kit.store.write() as connection:
        key = add_key(connection, "service", account_id, {"member_id": member_id})
        found = key_by_hash(connection, hash_of(key))
    assert found is not None
    return found


def member_of(kit: Kit, browser: Browser) -> str:
    with kit.store.read() as connection:
        return memberships_of(connection, browser.person_id)[0].member_id


def kept(kit: Kit, key: KeyInfo, name: str, conversation: Conversation | None = None, user: str = "") -> str:
    """A call with its record, and what is kept of it."""
    now = int(time.time() * 1000)
    record = UsageRecord(
        f"gen_{name}", now - 500, now, key.account_id, key.id, "m", "upstream_failed", False, "none",
        attempts=(Attempt("p/m", "", "upstream_failed", 400),), user=user,
    )  # fmt: skip
    seal = seal_key(kit.store, make=True)
    conversation = conversation or Conversation(
        request=[Turn("user", [Part("text", f"prompt of {name}")])], answer=[Turn("assistant", [Part("text", "fine")])]
    )
    nonce, body = sealed_content(seal, key.account_id, record.id, conversation)
    with kit.store.write() as connection:
        post(connection, [encode(record)], "p")
        add_rows(connection, [ContentRow(record.id, key.account_id, key.id, user, now, seal.id, nonce, body)])
    return record.id


def test_an_owner_switches_it_on_and_off(kit: Kit) -> None:
    owner = kit.as_role("owner")
    page = owner.get("/account/content").text
    assert "Off: nothing is kept." in page
    answer = owner.post("/account/content", POLICY)
    assert "in force within a second" in owner.follow(answer).text
    policy = content_state(kit.store, kit.acme).policy
    assert (policy.enabled, policy.share, policy.days, policy.detectors) == (True, 50.0, 7, ("email", "iban"))
    assert (policy.patterns, policy.media, policy.store_false) == (("EMP-[0-9]{6}",), False, False)
    assert "On: 50 % of the calls are kept for 7 days." in owner.get("/account/content").text
    assert "On: 50 %" in kit.as_role("viewer").get("/account/content").text
    [row, *_] = list_audit(kit.store, AuditFilter(account_id=kit.acme, action="content.change"), 10)
    assert (row["actor"], row["before"]["enabled"], row["after"]["enabled"]) == (owner.person_id, False, True)
    owner.post("/account/content", {**POLICY, "enabled": ""})
    assert not content_state(kit.store, kit.acme).policy.enabled


def test_keys_are_chosen_by_their_names_and_others_by_their_ids(kit: Kit) -> None:
    owner = kit.as_role("owner")
    one, other = (key_of(kit, kit.acme, None) for _ in range(2))
    page = owner.get("/account/content").text
    box = rf'<input type="checkbox" name="keys" value="{one.id}"( checked)?><span>{one.name}</span>'
    assert re.search(box, page)
    owner.post("/account/content", {**POLICY, "keys": [one.id, f" {other.id}\r\n"], "never": [other.id]})
    policy = content_state(kit.store, kit.acme).policy
    assert (set(policy.keys), policy.never) == ({one.id, other.id}, (other.id,))
    found = re.search(box, owner.get("/account/content").text)
    assert found is not None
    assert found[1] == " checked"
    refused = owner.post("/account/content", {**POLICY, "keys": [one.id, "key_of_others"]})
    assert refused.status == 422
    assert "key_of_others</textarea>" in refused.text
    owner.post("/account/content", POLICY)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("share", "half", "from 0 to 100"), ("share", "101", "from 0 to 100"), ("days", "0", "1 to 365"),
        ("days", "-", "whole number"), ("patterns", "(", "RE2"), ("patterns", "(?=x)x", "RE2"),
        ("keys", "key_of_others", "in this account"), ("never", "key_of_others", "in this account"),
        ("projects", "prj_none", "in this account"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field(kit: Kit, field: str, value: str, sentence: str) -> None:
    page = kit.as_role("admin").post("/account/content", {**POLICY, field: value})
    assert page.status == 422
    assert re.search(rf'class="problem"[^>]*>[^<]*{sentence}', page.text)


def test_the_operator_of_the_server_may_forbid_it_or_bound_it(kit: Kit) -> None:
    owner, before = kit.as_role("owner", kit.globex), kit.settings
    try:
        kit.settings = parse_settings("[content]\nallow = false\n", "kit.toml", {})
        assert owner.post("/account/content", POLICY).status == 422
        kit.settings = parse_settings("[content]\nmax_days = 5\n", "kit.toml", {})
        assert "1 to 5 days" in owner.post("/account/content", POLICY).text
        assert owner.post("/account/content", {**POLICY, "days": "5"}).status == 303
    finally:
        kit.settings = before


def test_who_may_see_the_content_of_a_call(kit: Kit) -> None:
    member, other = kit.as_role("member"), kit.as_role("member")
    call = kept(kit, key_of(kit, kit.acme, member_of(kit, member)), "seen")
    path, words = f"/account/calls/{call}", "prompt of seen"
    sees = {role: words in kit.as_role(role).get(path).text for role in ROLES if role != "member"}
    assert sees == {"owner": True, "admin": True, "billing": False, "viewer": False}
    assert words in member.get(path).text
    for stranger in (other, kit.as_role("owner", kit.globex), kit.as_operator()):
        answer = stranger.get(path)
        assert answer.status in (403, 404)
        assert words not in answer.text
    looks = list_audit(kit.store, AuditFilter(account_id=kit.acme, action="content.read", subject=call), 10)
    assert {row["actor_kind"] for row in looks} == {"person"}
    assert len(looks) == 3, "the owner, the admin and the member"
    assert member.person_id in {row["actor"] for row in looks}


def test_content_is_shown_as_a_conversation_and_none_of_it_runs(kit: Kit) -> None:
    part = Part("text", XSS)
    call = kept(kit, key_of(kit, kit.acme), "hostile", Conversation(
        request=[
            Turn(XSS[:32], [part, Part("media", media=XSS, name=XSS, bytes=3, sha256="ab", data="QUJD")]),
            Turn("user", [Part("media", media="image/svg+xml", bytes=3, sha256="cd", data="QUJD")]),
            Turn("user", [Part("media", media="image/png", bytes=3, sha256="ef", data='QUJD" onload="x')]),
            Turn("user", [Part("media", media="image/png", bytes=3, sha256="0a", data="QUJD")]),
            Turn("assistant", [Part("call", '{"a":"b"}', name=XSS, id=XSS)]), Turn("tool", [Part("result", XSS, id=XSS)]),
        ],
        answer=[Turn("assistant", [Part("text", "write to \ue000email\ue001, not \ue000<b>\ue001", cut=12)], XSS)],
        tools=[Part("tool", XSS, name=XSS)], parameters={XSS: XSS}, redacted={"email": 2, XSS: 1}, left_out=3,
        whole=False,
    ))  # fmt: skip
    page = kit.as_role("owner").get(f"/account/calls/{call}").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'onload="x' not in page
    assert "49" not in re.findall(r"&gt;(\d+)", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<mark title="redacted">e-mail address</mark>' in page
    assert page.count("<img") == 1, "only a picture that runs nothing"
    assert 'src="data:image/png;base64,QUJD"' in page
    for words in ("3 earlier turns are not kept", "12 more characters are not kept", "The answer broke off here"):
        assert words in page


def test_content_that_cannot_be_opened_says_so(kit: Kit) -> None:
    key = key_of(kit, kit.acme)
    call = kept(kit, key, "sealed")
    with kit.store.write() as connection:
        add_rows(connection, [ContentRow(call, kit.acme, key.id, "", 1, "other", b"n" * 12, b"nothing")])
    assert "cannot be opened" in kit.as_role("owner").get(f"/account/calls/{call}").text


def test_deleting_one_call_one_end_user_and_everything(kit: Kit) -> None:
    owner, key = kit.as_role("owner"), key_of(kit, kit.acme)
    theirs = key_of(kit, kit.globex)
    calls = {name: kept(kit, key, f"del{name}", user=user) for name, user in (("1", ""), ("2", "ada"), ("3", "bob"))}
    foreign = kept(kit, theirs, "foreign", user="ada")

    def left() -> set[str]:
        return {name for name, one in calls.items() if "prompt of" in owner.get(f"/account/calls/{one}").text}

    assert left() == {"1", "2", "3"}
    assert owner.post(f"/account/calls/{foreign}/content").status == 404
    assert "was deleted" in owner.follow(owner.post(f"/account/calls/{calls['1']}/content")).text
    assert left() == {"2", "3"}
    owner.post("/account/content/erase", {"end_user": "ada"})
    assert left() == {"3"}
    assert owner.post("/account/content/erase").status == 422
    owner.post("/account/content/erase", {"everything": "1"})
    assert left() == set()
    assert "prompt of" in kit.as_role("owner", kit.globex).get(f"/account/calls/{foreign}").text
    assert kit.as_role("member").post("/account/content/erase", {"everything": "1"}).status == 403
    done = {row["action"] for row in list_audit(kit.store, AuditFilter(account_id=kit.acme, action="content."), 50)}
    assert {"content.delete", "content.erase"} <= done
