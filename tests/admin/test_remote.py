"""What a configuration document that comes over HTTP may not add."""

from __future__ import annotations

import json

import pytest
from tests.http.test_guard import PRIVATE

from fairlead.admin.remote import check_remote
from fairlead.errors import ConfigurationError, Forbidden


def names(*found: str) -> object:
    return lambda _host, _port: list(found)


def itself(host: str, _port: int) -> list[str]:
    return [host if host.replace(".", "").isdigit() or ":" in host else "8.8.8.8"]


def document(url: str, more: str = "", rest: str = "") -> str:
    return f'{more}[[providers]]\nid = "p"\nbase_url = {json.dumps(url)}\n{rest}'


@pytest.mark.parametrize("url", PRIVATE)
def test_a_provider_in_a_private_network_is_not_added_over_http(url: str) -> None:
    with pytest.raises((Forbidden, ConfigurationError)):
        check_remote(document(url), "document", "", itself)


def test_a_name_that_leads_to_a_private_address_is_not_added() -> None:
    for found in (("10.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::ffff:10.0.0.1",), ()):
        with pytest.raises(Forbidden, match="Somebody on the server can"):
            check_remote(document("https://llm.example.org/v1"), "document", "", names(*found))  # type: ignore[arg-type]
    check_remote(document("https://llm.example.org/v1"), "document", "", names("8.8.8.8"))  # type: ignore[arg-type]


def test_what_is_in_force_stays_and_owners_allow_networks() -> None:
    private = "http://10.1.2.3:8000/v1"
    check_remote(document(private, rest="max_connections = 5\n"), "document", document(private), itself)
    allowed = '[configuration]\nallow_networks = ["10.0.0.0/8"]\n'
    check_remote(document(private, allowed), "document", allowed, itself)
    with pytest.raises(Forbidden):
        check_remote(document("http://192.168.1.1/v1", allowed), "document", allowed, itself)
    with pytest.raises((Forbidden, ConfigurationError)):  # clouds hand out credentials there
        wide = '[configuration]\nallow_networks = ["0.0.0.0/0"]\n'
        check_remote(document("http://169.254.169.254/v1", wide), "document", wide, itself)


@pytest.mark.parametrize(
    "text",
    [
        '[configuration]\nallow_networks = ["10.0.0.0/8"]\n',
        '[alerts]\nallow_networks = ["10.0.0.0/8"]\n',
        '[alerts]\nemail = { to = ["a@example.org"], smtp = { host = "10.0.0.1" } }\n',
        '[telemetry]\notlp_endpoint = "http://127.0.0.1:4318"\n',
        '[telemetry]\notlp_headers = { x = { env = "FAIRLEAD_SEAL_KEY" } }\n',
        '[telemetry]\notlp_headers = { x = { env = "FAIRLEAD_DATABASE_URL" } }\n',
    ],
)
def test_nobody_opens_private_networks_or_sends_our_own_secrets_elsewhere_over_http(text: str) -> None:
    with pytest.raises(Forbidden, match="Somebody on the server can"):
        check_remote(text, "document", "", itself)
    check_remote(text, "document", text, itself)  # it was there before
    check_remote("", "document", "[of_a_newer_release]\n", itself)
