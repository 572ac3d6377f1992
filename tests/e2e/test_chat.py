"""What a developer with an OpenAI SDK sees, against a scripted provider behind a real gateway process."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

from .conftest import Served, model, provider, serving

MODEL = "mistral-small-3.2"
UPSTREAM_MODEL = "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = provider(upstream.url) + model() + model(name="plain", upstream="plain-model")
    config += provider(upstream.url, dialect="generic", name="generic") + model(
        "generic", name="by/generic", upstream="g"
    )
    with serving(tmp_path_factory.mktemp("chat"), config) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk


def raw(
    served: Served, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(served.url + path, data=body, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, {k.lower(): v for k, v in answer.headers.items()}, answer.read()


def post(served: Served, body: Any, key: str | None = None) -> tuple[int, dict[str, str], Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, headers, text = raw(
        served, "POST", "/v1/chat/completions", data,
        **{"Authorization": f"Bearer {key or served.key}", "Content-Type": "application/json"},
    )  # fmt: skip
    return status, headers, json.loads(text)


@pytest.mark.parametrize("name", [MODEL, "by/generic"])
def test_a_plain_answer_comes_with_the_public_model_name_and_the_usage_of_the_provider(
    client: openai.OpenAI, upstream: ScriptedUpstream, name: str
) -> None:
    upstream.enqueue(Reply(text="Good day to you.", prompt_tokens=11, completion_tokens=5))
    answer = client.chat.completions.create(model=name, messages=HELLO)
    assert answer.choices[0].message.content == "Good day to you."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == name
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 5, 16)


def test_the_provider_gets_its_own_model_name_key_and_the_default_temperature_of_the_catalogue(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    client.chat.completions.create(model=MODEL, messages=HELLO)
    seen = upstream.requests[-1]
    assert seen.json["model"] == UPSTREAM_MODEL
    assert seen.json["temperature"] == 0.3
    assert seen.headers["authorization"] == "Bearer sk-up"
    client.chat.completions.create(model=MODEL, messages=HELLO, temperature=1.5)
    assert upstream.requests[-1].json["temperature"] == 1.5


def test_a_stream_brings_the_text_in_pieces_and_usage_only_when_asked(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    reply = Reply(text="one two three four", prompt_tokens=7, completion_tokens=4)
    upstream.enqueue(reply, reply)
    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two three four"
    assert all(c.usage is None and c.choices and c.model == MODEL for c in chunks)
    assert [c.choices[0].finish_reason for c in chunks][-1] == "stop"
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 11
    assert chunks[-1].choices == []


def test_tool_calls_arrive_whole_and_streamed_and_results_go_back(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    tools: Any = [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ]
    reply = Reply(tool_calls=(ToolCall("get_weather", '{"city": "Oslo"}'), ToolCall("get_weather", '{"city": "Rome"}')))
    upstream.enqueue(reply, reply)
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=tools, tool_choice="required")
    calls = answer.choices[0].message.tool_calls or []
    assert [json.loads(c.function.arguments)["city"] for c in calls if c.type == "function"] == ["Oslo", "Rome"]
    assert answer.choices[0].finish_reason == "tool_calls"
    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=tools) as stream:
        final = stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls or []
    assert [json.loads(c.function.arguments)["city"] for c in streamed] == ["Oslo", "Rome"]
    history: Any = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in calls]},
        *({"role": "tool", "tool_call_id": c.id, "content": "21C"} for c in calls),
    ]
    upstream.enqueue(Reply(text="Warm."))
    assert (
        client.chat.completions.create(model=MODEL, messages=history, tools=tools).choices[0].message.content == "Warm."
    )
    sent = upstream.requests[-1].json["messages"]
    assert [m["tool_call_id"] for m in sent[2:]] == [c["id"] for c in sent[1]["tool_calls"]]


def test_the_sdk_parses_a_structured_answer(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    class City(pydantic.BaseModel):
        name: str
        people: int

    upstream.enqueue(Reply(text='{"name": "Oslo", "people": 700000}'))
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo", people=700000)
    assert upstream.requests[-1].json["response_format"]["type"] == "json_schema"


def test_the_async_sdk_runs_many_calls_at_once(served: Served, upstream: ScriptedUpstream) -> None:
    async def main() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
            calls = [sdk.chat.completions.create(model=MODEL, messages=HELLO) for _ in range(50)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    answers = asyncio.run(main())
    assert len(answers) == 50
    assert all(answers)


def test_a_wrong_key_is_401_in_the_shape_the_sdk_knows(served: Served) -> None:
    with openai.OpenAI(base_url=served.url + "/v1", api_key="sk-fl-wrong", max_retries=0) as sdk:
        with pytest.raises(openai.AuthenticationError) as caught:
            sdk.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id


def test_an_unknown_model_is_404_and_one_without_deployment_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        status, _, body = post(served, {"model": "nobody/nothing", "messages": HELLO})
        assert (status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")
        status, _, body = post(served, {"model": MODEL, "messages": HELLO})
        assert (status, body["error"]["code"]) == (503, "no_deployment")
        assert "--config FILE" in body["error"]["message"]
        assert raw(served, "GET", "/healthz")[0] == 200
        assert raw(served, "GET", "/readyz")[0] == 503


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": MODEL, "messages": HELLO, "temperature": 2.1}, "temperature"),
        ({"model": MODEL, "messages": HELLO, "top_p": "1"}, "top_p"),
        ({"model": MODEL, "messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"model": MODEL, "messages": []}, "messages"),
        ({"messages": HELLO}, "model"),
    ],
)
def test_a_bad_parameter_is_400_and_named(served: Served, body: Any, param: str) -> None:
    status, headers, answer = post(served, body)
    assert status == 400
    assert answer["error"]["param"] == param
    assert headers["x-request-id"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"\xff\xfe{}", b'{"model": NaN}', b"[" * 100_000,
        b'{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}',
        b'{"model":"mistral-small-3.2","messages":[{"role":"user","content":"\xe9"}]}',
        b'{"model":"mistral-small-3.2","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_garbage_is_400_in_openais_shape(served: Served, body: bytes) -> None:
    status, _, answer = post(served, body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


def test_what_a_provider_cannot_carry_is_named_or_refused(served: Served, upstream: ScriptedUpstream) -> None:
    body = {"model": MODEL, "messages": HELLO, "no_such\r\nthing": 1}
    status, headers, _ = post(served, body)
    assert status == 200
    assert headers["x-fairlead-deployment"] == f"mock/{UPSTREAM_MODEL}"
    assert headers.get("x-fairlead-dropped") == "no_such%0D%0Athing" or "no_such\r\nthing" in upstream.requests[-1].json
    status, _, answer = post(served, {**body, "fairlead": {"strict": True}})
    assert status == 400
    assert "no_such" in answer["error"]["message"]


def test_private_addresses_never_reach_a_provider(served: Served, upstream: ScriptedUpstream) -> None:
    def image(url: str) -> Any:
        return {
            "model": MODEL,
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
        }

    before = len(upstream.requests)
    status, _, answer = post(served, image("http://169.254.169.254/latest"))
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert answer["error"]["param"] == "messages[0].content[0].image_url.url"
    assert len(upstream.requests) == before
    assert post(served, image("data:image/png;base64,iVBORw0KGgo="))[0] == 200


def test_models_are_listed_with_limits_parameters_and_exact_prices(client: openai.OpenAI, served: Served) -> None:
    listed = {entry.id: entry for entry in client.models.list()}
    assert {MODEL, "plain", "by/generic"} <= set(listed)
    assert "gpt-5" not in listed, "what cannot be called here is in no client's menu"
    everything = json.loads(raw(served, "GET", "/v1/models?all=true")[2])["data"]
    assert {"gpt-5", MODEL} <= {entry["id"] for entry in everything}
    one = client.models.retrieve(MODEL).model_dump()
    assert one["context_length"] == 131072
    assert one["default_parameters"] == {"temperature": 0.3}
    assert one["pricing"]["prompt"] == "0.0000001"
    assert one["pricing"]["input_per_million"] == "0.10"
    assert "min_p" in one["supported_parameters"]
    assert raw(served, "GET", "/v1/models/by/generic")[0] == 200
    assert raw(served, "HEAD", "/v1/models")[2] == b""
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing")


def test_wrong_paths_and_methods_are_404_and_405_in_json(served: Served) -> None:
    status, headers, body = raw(served, "GET", "/v1/chat/completions")
    assert (status, headers["allow"], json.loads(body)["error"]["code"]) == (405, "POST", "method_not_allowed")
    status, _, body = raw(served, "GET", "/v1/nothing")
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")
    assert raw(served, "GET", "/nothing", Accept="text/html")[0] == 404
    status, headers, body = raw(served, "GET", "/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert b"mistral-small-3.2" in body
    assert raw(served, "GET", "/readyz")[0] == 200


def test_a_prefilled_answer_is_continued_by_flag(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text=" is Oslo."))
    messages: Any = [*HELLO, {"role": "assistant", "content": "The capital"}]
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content == " is Oslo."
    sent = upstream.requests[-1].json
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)


def test_a_model_answers_to_the_exact_names_by_which_others_know_it(client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": "Hello"}]
    for alias in ("mistral-small-2506", "mistralai/mistral-small-3.2-24b-instruct"):
        answer = client.chat.completions.create(model=alias, messages=asked)
        assert answer.model == "mistral-small-3.2"  # permissions, limits and bills go by its own name
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="mistral-small-25", messages=asked)
