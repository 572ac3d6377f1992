"""Transcriptions, translations and edits of images with OpenAI's own SDK: forms are sent on as they came, long ones
without costing memory."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from tests.e2e.conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from tests.e2e.test_credit import new_key
from tests.e2e.test_disconnects import receipt_of

from fairlead.operations.forms import _SILENCE
from fairlead.testing import Fault, Received, Reply, ScriptedUpstream
from fairlead.wire.forms import wav_seconds

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
LONG_BYTES = 100_000_000
MOST_GROWTH_BYTES = 24_000_000
SAID = json.dumps({"text": "Hello."})


class Scene(NamedTuple):
    served: Served
    upstream: ScriptedUpstream
    client: openai.OpenAI

    @property
    def last(self) -> Received:
        return self.upstream.requests[-1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ScriptedUpstream() as upstream:
        upstream.paths += ["/audio/transcriptions", "/audio/translations", "/images/edits"]
        config = AT_ONCE + provider(upstream.url, name="p", dialect="openai")
        for name, mode, price in (
            ("whisper", "transcription", 'input = "100", output = "0"'),
            ("hears", "transcription", 'input = "2", audio_input = "6", output = "10"'),
            ("draws", "image", 'input = "0", output = "0", request = "0.04"'),
        ):
            config += f'[[models]]\nid = "{name}"\nmode = "{mode}"\n[[models.deployments]]\nprovider = "p"\n'
            config += f'upstream_model = "{name}-up"\nprice = {{ {price} }}\n'
        config += '[[models]]\nid = "either"\nmode = "transcription"\n'
        for name in ("first", "second"):
            config += f'[[models.deployments]]\nprovider = "p"\nupstream_model = "{name}-up"\n'
            config += 'price = { input = "100", output = "0" }\n'
        with serving(tmp_path_factory.mktemp("forms"), config) as served:
            with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
                yield Scene(served, upstream, client)


@pytest.fixture(autouse=True)
def _usual(scene: Scene) -> None:
    scene.upstream.default = Reply(body=SAID)


def form(*parts: tuple[str, str | bytes], boundary: str = "b0undary") -> bytes:
    """Bytes are files."""
    body = b""
    for name, value in parts:
        more = '; filename="a.mp3"\r\ncontent-type: audio/mpeg' if isinstance(value, bytes) else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        body += (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def post(scene: Scene, body: bytes, path: str = "/v1/audio/transcriptions", **headers: str) -> tuple[int, Any, bytes]:
    lines = {
        "authorization": f"Bearer {scene.served.key}", "content-type": "multipart/form-data; boundary=b0undary",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", scene.served.port, timeout=100)
    try:
        connection.request("POST", path, body, lines)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_transcription_by_seconds(scene: Scene) -> None:
    usage = {"type": "duration", "seconds": 9}
    scene.upstream.enqueue(Reply(body=json.dumps({"text": "Hello.", "usage": usage})))
    raw = scene.client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=("a.mp3", b"ID3" + bytes(20_000)), language="en", temperature=0.5
    )
    assert raw.parse().text == "Hello."
    assert raw.headers["x-fairlead-cost"] == "0.0009"
    assert json.loads(raw.content)["usage"] == {**usage, "cost": 0.0009, "cost_usd": "0.0009"}
    sent = scene.last
    assert sent.path == "/v1/audio/transcriptions"
    assert b"whisper-up" in sent.body
    assert b'name="language"\r\n\r\nen\r\n' in sent.body
    assert bytes(20_000) in sent.body
    assert scene.served.key not in str(sent.headers)


def test_a_transcription_by_tokens_and_a_translation(scene: Scene) -> None:
    usage = {
        "type": "tokens", "input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
        "input_token_details": {"text_tokens": 20, "audio_tokens": 80},
    }  # fmt: skip
    scene.upstream.enqueue(Reply(body=json.dumps({"text": "Hello.", "usage": usage})))
    body = form(("model", "hears"), ("file", bytes(90_000)))
    status, headers, _ = post(scene, body, "/v1/audio/translations")
    assert (status, headers["x-fairlead-cost"]) == (200, "0.00062")
    assert scene.last.path == "/v1/audio/translations"


@pytest.mark.parametrize(
    ("kind", "channels", "samples", "rate", "block", "bits", "seconds"),
    [
        (1, 1, 16_000, 32_000, 2, 16, 30), (3, 2, 48_000, 384_000, 8, 32, 3), (1, 1, 16_000, 4_000_000_000, 2, 16, None),
        (1, 1, 2_000_000_000, 4_000_000_000, 2, 16, None), (1, 60_000, 16_000, 1_920_000_000, 120_000, 16, None),
        (85, 1, 16_000, 4_000_000, 1, 0, None), (1, 1, 16_000, 0, 0, 0, None), (65_534, 1, 16_000, 32_000, 2, 16, None),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_itself_makes_no_recording_shorter(
    kind: int, channels: int, samples: int, rate: int, block: int, bits: int, seconds: int | None
) -> None:
    """A caller who says more bytes a second than a decoder hears would pay for less where nobody reports seconds."""
    fields = struct.pack("<IHHIIHH", 16, kind, channels, samples, rate, block & 0xFFFF, bits)
    head = b"RIFF" + struct.pack("<I", 960_036) + b"WAVEfmt " + fields + b"data" + struct.pack("<I", 960_000)
    assert wav_seconds(head, 960_044) == seconds


def test_seconds_are_counted_where_nobody_reports_them(scene: Scene) -> None:
    assert wav_seconds(_SILENCE[:64], len(_SILENCE)) == 1
    scene.upstream.enqueue(Reply(body="1\n00:00 --> 00:01\nHello.\n", headers={"content-type": "text/plain"}))
    raw = scene.client.audio.transcriptions.with_raw_response.create(
        model="whisper", file=("a.wav", _SILENCE), response_format="srt"
    )
    assert raw.text == "1\n00:00 --> 00:01\nHello.\n"
    assert raw.headers["content-type"].startswith("text/plain")
    assert raw.headers["x-fairlead-cost"] == "0.0001"
    receipt = receipt_of(scene.served, raw.headers["x-fairlead-generation-id"])
    assert receipt["usage"]["state"] == "usage_missing"


def test_the_form_is_sent_on_to_the_byte_but_for_the_model(scene: Scene) -> None:
    body = form(
        ("file", b"\r\n--b0undar\r\n\x00\xff" * 9),
        ("model", "whisper"),
        ("prompt", "é"),
        ("include[]", "a"),
        ("include[]", "b"),
    )
    assert post(scene, body)[0] == 200
    assert scene.last.body == body.replace(b"whisper", b"whisper-up")
    assert scene.last.headers["content-type"] == "multipart/form-data; boundary=b0undary"
    ours = form(("fairlead", "{}"), ("model", "whisper"), ("session_id", "s"), ("file", b"x"), ("models", '["hears"]'))
    assert post(scene, ours)[0] == 200
    assert scene.last.body == form(("model", "whisper-up"), ("file", b"x"))


def test_edits_of_images(scene: Scene) -> None:
    scene.upstream.enqueue(Reply(body=json.dumps({"created": 1, "data": [{"b64_json": "AA=="}] * 2})))
    raw = scene.client.images.with_raw_response.edit(
        model="draws", image=[("a.png", PNG), ("b.png", PNG)], prompt="A dot", n=2, size="1024x1024"
    )
    assert raw.headers["x-fairlead-cost"] == "0.08"
    assert scene.last.path == "/v1/images/edits"
    assert scene.last.body.count(PNG) == 2


def peak(served: Served) -> int:
    """The most memory that the process has had at once."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize(
    ("path", "name", "file", "callers"),
    [
        ("/v1/audio/transcriptions", "whisper", "file", 2), ("/api/v1/audio/translations", "whisper", "file", 1),
        ("/v1/images/edits", "draws", "image", 1),
    ],
    ids=["transcriptions", "translations", "edits"],
)  # fmt: skip
def test_a_long_file_costs_no_memory(scene: Scene, path: str, name: str, file: str, callers: int) -> None:
    """100 MB, twice at once, after a short one."""
    scene.upstream.default = Reply(body=json.dumps({"text": "Hello.", "created": 1, "data": [{"b64_json": "aGk="}]}))
    more = [("prompt", "A dot")] if name == "draws" else []
    assert post(scene, form(("model", name), *more, (file, bytes(300_000))), path)[0] == 200
    before = peak(scene.served)
    body = form(("model", name), *more, (file, os.urandom(LONG_BYTES)))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(post(scene, body, path)[0])) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert found == [200] * callers
    sent = body.replace(name.encode(), f"{name}-up".encode(), 1)
    assert [one.body == sent for one in scene.upstream.requests[-callers:]] == [True] * callers
    scene.upstream.requests.clear()
    assert peak(scene.served) - before < MOST_GROWTH_BYTES
    assert not any(one.name.startswith("tmp") for one in scene.served.data.iterdir()), "no file is left"


