"""OpenID Connect against Authlib's server, and GitHub: who gets in, as whom, and with which roles."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import RSAKey
from tests.console.identity_provider import CLIENT, SECRET, IdentityProvider
from tests.console.kit import Answer, Browser, Kit

from fairlead.admin.audit import AuditFilter, list_audit
from fairlead.people import persons
from fairlead.settings import Secrets

ANN = {"sub": "ann-1", "email": "ann@example.org", "email_verified": True, "name": "Ann", "groups": ["engineers"]}


@pytest.fixture(scope="module")
def idp() -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def clean(idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    idp.user, idp.orgs, idp.issuer = dict(ANN), [], idp.url
    idp.forge = lambda claims: claims
    idp.published = [idp.key]


@pytest.fixture
def kit(tmp_path: Path, idp: IdentityProvider) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", secrets=Secrets({"SECRET": SECRET}))
    yield made
    made.close()


def configure(kit: Kit, idp: IdentityProvider, sign_up: str = "open", more: str = "", groups: str = "") -> None:
    kit.restarted(
        f'[console]\nsign_up = "{sign_up}"\n{more}\n[console.oidc]\nissuer = "{idp.url}"\nclient_id = "{CLIENT}"\n'
        f'client_secret = {{ env = "SECRET" }}\nallow_networks = ["127.0.0.0/8"]\n{groups}',
        secrets=Secrets({"SECRET": SECRET}),
    )


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def at_provider(url: str) -> str:
    """Where the provider sends the browser back to: path and query."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    try:
        opener.open(url, timeout=60)
    except urllib.error.HTTPError as answer:
        with answer:
            back = urlsplit(answer.headers.get("location", ""))
    else:
        raise AssertionError("no redirect")
    return f"{back.path}?{back.query}"


def sign_on(browser: Browser, start: str = "/sign-in/oidc") -> Answer:
    there = browser.get(start)
    assert there.status == 303, there.text
    return browser.get(at_provider(there.location), sec_fetch_site="cross-site")


def roles(kit: Kit, email: str = "ann@example.org") -> dict[str, str]:
    with kit.store.read() as connection:
        found = persons.find_by_email(connection, email)
        assert found is not None
        return {one.account_id: one.role for one in persons.memberships_of(connection, found[0].id)}


