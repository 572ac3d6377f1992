"""Images and speech with OpenAI's own SDK: a real gateway, a scripted provider, every charge recomputed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2
import openai
import pytest
from tests.e2e.conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from tests.e2e.test_credit import new_key
from tests.e2e.test_disconnects import receipt_of

from fairlead.errors import InvalidRequest
from fairlead.testing import Received, Reply, ScriptedUpstream
from fairlead.testing.connection import Wire, head
from fairlead.wire.images import units_of

SOUND = bytes(range(256)) * 400
PICTURE = base64.b64encode(b"\x89PNG" + bytes(range(256))).decode()
AUDIO_HEAD = {"content-type": "audio/mpeg"}


class Provider(ScriptedUpstream):
    """`cuts`: the next sound ends in the middle."""

    cuts = False

    async def answer(self, request: Received, wire: Wire) -> bool:
        if not self.cuts:
            return await super().answer(request, wire)
        self.cuts = False
        lines = {**AUDIO_HEAD, "content-length": str(len(SOUND))}
        await wire.send(head(200, lines) + SOUND[: len(SOUND) // 2])
        wire.close()
        return False


class Scene(NamedTuple):
    served: Served
    upstream: Provider
    client: openai.OpenAI


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Provider() as upstream:
        upstream.paths += ["/images/generations", "/audio/speech"]
        config = AT_ONCE + provider(upstream.url, name="p", dialect="openai")
        for name, mode, price in (
            ("tts", "speech", 'input = "15", output = "0"'), ("dall-e", "image", 'input = "0", output = "0", request = "0.04"'),
            ("gpt-image", "image", 'input = "5", image = "10", output = "40"'), ("talk", "chat", 'input = "1", output = "1"'),
        ):  # fmt: skip
            config += f'[[models]]\nid = "{name}"\nmode = "{mode}"\n[[models.deployments]]\nprovider = "p"\n'
            config += f'upstream_model = "{name}-up"\nprice = {{ {price} }}\n'
        with serving(tmp_path_factory.mktemp("media"), config) as served:
            with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
                yield Scene(served, upstream, client)


def images(count: int = 1, **members: Any) -> str:
    return json.dumps({"created": 1, "data": [{"b64_json": PICTURE}] * count, **members})


def charged(scene: Scene, headers: Any) -> str:
    return str(receipt_of(scene.served, headers["x-fairlead-generation-id"])["charged_usd"])


def test_speech_is_passed_on_as_it_comes(scene: Scene) -> None:
    text = "Grüß Gott, 🎈!"
    scene.upstream.enqueue(Reply(body=SOUND, headers=AUDIO_HEAD))
    with scene.client.audio.speech.with_streaming_response.create(model="tts", voice="alloy", input=text) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.read() == SOUND
        headers = answer.headers
    sent = scene.upstream.requests[-1]
    assert sent.path == "/v1/audio/speech"
    assert sent.json == {"model": "tts-up", "voice": "alloy", "input": text}
    assert charged(scene, headers) == f"{len(text) * 15 / 1e6:f}".rstrip("0")
    receipt = receipt_of(scene.served, headers["x-fairlead-generation-id"])
    assert (receipt["outcome"], receipt["usage"]["state"]) == ("served", "reported")


def test_a_format_decides_the_content_type(scene: Scene) -> None:
    scene.upstream.enqueue(Reply(body=SOUND, headers={"content-type": "application/octet-stream"}))
    answer = scene.client.audio.speech.create(model="tts", voice="v", input="x", response_format="wav", speed=1.5)
    assert answer.response.headers["content-type"] == "audio/wav"
    assert scene.upstream.requests[-1].json["speed"] == 1.5


def test_sound_that_is_cut_is_seen_to_be_incomplete(scene: Scene) -> None:
    scene.upstream.cuts = True
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        scene.client.audio.speech.create(model="tts", voice="v", input="x").read()
    eventually(lambda: speaks(scene))


def test_a_caller_who_leaves_in_the_middle_of_sound_pays_for_its_characters(scene: Scene) -> None:
    scene.upstream.enqueue(Reply(body=bytes(20_000_000), headers=AUDIO_HEAD))
    ask = scene.client.audio.speech.with_streaming_response.create
    with ask(model="tts", voice="v", input="x" * 100) as answer:
        next(answer.iter_bytes(1_000))
        call = answer.headers["x-fairlead-generation-id"]
    receipt = receipt_of(scene.served, call)
    assert (receipt["outcome"], receipt["charged_usd"]) == ("caller_gone", "0.0015")
    eventually(lambda: speaks(scene))


@pytest.mark.parametrize(
    ("path", "body", "each", "credit"),
    [
        ("/v1/audio/speech", {"model": "tts", "voice": "v", "input": "x" * 1_000}, 0.015, "0.05"),
        ("/v1/images/generations", {"model": "dall-e", "prompt": "A dot", "n": 2}, 0.08, "0.25"),
    ],
    ids=["speech", "images"],
)
def test_calls_at_once_on_credit_for_three_never_overspend(
    scene: Scene, path: str, body: Any, each: float, credit: str
) -> None:
    scene.upstream.default = Reply(body=images(2)) if "images" in path else Reply(body=SOUND, headers=AUDIO_HEAD)
    head = {"authorization": f"Bearer {new_key(scene.served, '--credit', credit)}"}
    with httpx2.Client(base_url=scene.served.url, headers=head, timeout=60) as http, ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: http.post(path, json=body).status_code, range(20)))
    scene.upstream.default = Reply()
    assert set(found) == {200, 402}
    assert 0 < found.count(200) * each <= float(credit)
    assert fairlead("verify", data=scene.served.data).returncode == 0


def speaks(scene: Scene) -> bool:
    scene.upstream.enqueue(Reply(body=SOUND, headers=AUDIO_HEAD))
    try:
        return scene.client.audio.speech.create(model="tts", voice="v", input="x").read() == SOUND
    except openai.APIError:
        return False


@pytest.mark.parametrize(
    ("size", "quality", "units"),
    [
        (None, None, 1), ("1024x1024", None, 1), ("256x256", None, 1), ("1024x1792", None, 2), ("1792x1024", "hd", 4),
        ("1024x1024", "hd", 2), ("auto", None, 2), ("2048x2048", "high", 4),
    ],
)  # fmt: skip
def test_images_count_by_their_size(size: str | None, quality: str | None, units: int) -> None:
    assert units_of(size, quality) == units


@pytest.mark.parametrize("size", ["big", "0x0", "99999x1", "1024", "-1x5", "1024x1024x2", ""])
def test_sizes_that_are_none(size: str) -> None:
    with pytest.raises(InvalidRequest):
        units_of(size, None)


def test_images_by_size_and_number(scene: Scene) -> None:
    scene.upstream.enqueue(Reply(body=images(2)))
    raw = scene.client.images.with_raw_response.generate(model="dall-e", prompt="A dot", n=2, size="1024x1792")
    found = raw.parse()
    assert [one.b64_json for one in found.data or ()] == [PICTURE, PICTURE]
    assert raw.headers["x-fairlead-cost"] == "0.16", "two images of two units"
    assert charged(scene, raw.headers) == "0.16"
    assert scene.upstream.requests[-1].json == {"model": "dall-e-up", "prompt": "A dot", "n": 2, "size": "1024x1792"}
    scene.upstream.enqueue(Reply(body=images(1)))
    raw = scene.client.images.with_raw_response.generate(model="dall-e", prompt="A dot", n=2)
    assert raw.headers["x-fairlead-cost"] == "0.04", "what was delivered"


def test_images_by_tokens(scene: Scene) -> None:
    usage = {
        "input_tokens": 60, "output_tokens": 1000, "total_tokens": 1060,
        "input_tokens_details": {"text_tokens": 20, "image_tokens": 40},
    }  # fmt: skip
    scene.upstream.enqueue(Reply(body=images(1, usage=usage)))
    raw = scene.client.images.with_raw_response.generate(model="gpt-image", prompt="A dot " * 30)
    assert raw.headers["x-fairlead-cost"] == "0.0405"
    assert json.loads(raw.content)["usage"] == {**usage, "cost": 0.0405, "cost_usd": "0.0405"}


def test_a_hold_covers_what_an_image_may_cost(scene: Scene) -> None:
    for model, budget, works in (("dall-e", "0.05", True), ("dall-e", "0.03", False), ("gpt-image", "0.05", False)):
        key = new_key(scene.served, "--budget", f"total={budget}")
        client = scene.client.with_options(api_key=key)
        if works:
            scene.upstream.enqueue(Reply(body=images()))
            assert client.images.generate(model=model, prompt="A dot").data
        else:
            with pytest.raises(openai.APIStatusError) as caught:
                client.images.generate(model=model, prompt="A dot")
            assert caught.value.status_code == 402


@pytest.mark.parametrize("body", ["{}", "[]", "nothing", '{"data": []}', '{"data": 5}', '{"error": {"message": "x"}}'])
def test_answers_without_an_image(scene: Scene, body: str) -> None:
    scene.upstream.enqueue(Reply(body=body))
    with pytest.raises(openai.APIStatusError) as caught:
        scene.client.images.generate(model="dall-e", prompt="A dot")
    assert caught.value.status_code == 502
    assert eventually(lambda: draws(scene)) >= 0


def draws(scene: Scene) -> bool:
    scene.upstream.enqueue(Reply(body=images()))
    try:
        return bool(scene.client.images.generate(model="dall-e", prompt="x").data)
    except openai.APIStatusError:
        return False


def test_models_of_another_mode_are_refused_with_their_endpoint(scene: Scene) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/chat/completions"):
        scene.client.images.generate(model="talk", prompt="x")
    with pytest.raises(openai.BadRequestError, match="/v1/audio/speech"):
        scene.client.chat.completions.create(model="tts", messages=[{"role": "user", "content": "x"}])


def test_garbage_is_refused(scene: Scene) -> None:
    values: list[Any] = [None, True, -1, 1.5, "", [], {}, [None], "\ud83d", 10**400]
    url = {"tts": "audio/speech", "dall-e": "images/generations"}
    for model, usual in (("tts", {"input": "x", "voice": "v"}), ("dall-e", {"prompt": "x"})):
        for member in (*usual, "n", "size", "quality", "response_format", "speed", "stream", "model", "fairlead"):
            for value in values:
                body = json.dumps({"model": model, **usual, member: value}).encode()
                scene.upstream.default = (
                    Reply(body=SOUND, headers=AUDIO_HEAD) if model == "tts" else Reply(body=images())
                )
                answer = scene.client._client.post(
                    f"{scene.served.url}/v1/{url[model]}", content=body,
                    headers={"authorization": f"Bearer {scene.served.key}", "content-type": "application/json"},
                )  # fmt: skip
                assert answer.status_code in (200, 400, 404), (body, answer.text)
    assert fairlead("verify", data=scene.served.data).returncode == 0
