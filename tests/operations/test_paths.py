"""Where each dialect has images and sound, and what it is sent of their parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.compose.test_serving import run
from tests.operations.served import gateway, model, provider

from fairlead.testing import Reply, ScriptedUpstream

ANSWER = Reply(body=json.dumps({"text": "Hello.", "created": 1, "data": [{"b64_json": "aGk="}]}))
AZURE = "/v1/openai/deployments/up-p/%s?api-version=2024-10-21"
FORM = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="a"\r\n\r\nxx\r\n--b--\r\n'


def body_of(path: str) -> tuple[bytes, str]:
    """(body, content type)"""
    if path == "images/generations":
        return b'{"model": "m", "prompt": "A dot", "user": "someone"}', "application/json"
    if path == "audio/speech":
        return b'{"model": "m", "input": "Hi", "voice": "alloy", "instructions": "calm"}', "application/json"
    file = b"image" if path == "images/edits" else b"file"
    body = FORM % (b"model", b"m") + FORM % (b"prompt", b"A dot") + FORM % (b"user", b"someone") + FILE % file
    return body, "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("dialect", "mode", "path"),
    [
        *((dialect, "image", path) for dialect in ("openai", "azure") for path in ("images/generations", "images/edits")),
        *((dialect, "speech", "audio/speech") for dialect in ("openai", "azure", "groq")),
        *(
            (dialect, "transcription", path)
            for dialect in ("openai", "azure", "groq")
            for path in ("audio/transcriptions", "audio/translations")
        ),
    ],
)  # fmt: skip
def test_images_and_sound_are_called_where_the_dialect_has_them(
    tmp_path: Path, dialect: str, mode: str, path: str
) -> None:
    async def test() -> None:
        async with gateway(tmp_path, provider(upstream.url, dialect=dialect) + model(mode)) as it:
            body, kind = body_of(path)
            answer = await it.post(f"/v1/{path}", body, f"Content-Type: {kind}")
            assert answer.status == 200, answer.body
            sent = upstream.requests[-1]
            assert sent.path == (AZURE % path if dialect == "azure" else f"/v1/{path}")
            assert b"up-p" in sent.body
            dropped = answer.headers.get("x-fairlead-dropped", "")
            unknown = {"audio/speech": "instructions"}.get(path, "user")
            assert (unknown in dropped) == (dialect == "groq")
            assert (unknown.encode() in sent.body) != (dialect == "groq")
            assert len(await it.records()) == 1

    with ScriptedUpstream() as upstream:
        upstream.paths.append(f"/{path}")
        upstream.default = ANSWER
        run(test)


@pytest.mark.parametrize(("mode", "path"), [("rerank", "/v1/rerank"), ("moderation", "/v1/moderations")])
def test_azure_is_not_asked_for_what_it_does_not_have(tmp_path: Path, mode: str, path: str) -> None:
    async def test() -> None:
        async with gateway(tmp_path, provider("http://127.0.0.1:9", dialect="azure") + model(mode)) as it:
            body = {"model": "m", "query": "x", "documents": ["x"], "input": "x"}
            status, _, _ = await it.refused(path, body)
            assert status == 400

    run(test)
