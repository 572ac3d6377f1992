"""Codex itself edits a file through a tool loop, at providers that speak Responses and at one that speaks chat.

It is run where it is installed (npm package `@openai/codex`, found on PATH or by FAIRLEAD_CODEX), and in CI, which installs
it. What it sent in such a run is replayed from `codex.json` everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from tests.e2e.conftest import AT_ONCE, Served, model, provider, serving
from tests.e2e.npm import client

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

RECORDED = Path(__file__).parent / "codex.json"
SHELL = ToolCall("exec_command", json.dumps({"cmd": "echo changed > hello.txt"}))
PATCH = "*** Begin Patch\n*** Update File: hello.txt\n@@\n-hello\n+changed\n*** End Patch"
SCRIPT = 'const r = await tools.exec_command({cmd: "echo changed > hello.txt"}); text(r)'


@pytest.fixture(scope="module")
def codex(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("npm")
    return client("codex", "FAIRLEAD_CODEX", "@openai/codex@0.171.0", ".bin/codex", folder)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def served_by(upstream: ScriptedUpstream, dialect: str, names: tuple[str, ...]) -> str:
    config = AT_ONCE + provider(upstream.url, name="p", dialect=dialect)
    return config + "".join(model("p", name=name, upstream=name) for name in names)


NAMES = ("own-model", "gpt-5.5", "gpt-5.6-sol")


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("native"), served_by(upstream, "openai-responses", NAMES)) as served:
        yield served


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("chat"), served_by(upstream, "vllm", NAMES)) as served:
        yield served


def run_codex(codex: str, served: Served, folder: Path, name: str, more: str = "") -> list[dict[str, Any]]:
    """The events of `codex exec`, asked to change hello.txt."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    (work / "hello.txt").write_text("hello\n")
    (home / "config.toml").write_text(
        f'model = "{name}"\nmodel_provider = "fairlead"\nweb_search = "disabled"\n'
        f'[model_providers.fairlead]\nname = "Fairlead"\nbase_url = "{served.url}/v1"\nenv_key = "FAIRLEAD_KEY"\n'
        f'wire_api = "responses"\nstream_max_retries = 1\nrequest_max_retries = 1\n{more}'
    )
    done = subprocess.run(
        [codex, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json", "-C", str(work),
         "Change hello.txt"],
        env={**os.environ, "CODEX_HOME": str(home), "FAIRLEAD_KEY": served.key},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("own-model", SHELL),
        ("gpt-5.5", ToolCall("apply_patch", PATCH)),
        ("gpt-5.6-sol", ToolCall("functions/exec", SCRIPT)),
    ],
)
def test_a_file_is_edited_at_a_provider_of_responses(
    codex: str, native: Served, upstream: ScriptedUpstream, tmp_path: Path, name: str, call: ToolCall
) -> None:
    upstream.requests.clear()
    upstream.enqueue(Reply("", thinking="Hm.", tool_calls=(call,)), Reply("Done."))
    events = run_codex(codex, native, tmp_path, name, "supports_websockets = false\n")
    assert (tmp_path / "work" / "hello.txt").read_text() == "changed\n"
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["usage"]["input_tokens"] == 24
    first, second = upstream.requests
    assert first.path == "/v1/responses"
    assert {item["type"] for item in second.json["input"]} >= {"message", "reasoning"}
    lite = name == "gpt-5.6-sol"
    assert (first.headers.get("x-openai-internal-codex-responses-lite") == "true") is lite
    assert (first.json["input"][0]["type"] == "additional_tools") is lite


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("own-model", SHELL),
        ("gpt-5.5", ToolCall("apply_patch", json.dumps({"input": PATCH}))),
        ("gpt-5.6-sol", ToolCall("functions__exec", json.dumps({"input": SCRIPT}))),
    ],
)
def test_a_file_is_edited_at_a_provider_of_chat(
    codex: str, chat: Served, upstream: ScriptedUpstream, tmp_path: Path, name: str, call: ToolCall
) -> None:
    upstream.requests.clear()
    upstream.enqueue(Reply("", tool_calls=(call,)), Reply("Done."))
    events = run_codex(codex, chat, tmp_path, name, "supports_websockets = false\n")
    assert (tmp_path / "work" / "hello.txt").read_text() == "changed\n"
    assert events[-1]["type"] == "turn.completed"
    assert [request.path for request in upstream.requests] == ["/v1/chat/completions"] * 2
    assert upstream.requests[1].json["messages"][-1]["role"] == "tool"


def test_it_goes_on_over_http_at_once_when_its_websocket_is_refused(
    codex: str, native: Served, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.enqueue(Reply("Done."))
    events = run_codex(codex, native, tmp_path, "gpt-5.5", "supports_websockets = true\n")
    assert [event["item"] for event in events if event.get("item", {}).get("type") == "error"] == []
    assert events[-1]["type"] == "turn.completed"


REPLAYED = json.loads(RECORDED.read_text("utf-8"))


@pytest.mark.parametrize("at", range(len(REPLAYED)), ids=lambda at: REPLAYED[at]["name"])
@pytest.mark.parametrize("dialect", ["native", "chat"])
def test_what_it_sent_is_answered(
    request: pytest.FixtureRequest, upstream: ScriptedUpstream, at: int, dialect: str
) -> None:
    """Both calls of a recorded loop: the question, and the output of the tool."""
    served: Served = request.getfixturevalue(dialect)
    recorded = REPLAYED[at]
    for body in recorded["bodies"]:
        upstream.enqueue(Reply("Done."))
        sent = json.dumps(body).encode()
        answer = httpx.post(
            f"{served.url}/v1/responses", content=sent, timeout=60,
            headers={"authorization": f"Bearer {served.key}", "accept": "text/event-stream", **recorded["headers"]},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert "event: response.output_item.done" in answer.text
        assert "event: response.completed" in answer.text
        if dialect == "native":
            assert upstream.requests[-1].body == sent
