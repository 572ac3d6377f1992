"""A gateway, and its management API as a script calls it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.conftest import AT_ONCE, Served, fairlead, model, provider, serving
from tests.e2e.test_chat import post, raw

from fairlead.testing import ScriptedUpstream


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def data(self) -> Any:
        return self.body["data"]


class Api:
    """`served`: the gateway; `key`: a management key with every scope."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.key = self.new_key("read", "keys", "money", "configuration", "people")

    def new_key(self, *scopes: str, account: str | None = None, expires: str | None = None) -> str:
        """A management key, made by the command line."""
        more = [part for scope in scopes for part in ("--scope", scope)]
        more += [] if account is None else ["--account", account]
        more += [] if expires is None else ["--expires", expires]
        return self.run("management-keys", "create", "--name", "+".join(scopes), *more).splitlines()[-1]

    def run(self, *arguments: str) -> str:
        done = fairlead(*arguments, data=self.served.data, database=self.served.database)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answered:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        key = self.key if key is None else key
        sent = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        status, got, text = raw(self.served, method, path, data, **sent)
        return Answered(status, got, json.loads(text) if text else None)

    def chat(self, key: str | None = None, model_id: str = "mistral-small-3.2") -> tuple[int, dict[str, str], Any]:
        body = {"model": model_id, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        return post(self.served, body, key)


@contextlib.contextmanager
def patched_environment(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def gateway(tmp: Path, database: str | None = None, workers: int = 1) -> Iterator[Api]:
    seal_key = base64.b64encode(bytes(32)).decode()  # nodes with one database need one
    with (
        patched_environment(FAIRLEAD_SEAL_KEY=seal_key),
        ScriptedUpstream() as upstream,
        serving(tmp, AT_ONCE + provider(upstream.url) + model(), database=database, workers=workers) as served,
    ):
        yield Api(served)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One gateway for all tests of a module: what they make is their own."""
    yield from gateway(tmp_path_factory.mktemp("management"))


@pytest.fixture
def fresh(tmp_path: Path, database_url: str | None) -> Iterator[Api]:
    """A gateway of one test, with SQLite and with PostgreSQL."""
    yield from gateway(tmp_path, database_url)
