"""Sessions and users that callers name: in the record, the receipt and the export, never at the provider; and digests
of what came in and what was sent."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from .test_disconnects import receipt_of

CHAT, CLAUDE, GEMINI, RESPONSES = "open-x", "claude-x", "gemini-x", "gpt-x"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    config = AT_ONCE
    dialects = {CHAT: "generic", CLAUDE: "anthropic", GEMINI: "gemini", RESPONSES: "openai-responses"}
    for name, dialect in dialects.items():
        config += provider(upstream.url, name=f"p-{name}", dialect=dialect)
        config += (
            f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "p-{name}"\nupstream_model = "{name}-up"\n'
            'price = { input = "1", output = "2" }\n'
        )
    with serving(tmp_path_factory.mktemp("sessions"), config) as served:
        yield served


def post(served: Served, path: str, body: bytes, **headers: str) -> tuple[int, str, bytes]:
    """Status, generation id and body."""
    lines = {
        "authorization": f"Bearer {served.key}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        connection.request("POST", path, body, lines)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("x-fairlead-generation-id", ""), answer.read()
    finally:
        connection.close()


def chat(**members: Any) -> bytes:
    return json.dumps({"model": CHAT, "messages": [{"role": "user", "content": "Hi"}], **members}).encode()


def asked(name: str) -> tuple[str, bytes]:
    """A path and a body."""
    if name == CLAUDE:
        return "/v1/messages", json.dumps(
            {"model": CLAUDE, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        ).encode()
    if name == GEMINI:
        return f"/v1beta/models/{GEMINI}:generateContent", b'{ "contents": [{"parts": [{"text": "Hi"}]}] }'
    return "/v1/responses", json.dumps({"model": RESPONSES, "input": "Hi"}).encode()


@pytest.mark.parametrize(
    ("members", "headers", "session", "user"),
    [
        ({}, {}, None, None),
        ({"user": "u-1"}, {}, None, "u-1"),
        ({"session_id": "s-1", "prompt_cache_key": "k"}, {}, "s-1", None),
        ({"prompt_cache_key": "k"}, {}, "k", None),
        ({"user": "u-1"}, {"x_openwebui_user_id": "w-1", "x_openwebui_user_email": "a@b.c"}, None, "w-1"),
        ({"session_id": "s-1"}, {"session_id": "codex"}, "codex", None),
        ({}, {"x_claude_code_session_id": "c-1"}, "c-1", None),
    ],
)
def test_whose_a_call_is_stands_in_its_receipt(
    served: Served, upstream: ScriptedUpstream, members: Any, headers: Any, session: str | None, user: str | None
) -> None:
    status, name, _ = post(served, "/v1/chat/completions", chat(**members), **headers)
    assert status == 200
    receipt = receipt_of(served, name)
    assert (receipt["session"], receipt["user"], receipt["digests"]) == (session, user, None)
    sent = upstream.requests[-1]
    assert "session_id" not in sent.json, "it is for the gateway"
    assert sent.json.get("user") == members.get("user"), "a parameter of the API goes on as one"
    assert not [line for line in sent.headers if "session" in line or "openwebui" in line or "claude" in line]


# What clients say of themselves, their sessions and their users (Claude Code, Codex, opencode, Open WebUI, SDKs).
OF_CLIENTS = {
    name: f"secret-{at}"
    for at, name in enumerate((
        "x_claude_code_session_id", "x_claude_code_agent_id", "x_claude_code_parent_agent_id", "session_id", "thread_id",
        "x_client_request_id", "x_codex_window_id", "x_codex_turn_metadata", "x_codex_beta_features", "originator",
        "x_session_affinity", "x_session_id", "x_openwebui_user_id", "x_openwebui_user_email", "x_openwebui_user_name",
        "x_openwebui_user_role", "x_openwebui_chat_id", "x_stainless_lang", "x_app", "x_title", "http_referer", "cookie",
        "user_agent", "x_forwarded_for",
    ))
}  # fmt: skip


@pytest.mark.parametrize("model", [CHAT, CLAUDE, GEMINI, RESPONSES])
@pytest.mark.parametrize("door", [CHAT, CLAUDE, GEMINI, RESPONSES])
def test_no_provider_learns_what_clients_say_of_themselves(
    served: Served, upstream: ScriptedUpstream, door: str, model: str
) -> None:
    path, body = ("/v1/chat/completions", chat()) if door == CHAT else asked(door)
    path, body = path.replace(door, model), body.replace(door.encode(), model.encode())
    status, name, _ = post(served, path, body, **OF_CLIENTS)
    assert status == 200
    sent = upstream.requests[-1]
    assert not [line for line, value in sent.headers.items() if "secret-" in value], sent.headers
    assert b"secret-" not in sent.body
    receipt = receipt_of(served, name)
    assert receipt["session"].startswith("secret-")
    assert receipt["user"] == OF_CLIENTS["x_openwebui_user_id"]


def test_claude_codes_metadata_names_a_user(served: Served) -> None:
    path, body = asked(CLAUDE)
    long = json.dumps({"device_id": "d" * 100, "session_id": "s" * 60})
    for given, shown in (("u-1", "u-1"), (long, "sha256:")):
        _, name, _ = post(served, path, body[:-1] + b',"metadata":%b}' % json.dumps({"user_id": given}).encode())
        assert receipt_of(served, name)["user"].startswith(shown)


def test_failed_calls_and_those_that_are_counted_have_it_too(served: Served, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(status=500))
    _, failed, _ = post(served, "/v1/chat/completions", chat(), session_id="odd")
    upstream.enqueue(Reply(fault=Fault.MISSING_USAGE))
    eventually(lambda: post(served, "/v1/chat/completions", chat())[0] == 200)
    upstream.enqueue(Reply(fault=Fault.MISSING_USAGE))
    _, counted, _ = post(served, "/v1/chat/completions", chat(), session_id="odd")
    for name in (failed, counted):
        assert receipt_of(served, name)["session"] == "odd"


def test_an_export_by_session(served: Served) -> None:
    names = [post(served, "/v1/chat/completions", chat(user="=cmd()"), session_id="export")[1] for _ in range(3)]
    receipt_of(served, names[-1])
    found = fairlead("usage", "export", "--format", "jsonl", "--session", "export", data=served.data)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["id"] for row in rows] == names
    assert {(row["session"], row["user"]) for row in rows} == {("export", "=cmd()")}
    table = fairlead("usage", "export", "--session", "export", data=served.data).stdout
    assert "'=cmd()" in table, "no formula"
    with closing(sqlite3.connect(served.data / "fairlead.db")) as database:
        kept = database.execute("SELECT count(*) FROM call_sessions WHERE session = 'export'").fetchone()
    assert kept == (3,)
    assert fairlead("verify", data=served.data).returncode == 0


def test_hostile_names(served: Served) -> None:
    for value in ("x" * 10_000, "a\x00b", "\ud800", "'; DROP TABLE usage_records; --", "\u202e"):
        status, name, _ = post(served, "/v1/chat/completions", chat(user=value, session_id=value))
        assert status in (200, 400)
        if status == 200:
            assert len(receipt_of(served, name)["session"]) <= 128
    for value in (5, [], {}, True):
        assert post(served, "/v1/chat/completions", chat(session_id=value))[0] == 400
    assert post(served, "/v1/chat/completions", chat(), session_id="\xff" * 900)[0] == 200


def test_a_session_returns_to_its_deployment(tmp_path: Path) -> None:
    """Although its prompts are short and its first message changes: the provider has its beginning in the cache."""
    with ScriptedUpstream() as one, ScriptedUpstream() as two:
        config = (
            "[routing]\nprobe_interval_seconds = 0\nprobes = false\n"
            + provider(one.url, name="a")
            + provider(two.url, name="b")
        )
        config += '[[models]]\nid = "m"\n'
        for whose in "ab":
            config += f'[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "x"\nprice = "free"\n'
        with serving(tmp_path, config) as served:

            def ask(at: int, **headers: str) -> None:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Question {at}"}]}
                assert post(served, "/v1/chat/completions", json.dumps(body).encode(), **headers)[0] == 200

            for at in range(12):
                ask(at, session_id="mine")
            assert sorted((len(one.requests), len(two.requests))) == [0, 12]


@pytest.mark.parametrize("name", [CLAUDE, GEMINI, RESPONSES])
def test_digests_prove_what_was_sent(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    path, body = asked(name)
    _, call, _ = post(served, path, body)
    sent = upstream.requests[-1].body
    digests = receipt_of(served, call)["digests"]
    assert digests == {
        "received_sha256": hashlib.sha256(body).hexdigest(), "sent_sha256": hashlib.sha256(sent).hexdigest(),
    }  # fmt: skip
    assert (digests["received_sha256"] == digests["sent_sha256"]) == (name == GEMINI), "the model stands in its path"
    changed = body.replace(name.encode(), f"{name}-up".encode())
    assert sent == (body if name == GEMINI else changed), "anyone can compute the second from the first"
    if name == CLAUDE:
        _, packed, _ = post(served, path, gzip.compress(body), content_encoding="gzip")
        assert receipt_of(served, packed)["digests"] == digests, "of what was compressed"


@pytest.mark.parametrize(("setting", "having"), [("conversations", {CHAT, CLAUDE}), ("never", set())])
def test_operators_choose_whose_receipts_have_digests(tmp_path: Path, setting: str, having: set[str]) -> None:
    with ScriptedUpstream() as upstream:
        config = AT_ONCE + f'[ledger]\ndigests = "{setting}"\n'
        for name, dialect in {CHAT: "generic", CLAUDE: "anthropic"}.items():
            config += provider(upstream.url, name=f"p-{name}", dialect=dialect) + f'[[models]]\nid = "{name}"\n'
            config += f'[[models.deployments]]\nprovider = "p-{name}"\nupstream_model = "x"\nprice = "free"\n'
        with serving(tmp_path, config) as served:
            for name in (CHAT, CLAUDE):
                path, body = ("/v1/chat/completions", chat()) if name == CHAT else asked(name)
                _, call, _ = post(served, path, body)
                bodies = {"received_sha256": body, "sent_sha256": upstream.requests[-1].body}
                proved = {key: hashlib.sha256(value).hexdigest() for key, value in bodies.items()}
                assert receipt_of(served, call)["digests"] == (proved if name in having else None)


def test_digests_are_those_of_the_attempt_that_answered(tmp_path: Path) -> None:
    with ScriptedUpstream() as one, ScriptedUpstream() as two:
        one.default = Reply(status=529)
        config = '[routing]\nstrategy = "priority"\nprobe_interval_seconds = 0\nprobes = false\n'
        config += (
            provider(one.url, name="a", dialect="anthropic")
            + provider(two.url, name="b")
            + '[[models]]\nid = "claude-x"\n'
        )
        for whose in "ab":
            config += f'[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "x"\nprice = "free"\n'
        with serving(tmp_path, config) as served:
            _, name, _ = post(served, *asked(CLAUDE))
            digests = receipt_of(served, name)["digests"]
        assert digests["sent_sha256"] == hashlib.sha256(two.requests[-1].body).hexdigest()


def test_an_operator_may_have_them_sent_on(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = AT_ONCE + provider(upstream.url, name="a", extra="forward_sessions = true")
        config += (
            '[[models]]\nid = "open-x"\n[[models.deployments]]\nprovider = "a"\nupstream_model = "x"\nprice = "free"\n'
        )
        with serving(tmp_path, config) as served:
            body = chat(user="J\u00fcrgen\u00a0\u2028 x", session_id="s 1")
            assert post(served, "/v1/chat/completions", body)[0] == 200
            assert post(served, "/v1/chat/completions", chat())[0] == 200
        told, silent = upstream.requests
    assert told.headers["x-session-id"] == "s 1"
    assert told.headers["x-user-id"].startswith("sha256:"), "what cannot be printed"
    assert "session_id" not in told.json
    assert not {"x-session-id", "x-user-id"} & silent.headers.keys()
