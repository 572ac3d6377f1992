"""`/v1/responses` over HTTP: OpenAI's own SDK at providers that speak chat completions, and at one that speaks Responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel
from tests.e2e.conftest import AT_ONCE, Served, model, provider, serving

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


def test_keys(served: Served) -> None:
    for key, status in (("Bearer sk-fl-wrong", 401), ("", 401)):
        answer = httpx.post(f"{served.url}/v1/responses", content=b"{}", headers={"authorization": key} if key else {})
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == "invalid_api_key"
