"""A provider of OpenID Connect in a thread: Authlib's authorization server, with PKCE, nonces and signed ID tokens. All who
come are signed in as `user` at once. GitHub's endpoints are beside it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "fairlead", "a-client-secret"


class Client:
    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return urlsplit(uri).path in ("/sign-in/oidc/callback", "/sign-in/github/callback")

    def check_client_secret(self, secret: str) -> bool:
        return secret == SECRET

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind == "authorization_code"


class Code:
    def __init__(self, request: Any) -> None:
        data = request.payload.data
        self.redirect_uri, self.scope, self.nonce = (
            request.payload.redirect_uri,
            request.payload.scope,
            data.get("nonce"),
        )
        self.code_challenge, self.code_challenge_method = data.get("code_challenge"), data.get("code_challenge_method")
        self.user = request.user

    def get_redirect_uri(self) -> str:
        return str(self.redirect_uri)

    def get_scope(self) -> str:
        return str(self.scope)

    def get_nonce(self) -> Any:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class Request(OAuth2Request):
    def __init__(self, method: str, url: str, headers: dict[str, str], fields: dict[str, str]) -> None:
        super().__init__(method, url, headers=headers)
        self.payload = BasicOAuth2Payload(fields)
        self._fields = fields

    @property
    def args(self) -> dict[str, str]:
        return self._fields

    @property
    def form(self) -> dict[str, str]:
        return self._fields


class IdentityProvider:
    """`user`: the claims of who signs in next; `forge(claims)`: changes an ID token before it is signed; `key`: signs."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {}
        self.orgs: list[str] = []
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published = [self.key]
        self.forge: Any = lambda claims: claims
        self.codes: dict[str, Code] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.issuer = self.url
        self.server = _server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, headers: dict[str, str], body: str) -> tuple[int, str, list[Any]]:
        parts = urlsplit(target)
        fields = dict(parse_qsl(body or parts.query))
        request = Request(method, self.url + target, headers, fields)
        match parts.path:
            case "/.well-known/openid-configuration":
                ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                found = {"issuer": self.issuer, **{name: f"{self.url}/{path}" for name, path in ends.items()}}
                return 200, json.dumps(found), []
            case "/keys":
                return 200, json.dumps(KeySet(self.published).as_dict(private=False)), []
            case "/authorize":
                grant = self.server.get_authorization_grant(request)
                return self.server.create_authorization_response(request, self.user, grant)  # type: ignore[no-any-return]
            case "/token":
                return self.server.create_token_response(request)  # type: ignore[no-any-return]
            case "/login/oauth/authorize":
                code = secrets.token_urlsafe(8)
                request.user = self.user
                self.codes[code] = Code(request)
                return 302, "", [("Location", f"{fields['redirect_uri']}?code={code}&state={fields['state']}")]
            case "/login/oauth/access_token":
                good = fields["client_secret"] == SECRET and self.codes.pop(fields["code"], None) is not None
                return 200, json.dumps({"access_token": "gho_x"} if good else {"error": "bad_verification_code"}), []
            case "/user":
                return 200, json.dumps({"id": self.user["id"], "login": "octo", "name": self.user.get("name")}), []
            case "/user/emails":
                mail = {"email": self.user["email"], "primary": True, "verified": self.user["email_verified"]}
                return 200, json.dumps([{"email": "other@example.org", "primary": False, "verified": True}, mail]), []
            case "/user/orgs":
                return 200, json.dumps([{"login": one} for one in self.orgs]), []
            case "/user/teams":
                return 200, json.dumps([{"slug": "ops", "organization": {"login": one}} for one in self.orgs]), []
        return 404, "{}", []


def _server(provider: IdentityProvider) -> AuthorizationServer:
    class Server(AuthorizationServer):  # type: ignore[misc]
        def query_client(self, client_id: str) -> Client | None:
            return Client() if client_id == CLIENT else None

        def save_token(self, token: dict[str, Any], request: Any) -> None:
            provider.tokens[token["access_token"]] = request.user

        def create_oauth2_request(self, request: Any) -> Any:
            return request

        def handle_response(self, status: int, body: Any, headers: Any) -> Any:
            return status, body if isinstance(body, str) else json.dumps(body), headers

        def send_signal(self, *_: Any, **__: Any) -> None:
            return

    class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

        def save_authorization_code(self, code: str, request: Any) -> None:
            provider.codes[code] = Code(request)

        def query_authorization_code(self, code: str, _client: Any) -> Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, code: Code) -> None:
            provider.codes = {name: one for name, one in provider.codes.items() if one is not code}

        def authenticate_user(self, code: Code) -> dict[str, Any]:
            return dict(code.user)

    class OpenId(OpenIDCode):  # type: ignore[misc]
        def exists_nonce(self, nonce: str, _request: Any) -> bool:
            return any(one.nonce == nonce for one in provider.codes.values())

        def get_client_claims(self, _client: Any) -> dict[str, Any]:
            return {"iss": provider.issuer, "aud": [CLIENT]}

        def generate_user_info(self, user: dict[str, Any], _scope: str) -> UserInfo:
            return UserInfo(user)

        def encode_id_token(self, token: Any, request: Any) -> str:
            claims = self.get_compatible_claims(request)
            claims.update(self.get_authorization_code_claims(request.authorization_code))
            claims.update(self.generate_user_info(request.user, token["scope"]))
            return jwt.encode({"alg": "RS256", "kid": "one"}, provider.forge(dict(claims)), provider.key, ["RS256"])

    made = Server(scopes_supported=["openid", "email", "profile"])
    made.register_token_generator("default", BearerTokenGenerator(lambda **_: secrets.token_urlsafe(16)))
    made.register_grant(Grant, [OpenId(require_nonce=True), CodeChallenge(required=True)])
    return made


def _handler(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("GET", "")

        def do_POST(self) -> None:
            self.answer("POST", self.rfile.read(int(self.headers["content-length"])).decode())

        def answer(self, method: str, body: str) -> None:
            status, text, headers = provider.answer(
                method, self.path, {name.title(): value for name, value in self.headers.items()}, body
            )
            self.send_response(status)
            for name, value in headers:
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            return

    return Handler