@pytest.mark.parametrize("failing", [Reply(status=500), Reply(fault=Fault.CLOSE_AT_ONCE), Reply(body="nothing")])
def test_another_deployment_gets_the_whole_form_where_one_fails(scene: Scene, failing: Reply) -> None:
    body = form(("model", "either"), ("file", os.urandom(600_000)))
    usage = {"type": "duration", "seconds": 9}
    scene.upstream.enqueue(failing, Reply(body=json.dumps({"text": "Hello.", "usage": usage})))
    status, headers, _ = post(scene, body)
    assert (status, headers["x-fairlead-cost"]) == (200, "0.0009")
    sent = [one.body for one in scene.upstream.requests[-2:]]
    assert set(sent) <= {body.replace(b"either", name) for name in (b"first-up", b"second-up")}
    eventually(lambda: uploads_of(scene.served) == 0)


def test_limits_of_length(scene: Scene) -> None:
    status, _, body = post(scene, b"", content_length="134217729")
    assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
    status, _, body = post(scene, b"", path="/v1/chat/completions", content_length="40000000")
    assert status == 413, "other bodies keep their limit"


def test_callers_who_leave_in_the_middle(scene: Scene) -> None:
    body = form(("model", "whisper"), ("file", bytes(5_000_000)))
    for sent in (100, 1_000_000, len(body) - 1):
        with socket.create_connection(("127.0.0.1", scene.served.port)) as caller:
            caller.sendall(
                b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n"
                b"Content-Type: multipart/form-data; boundary=b0undary\r\n\r\n"
                % (scene.served.key.encode(), len(body))
                + body[:sent]
            )
    scene.upstream.default = Reply(body=SAID, delay_seconds=2)
    count = len(scene.upstream.requests)
    with socket.create_connection(("127.0.0.1", scene.served.port)) as caller:
        caller.sendall(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n"
            b"Content-Type: multipart/form-data; boundary=b0undary\r\n\r\n"
            % (scene.served.key.encode(), len(body))
            + body
        )
        eventually(lambda: len(scene.upstream.requests) > count)
        assert uploads_of(scene.served) == 1
    eventually(lambda: uploads_of(scene.served) == 0)
    scene.upstream.default = Reply(body=SAID)
    assert post(scene, body)[0] == 200
    eventually(lambda: uploads_of(scene.served) == 0)