def test_a_new_person_signs_in_and_returns_where_they_wanted_to_go(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    browser = kit.stranger()
    page = browser.get("/sign-in?next=%2Faccount%2Fmembers")
    assert 'href="/sign-in/oidc?next=/account/members"' in page.text
    before = browser.token
    answer = sign_on(browser, "/sign-in/oidc?next=/account/members")
    assert answer.location == "/account/members"
    assert browser.token != before
    assert "ann@example.org" in browser.follow(answer).text
    assert list(roles(kit).values()) == ["owner"]  # of an organisation of their own
    again = kit.stranger()
    idp.user["email"] = "renamed@example.org"  # the subject is who it is
    assert sign_on(again).location == "/account"
    assert again.get("/account").status == 200
    assert len(roles(kit)) == 1


def test_groups_give_roles_and_take_them_again_and_leave_what_no_rule_names(kit: Kit, idp: IdentityProvider) -> None:
    rules = (
        f'groups = [{{ group = "engineers", account = "{kit.acme}" }}, '
        f'{{ group = "leads", account = "{kit.acme}", role = "admin" }}]\noperators = ["ops"]\n'
    )
    configure(kit, idp, "closed", groups=rules)
    kit.as_role("owner")
    kit.as_operator()
    browser = kit.stranger()
    assert sign_on(browser).location == "/account"
    assert roles(kit) == {kit.acme: "member"}
    from fairlead.admin.people import join

    with kit.store.write() as connection:
        found = persons.find_by_email(connection, "ann@example.org")
        assert found is not None
        join(connection, found[0], kit.globex, "viewer")
    idp.user["groups"] = ["engineers", "leads", "ops"]
    sign_on(browser)
    assert roles(kit) == {kit.acme: "admin", kit.globex: "viewer"}
    assert browser.get("/admin").status == 200
    other = kit.stranger()
    idp.user["groups"] = []
    sign_on(other)
    assert roles(kit) == {kit.globex: "viewer"}
    assert browser.get("/admin").status == 403
    assert "membership.remove" in [one["action"] for one in list_audit(kit.store, AuditFilter(), 20)]


def test_nobody_comes_without_a_rule_where_sign_up_is_closed(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp, "closed")
    assert "Ask the operator" in sign_on(kit.stranger()).text
    configure(kit, idp, "domain", 'domains = ["example.com"]')
    assert sign_on(kit.stranger()).status == 403
    configure(kit, idp, "domain", 'domains = ["example.org"]')
    assert sign_on(kit.stranger()).status == 303


def test_an_address_that_the_provider_does_not_vouch_for_is_nobodys(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    kit.person("ann@example.org", "owner", kit.acme)
    for given in (False, None, "true", 1):
        idp.user["email_verified"] = given
        assert sign_on(kit.stranger()).status == 403, given


def test_an_account_whose_address_was_never_confirmed_is_not_joined(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    planted = kit.person("ann@example.org", "owner", kit.acme)
    with kit.store.write() as connection:
        persons.change_person(connection, planted.person_id, confirmed_at=None)
    assert "Sign in with its password" in sign_on(kit.stranger()).text
    with kit.store.write() as connection:
        persons.change_person(connection, planted.person_id, confirmed_at=1)
    assert sign_on(kit.stranger()).location == "/account"


def test_somebody_who_is_disabled_does_not_come_back_this_way(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    browser = kit.stranger()
    sign_on(browser)
    with kit.store.write() as connection:
        found = persons.find_by_email(connection, "ann@example.org")
        assert found is not None
        persons.change_person(connection, found[0].id, disabled_at=1)
    assert browser.get("/account").status == 303
    assert sign_on(kit.stranger()).status == 403


def test_another_browsers_answer_an_old_one_and_a_used_one_are_refused(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    mine, other = kit.stranger(), kit.stranger()
    other.get("/sign-in")
    back = at_provider(mine.get("/sign-in/oidc").location)
    assert other.get(back).status == 403  # login CSRF: somebody else's code
    used = mine.token
    assert mine.get(back).status == 303
    mine.cookies["fairlead"] = used
    assert mine.get(back).status in (403, 429)
    state = back.partition("state=")[2].partition("&")[0]
    assert other.get(f"/sign-in/oidc/callback?code=x&state={state}").status == 403
    for bad in ("", "?code=x", "?state=x", "?state=%FF&code=x", "?error=access_denied"):
        assert other.get(f"/sign-in/oidc/callback{bad}").status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"aud": ["somebody-else"]},
        {"aud": [CLIENT, "another"]},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"iat": None},
        {"sub": None},
    ],
)
def test_an_id_token_that_is_not_for_us_signs_nobody_in(
    kit: Kit, idp: IdentityProvider, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    configure(kit, idp)
    idp.forge = lambda claims: {name: one for name, one in {**claims, **change}.items() if one is not None}
    answer = sign_on(kit.stranger())
    assert answer.status == 502
    assert "ID token" in caplog.text
    assert SECRET not in caplog.text


def test_a_token_of_a_key_that_is_not_published_is_refused(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    idp.published = [RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})]
    assert sign_on(kit.stranger()).status == 502
    idp.issuer = "http://evil.example"
    configure(kit, idp)
    assert kit.stranger().get("/sign-in/oidc").status == 502


def test_without_permission_nothing_private_is_connected_to(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    kit.restarted(
        f'[console.oidc]\nissuer = "{idp.url}"\nclient_id = "{CLIENT}"\nclient_secret = {{ env = "SECRET" }}\n',
        secrets=Secrets({"SECRET": SECRET}),
    )
    assert kit.stranger().get("/sign-in/oidc").status == 502


def test_a_second_factor_is_asked_for_after_another_provider_too(kit: Kit, idp: IdentityProvider) -> None:
    from tests.console.test_security import with_app

    configure(kit, idp)
    with_app(kit.person("ann@example.org", "owner", kit.acme))
    browser = kit.stranger()
    assert sign_on(browser).location == "/sign-in/second"
    assert browser.get("/account").status == 303


def test_who_has_no_password_proves_again_at_the_provider(kit: Kit, idp: IdentityProvider) -> None:
    configure(kit, idp)
    browser = kit.stranger()
    sign_on(browser)
    from fairlead.people.sessions import change, list_sessions

    with kit.store.write() as connection:
        found = persons.find_by_email(connection, "ann@example.org")
        assert found is not None
        [session] = list_sessions(connection, found[0].id)
        change(connection, session.id, proved_at=int(time.time()) - 10_000)
    there = browser.get("/account/security/passkeys")
    assert there.location.startswith("/sign-in/again")
    page = browser.get(there.location)
    assert "/sign-in/oidc?prompt=login&amp;next=/account/security/passkeys" in page.text
    assert 'name="password"' not in page.text
    assert (
        sign_on(browser, "/sign-in/oidc?prompt=login&next=/account/security/passkeys").location
        == "/account/security/passkeys"
    )
    assert browser.get("/account/security/passkeys").status == 200


def test_github_signs_in_by_its_number_and_its_organisations_give_roles(kit: Kit, idp: IdentityProvider) -> None:
    kit.restarted(
        f'[console.github]\nclient_id = "{CLIENT}"\nclient_secret = {{ env = "SECRET" }}\nurl = "{idp.url}"\n'
        f'api_url = "{idp.url}"\nallow_networks = ["127.0.0.0/8"]\n'
        f'groups = [{{ group = "acme/ops", account = "{kit.acme}", role = "admin" }}]\n',
        secrets=Secrets({"SECRET": SECRET}),
    )
    idp.user = {"id": 42, "name": "Octo", "email": "octo@example.org", "email_verified": True}
    assert sign_on(kit.stranger(), "/sign-in/github").status == 403
    idp.orgs = ["acme"]
    assert sign_on(kit.stranger(), "/sign-in/github").location == "/account"
    assert roles(kit, "octo@example.org") == {kit.acme: "admin"}
    idp.user = {"id": 43, "name": "Other", "email": "new@example.org", "email_verified": False}
    assert sign_on(kit.stranger(), "/sign-in/github").status == 403
