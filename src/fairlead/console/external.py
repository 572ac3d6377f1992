"""Providers of sign-ins: OpenID Connect (code flow with PKCE) and GitHub, fetched by the guarded client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from fairlead.admin.identities import Claimed, Rules, names_of
from fairlead.console.forms import next_page
from fairlead.errors import Forbidden, InvalidRequest
from fairlead.http.guard import Guard
from fairlead.http.guarded import NotAnswered, ask
from fairlead.people.identities import Identity
from fairlead.settings import ConsoleSettings, GithubSettings, OidcSettings

# How long somebody has to sign in at the provider.
STATE_SECONDS: Final = 900
# How long what a provider publishes of itself is kept, and how soon its keys are read again when one is missing.
METADATA_SECONDS: Final = 3_600.0
KEYS_SECONDS: Final = 60.0
# How far clocks may be apart.
LEEWAY_SECONDS: Final = 60
# Signatures by a public key: no "none", and no HMAC, whose key would be the client's secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
FAILED: Final = "The provider could not be asked who you are. Try again; the operator finds the reason in the log."
STALE: Final = "This sign-in was begun in another browser, or too long ago. Begin again."


class Begun(NamedTuple):
    """What a sign-in elsewhere hangs together by. All of it is made of `state` and the cookie of the browser, so
    nothing is stored, and nobody else's answer fits."""

    state: str
    nonce: str
    verifier: str
    next: str

    @property
    def challenge(self) -> str:
        """Of PKCE (RFC 7636)."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


def begin(token: str, to: str) -> Begun:
    plain = secrets.token_bytes(16) + int(time.time()).to_bytes(8, "big") + to.encode()
    return _begun(token, _text(plain), to)


def again(token: str, state: str) -> Begun:
    """The same when the browser comes back. Raises Forbidden."""
    plain, _, _mac = state[:4_000].partition(".")
    try:
        raw = base64.urlsafe_b64decode(plain + "==")
        made, to = int.from_bytes(raw[16:24], "big"), raw[24:].decode()
    except ValueError:
        raise Forbidden(STALE) from None
    found = _begun(token, plain, next_page(to))
    if not hmac.compare_digest(found.state.encode(), state.encode("utf-8", "surrogatepass")):
        raise Forbidden(STALE)
    if not 0 <= time.time() - made <= STATE_SECONDS:
        raise Forbidden(STALE)
    return found


def _begun(token: str, plain: str, to: str) -> Begun:
    def derived(what: str) -> str:
        key = hashlib.sha256(b"fairlead sign-in\0" + token.encode()).digest()
        return _text(hmac.digest(key, f"{what}\0{plain}".encode(), "sha256"))

    return Begun(f"{plain}.{derived('state')}", derived("nonce"), derived("verifier"), to)


class Problem(Exception):
    """What went wrong at a provider, for the log: never a token or a secret."""


@dataclass(slots=True)
class Oidc:
    """A provider of OpenID Connect. `secret`: of this client there."""

    settings: OidcSettings
    _metadata: Mapping[str, Any] = field(default_factory=dict)
    _metadata_at: float = 0.0
    _keys: Any = None
    _keys_at: float = 0.0

    async def address(self, begun: Begun, callback: str, *, prompt: bool) -> str:
        """Where the browser is sent. Raises Problem."""
        metadata = await self._about()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self.settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
        }
        if prompt:
            query |= {"prompt": "login", "max_age": "0"}
        return _with(str(metadata["authorization_endpoint"]), query)

    async def claimed(self, begun: Begun, code: str, callback: str, secret: str) -> Claimed:
        """Who somebody is, by the code that they came back with. Raises Problem."""
        metadata = await self._about()
        answer = await _token(
            self._guard(), str(metadata["token_endpoint"]), self.settings.client_id, secret, begun, code, callback
        )
        claims = await self._verified(str(answer.get("id_token", "")), begun.nonce)
        more: Mapping[str, Any] = {}
        if "email" not in claims and "userinfo_endpoint" in metadata and "access_token" in answer:
            more = await _json(
                self._guard(), "GET", str(metadata["userinfo_endpoint"]),
                {"authorization": f"Bearer {answer['access_token']}"},
            )  # fmt: skip
            if more.get("sub") != claims["sub"]:
                raise Problem("the userinfo is of somebody else")
        told = {**more, **claims}
        return Claimed(
            Identity(self.settings.issuer, str(told["sub"])[:255]),
            str(told.get("email", "")),
            told.get("email_verified") is True,
            str(told.get("name") or told.get("preferred_username") or ""),
            names_of(told.get(self.settings.groups_claim)),
        )

    def rules(self, console: ConsoleSettings) -> Rules:
        return Rules(self.settings.groups, frozenset(self.settings.operators), console)

    def _guard(self) -> Guard:
        return Guard([ip_network(one) for one in self.settings.allow_networks])

    async def _about(self) -> Mapping[str, Any]:
        """Its metadata (OpenID Connect Discovery)."""
        if not self._metadata or time.monotonic() - self._metadata_at > METADATA_SECONDS:
            url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = await _json(self._guard(), "GET", url, {})
            if found.get("issuer") != self.settings.issuer:
                raise Problem("its metadata names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(found.get(name), str):
                    raise Problem(f"its metadata has no {name}")
            self._metadata, self._metadata_at = found, time.monotonic()
        return self._metadata

    async def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token (OpenID Connect Core 3.1.3.7)."""
        from joserfc import jwt
        from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError

        try:
            keys = await self._key_set()
            try:
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            except InvalidKeyIdError:
                keys = await self._key_set(fresh=True)
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            rules = jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                sub={"essential": True},
                aud={"essential": True, "value": self.settings.client_id},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            rules.validate(decoded.claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            claim = f": {error.claim}" if isinstance(error, ClaimError) else ""
            raise Problem(f"its ID token is not valid ({type(error).__name__}{claim})") from None
        audience = decoded.claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and decoded.claims.get("azp") != self.settings.client_id:
            raise Problem("its ID token is for another client")
        return decoded.claims

    async def _key_set(self, *, fresh: bool = False) -> Any:
        from joserfc.jwk import KeySet

        age = time.monotonic() - self._keys_at
        if self._keys is None or age > METADATA_SECONDS or (fresh and age > KEYS_SECONDS):
            found = await _json(self._guard(), "GET", str((await self._about())["jwks_uri"]), {})
            self._keys, self._keys_at = KeySet.import_key_set(found), time.monotonic()  # type: ignore[arg-type]
        return self._keys


@dataclass(slots=True)
class Github:
    """GitHub, whose sign-in is OAuth without OpenID Connect."""

    settings: GithubSettings

    async def address(self, begun: Begun, callback: str, *, prompt: bool) -> str:
        query = {
            "client_id": self.settings.client_id,
            "redirect_uri": callback,
            "scope": "read:user user:email" + (" read:org" if self.settings.groups or self.settings.operators else ""),
            "state": begun.state,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
        }
        if prompt:
            query["prompt"] = "select_account"
        return _with(self.settings.url.rstrip("/") + "/login/oauth/authorize", query)

    async def claimed(self, begun: Begun, code: str, callback: str, secret: str) -> Claimed:
        """Raises Problem."""
        guard = Guard([ip_network(one) for one in self.settings.allow_networks])
        url = self.settings.url.rstrip("/") + "/login/oauth/access_token"
        answer = await _token(guard, url, self.settings.client_id, secret, begun, code, callback, in_form=True)
        head = {
            "authorization": f"Bearer {answer.get('access_token', '')}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
        }
        api = self.settings.api_url.rstrip("/")
        user = await _json(guard, "GET", f"{api}/user", head)
        if not isinstance(user.get("id"), int):
            raise Problem("its answer has no user")
        emails = await _list(guard, f"{api}/user/emails", head)
        email = next((str(one["email"]) for one in emails if one.get("primary") and one.get("verified")), "")
        groups: set[str] = set()
        if self.settings.groups or self.settings.operators:
            groups |= {str(one.get("login")) for one in await _list(guard, f"{api}/user/orgs?per_page=100", head)}
            for one in await _list(guard, f"{api}/user/teams?per_page=100", head):
                groups.add(f"{one.get('organization', {}).get('login')}/{one.get('slug')}")
        name = str(user.get("name") or user.get("login") or "")
        return Claimed(Identity("github", str(user["id"])), email, bool(email), name, frozenset(groups))

    def rules(self, console: ConsoleSettings) -> Rules:
        return Rules(self.settings.groups, frozenset(self.settings.operators), console)


async def _token(
    guard: Guard,
    url: str,
    client_id: str,
    secret: str,
    begun: Begun,
    code: str,
    callback: str,
    *,
    in_form: bool = False,
) -> Mapping[str, Any]:
    """What a code is worth. Raises Problem."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "code_verifier": begun.verifier,
    }
    head = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    if in_form:
        fields |= {"client_id": client_id, "client_secret": secret}
    else:  # RFC 6749 2.3.1: both are encoded as in a form
        pair = "&".join(urlencode({"x": one})[2:] for one in (client_id, secret)).replace("&", ":")
        head["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return await _json(guard, "POST", url, head, urlencode(fields).encode())


async def _list(guard: Guard, url: str, headers: Mapping[str, str]) -> list[Mapping[str, Any]]:
    found = await _fetched(guard, "GET", url, headers)
    if not isinstance(found, list):
        raise Problem("its answer is no list")
    return [one for one in found if isinstance(one, dict)]


async def _json(
    guard: Guard, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
) -> Mapping[str, Any]:
    found = await _fetched(guard, method, url, headers, body)
    if not isinstance(found, dict):
        raise Problem("its answer is no JSON object")
    return found


async def _fetched(guard: Guard, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Any:
    try:
        answer = await ask(guard, method, url, {"accept": "application/json", **headers}, body)
    except NotAnswered as error:
        raise Problem(str(error)) from None
    if answer.status != 200:
        raise Problem(f"it answered {answer.status}")
    try:
        return json.loads(answer.body)
    except ValueError:
        raise Problem("its answer is no JSON") from None


def _with(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def checked_code(code: str) -> str:
    """Raises InvalidRequest."""
    if not 0 < len(code) <= 4_096 or not code.isprintable():
        raise InvalidRequest("The provider sent no code.")
    return code