def uploads_of(served: Served) -> int:
    """Files without a name that the process has open."""
    found = 0
    for one in Path(f"/proc/{served.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(one.readlink())
            found += str(served.data) in target and target.endswith("(deleted)")
    return found


GARBAGE = [
    b"", b"{}", b"--b0undary", b"--b0undary--\r\n", b"--b0undary\r\n\r\n\r\n--b0undary--\r\n",
    form(("model", "whisper")), form(("file", b"x")), form(("model", "whisper"), ("file", "no file")),
    form(("model", "whisper"), ("model", "hears"), ("file", b"x")), form(("model", ""), ("file", b"x")),
    form(("model", "whisper"), ("file", b"x"))[:-4], form(("model", "whisper"), ("file", b"x"), ("stream", "true")),
    form(("model", "whisper"), ("file", b"x"), ("temperature", "hot")), form(("model", "x" * 300_000), ("file", b"x")),
    form(("model", "whisper"), *[("a[]", "b")] * 100, ("file", b"x")), form(("model", "whisper"), ("file", b"x"), ("fairlead", "5")),
    form(("model", "whisper"), ("file", b"x")).replace(b'name="model"', b'name="mod\xff"'),
    b"\r\n" * 500_000, b"preamble\r\n" + form(("model", "whisper"), ("file", b"x")), form(("model", "whisper"), ("file", b"x"), boundary="other"),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(GARBAGE)))
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/images/edits"])
def test_what_is_no_form_is_refused(scene: Scene, at: int, path: str) -> None:
    status, _, body = post(scene, GARBAGE[at], path)
    assert status == 400, body
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "x" * 5000, ""]
)
def test_content_types_that_are_none(scene: Scene, kind: str) -> None:
    assert post(scene, form(("model", "whisper"), ("file", b"x")), content_type=kind)[0] == 400


def test_a_compressed_form_is_refused(scene: Scene) -> None:
    status, _, body = post(scene, form(("model", "whisper"), ("file", b"x")), content_encoding="gzip")
    assert (status, json.loads(body)["error"]["code"]) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("path", "body", "answer", "credit"),
    [
        ("/v1/audio/transcriptions", form(("model", "whisper"), ("file", _SILENCE)), SAID, "0.00035"),
        (
            "/v1/images/edits", form(("model", "draws"), ("prompt", "A dot"), ("image", PNG)),
            json.dumps({"created": 1, "data": [{"b64_json": "AA=="}]}), "0.13",
        ),
    ],
    ids=["transcriptions", "edits"],
)  # fmt: skip
def test_forms_at_once_on_credit_for_three_never_overspend(
    scene: Scene, path: str, body: bytes, answer: str, credit: str
) -> None:
    scene.upstream.default = Reply(body=answer)
    key = new_key(scene.served, "--credit", credit)
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: post(scene, body, path, authorization=f"Bearer {key}"), range(20)))
    assert {status for status, _, _ in found} == {200, 402}
    costs = [float(headers["x-fairlead-cost"]) for status, headers, _ in found if status == 200]
    assert len(costs) <= 3
    assert 0 < sum(costs) <= float(credit)
    error = next(json.loads(content)["error"] for status, _, content in found if status == 402)
    assert error["code"] == "insufficient_credit"
    assert fairlead("verify", data=scene.served.data).returncode == 0


def test_keys_and_answers(scene: Scene) -> None:
    body = form(("model", "whisper"), ("file", b"x" * 100_000))
    assert post(scene, body, authorization="Bearer sk-fl-x")[0] == 401
    for said in ("{}", "[]", "nothing", '{"error": {"message": "x"}}'):
        scene.upstream.enqueue(Reply(body=said))
        assert post(scene, body)[0] == 502
        eventually(lambda: post(scene, body)[0] == 200)
    assert fairlead("verify", data=scene.served.data).returncode == 0
