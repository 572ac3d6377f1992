"""`POST /v1/embeddings` at real sockets: OpenAI's own SDK, split batches, faults of providers, and the bill."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.compose.test_serving import run, until
from tests.operations.served import Gateway, cost, dollars, gateway, model, provider

from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.testing.embeddings import vector

PATH = "/v1/embeddings"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


def served(directory: Path, text: str, test: Callable[[Gateway], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with gateway(directory, "retries = 0\n" + text) as it:
            await test(it)

    run(inside)


def vectors(body: bytes) -> list[Any]:
    data = json.loads(body)["data"]
    assert [one["index"] for one in data] == list(range(len(data)))
    return [one["embedding"] for one in data]


def test_openais_sdk_gets_its_vectors_sync_and_async_and_as_base64(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    texts = ["one", "two \u00e4\u2603", ""]

    def sync(url: str, key: str) -> Any:
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as sdk:
            return [
                sdk.embeddings.create(model="m", input=texts),
                sdk.embeddings.create(model="m", input="alone", encoding_format="float"),
                sdk.embeddings.create(
                    model="m", input=[[1, 2, 3], [4]], dimensions=5, user="u", encoding_format="float"
                ),
                sdk.embeddings.create(model="m", input=[7, 8]),
            ]

    async def test(it: Gateway) -> None:
        many, alone, tokens, one = await asyncio.to_thread(sync, it.url, it.it.key)
        assert upstream.requests[0].json["encoding_format"] == "base64", "what the SDK asks for by default"
        assert [entry.embedding for entry in many.data] == [vector(text) for text in texts]
        assert (many.model, many.object, many.usage.total_tokens) == ("m", "list", 36)
        assert many.usage.cost_usd == str(dollars(36)) == "0.500072"
        assert alone.data[0].embedding == vector("alone")
        assert upstream.requests[1].json == {"model": "up-p", "encoding_format": "float", "input": "alone"}
        assert [entry.embedding for entry in tokens.data] == [vector([1, 2, 3], 5), vector([4], 5)]
        assert one.data[0].embedding == vector([7, 8])
        async with openai.AsyncOpenAI(base_url=it.url, api_key=it.it.key, max_retries=0) as sdk:
            found = await sdk.embeddings.create(model="m", input=texts)
            assert [entry.embedding for entry in found.data] == [vector(text) for text in texts]
            with pytest.raises(openai.BadRequestError, match=r"use POST /v1/embeddings"):
                await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        records = await it.records()
        assert [record.user for record in records] == ["", "", "u", "", ""]
        assert [(one.prompt, one.completion, one.outcome) for one in records[:2]] == [
            (36, 0, "served"),
            (12, 0, "served"),
        ]

    served(tmp_path, provider(upstream.url) + model("embedding"), test)


def test_vectors_are_written_as_the_caller_wants_them_whatever_the_provider_sends(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    numbers = [0.5, -1.25, 3.0]
    packed = base64.b64encode(struct.pack("<3f", *numbers)).decode()

    def sent(embedding: Any) -> Reply:
        usage = {"prompt_tokens": 3, "completion_tokens": 999, "total_tokens": 1002}
        return Reply(body=json.dumps({"data": [{"embedding": embedding}], "usage": usage}))

    async def test(it: Gateway) -> None:
        for encoding, wanted in (("float", numbers), ("base64", packed)):
            for embedding in (numbers, packed):
                upstream.enqueue(sent(embedding))
                answer = await it.post(PATH, {"model": "m", "input": "x", "encoding_format": encoding})
                assert vectors(answer.body) == [wanted]
                assert cost(answer) == dollars(3), "what writes nothing has no output"

    served(tmp_path, provider(upstream.url) + model("embedding"), test)


def test_a_long_batch_is_split_and_joined_in_order_with_one_bill(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    texts = [f"text {at}" for at in range(10)]

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {"model": "m", "input": texts, "encoding_format": "float"})
        assert vectors(answer.body) == [vector(text) for text in texts]
        assert sorted(len(one.json["input"]) for one in upstream.requests) == [2, 4, 4]
        assert "x-fairlead-emulated" not in answer.headers
        assert answer.usage["prompt_tokens"] == 120
        assert cost(answer) == dollars(120), "who asks once pays one request"
        [record] = await it.records()
        assert (record.prompt, record.tokens.request) == (120, 1)
        assert record.cost == 120 * 1_000_000 + 3 * 10**11, "the provider was asked three times"
        assert len(record.attempts) == 1

    extra = 'cost = { input = "1", output = "1", request = "0.1" }\nmax_inputs = 4\n'
    served(tmp_path, provider(upstream.url) + model("embedding", more=extra), test)


def test_any_batch_costs_the_sum_of_its_parts(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    luck = random.Random(7)

    async def test(it: Gateway) -> None:
        expected = 0
        for _ in range(40):
            count = luck.randint(1, 30)
            per_input = luck.randint(1, 60)
            upstream.default = Reply(prompt_tokens=per_input)
            inputs: list[Any] = [[luck.randint(0, 9)] * luck.randint(1, 4) for _ in range(count)]
            if luck.random() < 0.5:
                inputs = ["w" * luck.randint(1, 50) for _ in range(count)]
            answer = await it.post(PATH, {"model": "m", "input": inputs, "encoding_format": "float"})
            assert vectors(answer.body) == [vector(one) for one in inputs]
            assert answer.usage["total_tokens"] == count * per_input
            assert cost(answer) == dollars(count * per_input)
            expected += count * per_input
        records = await it.records()
        assert sum(record.prompt for record in records) == expected
        assert len(records) == 40

    served(tmp_path, provider(upstream.url) + model("embedding", more="max_inputs = 7\n"), test)


def body_with(data: Any, **more: Any) -> Reply:
    return Reply(body=json.dumps({"data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}, **more}))


NAN = base64.b64encode(struct.pack("<2f", 1.0, float("nan"))).decode()
INFINITE = base64.b64encode(struct.pack("<2f", float("inf"), float("-inf"))).decode()
GARBAGE = {
    "fewer": Reply(fault=Fault.EMPTY_CHOICES),
    "none": body_with([]),
    "more": body_with([{"embedding": [1], "index": at} for at in range(3)]),
    "one index twice": body_with([{"embedding": [1], "index": 0}, {"embedding": [1], "index": 0}]),
    "an index beyond": body_with([{"embedding": [1], "index": 0}, {"embedding": [1], "index": 2}]),
    "text": body_with([{"embedding": "!!!"}, {"embedding": "!!!"}]),
    "half a float": body_with([{"embedding": "AAA="}, {"embedding": "AAA="}]),
    "not a number": body_with([{"embedding": NAN}, {"embedding": NAN}]),
    "infinite": body_with([{"embedding": INFINITE}, {"embedding": INFINITE}]),
    "too large": Reply(body='{"data": [{"embedding": [1e999]}, {"embedding": [1e999]}]}'),
    "NaN in JSON": Reply(body='{"data": [{"embedding": [NaN]}, {"embedding": [NaN]}]}'),
    "strings": body_with([{"embedding": ["1"]}, {"embedding": ["1"]}]),
    "nested": body_with([{"embedding": [[1]]}, {"embedding": [[1]]}]),
    "an object": body_with([{"embedding": {}}, {"embedding": {}}]),
    "empty vectors": body_with([{"embedding": []}, {"embedding": []}]),
    "different lengths": body_with([{"embedding": [1, 2, 3]}, {"embedding": [1, 2]}]),
    "other dimensions": body_with([{"embedding": [1, 2]}, {"embedding": [1, 2]}]),
    "no JSON": Reply(fault=Fault.MALFORMED_JSON),
    "HTML": Reply(fault=Fault.HTML),
    "an error": Reply(fault=Fault.ERROR_EVENT),
    "deep": Reply(body='{"data": [{"embedding": ' + "[" * 100_000 + "]" * 100_000 + "}]}"),
}


def test_garbage_of_a_provider_is_a_failed_attempt_that_nobody_pays_for(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def test(it: Gateway) -> None:
        for at, (name, reply) in enumerate(GARBAGE.items()):
            for encoding in ("float", "base64"):
                upstream.enqueue(reply)
                request = {"model": f"m{at}", "input": ["a", "b"], "dimensions": 3, "encoding_format": encoding}
                answer = await it.post(PATH, request)
                assert answer.status == 502, (name, answer.body)
        records = await it.records()
        assert len(records) == 2 * len(GARBAGE)
        assert {record.price for record in records} == {0}

    text = "".join(
        provider(upstream.url, f"p{at}") + model("embedding", f"p{at}", name=f"m{at}") for at in range(len(GARBAGE))
    )
    served(tmp_path, text, test)


def test_what_one_provider_leaves_out_another_one_serves(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        upstream.default = Reply(fault=Fault.EMPTY_CHOICES)
        answer = await it.post(PATH, {"model": "m", "input": ["a", "b", "c"], "encoding_format": "float"})
        assert vectors(answer.body) == [vector("a"), vector("b"), vector("c")]
        record = await it.last()
        assert [attempt.outcome for attempt in record.attempts] == ["upstream_invalid", "served"]
        assert record.deployment == "q/up-q"
        assert record.price == 36 * 2_000_000 + 5 * 10**11

    with ScriptedUpstream() as other:
        text = (
            'strategy = "priority"\n' + provider(upstream.url) + provider(other.url, "q") + model("embedding", "p", "q")
        )
        served(tmp_path, text, test)


COST = 'cost = { input = "1", output = "1", request = "0.1" }\nmax_inputs = 1\n'


def test_parts_that_were_answered_before_one_failed_are_the_operators_cost(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.enqueue(*[Reply(prompt_tokens=3)] * 2, Reply(status=500, delay_seconds=0.5))

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {"model": "m", "input": ["a", "b", "c"]})
        assert answer.status == 502
        record = await it.last()
        assert (record.price, record.cost) == (0, 6 * 1_000_000 + 2 * 10**11)

    served(tmp_path, provider(upstream.url) + model("embedding", more=COST), test)


def test_who_leaves_a_batch_pays_for_the_parts_that_were_answered(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(*[Reply(prompt_tokens=3)] * 2, Reply(delay_seconds=60))

    async def test(it: Gateway) -> None:
        await leave(it, upstream, {"model": "m", "input": ["a", "b", "c"]}, requests=3)
        await until(lambda: upstream.cancelled == 1)
        [record] = await it.recorded(1)
        assert (record.outcome, record.prompt) == ("caller_gone", 6)
        assert record.price == 6 * 2_000_000 + 5 * 10**11, "one request"
        assert record.cost == 6 * 1_000_000 + 2 * 10**11, "two of the provider's"

    served(tmp_path, provider(upstream.url, dialect="vllm") + model("embedding", more=COST), test)


async def leave(it: Gateway, upstream: ScriptedUpstream, body: dict[str, Any], requests: int = 1) -> None:
    """Asks, and disconnects when that many requests have reached the provider and were answered, if they are."""
    _, writer = await asyncio.open_connection("127.0.0.1", it.it.port)
    text = json.dumps(body).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {it.it.key}\r\ncontent-length: {len(text)}\r\n\r\n"
    )
    before = len(upstream.requests)
    writer.write(head.encode() + text)
    await until(lambda: len(upstream.requests) >= before + requests)
    await asyncio.sleep(0.3)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("fault", [Fault.MISSING_USAGE, Fault.ZERO_USAGE])
def test_what_a_provider_does_not_count_is_counted_here(
    tmp_path: Path, upstream: ScriptedUpstream, fault: Fault
) -> None:
    upstream.default = Reply(fault=fault)

    async def test(it: Gateway) -> None:
        for inputs, tokens in (([[1, 2, 3], [4]], 4), ("four letters and more: sixteen", 8)):
            answer = await it.post(PATH, {"model": "m", "input": inputs})
            assert answer.usage["usage_source"] == "counted"
            assert answer.usage["prompt_tokens"] == tokens
            assert cost(answer) == dollars(tokens)

    served(tmp_path, provider(upstream.url) + model("embedding"), test)


def test_usage_that_cannot_be_is_not_charged(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.default = Reply(prompt_tokens=1_000_000)

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {"model": "m", "input": [[1, 2], [3]]})
        assert cost(answer) == dollars(3)
        assert (await it.last()).implausible == (2_000_000, 0)

    served(tmp_path, provider(upstream.url) + model("embedding"), test)


def test_each_input_has_the_context_for_itself(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """A batch may have more tokens than the context: it is held, believed and charged."""

    async def test(it: Gateway) -> None:
        upstream.default = Reply(prompt_tokens=50)
        answer = await it.post(PATH, {"model": "m", "input": ["w" * 60] * 100})
        assert answer.status == 200
        assert cost(answer) == dollars(5_000)
        assert (await it.last()).implausible is None

    text = (
        provider(upstream.url)
        + provider(upstream.url, "q")
        + model("embedding", "p", "q", more="context_length = 64\n")
    )
    served(tmp_path, text, test)


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ({"model": "m"}, "input"),
    "null": ({"model": "m", "input": None}, "input"),
    "an empty list": ({"model": "m", "input": []}, "input"),
    "empty tokens": ({"model": "m", "input": [[]]}, "input"),
    "an object": ({"model": "m", "input": {"text": "x"}}, "input"),
    "mixed": ({"model": "m", "input": ["a", 1]}, "input"),
    "tokens and texts": ({"model": "m", "input": [[1], "a"]}, "input"),
    "negative tokens": ({"model": "m", "input": [-1]}, "input"),
    "fractions": ({"model": "m", "input": [1.5]}, "input"),
    "deep": ({"model": "m", "input": [[[1]]]}, "input"),
    "no model": ({"input": "x"}, "model"),
    "an encoding": ({"model": "m", "input": "x", "encoding_format": "hex"}, "encoding_format"),
    "dimensions": ({"model": "m", "input": "x", "dimensions": 0}, "dimensions"),
    "many dimensions": ({"model": "m", "input": "x", "dimensions": 10**9}, "dimensions"),
    "strict": ({"model": "m", "input": "x", "tasks": "y", "fairlead": {"strict": True}}, "tasks"),
}  # fmt: skip


def test_requests_that_are_none_are_refused_and_name_what_is_wrong(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    long = b'{"model": "m", "input": [' + b",".join([b'"a"'] * 16_385) + b"]}"
    tokens = b'{"model": "m", "input": [' + b",".join([b"1"] * 1_048_577) + b"]}"
    lists = b'{"model": "m", "input": [' + b",".join([b"[1]"] * 16_385) + b"]}"

    async def test(it: Gateway) -> None:
        for name, (body, param) in BAD.items():
            assert await it.refused(PATH, body) == (400, "invalid_request", param), name
        for hostile in (long, tokens, lists, b"[1]", b"", b'{"model": "m", "input": "\xff"}'):
            assert (await it.refused(PATH, hostile))[:2] == (400, "invalid_request")
        assert not upstream.requests
        await it.records()

    served(tmp_path, provider(upstream.url) + model("embedding"), test)


def test_unknown_parameters_reach_who_takes_them_and_are_named_elsewhere(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    body = {"model": "m", "input": "x", "input_type": "query", "max_new_tokens": 9, "user": "u", "dimensions": 8}

    async def test(it: Gateway) -> None:
        seen: dict[str, tuple[set[str], str]] = {}
        for name in ("g", "o", "s"):
            answer = await it.post(PATH, {**body, "model": name})
            assert answer.status == 200, answer.body
            seen[name] = set(upstream.requests[-1].json), answer.headers.get("x-fairlead-dropped", "")
        always = {"model", "input"}
        assert seen["g"] == (always | {"input_type", "user", "dimensions"}, "max_new_tokens")
        assert seen["o"] == (always | {"user", "dimensions"}, "input_type, max_new_tokens")
        assert seen["s"] == (always | {"output_dimension"}, "input_type, max_new_tokens, user")

    text = ""
    for name, dialect in (("g", "generic"), ("o", "openai"), ("s", "mistral")):
        text += provider(upstream.url, name, dialect) + model("embedding", name, name=name)
    served(tmp_path, text, test)


def test_azure_has_a_path_of_its_own(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.paths.append("/embeddings")

    async def test(it: Gateway) -> None:
        assert (await it.post(PATH, {"model": "m", "input": "x"})).status == 200
        path = "/v1/openai/deployments/up-p/embeddings?api-version=2024-10-21"
        assert upstream.requests[-1].path == path

    served(tmp_path, provider(upstream.url, dialect="azure") + model("embedding"), test)


def test_gemini_gets_batches_in_its_words(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.paths.append(":batchEmbedContents")
    upstream.enqueue(Reply(body='{"embeddings": [{"values": [0.5, 1]}, {"values": [2, 3]}]}'))

    async def test(it: Gateway) -> None:
        body = {"model": "m", "input": ["a", "b"], "dimensions": 2, "input_type": "query", "encoding_format": "base64"}
        answer = await it.post(PATH, body)
        found = [struct.unpack("<2f", base64.b64decode(one)) for one in vectors(answer.body)]
        assert found == [(0.5, 1.0), (2.0, 3.0)]
        assert upstream.requests[-1].path == "/v1/models/up-p:batchEmbedContents"
        assert upstream.requests[-1].json["requests"][1] == {
            "model": "models/up-p", "outputDimensionality": 2, "taskType": "RETRIEVAL_QUERY",
            "content": {"parts": [{"text": "b"}]},
        }  # fmt: skip
        assert answer.usage["usage_source"] == "counted", "it reports none"
        assert (await it.refused(PATH, {"model": "m", "input": [1, 2]}))[0] == 400
        upstream.default = Reply(body=json.dumps({"embeddings": [{"values": [1]}] * 100}))
        await it.post(PATH, {"model": "m", "input": ["a"] * 200})
        assert [len(one.json["requests"]) for one in upstream.requests[-2:]] == [100, 100]

    served(tmp_path, provider(upstream.url, dialect="gemini") + model("embedding"), test)


def test_an_engine_is_left_and_a_provider_is_read_to_its_end_when_the_caller_leaves(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.default = Reply(delay_seconds=1.0)

    async def test(it: Gateway) -> None:
        await leave(it, upstream, {"model": "engine", "input": "x"})
        await until(lambda: upstream.cancelled == 1)
        await leave(it, upstream, {"model": "hosted", "input": "x"})
        found = {record.model: record for record in await it.recorded(2)}
        assert (found["engine"].outcome, found["engine"].price) == ("caller_gone", 0)
        assert (found["hosted"].outcome, found["hosted"].prompt) == ("caller_gone", 12)
        assert found["hosted"].price == 12 * 2_000_000 + 5 * 10**11
        assert upstream.cancelled == 1

    text = ""
    for name, dialect in (("engine", "vllm"), ("hosted", "generic")):
        text += provider(upstream.url, name, dialect) + model("embedding", name, name=name)
    served(tmp_path, text, test)


def test_a_thousand_at_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        answers = await asyncio.gather(
            *(
                it.post(PATH, {"model": "m", "input": [f"{at}", "b", "c"], "encoding_format": "float"})
                for at in range(1_000)
            )
        )
        assert {answer.status for answer in answers} == {200}
        assert all(vectors(one.body)[0] == vector(f"{at}") for at, one in enumerate(answers))
        records = await it.records()
        assert len(records) == 1_000
        assert sum(record.prompt for record in records) == 36_000

    served(tmp_path, provider(upstream.url) + model("embedding", more="max_inputs = 2\n"), test)
