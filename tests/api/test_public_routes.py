"""What needs no key still refuses one that is no good, and what is not for everybody has an address of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Served, eventually, fairlead, model, provider, serving
from tests.e2e.test_chat import raw
from tests.e2e.test_limits import key_id

CONFIG = provider("http://127.0.0.1:9/v1") + model()
PUBLIC = (
    "/v1/models",
    "/v1/models?all=true",
    "/v1/models/mistral-small-3.2",
    "/v1/models/mistral-small-3.2/performance",
    "/v1/models/mistral-small-3.2/endpoints",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("public"), CONFIG) as running:
        yield running


@pytest.mark.parametrize("path", PUBLIC)
def test_no_key_and_a_good_key_are_answered_and_a_bad_one_is_refused(served: Served, path: str) -> None:
    assert raw(served, "GET", path)[0] == 200
    assert raw(served, "GET", path, Authorization=f"Bearer {served.key}")[0] == 200
    for bad in ("Bearer sk-fl-nobody", f"Basic {served.key}", f"Bearer {served.key}x", "Bearer "):
        status, headers, body = raw(served, "GET", path, Authorization=bad)
        assert status == 401, bad
        assert headers["www-authenticate"] == "Bearer"
        assert b'"code":"invalid_api_key"' in body


def test_a_key_that_has_ended_or_is_of_another_network_is_refused(served: Served) -> None:
    def key(*options: str) -> str:
        made = fairlead("keys", "create", "--name", "one", *options, data=served.data)
        assert made.returncode == 0, made.stderr
        return made.stdout.split()[-1]

    ended = key("--expires", "1h")
    assert fairlead("keys", "set", key_id(served, ended), "--expires", "2020-01-01", data=served.data).returncode == 0
    foreign, good = key("--network", "192.0.2.0/24"), key("--network", "127.0.0.0/8")
    eventually(lambda: raw(served, "GET", "/v1/models", Authorization=f"Bearer {good}")[0] == 200)
    for path in PUBLIC:
        assert raw(served, "GET", path, Authorization=f"Bearer {foreign}")[0] == 403
        eventually(lambda path=path: raw(served, "GET", path, Authorization=f"Bearer {ended}")[0] == 401)  # type: ignore[misc]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def at(served: Served, port: int) -> Served:
    """The same server by another port."""
    other = object.__new__(Served)
    other.url = f"http://127.0.0.1:{port}"
    return other


STATUS = ("/status", "/status.json", "/status.md", "/status.atom")


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_and_the_status_page_can_have_an_address_of_their_own(tmp_path: Path, workers: int) -> None:
    port = free_port()
    config = f'[server]\nmetrics = "127.0.0.1:{port}"\nstatus = "127.0.0.1:{port}"\n' + CONFIG
    with serving(tmp_path, config, workers=workers) as served:
        private = at(served, port)
        for path in ("/metrics", *STATUS):
            assert raw(served, "GET", path)[0] == 404, path
            assert raw(private, "GET", path)[0] == 200, path
        assert b"fairlead_ready" in raw(private, "GET", "/metrics")[2]
        page = raw(private, "GET", "/status", Accept="text/html")[2].decode()
        assert 'href="/status"' in page
        for path in ("/", "/sitemap.xml", "/llms.txt"):
            assert "/status" not in raw(served, "GET", path, Accept="text/html")[2].decode(), path
        assert raw(private, "GET", "/v1/models")[0] == 404, "the API is not there"
        assert raw(private, "POST", "/v1/chat/completions", b"{}", Authorization=f"Bearer {served.key}")[0] == 404
        assert "/metrics" not in raw(served, "GET", "/openapi.json")[2].decode()


def test_metrics_and_the_status_page_can_be_closed(tmp_path: Path) -> None:
    with serving(tmp_path, '[server]\nmetrics = "closed"\nstatus = "closed"\n' + CONFIG) as served:
        for path in ("/metrics", *STATUS):
            assert raw(served, "GET", path)[0] == 404, path
        assert raw(served, "GET", "/models")[0] == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_taken_is_told_at_the_start(tmp_path: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "c.toml"
        file.write_text(f'[server]\nmetrics = "127.0.0.1:{port}"\n' + CONFIG)
        done = fairlead(
            "serve", "--no-engine", "--port", "0", "--config", str(file), "--workers", workers, data=tmp_path / "data"
        )
    assert done.returncode != 0
    assert f"127.0.0.1:{port} is in use by another program" in done.stderr
    assert "Traceback" not in done.stderr
