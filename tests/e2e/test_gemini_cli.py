"""Gemini CLI itself edits a file through a tool loop: at a provider that speaks generateContent, and at one that does
not.

It is run where it is installed (npm package `@google/gemini-cli`, found on PATH or by FAIRLEAD_GEMINI). In CI it is
installed for the test; what it sends is written down in `test_gemini.py` too.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import Received, Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import Wire

from .conftest import AT_ONCE, Served, provider, serving
from .npm import client

PACKAGE = "@google/gemini-cli"
GEMINI, OTHER = "gemini-2.5-pro", "open-x"
SECONDS = 150


class Coder(ScriptedUpstream):
    """Reads the file, edits it and says so; whatever else it is asked, it answers with a word."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = str(file)

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.default = self._next(request)
        return await super().answer(request, wire)

    def _next(self, request: Received) -> Reply:
        if b'"replace"' not in request.body:
            return Reply(text="A title")
        done = results(request.json)
        if done == 0:
            return Reply(
                text="Let me look.", tool_calls=(ToolCall("read_file", json.dumps({"file_path": self._file})),)
            )
        if done == 1:
            edit = {
                "file_path": self._file, "old_string": "Hello", "new_string": "Good morning", "instruction": "Greet.",
            }  # fmt: skip
            return Reply(text="", tool_calls=(ToolCall("replace", json.dumps(edit)),))
        return Reply(text="It is done.")


def results(asked: dict[str, Any]) -> int:
    """The results of tools in a request of either API."""
    if "messages" in asked:
        return sum(message["role"] == "tool" for message in asked["messages"])
    return sum("functionResponse" in part for content in asked["contents"] for part in content["parts"])


@pytest.fixture(scope="module")
def gemini(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("npm")
    return client("gemini", "FAIRLEAD_GEMINI", f"{PACKAGE}@0.61.0", ".bin/gemini", folder)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Path, Coder, Served]]:
    file = tmp_path / "work" / "hello.txt"
    file.parent.mkdir()
    file.write_text("Hello, world.\n")
    with Coder(file) as upstream:
        config = AT_ONCE + provider(upstream.url, name="goo", dialect="gemini") + provider(upstream.url, name="own")
        for name, whose in ((GEMINI, "goo"), (OTHER, "own")):
            config += (
                f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "{name}-up"\n'
                'price = { input = "1", output = "2" }\n'
            )
        with serving(tmp_path, config) as served:
            yield file, upstream, served


@pytest.mark.parametrize("name", [GEMINI, OTHER])
@pytest.mark.timeout(400)
def test_gemini_cli_edits_a_file_through_a_tool_loop(gemini: str, scene: tuple[Path, Coder, Served], name: str) -> None:
    file, upstream, served = scene
    home = file.parents[1] / "home"
    (home / ".gemini").mkdir(parents=True)
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False}, "general": {"enableAutoUpdate": False},
    }  # fmt: skip
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    environment = {
        "HOME": str(home), "PATH": os.environ["PATH"], "GEMINI_API_KEY": served.key, "GOOGLE_GEMINI_BASE_URL": served.url,
        "GEMINI_SANDBOX": "false", "NO_COLOR": "1", "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }  # fmt: skip
    done = subprocess.run(
        [gemini, "-m", name, "-p", "Say good morning in hello.txt.", "--approval-mode", "yolo", "--output-format", "json"],
        cwd=file.parent, env=environment, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + served.output[-2000:]
    assert file.read_text() == "Good morning, world.\n", done.stdout + done.stderr
    assert json.loads(done.stdout[done.stdout.index("{") :])["response"].endswith("It is done.")
    loop = [request for request in upstream.requests if b'"replace"' in request.body]
    assert [results(request.json) for request in loop] == [0, 1, 2]
    assert served.key not in str([request.headers for request in loop])
    if name == GEMINI:
        assert {request.path for request in loop} == {f"/v1/models/{name}-up:streamGenerateContent?alt=sse"}
    else:
        assert {request.path for request in loop} == {"/v1/chat/completions"}
        assert loop[-1].json["messages"][0]["role"] == "system"
