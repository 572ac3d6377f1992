"""Models in the format of each client, and everything a second time below /api/v1, as OpenRouter's clients expect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from tests.operations.served import Gateway, model, provider
from tests.operations.test_embeddings import served

from fairlead.admin.audit import Actor
from fairlead.admin.keys import create_key
from fairlead.testing import ScriptedUpstream

CHATS = [f"claude-{at:02d}" for at in range(30)]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


def configuration(upstream: ScriptedUpstream) -> str:
    text = provider(upstream.url)
    for name in CHATS:
        text += model("chat", name=name)
    return text + model("embedding", name="embeds")


async def asked(it: Gateway, path: str, **headers: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.get(it.url.removesuffix("/v1") + path, headers=headers)
    return answer.status_code, answer.json()


def test_anthropics_sdk_lists_the_models_that_its_api_can_call_page_by_page(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    def listed(it: Gateway) -> tuple[Any, ...]:
        with anthropic.Anthropic(base_url=it.url.removesuffix("/v1"), api_key=it.it.key) as sdk:
            first = sdk.models.list(limit=7)
            return first, [one.id for one in sdk.models.list(limit=7)], sdk.models.retrieve("claude-03")

    async def test(it: Gateway) -> None:
        first, everything, one = await asyncio.to_thread(listed, it)
        assert (first.has_more, first.first_id, first.last_id) == (True, "claude-00", "claude-06")
        assert everything == CHATS, "chats alone"
        assert (one.type, one.id, one.display_name) == ("model", "claude-03", "claude-03")
        version = {"anthropic-version": "2023-06-01"}
        status, found = await asked(it, "/v1/models?limit=1000", **version)
        assert (status, len(found["data"]), found["has_more"]) == (200, 30, False)
        _, found = await asked(it, "/v1/models?before_id=claude-10&limit=3", **version)
        assert [entry["id"] for entry in found["data"]] == ["claude-07", "claude-08", "claude-09"]
        assert found["has_more"] is True
        for query in ("limit=0", "limit=x", "after_id=nobody"):
            assert (await asked(it, f"/v1/models?{query}", **version))[0] == 400
        _, found = await asked(it, "/v1/models", authorization=f"Bearer {it.it.key}")
        assert (found["object"], len(found["data"])) == ("list", 31)
        assert (await asked(it, "/v1/models", **{"x-api-key": "sk-fl-nobody"}))[0] == 401

    served(tmp_path, configuration(upstream), test)


def test_a_key_sees_only_what_it_may_call_in_every_format(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        key = create_key(it.it.store, Actor("server"), "some", columns={"models": json.dumps(["claude-02", "embeds"])})
        bearer = {"authorization": f"Bearer {key}"}
        for path, name in (("/v1/models", "id"), ("/v1/model/info", "model_name")):
            for below in ("", "/api"):
                _, found = await asked(it, below + path, **bearer)
                assert [entry[name] for entry in found["data"]] == ["claude-02", "embeds"]
        _, found = await asked(it, "/v1/models", **{"x-api-key": key})
        assert [entry["id"] for entry in found["data"]] == ["claude-02"]
        _, found = await asked(it, "/v1/models?client_version=0.171.0", **bearer)
        assert (found["models"], len(found["data"])) == ([], 2)
        for path, sent in (
            ("/v1/models/", bearer), ("/api/v1/models/", bearer), ("/v1/models/", {"x-api-key": key}),
            ("/v1beta/models/", {"x-goog-api-key": key}),
        ):  # fmt: skip
            assert (await asked(it, f"{path}claude-02", **sent))[0] == 200
            status, found = await asked(it, f"{path}claude-03", **sent)
            assert (status, "this key may not use it" in found["error"]["message"]) == (404, True)

    served(tmp_path, configuration(upstream), test)


def test_litellms_clients_find_limits_capabilities_and_prices(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        _, found = await asked(it, "/v1/model/info")
        by_name = {entry["model_name"]: entry for entry in found["data"]}
        small, embeds = by_name["mistral-small-3.2"], by_name["embeds"]
        assert small["litellm_params"] == {"model": "openai/mistral-small-3.2"}
        info = small["model_info"]
        assert (info["input_cost_per_token"], info["output_cost_per_token"]) == (2e-06, 7e-06)
        assert info["cache_read_input_token_cost"] == 2e-06
        assert (info["mode"], info["max_input_tokens"], info["supports_vision"]) == ("chat", 131_072, True)
        assert embeds["model_info"]["mode"] == "embedding"
        assert embeds["model_info"]["supports_vision"] is None, "not known"

    served(tmp_path, configuration(upstream) + model("chat", name="mistral-small-3.2"), test)


def test_everything_is_below_api_v1_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        base = it.url.replace("/v1", "/api/v1")
        async with openai.AsyncOpenAI(base_url=base, api_key=it.it.key, max_retries=0) as sdk:
            hello: Any = [{"role": "user", "content": "Hello!"}]
            for _ in range(2):  # the second with a head that is known
                said = await sdk.chat.completions.create(model="claude-00", messages=hello)
                assert said.choices[0].message.content == "This is a scripted answer."
            stream = await sdk.chat.completions.create(model="claude-00", messages=hello, stream=True)
            assert len([chunk async for chunk in stream]) > 3
            assert len((await sdk.embeddings.create(model="embeds", input="x")).data) == 1
            assert (await sdk.completions.create(model="claude-00", prompt="x")).choices[0].text
            assert (await sdk.responses.create(model="claude-00", input="Hello!")).output_text
            assert len((await sdk.models.list()).data) == 31
            assert (await sdk.models.retrieve("claude-07")).id == "claude-07"
            with pytest.raises(openai.NotFoundError, match="does not exist here"):
                await sdk.models.retrieve("nobody")
            with pytest.raises(openai.NotFoundError):
                await sdk.get("/nothing", cast_to=object)
        bearer = {"authorization": f"Bearer {it.it.key}"}
        generation = (await it.last()).id
        for path in (f"/generation?id={generation}", f"/receipts/{generation}", "/key", "/credits"):
            below = await asked(it, f"/api/v1{path}", **bearer)
            assert below[0] == 200
            assert below == await asked(it, f"/v1{path}", **bearer)
        answer = await it.post("/api/v1/models/claude-00:generateContent", {"contents": []})
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["status"] == "INVALID_ARGUMENT", "in the words of its dialect"
        assert (await asked(it, "/api/v1/models/claude-01/endpoints"))[0] == 200
        for below in ("", "/api"):
            one = (await asked(it, f"{below}/v1/model/claude-01"))[1]["data"]
            assert one == (await asked(it, "/v1/models/claude-01"))[1]
            assert one["links"]["details"] == "/api/v1/models/claude-01/endpoints"
            status, found = await asked(it, f"{below}/v1/model/nobody")
            code = {"": "model_not_found", "/api": 404}[below]
            assert (status, found["error"]["code"]) == (404, code), "OpenRouter's clients want a number"
        assert found["error"]["metadata"]["code"] == "model_not_found"
        assert (await asked(it, "/api/v1/key"))[0] == 401

    served(tmp_path, configuration(upstream), test)


def test_messages_are_below_api(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    def said(it: Gateway) -> Any:
        with anthropic.Anthropic(base_url=it.url.replace("/v1", "/api"), api_key=it.it.key) as sdk:
            return sdk.messages.create(
                model="claude-00", max_tokens=9, messages=[{"role": "user", "content": "Hello!"}]
            )

    async def test(it: Gateway) -> None:
        assert (await asyncio.to_thread(said, it)).content[0].text == "This is a scripted answer."

    served(tmp_path, configuration(upstream), test)
