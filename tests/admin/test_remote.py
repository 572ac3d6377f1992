"""What a configuration document that comes over HTTP may not add."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec import structs
from tests.http.test_guard import PRIVATE

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply, current, rollback
from fairlead.admin.remote import check_remote
from fairlead.compose.version import version_of
from fairlead.errors import ConfigurationError, Forbidden, UpstreamUnreachable
from fairlead.http.connect import Address, connect
from fairlead.http.guard import Guard
from fairlead.settings import parse_settings
from fairlead.store import open_store


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


def test_an_address_that_came_over_http_is_checked_at_each_connection(tmp_path: Path) -> None:
    """Names change after they were checked (DNS rebinding)."""
    public, kept, own = (document(f"http://{host}/v1") for host in ("rebound.example", "8.8.8.8", "gpu1:8000"))
    store = open_store(tmp_path)
    alice = Actor("management key", "mgmt_1")
    apply(store, own, "document", Submission(alice))
    assert current(store).guarded == frozenset(), "somebody on the server has chosen it"
    apply(store, kept, "document", Submission(alice, on_server=False))
    assert current(store).guarded == {"http://8.8.8.8/v1"}
    apply(store, kept + "max_connections = 5\n", "document", Submission(alice, on_server=False))
    assert current(store).guarded == {"http://8.8.8.8/v1"}, "it is kept"
    rollback(store, 1, Submission(alice))
    assert current(store).guarded == frozenset()
    rollback(store, 2, Submission(alice))
    assert current(store).guarded == {"http://8.8.8.8/v1"}
    apply(store, kept, "document", Submission(alice))
    assert current(store).guarded == frozenset()
    store.close()
    settings = structs.replace(parse_settings(public, "document"), guarded=frozenset({"http://rebound.example/v1"}))
    assert version_of(settings, ()).reaches["p"].pool.address.allows is not None
    assert version_of(parse_settings(public, "document"), ()).reaches["p"].pool.address.allows is None


def test_a_name_that_leads_to_a_private_address_by_now_is_not_connected_to() -> None:
    async def story() -> None:
        address = Address("localhost", 9, allows=Guard().allows)
        with pytest.raises(UpstreamUnreachable, match="private address"):
            await connect(asyncio.get_running_loop(), asyncio.Protocol, address, None)

    asyncio.run(story())
