"""Sign-in with npm's `oidc-provider`, which the OpenID Foundation has certified: what our own test server of `test_signing_on` may
do too kindly, this one does as the specification says.

It is run where FAIRLEAD_OIDC_PROVIDER names a folder with the locked packages in its node_modules; in CI they are installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import pytest
from tests.console.kit import HOST, Answer, Browser, Kit
from tests.console.test_signing_on import NoRedirect, roles
from tests.e2e.npm import locked_packages

from fairlead.people import persons
from fairlead.settings import Secrets

FILES = Path(__file__).with_name("oidc_provider")
SECRET = "a-client-secret-of-the-tests"
SECONDS = 60
ANN = {"sub": "ann-1", "email": "ann@example.org", "email_verified": True, "name": "Ann", "groups": ["engineers"]}


class OidcProvider:
    """`issuer`: its address. `tell` changes who signs in, or how it is set up (`provider.mjs`)."""

    def __init__(self, folder: Path) -> None:
        shutil.copyfile(FILES / "provider.mjs", folder / "provider.mjs")
        environment = {"PATH": os.environ["PATH"], "CALLBACK": f"http://{HOST}/sign-in/oidc/callback"}
        self._process = subprocess.Popen(
            ["node", "provider.mjs"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.issuer = str(self._answer()["issuer"])

    def tell(self, **asked: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    made = OidcProvider(locked_packages("FAIRLEAD_OIDC_PROVIDER", FILES, tmp_path_factory.mktemp("npm")))
    yield made
    made.close()


@pytest.fixture
def kit(tmp_path: Path, provider: OidcProvider) -> Iterator[Kit]:
    provider.tell(account=ANN, late=0, make={"key": "one"})
    made = Kit(tmp_path / "data")
    configure(made, provider.issuer)
    yield made
    made.close()


def configure(kit: Kit, issuer: str) -> None:
    kit.restarted(
        f"""[console]
sign_up = "closed"
[console.oidc]
issuer = "{issuer}"
client_id = "fairlead"
client_secret = {{ env = "SECRET" }}
scopes = ["openid", "email", "profile", "groups"]
allow_networks = ["127.0.0.0/8"]
operators = ["platform"]
groups = [
    {{ group = "engineers", account = "{kit.acme}", role = "member" }},
    {{ group = "leads", account = "{kit.acme}", role = "admin" }},
]
""",
        secrets=Secrets({"SECRET": SECRET}),
    )


def begin(kit: Kit) -> tuple[Browser, str]:
    """A browser, and where it is sent to at the provider."""
    browser = kit.stranger()
    browser.get("/sign-in")
    there = browser.get("/sign-in/oidc")
    assert there.status == 303, there.text
    return browser, there.location


def at_provider(address: str) -> str:
    """Signs in there, as a browser with cookies follows the redirects; where it sends the browser back to."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()), NoRedirect()
    )
    for _ in range(6):
        try:
            with opener.open(address, timeout=SECONDS) as page:
                raise AssertionError(page.read())
        except urllib.error.HTTPError as answer:
            with answer:
                address = urljoin(address, answer.headers["location"])
        parts = urlsplit(address)
        if parts.netloc == HOST:
            return f"{parts.path}?{parts.query}"
    raise AssertionError("it goes round in circles")


def with_query(address: str, **changed: str) -> str:
    before, _, query = address.partition("?")
    return f"{before}?{urlencode({**dict(parse_qsl(query)), **changed})}"


def sign_on(kit: Kit) -> tuple[Browser, Answer]:
    browser, address = begin(kit)
    return browser, browser.get(at_provider(address), sec_fetch_site="cross-site")


def why(caplog: pytest.LogCaptureFixture) -> str:
    """What the operator finds in the log of the last sign-in."""
    return caplog.records[-1].getMessage()


def refused(browser: Browser, answer: Answer, status: int = 502) -> None:
    assert (answer.status, answer.location) == (status, "")
    assert browser.get("/account").location.startswith("/sign-in")


