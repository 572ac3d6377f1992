"""Claude Code itself edits a file through a tool loop: at a provider that speaks Messages, and at one that does not.

It is run where it is installed (npm package `@anthropic-ai/claude-code`, found on PATH or by FAIRLEAD_CLAUDE). In CI it
is installed for the test; what it sends is written down in `test_messages.py` too.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import Received, Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import RequestReader, Wire

from .conftest import AT_ONCE, Served, provider, serving
from .npm import client

PACKAGE = "@anthropic-ai/claude-code"
CLAUDE, MISTRAL = "claude-sonnet-4-5", "mistral-small-3.2"
SECONDS = 120


class Coder(ScriptedUpstream):
    """Reads the file, edits it and says so; whatever else it is asked, it answers with a word."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = str(file)

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.default = self._next(request)
        return await super().answer(request, wire)

    def _next(self, request: Received) -> Reply:
        asked = request.json if request.body else {}
        tools = {tool.get("name") or tool["function"]["name"] for tool in asked.get("tools") or ()}
        if "Edit" not in tools:
            return Reply(text="A title")
        done = results(asked)
        if done == 0:
            return Reply(text="Let me look.", tool_calls=(ToolCall("Read", json.dumps({"file_path": self._file})),))
        if done == 1:
            edit = {"file_path": self._file, "old_string": "Hello", "new_string": "Good morning"}
            return Reply(text="", tool_calls=(ToolCall("Edit", json.dumps(edit)),))
        return Reply(text="It is done.")


def results(asked: dict[str, Any]) -> int:
    """The results of tools in a request of either API."""
    found = 0
    for message in asked["messages"]:
        if message["role"] == "tool":
            found += 1
        elif isinstance(message["content"], list):
            found += sum(block.get("type") == "tool_result" for block in message["content"])
    return found


class Recorder:
    """Stands between a client and a gateway, and has what the client sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sent: list[bytearray] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                gateway = socket.create_connection(("127.0.0.1", self._port))
                sent = bytearray()
                self._sent.append(sent)
                threading.Thread(target=self._pump, args=(client, gateway, sent), daemon=True).start()
                threading.Thread(target=self._pump, args=(gateway, client, bytearray()), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, seen: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                seen += data
                target.sendall(data)
        for end in (source, target):
            end.close()

    def close(self) -> None:
        self._server.close()

    @property
    def requests(self) -> list[Received]:
        found = []
        for sent in self._sent:
            reader = RequestReader(lambda: None)
            reader.feed(bytes(sent))
            while (request := reader.next()) is not None:
                found.append(request)
        return found


@pytest.fixture(scope="module")
def claude(tmp_path_factory: pytest.TempPathFactory) -> str:
    # The program is in a package of its own, for each platform; its installer would copy it.
    program = f"{PACKAGE}-linux-x64/claude"
    return client("claude", "FAIRLEAD_CLAUDE", f"{PACKAGE}@2.1.197", program, tmp_path_factory.mktemp("npm"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Path, Coder, Served]]:
    file = tmp_path / "work" / "hello.txt"
    file.parent.mkdir()
    file.write_text("Hello, world.\n")
    with Coder(file) as upstream:
        config = AT_ONCE + provider(upstream.url, name="ant", dialect="anthropic") + provider(upstream.url, name="own")
        for name, whose in ((CLAUDE, "ant"), (MISTRAL, "own")):
            config += (
                f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "{name}-up"\n'
                'price = { input = "1", output = "2" }\n'
            )
        with serving(tmp_path, config) as served:
            yield file, upstream, served


def run(claude: str, url: str, served: Served, folder: Path, name: str) -> dict[str, Any]:
    """The result of `claude -p`, asked to change hello.txt."""
    environment = {
        "HOME": str(folder.parent), "PATH": os.environ["PATH"], "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": served.key, "ANTHROPIC_MODEL": name, "ANTHROPIC_SMALL_FAST_MODEL": name,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
    }  # fmt: skip
    done = subprocess.run(
        [
            claude, "-p", "Say good morning in hello.txt.", "--output-format", "json", "--permission-mode", "acceptEdits",
            "--allowedTools", "Read,Edit",
        ],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + served.output[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [CLAUDE, MISTRAL])
@pytest.mark.timeout(400)
def test_claude_code_edits_a_file_through_a_tool_loop(
    claude: str, scene: tuple[Path, Coder, Served], name: str
) -> None:
    file, upstream, served = scene
    recorder = Recorder(served.port)
    result = run(claude, recorder.url, served, file.parent, name)
    recorder.close()
    assert file.read_text() == "Good morning, world.\n"
    assert (result["is_error"], result["result"]) == (False, "It is done.")
    loop = [request for request in upstream.requests if b'"Edit"' in request.body]
    assert [results(request.json) for request in loop] == [0, 1, 2]
    path = "/v1/messages?beta=true" if name == CLAUDE else "/v1/chat/completions"
    assert {request.path for request in loop} == {path}
    assert all(request.json["model"] == f"{name}-up" for request in loop)
    if name == CLAUDE:
        sent = sorted((one for one in recorder.requests if b'"Edit"' in one.body), key=lambda one: len(one.body))
        for was, came in zip(sent, loop, strict=True):
            model, upstream_model = (json.dumps(one).encode() for one in (CLAUDE, f"{CLAUDE}-up"))
            assert came.body == was.body.replace(b'"model":' + model, b'"model":' + upstream_model, 1)
            for header in ("anthropic-beta", "anthropic-version"):
                assert came.headers[header] == was.headers[header]
            assert came.headers["x-api-key"] == "sk-up"
            assert "authorization" not in came.headers
    else:
        assert loop[-1].json["messages"][0]["role"] == "system"
        assert "billing-header" not in loop[-1].body.decode()
