"""`fairlead doctor` against a real gateway: what works, what breaks, and the setting that fixes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.cli.doctor import NAMES
from fairlead.testing import Fault, Received, Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import Wire

from .conftest import AT_ONCE, Served, provider, serving
from .fork_server import run
from .test_credit import new_key

DIALECTS = ("vllm", "anthropic", "gemini", "openai-responses")
RESULTS = (b'"role":"tool"', b'"tool_result"', b'"functionResponse"', b'"function_call_output"')


class Weather(ScriptedUpstream):
    """Calls the tool, and answers its result."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        body = request.body.replace(b'": "', b'":"')
        if b"get_weather" in body and not any(result in body for result in RESULTS):
            self.default = Reply(text="", tool_calls=(ToolCall("get_weather", '{"city": "Oslo"}'),))
        else:
            self.default = Reply(text="It rains.")
        return await super().answer(request, wire)


def configured(upstream: ScriptedUpstream) -> str:
    text = AT_ONCE
    for dialect in DIALECTS:
        text += provider(upstream.url, name=f"p-{dialect}", dialect=dialect)
        text += (
            f'[[models]]\nid = "m-{dialect}"\n[[models.deployments]]\nprovider = "p-{dialect}"\nupstream_model = "up"\n'
            'price = { input = "1", output = "2" }\n'
        )
    return text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Weather() as upstream, serving(tmp_path_factory.mktemp("doctor"), configured(upstream)) as served:
        yield served


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, ScriptedUpstream]]:
    """Its model never calls a tool."""
    with ScriptedUpstream() as upstream:
        with serving(tmp_path_factory.mktemp("mute"), configured(upstream)) as served:
            yield served, upstream


def doctor(served: Served, *options: str, key: str | None = None) -> tuple[int, list[dict[str, Any]], str]:
    done = run("doctor", "--url", served.url, "--key", key or served.key, "--json", *options)
    found = json.loads(done.stdout) if done.stdout.startswith("[") else []
    return done.returncode, found, done.stdout + done.stderr


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_client_works_with_every_kind_of_provider(served: Served, dialect: str) -> None:
    code, found, output = doctor(served, "--model", f"m-{dialect}")
    assert code == 0, output
    assert {one["client"] for one in found} == set(NAMES)
    for name in NAMES:
        checks = {one["check"]: one["verdict"] for one in found if one["client"] == name}
        assert checks["models"] == checks["streaming"] == checks["tools"] == "works", output
        assert ("counting" in checks) == (name in ("claude-code", "anthropic", "gemini"))
    for check in ("websocket", "newer models"):
        assert next(one for one in found if one["check"] == check)["verdict"] == "works"


def test_a_line_for_each_finding_and_what_to_set(served: Served) -> None:
    done = run("doctor", "--url", served.url, "--key", served.key, "--client", "claude-code", "--model", "m-vllm")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "ok    claude-code  tools: m-vllm called get_weather and used its result" in lines
    assert lines[-1] == (
        f"      claude-code: set ANTHROPIC_BASE_URL={served.url}, ANTHROPIC_AUTH_TOKEN, ANTHROPIC_MODEL"
    )


def test_a_model_without_tools_breaks_agents_and_says_what_mends_it(mute: tuple[Served, ScriptedUpstream]) -> None:
    code, found, output = doctor(mute[0], "--model", "m-vllm")
    assert code == 1, output
    tools = {one["client"]: one for one in found if one["check"] == "tools"}
    assert {name for name, one in tools.items() if one["verdict"] == "breaks"} == {
        "claude-code", "codex", "gemini", "cline",
    }  # fmt: skip
    assert "--tool-call-parser" in tools["codex"]["fix"]
    assert doctor(mute[0], "--client", "openai", "--model", "m-vllm")[0] == 0


@pytest.mark.parametrize("name", ["claude-code", "codex", "gemini", "openai"])
@pytest.mark.parametrize(
    ("reply", "seen"), [(Reply(fault=Fault.EOF, after_chunks=4), "ended before"), (Reply(status=500), "502")]
)
def test_a_provider_that_fails(mute: tuple[Served, ScriptedUpstream], name: str, reply: Reply, seen: str) -> None:
    served, upstream = mute
    upstream.enqueue(reply)
    code, found, output = doctor(served, "--client", name, "--model", "m-vllm")
    broken = [one for one in found if one["verdict"] == "breaks"]
    assert code == 1
    assert broken[0]["check"] == "streaming", output
    assert seen in broken[0]["seen"]
    assert "fairlead explain" in broken[0]["fix"]


def test_what_newer_models_of_codex_need_is_named(mute: tuple[Served, ScriptedUpstream]) -> None:
    """A provider of Responses that knows no `additional_tools`."""
    served, upstream = mute
    refused = Reply(status=400, body='{"error":{"message":"input[0]: unknown type","type":"invalid_request_error"}}')
    upstream.enqueue(Reply(text="Fine."), refused)
    _, found, output = doctor(served, "--client", "codex", "--model", "m-openai-responses")
    newer = next(one for one in found if one["check"] == "newer models")
    assert newer["verdict"] == "note", output
    assert "input[0]: unknown type" in newer["seen"]
    assert "model_catalog_json" in newer["fix"]
    sent = upstream.requests[-1]
    assert sent.json["input"][0]["type"] == "additional_tools"
    assert sent.headers["x-openai-internal-codex-responses-lite"] == "true"
    assert "tools" not in sent.json


def test_claude_code_is_told_what_its_picker_shows(mute: tuple[Served, ScriptedUpstream]) -> None:
    served, upstream = mute
    _, found, _ = doctor(served, "--client", "claude-code", "--model", "m-anthropic")
    models = next(one for one in found if one["check"] == "models")
    assert models["seen"] == "4 listed; /model shows the 0 that begin with claude or anthropic"
    sent = next(one.json for one in reversed(upstream.requests) if one.path == "/v1/messages?beta=true")
    assert [message["role"] for message in sent["messages"]] == ["user", "system"]
    assert {"thinking", "context_management", "output_config"} <= set(sent)


def test_keys_models_and_budgets(served: Served) -> None:
    code, found, output = doctor(served, "--model", "nobody")
    assert code == 1
    assert all("GET /v1/models" in one["fix"] for one in found if one["check"] == "streaming"), output
    poor = new_key(served, "--budget", "total=0.000001")
    code, found, output = doctor(served, "--client", "anthropic", "--model", "m-vllm", key=poor)
    assert code == 1
    assert "budget" in next(one for one in found if one["verdict"] == "breaks")["fix"]
    code, _, output = doctor(served, key="sk-fl-x")
    assert code == 1
    assert "401" in output
    code, found, output = doctor(served, "--client", "codex", "--model", "m-vllm", key="sk-fl-x")
    assert code == 1
    assert "env_key" in next(one for one in found if one["check"] == "streaming")["fix"]


def test_what_is_no_server(tmp_path: Path) -> None:
    for url, said in (
        ("http://127.0.0.1:9", "does not answer"),
        ("ftp://x", "must be an address such as"),
        ("", "must be an address such as"),
    ):
        done = run("doctor", "--url", url, "--key", "k")
        assert done.returncode in (1, 2)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert "FAIRLEAD_API_KEY" in run("doctor").stderr
    with ScriptedUpstream() as other:  # a server of another kind
        done = run("doctor", "--url", re.sub("/v1$", "", other.url), "--key", "k")
        assert done.returncode == 1
        assert "FAIL" in done.stdout
        assert "Traceback" not in done.stderr
