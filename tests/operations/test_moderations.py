"""`POST /v1/moderations` at real sockets, with OpenAI's own SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.operations.served import Gateway, cost, dollars, model, provider
from tests.operations.test_embeddings import served

from fairlead.testing import Fault, Reply, ScriptedUpstream

PATH = "/v1/moderations"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PARTS = [{"type": "text", "text": "a picture"}, {"type": "image_url", "image_url": {"url": PIXEL}}]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


def test_openais_sdk_gets_a_result_for_each_text_and_one_for_all_parts(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    def calls(url: str, key: str) -> list[Any]:
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as sdk:
            return [
                sdk.moderations.create(input=["peace", "violence"]),
                sdk.moderations.create(input="peace"),
                sdk.moderations.create(input=PARTS, model="omni-moderation-latest"),  # type: ignore[arg-type]
            ]

    async def test(it: Gateway) -> None:
        many, one, parts = await asyncio.to_thread(calls, it.url, it.it.key)
        assert [result.flagged for result in many.results] == [False, True]
        assert many.results[1].categories.violence is True
        assert many.results[1].category_scores.violence == 0.99
        assert many.model == "omni-moderation-latest"
        assert [len(answer.results) for answer in (one, parts)] == [1, 1]
        assert [received.json["input"] for received in upstream.requests] == [["peace", "violence"], "peace", PARTS]
        assert {record.price for record in await it.records()} == {0}

    text = provider(upstream.url) + model("moderation", name="omni-moderation-latest", price='price = "free"')
    served(tmp_path, text, test)


def test_a_price_is_charged_by_what_is_reported_or_counted(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        counted = await it.post(PATH, {"model": "m", "input": "sixteen letters."})
        assert counted.usage["usage_source"] == "counted"
        assert cost(counted) == dollars(4)
        upstream.enqueue(Reply(usage={"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}))
        reported = await it.post(PATH, {"model": "m", "input": "sixteen letters."})
        assert cost(reported) == dollars(20)
        await it.records()

    served(tmp_path, provider(upstream.url, dialect="mistral") + model("moderation"), test)


def test_mistrals_results_are_flagged_by_their_categories(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    found = [{"categories": {"pii": at == 1}, "category_scores": {"pii": 0.5}} for at in range(2)]
    upstream.enqueue(Reply(body=json.dumps({"id": "x", "results": found})))

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {"model": "m", "input": ["a", "b"]})
        assert [result["flagged"] for result in json.loads(answer.body)["results"]] == [False, True]

    served(tmp_path, provider(upstream.url) + model("moderation"), test)


GOOD = {"flagged": False, "categories": {"a": False}, "category_scores": {"a": 0.1}}
GARBAGE = {
    "fewer": Reply(fault=Fault.EMPTY_CHOICES),
    "more": Reply(body=json.dumps({"results": [GOOD] * 3})),
    "no categories": Reply(body=json.dumps({"results": [{"flagged": False}] * 2})),
    "words for flags": Reply(body=json.dumps({"results": [{**GOOD, "categories": {"a": "no"}}] * 2})),
    "no number": Reply(body='{"results": [{"categories": {"a": true}, "category_scores": {"a": NaN}}]}'),
    "no JSON": Reply(fault=Fault.MALFORMED_JSON),
    "HTML": Reply(fault=Fault.HTML),
    "an error": Reply(fault=Fault.ERROR_EVENT),
}


def test_what_nobody_has_looked_at_never_passes_as_harmless(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for at, (name, reply) in enumerate(GARBAGE.items()):
            upstream.enqueue(reply)
            answer = await it.post(PATH, {"model": f"m{at}", "input": ["a", "b"]})
            assert answer.status == 502, (name, answer.body)
        assert {record.price for record in await it.records()} == {0}

    text = "".join(
        provider(upstream.url, f"p{at}") + model("moderation", f"p{at}", name=f"m{at}") for at in range(len(GARBAGE))
    )
    served(tmp_path, text, test)


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ({"model": "m"}, "input"),
    "none": ({"model": "m", "input": []}, "input"),
    "a number": ({"model": "m", "input": 1}, "input"),
    "mixed": ({"model": "m", "input": ["a", PARTS[0]]}, "input"),
    "audio": ({"model": "m", "input": [{"type": "input_audio"}]}, "input[0]"),
    "no address": (
        {"model": "m", "input": [{"type": "image_url", "image_url": {"url": "x"}}]},
        "input[0].image_url.url",
    ),
    "private": (
        {"model": "m", "input": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/x"}}]},
        "input[0].image_url.url",
    ),
    "many": ({"model": "m", "input": ["a"] * 16_385}, "input"),
}


def test_requests_that_are_none_are_refused_and_name_what_is_wrong(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for name, (body, param) in BAD.items():
            assert await it.refused(PATH, body) == (400, "invalid_request", param), name
        assert await it.refused(PATH, {"input": "x"}) == (404, "model_not_found", "model")
        assert not upstream.requests

    served(tmp_path, provider(upstream.url) + model("moderation"), test)
