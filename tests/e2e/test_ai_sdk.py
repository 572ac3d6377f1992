"""Vercel's AI SDK (npm `ai`) at our doors, with each of its provider packages: `ai_sdk.mjs` has the cases.

It is run where FAIRLEAD_AI_SDK names a folder with the packages in its node_modules; in CI they are installed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.testing import Fault, Reply
from fairlead.testing.connection import Received, Wire

from .conftest import AT_ONCE, Served, provider, serving
from .npm import packages
from .responder import Responder

SCRIPT = Path(__file__).with_name("ai_sdk.mjs")
PACKAGES = (
    "ai@6.0.326", "@ai-sdk/openai@3.0.141", "@ai-sdk/anthropic@3.0.140", "@ai-sdk/google@3.0.141",
    "@ai-sdk/openai-compatible@2.0.92", "zod@4",
)  # fmt: skip
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
MEDIA = {
    "/images/generations": Reply(body=json.dumps({"created": 1, "data": [{"b64_json": PNG}]})),
    "/audio/speech": Reply(body=b"ID3 sound", headers={"content-type": "audio/mpeg"}),
    "/audio/transcriptions": Reply(body=json.dumps({"text": "Hello.", "usage": {"type": "duration", "seconds": 1}})),
}
MODES = {"embeds": "embedding", "draws": "image", "says": "speech", "hears": "transcription"}
DIALECTS = ("openai", "anthropic", "gemini", "openai-responses")
BROKEN = Reply(
    text="one two three four five six seven eight", fault=Fault.EOF, after_chunks=7, chunk_delay_seconds=0.01
)
SECONDS = 120


class Everything(Responder):
    """Breaks the streams of one model, and has images and sound."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        for path, reply in MEDIA.items():
            if request.path.endswith(path):
                self.enqueue(reply)
        if b"breaks" in request.body or "breaks" in request.path:
            self.enqueue(BROKEN)
            return await super(Responder, self).answer(request, wire)
        return await super().answer(request, wire)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages("FAIRLEAD_AI_SDK", PACKAGES, tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Everything]:
    with Everything() as found:
        found.paths += list(MEDIA)
        yield found


@pytest.fixture(scope="module")
def served(upstream: Everything, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE
    models = {name: (mode, "openai") for name, mode in MODES.items()}
    for dialect in DIALECTS:
        config += provider(upstream.url, name=dialect, dialect=dialect)
        models |= {f"{role}-{dialect}": ("chat", dialect) for role in ("follows", "breaks")}
    for name, (mode, dialect) in models.items():
        config += (
            f'[[models]]\nid = "{name}"\nmode = "{mode}"\ninput_modalities = ["text", "image", "audio", "file"]\n'
            f'[[models.deployments]]\nprovider = "{dialect}"\nupstream_model = "{name}"\n'
            'price = { input = "1", output = "2", request = "0.01" }\n'
        )
    with serving(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


def test_every_case_of_the_ai_sdk_works_at_every_door(folder: Path, served: Served, upstream: Everything) -> None:
    script = folder / SCRIPT.name
    shutil.copyfile(SCRIPT, script)
    environment = {"PATH": os.environ["PATH"], "FAIRLEAD_TEST_URL": served.url, "FAIRLEAD_TEST_KEY": served.key}
    environment["FAIRLEAD_TEST_DIALECTS"] = ",".join(DIALECTS)
    ran = subprocess.run(
        ["node", str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {name: said for name, said in found.items() if said != "ok"} == {}
    assert len(found) == 6 + 11 * 5 * len(DIALECTS)
    pictures = [one for one in upstream.requests if PNG.encode() in one.body]
    files = [one for one in upstream.requests if base64.b64encode(b"%PDF-1.4") in one.body]
    assert (len(pictures), len(files)) == (5 * len(DIALECTS),) * 2, "each door's image and file arrive"
