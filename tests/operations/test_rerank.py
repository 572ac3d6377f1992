"""`POST /v1/rerank` and `/v2/rerank` at real sockets: Cohere's, Jina's and the engines' shapes, and the bill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.operations.served import Gateway, cost, dollars, model, provider
from tests.operations.test_embeddings import served

from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.testing.rerank import score
from fairlead.wire.rerank import parse_rerank

PATH = "/v1/rerank"
DOCUMENTS = ["a harbour", "a token", "a ship"]
ASKED = {"model": "m", "query": "What is a token?", "documents": DOCUMENTS}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


def ranked(documents: list[str], top: int | None = None) -> list[int]:
    order = sorted(range(len(documents)), key=lambda at: -score(ASKED["query"], documents[at]))  # type: ignore[arg-type]
    return order[:top]


def test_documents_come_back_the_best_first_at_both_paths(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for path in (PATH, "/v2/rerank"):
            answer = await it.post(path, {**ASKED, "top_n": 2})
            found = json.loads(answer.body)
            assert [one["index"] for one in found["results"]] == ranked(DOCUMENTS, 2)
            assert all(set(one) == {"index", "relevance_score"} for one in found["results"])
            assert found["model"] == "m"
            assert found["meta"]["billed_units"] == {"search_units": 1}
            assert found["usage"]["total_tokens"] == 36
            assert cost(answer) == dollars(36)
        assert upstream.requests[0].path == "/v1/rerank"
        assert upstream.requests[0].json == {
            "model": "up-p", "query": ASKED["query"], "top_n": 2, "documents": DOCUMENTS,
        }  # fmt: skip
        assert [record.outcome for record in await it.records()] == ["served", "served"]

    served(tmp_path, provider(upstream.url) + model("rerank"), test)


def test_documents_may_be_objects_and_are_returned_as_they_came(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    documents: list[Any] = [{"text": "one", "id": 7}, "two"]

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {**ASKED, "documents": documents, "return_documents": True})
        found = {one["index"]: one["document"] for one in json.loads(answer.body)["results"]}
        assert found == {0: documents[0], 1: {"text": "two"}}
        assert upstream.requests[-1].json["documents"] == ["one", "two"]
        fields = [{"title": "T", "body": "B", "id": 1}]
        await it.post(PATH, {**ASKED, "documents": fields, "rank_fields": ["title", "body"]})
        assert upstream.requests[-1].json["documents"] == ["title: T\nbody: B"]

    served(tmp_path, provider(upstream.url) + model("rerank"), test)


SHAPES: dict[str, tuple[dict[str, Any] | list[Any], int, int]] = {
    "cohere": (
        {"id": "x", "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
         "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}, 0, 1,
    ),
    "jina": (
        {"model": "jina", "object": "list", "usage": {"total_tokens": 15},
         "results": [{"index": 0, "relevance_score": 0.1, "document": {"text": "a"}},
                     {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]}, 15, 1,
    ),
    "llama.cpp": (
        {"object": "list", "usage": {"prompt_tokens": 20, "total_tokens": 20},
         "results": [{"index": 0, "relevance_score": -3.5}, {"index": 1, "relevance_score": 2}]}, 20, 1,
    ),
    "sglang": ([{"score": 0.9, "document": "b", "index": 1}, {"score": 0.1, "document": "a", "index": 0}], 12, 1),
}  # fmt: skip


def test_every_shape_of_an_answer_is_read(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for name, (body, tokens, units) in SHAPES.items():
            upstream.enqueue(Reply(body=json.dumps(body)))
            answer = await it.post(PATH, {**ASKED, "documents": ["a" * 8, "b" * 8]})
            found = json.loads(answer.body)
            assert [one["index"] for one in found["results"]] == [1, 0], name
            assert found["usage"]["prompt_tokens"] == tokens, name
            assert cost(answer) == dollars(tokens, units), name

    served(tmp_path, provider(upstream.url) + model("rerank"), test)


def test_search_units_are_charged_as_requests_and_held_before(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """250 documents, two of which are long: four units by Cohere's count."""
    documents = ["short"] * 248 + ["long " * 8_000] * 2
    request = parse_rerank(json.dumps({**ASKED, "documents": documents}).encode())
    assert request.least_units == 3
    assert request.most_units >= 4
    results = [{"index": at, "relevance_score": 0.5} for at in range(250)]

    def reply(units: int) -> Reply:
        return Reply(body=json.dumps({"results": results, "meta": {"billed_units": {"search_units": units}}}))

    async def test(it: Gateway) -> None:
        for reported, charged in ((4, 4), (1_000_000, None), (0, None)):
            upstream.enqueue(reply(reported))
            answer = await it.post(PATH, {**ASKED, "documents": documents})
            if charged is not None:
                assert cost(answer) == Decimal("0.5") * charged
                assert json.loads(answer.body)["meta"]["billed_units"] == {"search_units": charged}
            else:  # what cannot be is counted here
                assert answer.usage["usage_source"] == "counted"
                assert cost(answer) == dollars(answer.usage["prompt_tokens"], 3)
        assert [record.tokens.request for record in await it.records()] == [4, 3, 3]

    served(tmp_path, provider(upstream.url) + model("rerank"), test)


