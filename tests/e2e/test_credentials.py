"""Keys of providers: several take turns, one that is refused or limited rests alone, and all can be replaced while calls
run. None of them is ever shown."""

from __future__ import annotations

import json
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fairlead.testing import Reply, ScriptedUpstream
from fairlead.testing.connection import Received, Wire

from .conftest import IN_ORDER, Served, eventually, fairlead, model, serving

HELLO: Any = [{"role": "user", "content": "Hello!"}]
SECRET = "hunter2correcthorsebatterystaple"  # in no vendor's shape: no pattern hides it by chance


class ByKey(ScriptedUpstream):
    """Answers 401 or 429 by the key that a call is sent with."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: dict[str, Reply] = {}
        self.keys: Counter[str] = Counter()

    async def answer(self, request: Received, wire: Wire) -> bool:
        key = request.headers["authorization"].removeprefix("Bearer ")
        self.keys[key] += 1
        if key in self.replies:
            self.enqueue(self.replies[key])
        return await super().answer(request, wire)


@pytest.fixture
def upstream() -> Iterator[ByKey]:
    with ByKey() as running:
        yield running


def config(upstream: ByKey, keys: str) -> str:
    return (
        IN_ORDER
        + f'[[providers]]\nid = "mock"\nbase_url = "{upstream.url}"\ndialect = "vllm"\n{keys}\n'
        + model()
        + model(name="second", upstream="other")
    )


def ask(served: Served, model_id: str = "mistral-small-3.2", **more: Any) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.post(
            served.url + "/v1/chat/completions",
            headers={"Authorization": f"Bearer {served.key}"},
            json={"model": model_id, "messages": HELLO, **more},
        )


def test_keys_take_turns_and_one_that_is_refused_or_limited_rests_alone(upstream: ByKey, tmp_path: Path) -> None:
    with serving(tmp_path, config(upstream, 'api_keys = ["key-a", "key-b", "key-c"]')) as served:
        for at in range(6):
            assert ask(served, stream=at % 2 == 0).status_code == 200
        assert upstream.keys == {"key-a": 2, "key-b": 2, "key-c": 2}
        upstream.keys.clear()
        upstream.replies = {
            "key-a": Reply(status=401),
            "key-b": Reply(status=429, headers={"retry-after": "3600"}),
        }
        for _ in range(6):
            assert ask(served).status_code == 200  # no caller sees anything of it
        assert upstream.keys == {"key-a": 1, "key-b": 1, "key-c": 6}
        upstream.keys.clear()
        assert ask(served, "second").status_code == 200
        assert ask(served, "second").status_code == 200
        assert not upstream.keys["key-a"]  # the provider refused it: it rests everywhere
        assert upstream.keys["key-b"] <= 1  # a rate limit is a deployment's
        receipt = served.data  # the records are those of calls that were served
        upstream.replies["key-c"] = Reply(status=429, headers={"retry-after": "1800"})
        refused = ask(served)
        assert refused.status_code in (429, 503)
        assert 1 <= int(refused.headers["retry-after"]) <= 1800
        assert receipt
    assert fairlead("verify", data=served.data).returncode == 0


def test_every_key_that_fails_is_tried_once_for_one_call(upstream: ByKey, tmp_path: Path) -> None:
    names = [f"key-{number}" for number in range(5)]
    upstream.replies = {name: Reply(status=429, headers={"retry-after": "0"}) for name in names}
    with serving(tmp_path, config(upstream, f"api_keys = {json.dumps(names)}")) as served:
        assert ask(served).status_code == 429
        assert len(upstream.requests) <= 7  # five keys, and the usual retry of a deployment
        assert set(upstream.keys) == set(names)


def test_a_key_in_a_file_is_replaced_while_calls_run(upstream: ByKey, tmp_path: Path) -> None:
    file = tmp_path / "provider-key"
    file.write_text("key-old\n")
    with serving(tmp_path, config(upstream, f'api_key = {{ file = "{file}" }}')) as served:
        assert ask(served).status_code == 200
        assert set(upstream.keys) == {"key-old"}
        new = tmp_path / "new"
        new.write_text("key-new\n")
        new.replace(file)
        eventually(lambda: ask(served).status_code == 200 and upstream.keys["key-new"] > 0)
        file.unlink()  # the last known one stays in use, and it is said once
        eventually(lambda: "cannot be read" in served.output)
        assert ask(served).status_code == 200
        file.write_text("key-newest\n")
        eventually(lambda: ask(served).status_code == 200 and upstream.keys["key-newest"] > 0)
    assert "key-" not in served.output.replace("provider-key", "")


def test_a_provider_that_refused_its_only_key_is_called_again_when_the_key_was_replaced(
    upstream: ByKey, tmp_path: Path
) -> None:
    file = tmp_path / "provider-key"
    file.write_text("key-old\n")
    upstream.replies["key-old"] = Reply(status=401)
    with ScriptedUpstream() as other:
        text = config(upstream, f'api_key = {{ file = "{file}" }}').replace(
            "[[models]]", f'[[providers]]\nid = "other"\nbase_url = "{other.url}"\ndialect = "vllm"\n[[models]]', 1
        )
        text = text.replace(
            'id = "second"',
            'id = "second"\n[[models.deployments]]\nprovider = "other"\nupstream_model = "x"\nprice = { input = "0.10", output = "0.30" }',
            1,
        )
        with serving(
            tmp_path,
            text.replace('provider = "mock"', 'provider = "mock"\npriority = 0').replace(
                'provider = "other"', 'provider = "other"\npriority = 5'
            ),
        ) as served:
            assert ask(served, "second").headers["x-fairlead-deployment"] == "other/x"
            assert ask(served, "second").headers["x-fairlead-deployment"] == "other/x"
            assert upstream.keys == {"key-old": 1}  # it rests
            file.write_text("key-new\n")
            eventually(lambda: ask(served, "second").headers["x-fairlead-deployment"] == "mock/other")


def test_a_command_prints_the_key_again_when_it_is_time(upstream: ByKey, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = tmp_path / "print-key"
    script.write_text(f"#!/bin/sh\necho run >> {count}\necho key-$(wc -l < {count} | tr -d ' ')\n")
    script.chmod(0o700)
    keys = f'api_key = {{ command = ["{script}"], refresh_seconds = 1 }}'
    with serving(tmp_path, config(upstream, keys)) as served:
        eventually(lambda: ask(served).status_code == 200 and len(upstream.keys) > 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sealed_credential_is_stored_used_and_replaced(upstream: ByKey, tmp_path: Path, workers: int) -> None:
    data = tmp_path / "data"

    def store(secret: str) -> str:
        return set_credential(data, "main", secret)

    assert store(SECRET) == "main was stored.\n"
    key_file = data / "seal.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    with serving(tmp_path, config(upstream, 'api_key = { sealed = "main" }'), workers=workers) as served:
        assert ask(served).status_code == 200
        assert set(upstream.keys) == {SECRET}
        assert store("key-new") == "main was replaced.\n"
        eventually(lambda: ask(served).status_code == 200 and upstream.keys["key-new"] > 0)
        upstream.keys.clear()
        # Every worker has it by then: each new connection may be another one's.
        eventually(lambda: all(ask(served).status_code == 200 for _ in range(8)) and not _cleared(upstream)[SECRET])
    listed = fairlead("credentials", "list", "--json", data=data)
    assert [one["name"] for one in json.loads(listed.stdout)] == ["main"]
    assert fairlead("credentials", "remove", "main", data=data).returncode == 0
    assert fairlead("credentials", "remove", "main", data=data).returncode == 1


def _cleared(upstream: ByKey) -> Counter[str]:
    found = upstream.keys.copy()
    upstream.keys.clear()
    return found


def set_credential(data: Path, name: str, secret: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", Piped(secret))
        done = fairlead("credentials", "set", name, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Piped:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._text + "\n"


def test_a_credential_is_nowhere_to_be_seen(upstream: ByKey, tmp_path: Path) -> None:
    """Not in answers to anybody, in pages, metrics, the log, the audit log or any file: neither is what the provider
    says of it."""
    data = tmp_path / "data"
    set_credential(data, "main", SECRET)
    file = tmp_path / "secrets" / "key"
    file.parent.mkdir()
    file.write_text("in-a-file-" + SECRET)
    keys = f'api_keys = [{{ sealed = "main" }}, {{ file = "{file}" }}, "{SECRET}-literal"]'
    said = f"Incorrect API key provided: {SECRET}. See also in-a-file-{SECRET}."
    error = Reply(status=401, body=json.dumps({"error": {"message": said}}), headers={"x-echo": SECRET})
    shown: list[str] = []
    with serving(tmp_path, config(upstream, keys)) as served, httpx2.Client(trust_env=False, timeout=60) as http:
        upstream.default = error
        for body in ({}, {"stream": True}, {"temperature": 9}):
            answer = ask(served, **body)
            shown += [str(answer.headers), answer.text]
        upstream.default = Reply(status=400, body=json.dumps({"error": {"message": said}}))
        answer = ask(served, "second")
        shown += [str(answer.headers), answer.text]
        head = {"Authorization": f"Bearer {served.key}"}
        for path in (
            "/", "/models", "/status", "/metrics", "/readyz", "/healthz", "/v1/models", "/v1/key", "/openapi.json",
            "/v1/model/info", "/models/mistral-small-3.2", "/api/v1/models", "/status.json",
        ):  # fmt: skip
            answer = http.get(served.url + path, headers=head)
            shown += [path, str(answer.headers), answer.text]
        plan = http.post(served.url + "/v1/plan", headers=head, json={"model": "second", "messages": HELLO})
        shown.append(plan.text)
    shown.append(served.output)
    for command in (("credentials", "list"), ("credentials", "list", "--json"), ("usage", "export"), ("verify",)):
        done = fairlead(*command, data=data)
        shown += [done.stdout, done.stderr]
    for place in shown:
        assert SECRET not in place
    for stored in data.rglob("*"):
        if stored.name == "in-force.toml":  # the operator's file as it is, for its owner alone
            assert stat.S_IMODE(stored.stat().st_mode) == 0o600
        elif stored.is_file():
            assert SECRET.encode() not in stored.read_bytes(), stored


def test_a_thousand_calls_at_once_share_the_keys(upstream: ByKey, tmp_path: Path) -> None:
    names = [f"key-{number}" for number in range(4)]
    with serving(tmp_path, config(upstream, f"api_keys = {json.dumps(names)}")) as served:
        upstream.replies["key-0"] = Reply(status=429, headers={"retry-after": "3600"})
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.extend(ask(served).status_code for _ in range(10))) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert found == [200] * 200
        assert upstream.keys["key-0"] <= 20  # those that were under way when it was refused
