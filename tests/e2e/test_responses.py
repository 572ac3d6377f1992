"""`/v1/responses` over HTTP: OpenAI's own SDK at providers that speak chat completions, and at one that speaks Responses."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
import zstandard
from openai.types.responses import Response
from pydantic import BaseModel
from tests.e2e.conftest import AT_ONCE, Served, eventually, fairlead, model, provider, serving

from fairlead.doors.responses.reasoning_state import Wrapped, wrapped
from fairlead.testing import Fault, Reply, ScriptedUpstream, ToolCall

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather at a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "strict": True,
}
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    """`chat` is served by a provider of chat completions, `native` by one of Responses."""
    config = (
        AT_ONCE
        + provider(upstream.url, name="chatty")
        + provider(upstream.url, name="own", dialect="openai-responses")
        + model("chatty", name="chat", upstream="up-chat")
        + model("own", name="native", upstream="up-native")
    )
    with serving(tmp_path_factory.mktemp("responses"), config) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


BOTH = pytest.mark.parametrize("name", ["chat", "native"])


@BOTH
def test_a_response_of_the_sdk(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(Reply("It is sunny.", prompt_tokens=20))
    response = client.responses.create(model=name, input="How is the weather?", instructions="Be brief.")
    assert response.output_text == "It is sunny."
    assert response.status == "completed"
    assert response.model == name
    assert response.id.startswith("resp_")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (20, 3)
    assert float(response.usage.cost) > 0  # type: ignore[attr-defined]
    assert isinstance(response.usage.cost_usd, str)  # type: ignore[attr-defined]
    sent = upstream.requests[-1]
    if name == "native":
        assert sent.path == "/v1/responses"
        assert sent.json["instructions"] == "Be brief."
    else:
        assert sent.json["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How is the weather?"},
        ]


@BOTH
def test_every_event_of_a_stream_in_order(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(Reply("One two", prompt_tokens=4))
    events = list(client.responses.create(model=name, input="Count.", stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.model == name
    assert last.response.output_text == "One two"
    assert last.response.usage is not None
    assert float(last.response.usage.cost) > 0  # type: ignore[attr-defined]


@BOTH
def test_the_stream_helper_and_parsed_output(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    class Weather(BaseModel):
        sky: str

    upstream.enqueue(Reply('{"sky": "blue"}'), Reply('{"sky": "grey"}'))
    parsed = client.responses.parse(model=name, input="The sky?", text_format=Weather)
    assert parsed.output_parsed == Weather(sky="blue")
    with client.responses.stream(model=name, input="The sky?", text_format=Weather) as stream:
        final = stream.get_final_response()
    assert final.output_parsed == Weather(sky="grey")
    sent = upstream.requests[-1].json
    schema = sent["text"]["format"]["schema"] if name == "native" else sent["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"sky": {"title": "Sky", "type": "string"}}


@BOTH
def test_a_loop_with_tools(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(
        Reply(
            "",
            tool_calls=(
                ToolCall("weather", '{"place":"Kiel"}', "c1"),
                ToolCall("apply_patch", PATCH_ARGUMENTS[name], "c2"),
            ),
        ),
        Reply("Done."),
    )
    question: list[Any] = [{"role": "user", "content": "Weather, and a patch."}]
    first = client.responses.create(model=name, input=question, tools=[WEATHER, PATCH])
    call, patch = first.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments), call.call_id) == ("weather", {"place": "Kiel"}, "c1")
    assert patch.type == "custom_tool_call"
    assert (patch.name, patch.input) == ("apply_patch", "*** Begin")
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
    ]
    second = client.responses.create(
        model=name,
        input=[*question, *[item.to_dict() for item in first.output], *outputs],
        tools=[WEATHER, PATCH],  # type: ignore[list-item]
    )
    assert second.output_text == "Done."
    if name == "chat":
        *_, asked, one, two = upstream.requests[-1].json["messages"]
        assert [called["function"]["name"] for called in asked["tool_calls"]] == ["weather", "apply_patch"]
        assert json.loads(asked["tool_calls"][1]["function"]["arguments"]) == {"input": "*** Begin"}
        assert (one, two) == (
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "tool", "tool_call_id": "c2", "content": "ok"},
        )
        assert "lark grammar" in upstream.requests[-1].json["tools"][1]["function"]["description"]


PATCH_ARGUMENTS = {"chat": '{"input": "*** Begin"}', "native": "*** Begin"}


@BOTH
def test_tool_calls_in_a_stream(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(
        Reply(
            "",
            tool_calls=(
                ToolCall("weather", '{"place":"Kiel"}', "c1"),
                ToolCall("apply_patch", PATCH_ARGUMENTS[name], "c2"),
            ),
        )
    )
    events = list(client.responses.create(model=name, input="Go.", tools=[WEATHER, PATCH], stream=True))
    arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert json.loads(arguments) == {"place": "Kiel"}
    inputs = "".join(event.delta for event in events if event.type == "response.custom_tool_call_input.delta")
    assert inputs == "*** Begin"
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.type for item in done] == ["function_call", "custom_tool_call"]


def test_async(served: Served, upstream: ScriptedUpstream) -> None:
    async def run() -> tuple[Response, list[str]]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key) as client:
            whole = await client.responses.create(model="chat", input="Hello")
            kinds = [
                event.type async for event in await client.responses.create(model="native", input="Hello", stream=True)
            ]
            return whole, kinds

    upstream.enqueue(Reply("Hi."), Reply("Hi."))
    whole, kinds = asyncio.run(run())
    assert whole.output_text == "Hi."
    assert kinds[-1] == "response.completed"


def post(served: Served, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"authorization": f"Bearer {served.key}", "content-type": "application/json", **headers}
    return httpx.post(f"{served.url}/v1/responses", content=content, headers=head, timeout=60)


def test_a_provider_of_the_same_api_gets_the_bytes_as_they_came(served: Served, upstream: ScriptedUpstream) -> None:
    body = (
        b'{ "input" : [{"type":"message","role":"user","content":[{"type":"input_text","text":"\\u00e4"}]},'
        b'{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"functions","description":"",'
        b'"tools":[{"type":"custom","name":"exec"}]}]}],\n "model":"native", "future_member": {"a": [1, 2.50]}, "store":false }'
    )
    answer = post(
        served, body, **{"x-openai-internal-codex-responses-lite": "true", "session-id": "s1", "openai-beta": "b"}
    )
    assert answer.status_code == 200
    sent = upstream.requests[-1]
    assert sent.body == body.replace(b'"native"', b'"up-native"')
    assert sent.headers["x-openai-internal-codex-responses-lite"] == "true"
    assert sent.headers["openai-beta"] == "b"
    assert "session-id" not in sent.headers
    assert sent.headers["authorization"] == "Bearer sk-up"


def test_errors_of_a_provider_of_the_same_api_come_as_they_are(served: Served, upstream: ScriptedUpstream) -> None:
    body = b'{"error": {"message": "Unknown parameter: \'x\'.", "type": "invalid_request_error", "param": "x", "code": "unknown_parameter", "more": 1}}'
    upstream.enqueue(Reply(status=400, body=body))
    answer = post(served, {"model": "native", "input": "Hi", "x": 1})
    assert (answer.status_code, answer.content) == (400, body)


@BOTH
@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": "Hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "Hi", "conversation": "conv_1"}, "conversation"),
        ({"input": "Hi", "background": True}, "background"),
        ({"input": "Hi", "temperature": 3}, "temperature"),
        ({"input": "Hi", "tools": [{"type": 5}]}, "tools"),
        ({"input": "Hi", "max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_what_is_refused_is_named(served: Served, name: str, members: dict[str, Any], param: str) -> None:
    answer = post(served, {"model": name, **members})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "code_interpreter"),
        ({"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]}, "mcp"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "compaction"),
        ({"tools": [WEATHER], "tool_choice": {"type": "file_search"}}, "file_search"),
    ],
)
def test_what_only_responses_have_is_refused_by_name_elsewhere(
    served: Served, members: dict[str, Any], word: str
) -> None:
    answer = post(served, {"model": "chat", "input": "Hi", **members})
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


def test_what_is_left_out_is_named_in_a_header(served: Served, upstream: ScriptedUpstream) -> None:
    body = {
        "model": "chat", "input": "Hi", "max_output_tokens": 5, "truncation": "auto", "max_tool_calls": 3,
        "tools": [WEATHER, {"type": "web_search", "external_web_access": False}, {"type": "tool_search", "execution": "client"}],
    }  # fmt: skip
    answer = post(served, body)
    assert answer.status_code == 200
    assert answer.headers["x-fairlead-dropped"].split(", ") == [
        "max_tool_calls", "tools.web_search", "tools.tool_search", "truncation",
    ]  # fmt: skip
    assert len(upstream.requests[-1].json["tools"]) == 1
    assert post(served, {**body, "fairlead": {"strict": True}}).status_code == 400


@BOTH
@pytest.mark.parametrize("fault", [Fault.EOF, Fault.RESET, Fault.ERROR_EVENT, Fault.MALFORMED_JSON])
def test_a_stream_that_breaks_ends_with_a_failure(
    served: Served, upstream: ScriptedUpstream, name: str, fault: Fault
) -> None:
    after = 6 if name == "native" else 3
    upstream.enqueue(Reply("one two three four", fault=fault, after_chunks=after, chunk_delay_seconds=0.02))
    answer = post(served, {"model": name, "input": "Count.", "stream": True})
    assert answer.status_code == 200
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] in ("response.failed", "error")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert "response.completed" not in answer.text


@BOTH
def test_a_failure_before_the_first_word_is_a_status(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(Reply("one", fault=Fault.EOF, after_chunks=1))
    answer = post(served, {"model": name, "input": "Count.", "stream": True})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_cut"


@BOTH
def test_compressed_bodies(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    """Codex compresses with zstd."""
    body = json.dumps({"model": name, "input": "word " * 50_000}).encode()
    for encoding, compressed in (("zstd", zstandard.compress(body)), ("gzip", gzip.compress(body))):
        upstream.enqueue(Reply("Unpacked."))
        answer = post(served, compressed, **{"content-encoding": encoding})
        assert answer.status_code == 200, answer.text
        assert len(upstream.requests[-1].body) > 250_000
    assert post(served, body, **{"content-encoding": "br"}).status_code == 415
    assert post(served, body, **{"content-encoding": "gzip"}).status_code == 400


def test_keys(served: Served) -> None:
    for key, status in (("Bearer sk-fl-wrong", 401), ("", 401)):
        answer = httpx.post(f"{served.url}/v1/responses", content=b"{}", headers={"authorization": key} if key else {})
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_reasoning_of_another_provider_never_reaches_one_that_would_refuse_it(tmp_path: Path) -> None:
    """A conversation moves from one provider to the next; each gets back its own reasoning alone."""
    state = wrapped(Wrapped("anthropic-claude-v1", text="Hm.", signature="sig"))
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": state},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "own"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "And?"},
    ]
    dialects = ("mistral", "generic", "openai-responses", "anthropic")
    config = AT_ONCE
    with ScriptedUpstream() as upstream:
        upstream.paths.append("/messages")
        upstream.default = Reply(status=400, body="{}")
        for dialect in dialects:
            config += provider(upstream.url, name=dialect, dialect=dialect)
            config += model(dialect, name=f"at-{dialect}", upstream="up")
        with serving(tmp_path, config) as served:
            for dialect in dialects:
                post(served, {"model": f"at-{dialect}", "input": items})
        sent = dict(zip(dialects, (request.body for request in upstream.requests), strict=True))
    assert b"sig" not in sent["mistral"]
    assert b"own" not in sent["mistral"]
    assert b'"sig"' in sent["generic"]
    assert b"sig" not in sent["openai-responses"].replace(b'"signature"', b"")
    assert b'"own"' in sent["openai-responses"]
    assert b'"sig"' in sent["anthropic"]
    assert b"own" not in sent["anthropic"]


def test_a_websocket_is_refused_at_once(served: Served) -> None:
    head = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "x" * 22 + "==",
    }
    answer = httpx.get(f"{served.url}/v1/responses", headers={**head, "authorization": f"Bearer {served.key}"})
    assert answer.status_code == 426
    assert answer.json()["error"]["code"] == "websocket_not_supported"
    assert httpx.get(f"{served.url}/v1/responses").status_code == 405


def test_the_list_of_models_as_codex_reads_it(served: Served) -> None:
    answer = httpx.get(
        f"{served.url}/v1/models?client_version=0.171.0", headers={"authorization": f"Bearer {served.key}"}
    ).json()
    assert answer["models"] == []
    assert {model["id"] for model in answer["data"]} == {"chat", "native"}
    assert "models" not in httpx.get(f"{served.url}/v1/models").json()


@BOTH
def test_a_caller_who_disconnects_ends_the_call_upstream(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    before = upstream.cancelled
    upstream.enqueue(Reply("word " * 500, chunk_delay_seconds=0.02))
    body = {"model": name, "input": "Go on.", "stream": True}
    head = {"authorization": f"Bearer {served.key}"}
    with httpx.stream("POST", f"{served.url}/v1/responses", json=body, headers=head, timeout=60) as answer:
        for line in answer.iter_lines():
            if "output_text.delta" in line:
                break
    eventually(lambda: upstream.cancelled > before)


@BOTH
def test_a_receipt_has_the_price_of_the_usage(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(Reply("One two three.", prompt_tokens=1000))
    answer = post(served, {"model": name, "input": "Count.", "stream": True})
    usage = json.loads(answer.text.splitlines()[-2][6:])["response"]["usage"]
    assert usage["cost_usd"] == "0.0001009"
    found = httpx.get(
        f"{served.url}/v1/generation", params={"id": answer.headers["x-fairlead-generation-id"]},
        headers={"authorization": f"Bearer {served.key}"},
    ).json()  # fmt: skip
    assert str(found["data"]["total_cost"]) in ("0.0001009", "0.00010090")


@BOTH
def test_an_answer_without_usage_is_counted(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(
        Reply("One two three.", fault=Fault.MISSING_USAGE), Reply("One two three.", fault=Fault.MISSING_USAGE)
    )
    whole = post(served, {"model": name, "input": "Count to three."}).json()
    assert whole["usage"]["usage_source"] == "counted"
    assert whole["usage"]["output_tokens"] > 0
    answer = post(served, {"model": name, "input": "Count to three.", "stream": True})
    usage = json.loads(answer.text.splitlines()[-2][6:])["response"]["usage"]
    assert usage == whole["usage"]


def test_a_cap_that_the_credit_lowers(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    config = (
        AT_ONCE
        + provider(upstream.url, name="own", dialect="openai-responses")
        + model("own", name="native", upstream="up")
    )
    with serving(tmp_path, config) as served:
        made = fairlead("keys", "create", "--name", "poor", "--credit", "0.001", data=served.data)
        key = re.search(r"sk-fl-\S+", made.stdout)
        assert key is not None
        upstream.enqueue(Reply("Hi."))
        answer = httpx.post(
            f"{served.url}/v1/responses",
            json={"model": "native", "input": "Hi"},
            headers={"authorization": f"Bearer {key[0]}"},
        )
        assert answer.status_code == 200, answer.text
        assert 0 < upstream.requests[-1].json["max_output_tokens"] < 5_000
        refused = httpx.post(
            f"{served.url}/v1/responses", json={"model": "native", "input": "Hi", "max_output_tokens": 100_000_000},
            headers={"authorization": f"Bearer {key[0]}"},
        )  # fmt: skip
        assert refused.status_code == 402
        assert refused.json()["error"]["param"] == "max_output_tokens"


def test_another_candidate_serves_what_the_first_cannot_say(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    config = (
        '[routing]\nstrategy = "priority"\nprobe_interval_seconds = 0\n'
        + provider(upstream.url, name="chatty")
        + provider(upstream.url, name="own", dialect="openai-responses")
        + '[[models]]\nid = "both"\n'
        + "".join(
            f'[[models.deployments]]\nprovider = "{name}"\nupstream_model = "up"\nprice = "free"\n'
            for name in ("chatty", "own")
        )
    )
    with serving(tmp_path, config) as served:
        upstream.enqueue(Reply("Found."))
        answer = post(served, {"model": "both", "input": "Search.", "tools": [{"type": "web_search"}]})
        assert answer.status_code == 200, answer.text
        assert upstream.requests[-1].path == "/v1/responses"
        upstream.enqueue(Reply(fault=Fault.EOF, after_chunks=1), Reply("Again."))
        streamed = post(served, {"model": "both", "input": "Hi", "stream": True})
        assert "Again." in streamed.text.replace('","logprobs"', "").replace("\n", "") or streamed.status_code == 200
        assert upstream.requests[-1].path == "/v1/responses"


def test_a_chat_at_a_provider_of_responses(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(
        Reply("Sunny.", thinking="Hm.", tool_calls=(ToolCall("weather", '{"place": "Kiel"}', "c1"),)),
        Reply("Sunny.", thinking="Hm."),
    )
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    whole = client.chat.completions.create(model="native", messages=[{"role": "user", "content": "Hi"}], tools=tools)
    [choice] = whole.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Sunny."
    assert choice.message.tool_calls is not None
    assert choice.message.reasoning_content == "Hm."  # type: ignore[attr-defined]
    assert choice.message.reasoning_details[0]["data"]  # type: ignore[attr-defined]
    assert upstream.requests[-1].path == "/v1/responses"
    chunks = list(
        client.chat.completions.create(
            model="native",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Sunny."
    assert chunks[-1].usage is not None


@BOTH
def test_a_body_of_megabytes(served: Served, upstream: ScriptedUpstream, name: str) -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "word " * 2_000}]} for _ in range(300)]
    upstream.enqueue(Reply("Read."))
    answer = post(served, {"model": name, "input": items})
    assert answer.status_code == 200, answer.text
    assert len(upstream.requests[-1].body) > 2_900_000


def test_limits_and_deadlines_have_openais_errors(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    config = (
        AT_ONCE
        + "[limits]\nrequests_per_minute = 2\n"
        + provider(upstream.url, name="own", dialect="openai-responses")
        + model("own", name="native", upstream="up")
    )
    with serving(tmp_path, config) as served:
        upstream.enqueue(Reply("Slow.", delay_seconds=20))
        late = post(served, {"model": "native", "input": "Hi"}, **{"x-fairlead-timeout": "0.3"})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
        upstream.enqueue(Reply("Hi."))
        assert post(served, {"model": "native", "input": "Hi"}).status_code == 200
        limited = post(served, {"model": "native", "input": "Hi", "stream": True})
        assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(limited.headers["retry-after"]) > 0, "without it, Codex gives up"
        unknown = post(served, {"model": "none", "input": "Hi"})
        assert unknown.status_code in (404, 429)
