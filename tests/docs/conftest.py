"""What all pages share, started once: a process that forks for commands, a scripted upstream, a gateway in front of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT
from tests.docs.runner import Place, write_shims
from tests.e2e.conftest import serving

from fairlead.testing import Reply, ScriptedUpstream

HERE = Path(__file__).parent
# What pages call: add a line for another model.
MODELS = (
    "fairlead-demo",
    "mistral-small-3.2",
    "gpt-4o-mini",
    "claude-sonnet-4.5",
    "gemini-2.5-flash",
    "qwen3-32b",
)
OTHER_MODES = {"text-embedding-3-small": "embedding", "omni-moderation-latest": "moderation", "rerank-v3.5": "rerank"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and {"host", "gateway"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def configuration(upstream: str) -> str:
    lines = [f'[[providers]]\nid = "scripted"\nbase_url = "{upstream}"\ndialect = "vllm"\n']
    for name in (*MODELS, *OTHER_MODES):
        lines.append(
            f'[[models]]\nid = "{name}"\nmode = "{OTHER_MODES.get(name, "chat")}"\n[[models.deployments]]\nprovider = "scripted"\nupstream_model = "{name}"\n'
            'price = { input = "0.10", output = "0.30" }\n'
        )
    # Performance is shown soon after a call.
    return "\n".join([*lines, "[telemetry]\nflush_seconds = 1\n"])


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("docs")
    path = folder / "host"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_PROXY": "*"}
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "docs" / "host.py", path], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text="A token is a piece of a word that a model reads and writes.")
        place = Place(path, upstream.url.removesuffix("/v1"), write_shims(folder / "bin"))
        assert process.stdout.readline() == b"ready\n"
        yield place
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="session")
def gateway(host: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with serving(tmp_path_factory.mktemp("gateway"), configuration(f"{host.upstream}/v1")) as running:
        host.gateway = running.url, running.key, running.data
        yield host
