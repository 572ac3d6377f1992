"""What a model is for: calls of another kind are refused in their caller's words, with the endpoint that serves it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.compose.test_serving import Running, get, run, running
from tests.house.shout import Shout
from tests.house.test_trials import JSON, Echo, EchoAdapter, EchoDoor

from fairlead.catalogue.importers import models_dev
from fairlead.doors.table import DOORS, DoorRow
from fairlead.errors import ConfigurationError
from fairlead.providers.dialect import OperationAPI
from fairlead.providers.dialects import VENDORS
from fairlead.testing import Reply, ScriptedUpstream

HELLO = [{"role": "user", "content": "Hello!"}]
# Path, body, and where the sentence of an error stands.
CHATS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
    "/v1/responses": {"input": "Hello!"},
}


def configuration(url: str, mode: str, more: str = "") -> str:
    return (
        f'[[providers]]\nid = "p"\nbase_url = "{url}"\n'
        f'[[models]]\nid = "chats"\n{deployment("x")}[[models]]\nid = "other"\nmode = "{mode}"\n{deployment("y")}{more}'
    )


def deployment(name: str) -> str:
    return f'[[models.deployments]]\nprovider = "p"\nupstream_model = "{name}"\nprice = "free"\n'


async def refused(it: Running, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await it.caller().post(path, json.dumps(body).encode(), f"Authorization: Bearer {it.key}", JSON)
    assert answer.status == 400, answer.body
    return json.loads(answer.body)  # type: ignore[no-any-return]


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_with_a_model_of_another_mode_is_refused_with_the_endpoint_that_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    echo = Echo()
    echo.modes = frozenset({"transcription"})
    for name in [name for name, row in DOORS.items() if row.operation.modes & echo.modes]:
        monkeypatch.delitem(DOORS, name)  # type: ignore[attr-defined]
    row = DoorRow("echo", ("/v1/echoes", "/v1/other"), echo, EchoDoor(echo), "Echoes.", streams=False)
    monkeypatch.setitem(DOORS, "echo", row)  # type: ignore[arg-type]
    monkeypatch.setitem(VENDORS["openai"].operations, "echo", OperationAPI("echoes", EchoAdapter, path="/echoes"))  # type: ignore[arg-type]

    async def test() -> None:
        async with running(tmp_path, configuration(upstream.url, "transcription")) as it:
            for path, body in CHATS.items():
                answer = await refused(it, path, {"model": "other", "stream": stream, **body})
                assert answer["error"]["message"] == (
                    "'other' has the mode 'transcription' and does not serve chat: use POST /v1/echoes."
                )
                assert answer["error"]["type"] == "invalid_request_error"
                assert ("type" in answer) is (path == "/v1/messages"), "in the words of its dialect"
            await refused(
                it, "/v1/chat/completions", {"model": "chats", "models": ["other"], **CHATS["/v1/chat/completions"]}
            )
            assert not upstream.requests
            key = f"X-Shout-Key: {it.key}"
            said = await it.caller().post("/v1/echoes", b'{"echo": "o", "model": "chats"}', key)
            assert said.status == 400
            assert b"'CHATS' HAS THE MODE 'CHAT' AND DOES NOT SERVE ECHO: USE POST /V1/CHAT/COMPLETIONS." in said.body
            assert (await it.caller().post("/v1/echoes", b'{"echo": "o", "model": "other"}', key)).status == 200
            assert (await it.caller().call("chats")).status == 200

    assert isinstance(EchoDoor(echo), Shout)
    with ScriptedUpstream() as upstream:
        upstream.paths.append("/echoes")
        upstream.enqueue(Reply(body='{"echo": "ay", "heard": 1}'))
        run(test)


def test_a_mode_that_no_endpoint_serves_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in list(DOORS.items()):
        if "moderation" in row.operation.modes:
            monkeypatch.delitem(DOORS, name)  # type: ignore[arg-type]

    async def test() -> None:
        async with running(tmp_path, configuration("http://127.0.0.1:1/v1", "moderation")) as it:
            answer = await refused(it, "/v1/chat/completions", {"model": "other", "messages": HELLO})
            assert answer["error"]["message"].endswith("does not serve chat: no endpoint here serves it.")

    run(test)


def test_the_list_of_models_has_the_mode(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, configuration("http://127.0.0.1:1/v1", "embedding")) as it:
            listed = (await get(it.port, "/v1/models"))["data"]
            assert {entry["id"]: entry["mode"] for entry in listed} == {"chats": "chat", "other": "embedding"}

    run(test)


def test_a_mode_that_is_not_known_is_refused_with_its_line(tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(ConfigurationError, match=r"fairlead.toml:\d+: .*mode.*embedding"):
            async with running(tmp_path, configuration("http://127.0.0.1:1/v1", "embeddings")):
                pass

    run(test)


@pytest.mark.parametrize(
    ("name", "family", "given", "mode"),
    [
        ("text-embedding-3-small", "text-embedding", ["text"], "embedding"),
        ("cohere/rerank-v3.5", "o", ["text"], "rerank"),
        ("whisper-large-v3", "whisper", ["text"], "transcription"),
        ("gpt-image-1", "gpt-image", ["text", "image"], "image"),
        ("qwen-image-2.0", "qwen", ["image"], "image"),
        ("gemini-2.5-pro-preview-tts", "gemini-flash", ["audio"], "speech"),
        ("gemini-2.5-flash-image", "gemini-flash", ["text", "image"], "chat"),
        ("gpt-5", "gpt", ["text"], "chat"),
    ],
)
def test_models_dev_says_by_names_and_families_what_a_model_is_for(
    name: str, family: str, given: list[str], mode: str
) -> None:
    model = {
        "id": name, "name": name, "family": family, "limit": {"context": 8192, "output": 1024},
        "modalities": {"input": ["text"], "output": given},
    }  # fmt: skip
    body = json.dumps({"p": {"models": {name: model}}}).encode()
    reading = models_dev.read(body, date(2026, 11, 30))
    assert reading.models[f"p/{name}"].mode == mode
