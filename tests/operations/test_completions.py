"""`POST /v1/completions` at real sockets, with OpenAI's own SDK: streamed and whole, and the bill."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.compose.test_serving import until
from tests.operations.served import Gateway, model, provider
from tests.operations.test_embeddings import served

from fairlead.testing import Fault, Reply, ScriptedUpstream

PATH = "/v1/completions"
REPLY = Reply(text=" is a piece of a word.", prompt_tokens=4, completion_tokens=6)
DIALECTS = ("generic", "openai", "vllm", "llamacpp")


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        found.default = REPLY
        yield found


def price(prompt: int, completion: int) -> Decimal:
    """What `served.PRICE` asks for."""
    return (Decimal(2) * prompt + 7 * completion) / 1_000_000 + Decimal("0.5")


def picodollars(prompt: int, completion: int) -> int:
    return int(price(prompt, completion) * 10**12)


def everywhere(upstream: ScriptedUpstream) -> str:
    return "".join(provider(upstream.url, name, name) + model("chat", name, name=name) for name in DIALECTS)


def test_openais_sdk_gets_texts_whole_and_streamed_from_every_dialect(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def test(it: Gateway) -> None:
        async with openai.AsyncOpenAI(base_url=it.url, api_key=it.it.key, max_retries=0) as sdk:
            for name in DIALECTS:
                whole = await sdk.completions.create(model=name, prompt="A token", max_tokens=20)
                assert whole.choices[0].text == REPLY.text, name
                assert (whole.model, whole.object, whole.choices[0].finish_reason) == (name, "text_completion", "stop")
                assert whole.usage is not None
                assert whole.usage.cost_usd == str(price(4, 6)), name  # type: ignore[attr-defined]
                stream = await sdk.completions.create(
                    model=name, prompt="A token", max_tokens=20, stream=True, stream_options={"include_usage": True}
                )
                chunks = [chunk async for chunk in stream]
                assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == REPLY.text
                assert {chunk.model for chunk in chunks} == {name}
                assert chunks[-1].usage is not None
                assert chunks[-1].usage.cost_usd == str(price(4, 6))  # type: ignore[attr-defined]
                assert len(chunks) > 5, "as they come"
        assert {received.path for received in upstream.requests} == {"/v1/completions"}
        assert {received.json["prompt"] for received in upstream.requests} == {"A token"}
        records = await it.records()
        assert [record.price for record in records] == [picodollars(4, 6)] * 8
        assert [record.stream for record in records] == [False, True] * 4

    served(tmp_path, everywhere(upstream), test)


def test_a_cap_is_always_sent_openais_where_the_caller_gives_none(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for name in DIALECTS:
            await it.post(PATH, {"model": name, "prompt": "A"})
            assert upstream.requests[-1].json["max_tokens"] == 16
            await it.post(PATH, {"model": name, "prompt": "A", "max_tokens": 3})
            assert upstream.requests[-1].json["max_tokens"] == 3

    served(tmp_path, everywhere(upstream), test)


def test_several_prompts_and_answers_have_one_bill(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for prompt in (["a", "b"], [[1, 2], [3]]):
            for stream in (False, True):
                body = {"model": "generic", "prompt": prompt, "n": 2, "stream": stream, "max_tokens": 20}
                answer = await it.post(PATH, body)
                assert answer.status == 200
                assert "x-fairlead-dropped" not in answer.headers
                assert (await it.last()).price == picodollars(8, 24)
                if not stream:
                    assert [choice["index"] for choice in json.loads(answer.body)["choices"]] == [0, 1, 2, 3]
        # All that are written are billed, not only those that come back.
        answer = await it.post(PATH, {"model": "generic", "prompt": "a", "n": 2, "best_of": 5, "max_tokens": 20})
        assert len(json.loads(answer.body)["choices"]) == 2
        assert (await it.last()).price == picodollars(4, 30)
        assert (await it.last()).implausible is None
        assert "x-fairlead-dropped" not in answer.headers

    served(tmp_path, everywhere(upstream), test)


def test_an_echoed_prompt_with_its_logprobs_is_what_was_asked_for_and_is_charged(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """As evaluations do: nothing is written, and the likelihood of the prompt is wanted."""

    async def test(it: Gateway) -> None:
        for name in ("generic", "vllm"):
            body = {"model": name, "prompt": "A token", "echo": True, "logprobs": 1, "max_tokens": 0}
            answer = await it.post(PATH, body)
            [choice] = json.loads(answer.body)["choices"]
            assert choice["text"] == "A token"
            assert choice["logprobs"]["tokens"] == ["A token"]
            assert choice["logprobs"]["top_logprobs"] == [{"A token": -0.25}]
            assert (await it.last()).price == picodollars(4, 0), name
        upstream.enqueue(Reply(text=" is", fault=Fault.MISSING_USAGE))
        answer = await it.post(PATH, {"model": "generic", "prompt": "A token", "echo": True})
        assert json.loads(answer.body)["choices"][0]["text"] == "A token is"
        record = await it.last()
        assert (record.prompt, record.completion, record.state) == (2, 1, "usage_missing"), "the echo is no answer"

    served(tmp_path, everywhere(upstream), test)


def test_a_gap_is_filled_where_the_provider_can_and_refused_elsewhere(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async def test(it: Gateway) -> None:
        body = {"prompt": "def f(", "suffix": "return x"}
        answer = await it.post(PATH, {"model": "generic", **body})
        assert json.loads(answer.body)["choices"][0]["text"].endswith(" [before return x]")
        assert upstream.requests[-1].json["suffix"] == "return x"
        for name in ("vllm", "llamacpp"):
            assert await it.refused(PATH, {"model": name, **body}) == (400, "invalid_request", "suffix")
        assert await it.refused(PATH, {"model": "llamacpp", "prompt": "a", "echo": True}) == (
            400, "invalid_request", "echo",
        )  # fmt: skip
        answer = await it.post(PATH, {"model": "both", **body})
        assert answer.headers["x-fairlead-deployment"] == "generic/up-generic", "another deployment can"

    text = 'strategy = "priority"\n' + everywhere(upstream) + model("chat", "vllm", "generic", name="both")
    served(tmp_path, text, test)


def test_engines_get_the_sampling_that_others_have(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        body = {"prompt": "a", "repetition_penalty": 1.1, "user": "u", "unheard_of": 1, "temperature": 0.5}
        answer = await it.post(PATH, {"model": "llamacpp", **body})
        sent = upstream.requests[-1].json
        assert (sent["repeat_penalty"], sent["top_k"], sent["temperature"], sent["stream"]) == (1.1, 0, 0.5, True)
        assert answer.headers["x-fairlead-dropped"] == "user, unheard_of"
        assert sent["repeat_last_n"] == -1
        answer = await it.post(PATH, {"model": "openai", **body})
        assert answer.headers["x-fairlead-dropped"] == "repetition_penalty, unheard_of"

    served(tmp_path, everywhere(upstream), test)


@pytest.mark.parametrize("name", ["generic", "vllm"])
def test_faults_of_a_provider(tmp_path: Path, upstream: ScriptedUpstream, name: str) -> None:
    """Before the first word another one serves; behind it the stream ends with an error. Nobody pays for either."""

    async def test(it: Gateway) -> None:
        for at, fault in enumerate((Fault.EOF, Fault.RESET, Fault.ERROR_EVENT, Fault.MALFORMED_JSON, Fault.HTML)):
            for after in (0, 3):
                asked = {"model": f"m{at}", "prompt": "A", "stream": True}
                upstream.enqueue(
                    Reply(text="one two three four", fault=fault, after_chunks=after, chunk_delay_seconds=0.02)
                )
                answer = await it.post(PATH, asked)
                if answer.status == 200:  # the first words came in a block of their own
                    assert after
                    assert fault is not Fault.HTML
                    assert json.loads(answer.body.rstrip().rpartition(b"data: ")[2])["error"]["code"]
                    assert b"[DONE]" not in answer.body
                else:
                    assert answer.status == 502, (fault, answer.body)
                assert (await it.last()).price == 0
            upstream.enqueue(Reply(fault=fault, after_chunks=1))
            assert (await it.post(PATH, {"model": f"m{at}", "prompt": "A"})).status == 502

    text = "".join(provider(upstream.url, f"p{at}", name) + model("chat", f"p{at}", name=f"m{at}") for at in range(5))
    served(tmp_path, text, test)


def test_an_answer_that_ends_before_its_last_choice_is_cut(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    events = (
        'data: {"choices": [{"index": 0, "text": "a", "finish_reason": null}]}\n\n'
        'data: {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}\n\n'
        'data: {"choices": [{"index": 1, "text": "b", "finish_reason": null}]}\n\ndata: [DONE]\n\n'
    )
    upstream.default = Reply(body=events, headers={"content-type": "text/event-stream"})

    async def test(it: Gateway) -> None:
        answer = await it.post(PATH, {"model": "vllm", "prompt": ["x", "y"]})
        assert answer.status == 502
        assert json.loads(answer.body)["error"]["code"] == "upstream_cut"

    served(tmp_path, everywhere(upstream), test)


def test_a_caller_who_leaves_pays_for_the_words_that_were_written(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.default = Reply(text="word " * 200, chunk_delay_seconds=0.02)

    async def leave(it: Gateway, name: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.it.port)
        body = json.dumps({"model": name, "prompt": "A", "stream": True, "max_tokens": 500}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {it.it.key}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b'"text":"word ')
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def test(it: Gateway) -> None:
        await leave(it, "generic")
        await until(lambda: upstream.cancelled == 1)
        [record] = await it.recorded(1)
        assert (record.outcome, record.usage) == ("caller_gone", "estimated")
        assert 0 < record.completion < 200
        assert record.price == picodollars(record.prompt, record.completion)

    served(tmp_path, everywhere(upstream), test)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no prompt": ({"model": "generic"}, "prompt"),
    "an empty list": ({"model": "generic", "prompt": []}, "prompt"),
    "best_of below n": ({"model": "generic", "prompt": "a", "n": 3, "best_of": 2}, "best_of"),
    "best_of in a stream": ({"model": "generic", "prompt": "a", "best_of": 2, "stream": True}, "best_of"),
    "many answers": ({"model": "generic", "prompt": ["a"] * 65, "n": 2}, "prompt"),
    "stream_options": (
        {"model": "generic", "prompt": "a", "stream_options": {"include_usage": True}},
        "stream_options",
    ),
    "nothing is asked for": ({"model": "generic", "prompt": "a", "max_tokens": 0}, "max_tokens"),
    "temperature": ({"model": "generic", "prompt": "a", "temperature": 3}, "temperature"),
    "logprobs": ({"model": "generic", "prompt": "a", "logprobs": True}, "logprobs"),
    "strict": ({"model": "generic", "prompt": "a", "promt": "b", "fairlead": {"strict": True}}, "promt"),
}


def test_requests_that_are_none_are_refused_and_name_what_is_wrong(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        for name, (body, param) in BAD.items():
            assert await it.refused(PATH, body) == (400, "invalid_request", param), name
        status, code, _ = await it.refused(PATH, {"model": "claude", "prompt": "a"})
        assert (status, code) == (400, "invalid_request"), "its provider has no completions"
        assert not upstream.requests

    text = everywhere(upstream) + provider(upstream.url, "claude", "anthropic") + model("chat", "claude", name="claude")
    served(tmp_path, text, test)


def test_a_thousand_at_once(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    async def test(it: Gateway) -> None:
        bodies = [{"model": "generic", "prompt": "A", "stream": at % 2 == 0} for at in range(1_000)]
        answers = await asyncio.gather(*(it.post(PATH, body) for body in bodies))
        assert {answer.status for answer in answers} == {200}
        assert {record.price for record in await it.records()} == {picodollars(4, 6)}

    served(tmp_path, everywhere(upstream), test)


def test_mistral_fills_a_gap_and_its_answer_of_a_chat_is_a_completion(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """Its endpoint is `/fim/completions`, and its answers are those of a chat."""
    usage = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}
    choice = {"index": 0, "message": {"role": "assistant", "content": "x + 1"}, "finish_reason": "stop"}
    whole = {"id": "f", "object": "chat.completion", "created": 1, "model": "up-mistral", "choices": [choice]}
    chunks: list[dict[str, Any]] = [
        {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
        for text in ("", "x +", " 1")
    ]
    chunks.append({"index": 0, "delta": {"content": ""}, "finish_reason": "length"})
    events = [{**whole, "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
    events[-1]["usage"] = usage
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"

    async def test(it: Gateway) -> None:
        upstream.enqueue(Reply(body=json.dumps({**whole, "usage": usage})))
        upstream.enqueue(Reply(body=stream, headers={"content-type": "text/event-stream"}))
        async with openai.AsyncOpenAI(base_url=it.url, api_key=it.it.key, max_retries=0) as sdk:
            asked: Any = {"model": "mistral", "prompt": "def f(x): return ", "suffix": "\n", "seed": 7, "max_tokens": 6}
            answer = await sdk.completions.create(**asked)
            assert (answer.choices[0].text, answer.choices[0].finish_reason, answer.model) == (
                "x + 1",
                "stop",
                "mistral",
            )
            found = [chunk async for chunk in await sdk.completions.create(**asked, stream=True)]
            assert "".join(chunk.choices[0].text for chunk in found) == "x + 1"
            assert found[-1].choices[0].finish_reason == "length"
            assert {chunk.object for chunk in found} == {"text_completion"}
            sent = upstream.requests[-1]
            assert sent.path == "/v1/fim/completions"
            assert (sent.json["suffix"], sent.json["random_seed"]) == ("\n", 7)
            for refused in ({"n": 2}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"echo": True}):
                with pytest.raises(openai.BadRequestError):
                    await sdk.completions.create(**{**asked, **refused})
        assert [record.price for record in (await it.records())[:2]] == [picodollars(4, 6)] * 2

    served(tmp_path, provider(upstream.url, "mistral", "mistral") + model("chat", "mistral", name="mistral"), test)