def test_groups_of_the_userinfo_give_roles_and_take_them_away(kit: Kit, provider: OidcProvider) -> None:
    browser, answer = sign_on(kit)
    assert answer.location == "/account", answer.text
    assert "ann@example.org" in browser.follow(answer).text
    assert roles(kit) == {kit.acme: "member"}
    provider.tell(account={**ANN, "groups": ["engineers", "leads", "platform"]})
    browser, answer = sign_on(kit)
    assert browser.get("/admin").status == 200
    assert roles(kit) == {kit.acme: "admin"}
    provider.tell(account={**ANN, "groups": []})
    assert sign_on(kit)[1].location == "/account"
    assert roles(kit) == {}


def test_who_is_not_let_in_by_a_group_or_has_no_verified_address_stays_out(kit: Kit, provider: OidcProvider) -> None:
    for account in ({**ANN, "groups": ["guests"]}, {**ANN, "email_verified": False}):
        provider.tell(account=account)
        refused(*sign_on(kit), status=403)
    with kit.store.read() as connection:
        assert persons.find_by_email(connection, "ann@example.org") is None


def test_a_key_that_is_new_since_the_last_sign_in_is_fetched(kit: Kit, provider: OidcProvider) -> None:
    assert sign_on(kit)[1].location == "/account"
    provider.tell(make={"key": "two"})
    made = kit.services.providers["oidc"]
    made._keys_at -= 1_000  # a minute later
    assert sign_on(kit)[1].location == "/account"


def test_tokens_of_another_issuer_expired_ones_and_another_nonce_are_refused(
    kit: Kit, provider: OidcProvider, caplog: pytest.LogCaptureFixture
) -> None:
    assert sign_on(kit)[1].location == "/account"  # from here on its metadata is known
    browser, address = begin(kit)
    back = at_provider(address)
    provider.tell(late=7_200)
    refused(browser, browser.get(back, sec_fetch_site="cross-site"))
    provider.tell(late=0)
    assert "ExpiredToken" in why(caplog)
    provider.tell(make={"key": "three"})
    kit.services.providers["oidc"]._keys_at -= 1_000
    browser, address = begin(kit)
    back = at_provider(with_query(address, nonce="a-nonce-of-somebody-else"))
    refused(browser, browser.get(back, sec_fetch_site="cross-site"))
    assert "nonce" in why(caplog)
    evil = "https://evil.example"
    provider.tell(make={"key": "four", "said": evil})
    kit.services.providers["oidc"]._keys_at -= 1_000
    browser, answer = sign_on(kit)
    refused(browser, answer, status=403)  # its `iss` parameter says so already (RFC 9207)
    browser, address = begin(kit)
    back = at_provider(address)
    assert f"&{urlencode({'iss': evil})}" in back
    back = back.replace(f"&{urlencode({'iss': evil})}", "")
    refused(browser, browser.get(back, sec_fetch_site="cross-site"))
    assert "iss" in why(caplog)


def test_a_provider_whose_metadata_name_another_issuer_is_not_used(kit: Kit, provider: OidcProvider) -> None:
    configure(kit, provider.issuer.replace("127.0.0.1", "localhost"))
    browser = kit.stranger()
    browser.get("/sign-in")
    assert browser.get("/sign-in/oidc").status == 502


def test_a_code_of_another_client_or_another_verifier_is_worth_nothing(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    for changed in ({"client_id": "another"}, {"code_challenge": "x" * 43}):
        browser, address = begin(kit)
        back = at_provider(with_query(address, **changed))
        refused(browser, browser.get(back, sec_fetch_site="cross-site"))
        assert "400" in why(caplog), "the provider has refused it"


def test_an_answer_is_good_once_and_in_its_own_browser(kit: Kit) -> None:
    browser, address = begin(kit)
    back = at_provider(address)
    other = kit.stranger()
    other.get("/sign-in")
    refused(other, other.get(back, sec_fetch_site="cross-site"), status=403)
    assert browser.get(back, sec_fetch_site="cross-site").location == "/account"
    again = browser.get(back, sec_fetch_site="cross-site")
    assert again.status in (403, 429)