def results_of(*found: Any) -> Reply:
    return Reply(body=json.dumps({"results": [{"index": at, "relevance_score": value} for at, value in found]}))


GARBAGE = {
    "fewer": Reply(fault=Fault.EMPTY_CHOICES),
    "one twice": results_of((0, 1), (1, 1), (1, 1)),
    "one that was not sent": results_of((0, 1), (1, 1), (3, 1)),
    "a negative one": results_of((0, 1), (1, 1), (-1, 1)),
    "no score": results_of((0, None), (1, 1), (2, 1)),
    "text for a score": results_of((0, "1"), (1, 1), (2, 1)),
    "infinite": Reply(body='{"results": [{"index": 0, "relevance_score": 1e999}]}'),
    "no JSON": Reply(fault=Fault.MALFORMED_JSON),
    "HTML": Reply(fault=Fault.HTML),
    "an error": Reply(fault=Fault.ERROR_EVENT),
    "a number": Reply(body="1"),
    "deep": Reply(body="[" * 100_000),
}


def test_garbage_of_a_provider_is_a_failed_attempt_that_nobody_pays_for(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def test(it: Gateway) -> None:
        for at, (name, reply) in enumerate(GARBAGE.items()):
            upstream.enqueue(reply)
            answer = await it.post(PATH, {**ASKED, "model": f"m{at}"})
            assert answer.status == 502, (name, answer.body)
        assert {record.price for record in await it.records()} == {0}

    text = "".join(
        provider(upstream.url, f"p{at}") + model("rerank", f"p{at}", name=f"m{at}") for at in range(len(GARBAGE))
    )
    served(tmp_path, text, test)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no query": ({"model": "m", "documents": ["a"]}, "query"),
    "an empty query": ({**ASKED, "query": ""}, "query"),
    "no documents": ({"model": "m", "query": "q"}, "documents"),
    "none": ({**ASKED, "documents": []}, "documents"),
    "numbers": ({**ASKED, "documents": [1]}, "documents"),
    "a text": ({**ASKED, "documents": "a"}, "documents"),
    "no text": ({**ASKED, "documents": ["a", {"image": "x"}]}, "documents[1]"),
    "top_n": ({**ASKED, "top_n": 0}, "top_n"),
    "many": ({**ASKED, "documents": ["a"] * 16_385}, "documents"),
}


def test_requests_that_are_none_are_refused_and_name_what_is_wrong(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for name, (body, param) in BAD.items():
            assert await it.refused(PATH, body) == (400, "invalid_request", param), name
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        answer = await it.post("/v1/chat/completions", body)
        assert b"does not serve chat: use POST /v1/rerank." in answer.body
        assert not upstream.requests

    served(tmp_path, provider(upstream.url) + model("rerank"), test)


def test_engines_are_not_sent_what_they_do_not_know(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        body = {**ASKED, "max_tokens_per_doc": 9, "user": "u"}
        for name, dropped in (("c", "user"), ("v", "max_tokens_per_doc")):
            answer = await it.post(PATH, {**body, "model": name})
            assert answer.headers["x-fairlead-dropped"] == dropped
            assert dropped not in upstream.requests[-1].json
            assert (await it.refused(PATH, {**body, "model": name, "fairlead": {"strict": True}}))[0] == 400

    text = ""
    for name, dialect in (("c", "cohere"), ("v", "vllm")):
        text += provider(upstream.url, name, dialect) + model("rerank", name, name=name)
    served(tmp_path, text, test)


def test_a_thousand_at_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        answers = await asyncio.gather(*(it.post(PATH, ASKED) for _ in range(1_000)))
        assert {answer.status for answer in answers} == {200}
        assert sum(record.price for record in await it.records()) == 1_000 * (36 * 2_000_000 + 5 * 10**11)

    served(tmp_path, provider(upstream.url) + model("rerank"), test)
