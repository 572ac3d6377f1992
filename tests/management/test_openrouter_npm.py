"""OpenRouter's SDK for JavaScript (npm `@openrouter/sdk`) with only the base URL changed: `openrouter_sdk/cases.mjs` calls, and
the SDK checks what it gets.

It is run where FAIRLEAD_OPENROUTER_SDK names a folder with the locked packages in its node_modules; in CI they are installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import AT_ONCE, model, provider, serving
from tests.e2e.npm import locked_packages
from tests.e2e.responder import Responder

from fairlead.testing import Fault, Reply
from fairlead.testing.connection import Received, Wire

from .conftest import Api

FILES = Path(__file__).with_name("openrouter_sdk")
MODEL = "harbour/tug"
SECONDS = 120
CASES = {
    "chat", "streamedChat", "toolCall", "errors", "models", "keyInfo", "keys", "credits", "activity", "providers",
    "generation", "brokenStream",
}  # fmt: skip


class Breaking(Responder):
    """Breaks the stream of who asks for it."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        if b"This breaks." in request.body:
            self.enqueue(Reply(text="one two three four five six", fault=Fault.EOF, after_chunks=5))
            return await super(Responder, self).answer(request, wire)
        return await super().answer(request, wire)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return locked_packages("FAIRLEAD_OPENROUTER_SDK", FILES, tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def api(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """After the folder: nothing is started where the test is skipped."""
    text = model(name=MODEL).replace("[[models.", "context_length = 32_768\n[[models.", 1)
    with Breaking() as upstream:
        config = AT_ONCE + provider(upstream.url) + text
        with serving(tmp_path_factory.mktemp("gateway"), config) as served:
            yield Api(served)


def test_every_case_of_the_npm_sdk_works(folder: Path, api: Api) -> None:
    account = api("POST", "/v1/admin/accounts", {"name": "npm", "credit_usd": "3"}).data["id"]
    key = api("POST", "/v1/admin/keys", {"name": "npm", "account": account}).body["key"]
    script = folder / "cases.mjs"
    shutil.copyfile(FILES / script.name, script)
    environment = {
        "PATH": os.environ["PATH"], "FAIRLEAD_TEST_URL": api.served.url, "FAIRLEAD_TEST_KEY": key,
        "FAIRLEAD_TEST_MANAGEMENT_KEY": api.key, "FAIRLEAD_TEST_MODEL": MODEL,
    }  # fmt: skip
    ran = subprocess.run(
        ["node", str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {name: said for name, said in found.items() if said != "ok"} == {}
    assert set(found) == CASES
