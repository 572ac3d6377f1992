"""The door of Gemini's generateContent, with Google's own SDK: to a provider that speaks it, and to others."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from google import genai
from google.genai import errors, types

from fairlead.testing import Fault, Received, Reply, ScriptedUpstream, ToolCall
from fairlead.tokens import count_text

from .conftest import Served, eventually, provider, serving
from .test_credit import new_key
from .test_disconnects import receipt_of

GEMINI, CLAUDE, OTHER = "gemini-x", "claude-x", "open-x"
ALL = pytest.mark.parametrize("name", [GEMINI, CLAUDE, OTHER])
BOTH = pytest.mark.parametrize("name", [GEMINI, OTHER])
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
TEXT = "One two  three four, é🎈 five."
HI: Any = [{"role": "user", "parts": [{"text": "Hi"}]}]
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name=name,
                description=name,
                parameters=types.Schema(
                    type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING, nullable=True)}
                ),
            )
            for name in ("weather", "time")
        ]
    )
]
CALLS = (ToolCall("weather", '{"city": "Oslo"}'), ToolCall("time", "{}"))


class Scene(NamedTuple):
    served: Served
    gemini: ScriptedUpstream
    claude: ScriptedUpstream
    other: ScriptedUpstream
    client: genai.Client

    def upstream(self, name: str) -> ScriptedUpstream:
        return {GEMINI: self.gemini, CLAUDE: self.claude}.get(name, self.other)

    def last(self, name: str) -> Received:
        return self.upstream(name).requests[-1]


def sdk(served: Served, key: str | None = None, version: str = "v1beta") -> genai.Client:
    options = types.HttpOptions(base_url=served.url, api_version=version)
    return genai.Client(api_key=key or served.key, http_options=options)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ScriptedUpstream() as gemini, ScriptedUpstream() as claude, ScriptedUpstream() as other:
        config = "[routing]\nretries = 0\nprobe_interval_seconds = 0\n"
        config += provider(gemini.url, name="goo", dialect="gemini") + provider(other.url, name="own", dialect="openai")
        config += provider(claude.url, name="ant", dialect="anthropic")
        for name, whose in ((GEMINI, "goo"), (CLAUDE, "ant"), (OTHER, "own")):
            config += (
                f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "{name}-up"\n'
                'price = { input = "3", output = "15", cached_input = "0.30" }\n'
            )
        with serving(tmp_path_factory.mktemp("gemini"), config) as running, sdk(running) as client:
            yield Scene(running, gemini, claude, other, client)


@pytest.fixture(autouse=True)
def _usual(scene: Scene) -> None:
    for upstream in (scene.gemini, scene.claude, scene.other):
        upstream.default = Reply(text=TEXT)


def call(
    scene: Scene, method: str, path: str, body: bytes | None = None, *, key: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    if key != "":
        lines["x-goog-api-key"] = key or scene.served.key
    connection = http.client.HTTPConnection("127.0.0.1", scene.served.port, timeout=60)
    try:
        connection.request(method, path, body, lines)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def post(
    scene: Scene, name: str, body: bytes, action: str = "generateContent", **given: Any
) -> tuple[int, dict[str, str], bytes]:
    return call(scene, "POST", f"/v1beta/models/{name}:{action}", body, **given)


def asking(**members: Any) -> bytes:
    return json.dumps({"contents": HI, **members}).encode()


# --- with the SDK


@ALL
@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_content_whole_and_streamed(scene: Scene, name: str, version: str) -> None:
    with sdk(scene.served, version=version) as client:
        found = client.models.generate_content(model=name, contents="Hi")
        assert found.text == TEXT
        assert found.model_version == name
        assert found.candidates is not None
        assert found.candidates[0].finish_reason == types.FinishReason.STOP
        assert found.usage_metadata is not None
        assert found.usage_metadata.prompt_token_count == 12
        config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100, temperature=0.5)
        chunks = list(client.models.generate_content_stream(model=name, contents="Hi", config=config))
    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    assert len(chunks) > 3
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.prompt_token_count == 12
    sent = scene.last(name)
    if name == GEMINI:
        assert sent.path == "/v1/models/gemini-x-up:streamGenerateContent?alt=sse"
        assert sent.headers["x-goog-api-key"] == "sk-up"
        assert sent.json["generationConfig"]["maxOutputTokens"] == 100
    elif name == OTHER:
        assert sent.json["messages"][0] == {"role": "system", "content": "Be brief."}
        assert sent.json["max_completion_tokens"] == 100
    assert scene.served.key not in str(sent.headers) + sent.path


@ALL
def test_the_asynchronous_client_in_a_chat(scene: Scene, name: str) -> None:
    async def ask() -> list[str]:
        client = sdk(scene.served)
        async with client.aio as calls:
            chat = calls.chats.create(model=name)
            first = "".join([chunk.text or "" async for chunk in await chat.send_message_stream("Hi")])
            second = await chat.send_message("Again")
        client.close()
        return [first, second.text or ""]

    assert asyncio.run(ask()) == [TEXT, TEXT]
    sent = scene.last(name).json
    if name != GEMINI:
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
        said = sent["messages"][1]["content"]
        assert (said if isinstance(said, str) else said[0]["text"]) == TEXT


@ALL
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_parallel_calls(scene: Scene, name: str, streamed: bool) -> None:
    scene.upstream(name).enqueue(Reply(text="Let me see.", tool_calls=CALLS), Reply(text="It rains."))
    contents: Any = [types.Content(role="user", parts=[types.Part(text="Hi")])]
    config = types.GenerateContentConfig(tools=TOOLS)

    def turn() -> types.Content:
        if not streamed:
            found = scene.client.models.generate_content(model=name, contents=contents, config=config)
            assert found.candidates is not None
            assert found.candidates[0].content is not None
            return found.candidates[0].content
        parts: list[types.Part] = []
        for chunk in scene.client.models.generate_content_stream(model=name, contents=contents, config=config):
            assert chunk.candidates is not None
            assert chunk.candidates[0].content is not None
            parts += chunk.candidates[0].content.parts or []
        return types.Content(role="model", parts=parts)

    first = turn()
    calls = [part.function_call for part in first.parts or () if part.function_call]
    assert [(one.name, one.args) for one in calls] == [("weather", {"city": "Oslo"}), ("time", {})]
    results = [
        types.Part(
            function_response=types.FunctionResponse(id=one.id, name=one.name, response={"output": f"result {at}"})
        )
        for at, one in enumerate(calls)
    ]
    contents += [first, types.Content(role="user", parts=results)]
    said = "".join(part.text or "" for part in turn().parts or ())
    assert said == "It rains."
    sent = scene.last(name).json
    if name == GEMINI:
        signed = [part for content in sent["contents"] for part in content["parts"] if "thoughtSignature" in part]
        assert [base64.urlsafe_b64decode(part["thoughtSignature"]) for part in signed] == [b"signed"]
    elif name == OTHER:
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool"]
        assert [one["id"] for one in sent["messages"][1]["tool_calls"]] == [one.id for one in calls]
        assert sent["messages"][2]["content"] == "result 0"
        assert sent["tools"][0]["function"]["parameters"] == {
            "type": "object", "properties": {"city": {"type": ["string", "null"]}},
        }  # fmt: skip


@pytest.mark.parametrize("name", [CLAUDE, OTHER])
def test_results_without_ids_find_their_calls_by_name(scene: Scene, name: str) -> None:
    contents: Any = [
        *HI,
        {
            "role": "model",
            "parts": [{"functionCall": {"name": one, "args": {}}} for one in ("time", "weather", "time")],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": one, "response": {"at": at}}}
                for at, one in enumerate(("weather", "time", "time"))
            ],
        },
    ]
    body = asking(contents=contents, tools=[{"function_declarations": [{"name": "time"}, {"name": "weather"}]}])
    assert post(scene, name, body)[0] == 200
    sent = scene.last(name).json["messages"]
    if name == OTHER:
        ids = [one["id"] for one in sent[1]["tool_calls"]]
        assert [(one["tool_call_id"], one["content"]) for one in sent[2:]] == [
            (ids[1], '{"at": 0}'), (ids[0], '{"at": 1}'), (ids[2], '{"at": 2}'),
        ]  # fmt: skip
    wrong = asking(contents=[*HI, {"role": "user", "parts": [{"functionResponse": {"name": "x", "response": {}}}]}])
    status, _, answer = post(scene, name, wrong)
    assert (status, json.loads(answer)["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_of_another_provider_goes_back_to_it_alone(scene: Scene, streamed: bool) -> None:
    """Anthropic's thinking and its signature travel in a thought signature, also where the words of the thought are
    dropped on the way, as Gemini CLI does; Gemini never sees it."""
    scene.claude.enqueue(Reply(text="", thinking="Let me think.", signature="c2lnbmVk", tool_calls=CALLS[:1]))
    config = types.GenerateContentConfig(
        tools=TOOLS, thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2000)
    )
    given: Any = {"model": CLAUDE, "contents": "Hi", "config": config}
    if streamed:
        parts = [
            part
            for chunk in scene.client.models.generate_content_stream(**given)
            for part in (chunk.candidates or [])[0].content.parts or ()  # type: ignore[union-attr]
        ]
    else:
        parts = scene.client.models.generate_content(**given).candidates[0].content.parts  # type: ignore
    assert scene.last(CLAUDE).json["thinking"]["type"] == "enabled"
    thoughts = [part for part in parts if part.thought]
    assert "".join(part.text or "" for part in thoughts) == "Let me think."
    kept = [part for part in parts if not part.thought]
    calls = [part.function_call for part in kept if part.function_call]
    result = types.Part(
        function_response=types.FunctionResponse(name="weather", id=calls[0].id, response={"output": "rain"})
    )
    turns: Any = [
        types.Content(role="user", parts=[types.Part(text="Hi")]),
        types.Content(role="model", parts=kept),
        types.Content(role="user", parts=[result]),
    ]
    scene.client.models.generate_content(model=CLAUDE, contents=turns, config=config)
    assistant = scene.last(CLAUDE).json["messages"][1]["content"]
    assert assistant[0] == {"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"}
    assert assistant[1]["name"] == "weather"
    scene.client.models.generate_content(model=GEMINI, contents=turns, config=config)
    sent = scene.last(GEMINI)
    assert b"ZmFpcmxlYWQ6" not in sent.body
    [signed] = [part for part in sent.json["contents"][1]["parts"] if "functionCall" in part]
    assert signed["thoughtSignature"] == "skip_thought_signature_validator"
    scene.client.models.generate_content(model=OTHER, contents=turns, config=config)
    assert b"fairlead" not in scene.last(OTHER).body


def test_thoughts_are_shown_to_those_who_ask(scene: Scene) -> None:
    scene.claude.enqueue(Reply(text="Yes.", thinking="Hm.", signature="c2lnbmVk"))
    found = scene.client.models.generate_content(model=CLAUDE, contents="Hi")
    parts = found.candidates[0].content.parts  # type: ignore[index,union-attr]
    assert [(part.text, part.thought, bool(part.thought_signature)) for part in parts or ()] == [("Yes.", None, True)]


@ALL
def test_images_files_and_a_picture_in_a_result(scene: Scene, name: str) -> None:
    png = base64.b64decode(PNG)
    image = types.Part.from_bytes(data=png, mime_type="image/png")
    pdf = types.Part.from_bytes(data=b"%PDF-1.4 ?>~ \xfb\xff", mime_type="application/pdf")
    note = types.Part.from_bytes(data="a,é\n".encode(), mime_type="text/csv")
    asked = types.FunctionCall(name="weather", args={})
    seen = types.FunctionResponse(
        name="weather", response={},
        parts=[types.FunctionResponsePart(inline_data=types.FunctionResponseBlob(data=png, mime_type="image/png"))],
    )  # fmt: skip
    contents: Any = [
        types.Content(role="user", parts=[image, pdf, note, types.Part(text="What is it?")]),
        types.Content(role="model", parts=[types.Part(function_call=asked)]),
        types.Content(role="user", parts=[types.Part(function_response=seen)]),
    ]
    scene.client.models.generate_content(model=name, contents=contents, config=types.GenerateContentConfig(tools=TOOLS))
    sent = scene.last(name)
    if name == GEMINI:
        assert sent.body.count(base64.urlsafe_b64encode(png)) == 2, "to the byte"
        return
    text = sent.body.decode()
    assert text.count(PNG) == 2
    assert base64.b64encode(b"%PDF-1.4 ?>~ \xfb\xff").decode() in text, "in the alphabet that everybody takes"
    assert "a,é\\n" in text


def test_audio_becomes_input_audio(scene: Scene) -> None:
    part = {"inline_data": {"mime_type": "audio/mpeg", "data": "//uQ"}}
    assert post(scene, OTHER, asking(contents=[{"parts": [part, {"text": "Who?"}]}]))[0] == 200
    [audio] = [one for one in scene.last(OTHER).json["messages"][0]["content"] if one["type"] == "input_audio"]
    assert audio["input_audio"] == {"data": "//uQ", "format": "mp3"}


@ALL
def test_structured_outputs(scene: Scene, name: str) -> None:
    scene.upstream(name).default = Reply(text='{"name": "Oslo"}')
    schema = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}, "required": ["name"]}
    for config in (
        {"responseMimeType": "application/json", "responseSchema": schema},
        {"response_mime_type": "application/json", "response_json_schema": {**schema, "type": "object"}},
    ):
        status, _, body = post(scene, name, asking(generationConfig=config))
        assert status == 200
        assert json.loads(json.loads(body)["candidates"][0]["content"]["parts"][0]["text"]) == {"name": "Oslo"}
    if name == OTHER:
        sent = scene.last(OTHER).json["response_format"]
        assert sent["json_schema"]["schema"]["type"] == "object"


@ALL
def test_counting_tokens(scene: Scene, name: str) -> None:
    before = len(scene.upstream(name).requests)
    found = scene.client.models.count_tokens(model=name, contents="Hi")
    assert (found.total_tokens or 0) > 0
    assert len(scene.upstream(name).requests) - before == (name == GEMINI)
    wrapped = json.dumps({"generateContentRequest": {"model": f"models/{name}", "contents": HI}}).encode()
    status, _, body = post(scene, name, wrapped, "countTokens")
    assert (status, json.loads(body)["totalTokens"] > 0) == (200, True)
    if name == GEMINI:
        assert scene.last(name).json["generateContentRequest"]["model"] == "models/gemini-x-up"


def test_models_are_listed_in_its_shape(scene: Scene) -> None:
    for version in ("v1beta", "v1"):
        with sdk(scene.served, version=version) as client:
            assert {f"models/{name}" for name in (GEMINI, CLAUDE, OTHER)} <= {
                model.name for model in client.models.list(config={"page_size": 1})
            }
            one = client.models.get(model=OTHER)
            assert one.name == f"models/{OTHER}"
            assert "generateContent" in (one.supported_actions or [])
            with pytest.raises(errors.ClientError, match="nobody"):
                client.models.get(model="nobody")
    some = new_key(scene.served, "--model", OTHER)
    with sdk(scene.served, some) as client:
        assert [model.name for model in client.models.list()] == [f"models/{OTHER}"]
    assert "data" in json.loads(call(scene, "GET", "/v1/models", key="")[2]), "OpenAI's clients read theirs"
    assert call(scene, "GET", "/v1beta/models", key="")[0] == 200
    assert call(scene, "GET", "/v1beta/models?pageToken=x")[0] == 400
    assert call(scene, "GET", "/v1beta/models", key="sk-fl-x")[0] == 401


def test_errors_are_the_sdks_own(scene: Scene) -> None:
    with pytest.raises(errors.ClientError) as missing:
        scene.client.models.generate_content(model="nobody", contents="Hi")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    with sdk(scene.served, "sk-fl-x") as stranger, pytest.raises(errors.ClientError) as unknown:
        stranger.models.generate_content(model=OTHER, contents="Hi")
    assert (unknown.value.code, unknown.value.status) == (401, "UNAUTHENTICATED")
    scene.other.enqueue(Reply(status=429, headers={"retry-after": "7"}))
    status, headers, body = post(scene, OTHER, asking())
    assert (status, headers["retry-after"], json.loads(body)["error"]["status"]) == (429, "7", "RESOURCE_EXHAUSTED")
    assert json.loads(body)["error"]["details"][1]["retryDelay"] == "7s"
    eventually(lambda: post(scene, OTHER, asking())[0] == 200)
    for member in ({"tools": [{"googleSearch": {}}]}, {"cachedContent": "cachedContents/1"}):
        status, _, body = post(scene, OTHER, asking(**member))
        assert status == 400
        assert "only to one that speaks Gemini" in json.loads(body)["error"]["message"]
    file = {
        "fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1", "mimeType": "image/png"}
    }
    assert post(scene, OTHER, asking(contents=[{"parts": [file]}]))[0] == 400
    assert post(scene, GEMINI, asking(contents=[{"parts": [file]}]))[0] == 200


# --- to the byte

# As Gemini CLI 0.61.0 sends it, with what no SDK writes: white space, an unknown member, another spelling.
CLI = (
    b'{ "contents":[{"role":"user","parts":[{"text":"caf\xc3\xa9 \\u001b"}]}],\n"systemInstruction":{"role":"user","parts":'
    b'[{"text":"You are an agent."}]},"tools":[{"functionDeclarations":[{"name":"read_file","parametersJsonSchema":'
    b'{"type":"object","properties":{}}}]}],"generation_config":{"temperature":1,"topP":0.95,"topK":64,'
    b'"thinkingConfig":{"includeThoughts":true}},"new":1.50 }'
)


@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent"])
def test_a_request_reaches_gemini_as_it_was_sent(scene: Scene, action: str) -> None:
    key, before = scene.served.key, len(scene.served.output)
    status, _, _ = call(
        scene, "POST", f"/v1beta/models/{GEMINI}:{action}?alt=sse&key={key}&prettyPrint=false", CLI, key="sk-google"
    )
    assert status == 200
    sent = scene.last(GEMINI)
    assert sent.body == CLI
    ending = "?alt=sse&prettyPrint=false" if action != "generateContent" else "?prettyPrint=false"
    assert sent.path == f"/v1/models/gemini-x-up:{action}{ending}"
    assert sent.headers["x-goog-api-key"] == "sk-up"
    assert key not in str(sent)
    assert key not in scene.served.output[before:]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_is_passed_on_as_it_came_but_for_model_and_cost(scene: Scene, streamed: bool) -> None:
    whole = (
        b'{ "candidates": [{"content": {"parts": [{"text": "caf\xc3\xa9 \\u00e9", "new": [1.50]}], "role": "model"},'
        b' "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3,'
        b' "totalTokenCount": 13, "serviceTier": "standard"}, "modelVersion": "gemini-x-up", "responseId": "r1" }'
    )
    headers = {"content-type": "text/event-stream"} if streamed else {}
    scene.gemini.enqueue(Reply(body=b"data: %b\r\n\r\n" % whole if streamed else whole, headers=headers))
    action = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    _, _, body = post(scene, GEMINI, asking(), action)
    members = b',"cost":0.000075,"cost_usd":"0.000075"'
    wanted = whole.replace(b"gemini-x-up", b"gemini-x").replace(b'"standard"', b'"standard"' + members)
    assert body == (b"data: %b\n\n" % wanted if streamed else wanted)


@ALL
def test_a_stream_without_alt_is_one_array(scene: Scene, name: str) -> None:
    status, headers, body = post(scene, name, asking(), "streamGenerateContent")
    assert (status, headers["content-type"]) == (200, "application/json")
    documents = json.loads(body)
    assert len(documents) > 3
    said = [part["text"] for one in documents for part in one["candidates"][0]["content"]["parts"]]
    assert "".join(said) == TEXT
    assert documents[-1]["candidates"][0]["finishReason"] == "STOP"
    assert documents[-1]["usageMetadata"]["cost_usd"]
    scene.upstream(name).enqueue(Reply(text=TEXT, fault=Fault.EOF, after_chunks=5))
    status, _, body = post(scene, name, asking(), "streamGenerateContent")
    documents = json.loads(body)
    assert documents[-1]["error"]["code"] == 502
    eventually(lambda: post(scene, name, asking())[0] == 200)


def test_errors_of_the_provider_come_back_as_they_were_written(scene: Scene) -> None:
    written = (
        b'{"error": {"code": 400, "message": "Please ensure  that ...", "status": "INVALID_ARGUMENT", "details": []}}'
    )
    for status in (400, 429, 503):
        scene.gemini.enqueue(Reply(status=status, body=written.replace(b"400", b"%d" % status)))
        got, _, body = post(scene, GEMINI, asking())
        assert (got, body) == (status, written.replace(b"400", b"%d" % status))
        eventually(lambda: post(scene, GEMINI, asking())[0] == 200)
    scene.gemini.enqueue(Reply(status=400, body=written.replace(b"Please", b"API key not valid. Please")))
    got, _, body = post(scene, GEMINI, asking())
    assert got == 502, "the operator's key is not the caller's"
    assert b"key not valid" not in body
    eventually(lambda: post(scene, GEMINI, asking())[0] == 200)


def test_what_is_billed_beside_the_sheet_is_refused_at_gemini(scene: Scene) -> None:
    for member in ({"tools": [{"google_search": {}}]}, {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}):
        status, _, body = post(scene, GEMINI, asking(**member))
        assert (status, "allow_parameters" in json.loads(body)["error"]["message"]) == (400, True)
    status, headers, _ = post(scene, GEMINI, asking(serviceTier="priority"))
    assert (status, headers["x-fairlead-dropped"]) == (200, "serviceTier")
    assert "serviceTier" not in scene.last(GEMINI).json
    assert post(scene, GEMINI, asking(tools=[{"codeExecution": {}}]))[0] == 200


def test_a_cap_in_two_spellings_is_refused(scene: Scene) -> None:
    for config in (b'"maxOutputTokens":5,"max_output_tokens":9999', b'"maxOutputTokens":5,"maxOutputTokens":9999'):
        body = b'{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{%b}}' % config
        assert post(scene, GEMINI, body)[0] == 400
    both = b'{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{},"generation_config":{"maxOutputTokens":9}}'
    assert post(scene, GEMINI, both)[0] == 400


@BOTH
def test_limits_and_credit(scene: Scene, name: str) -> None:
    poor = new_key(scene.served, "--budget", "total=0.006")
    status, headers, body = post(scene, name, asking(generationConfig={"maxOutputTokens": "100000"}), key=poor)
    assert (status, json.loads(body)["error"]["status"]) == (402, "RESOURCE_EXHAUSTED")
    status, headers, _ = post(scene, name, asking(generationConfig={"topK": 5}), key=poor)
    assert status == 200
    assert "axOutputTokens" in headers["x-fairlead-clamped"]
    sent = scene.last(name).json
    cap = sent["generationConfig"]["maxOutputTokens"] if name == GEMINI else sent["max_completion_tokens"]
    assert 0 < cap < 400
    limited = new_key(scene.served, "--limit", "requests_per_minute=1")
    assert post(scene, name, asking(), key=limited)[0] == 200
    status, headers, body = post(scene, name, asking(), key=limited)
    assert (status, json.loads(body)["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert int(headers["retry-after"]) > 0


@ALL
def test_the_same_conversation_costs_the_same_at_every_door(scene: Scene, name: str) -> None:
    _, _, body = post(scene, name, asking())
    connection = http.client.HTTPConnection("127.0.0.1", scene.served.port, timeout=60)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps({"model": name, "messages": [{"role": "user", "content": "Hi"}]}),
        {"authorization": f"Bearer {scene.served.key}"},
    )  # fmt: skip
    chat = json.loads(connection.getresponse().read())
    connection.close()
    assert json.loads(body)["usageMetadata"]["cost_usd"] == chat["usage"]["cost_usd"]


# --- when it breaks

# Per fault: whether a stream ends with an error, and whether an answer is served.
FAULTS = {
    Fault.EOF: False, Fault.RESET: False, Fault.ERROR_EVENT: False, Fault.MALFORMED_JSON: False,
    Fault.MALFORMED_FRAME: False, Fault.MISSING_USAGE: True, Fault.ZERO_USAGE: True, Fault.CRLF: True,
    Fault.COMMENTS: True, Fault.ONE_BYTE_AT_A_TIME: True, Fault.SPLIT_UTF8: True, Fault.HUGE_FRAME: True,
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.value for fault in FAULTS])
def test_a_fault_of_the_provider(scene: Scene, name: str, fault: Fault) -> None:
    served = FAULTS[fault]
    reply = Reply(text=TEXT, fault=fault, after_chunks=5, chunk_delay_seconds=0.02)
    scene.upstream(name).enqueue(reply)
    status, _, body = post(scene, name, asking(), "streamGenerateContent?alt=sse")
    assert status == 200
    documents = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]
    assert ("error" in documents[-1]) == (not served)
    assert any("finishReason" in one["candidates"][0] for one in documents if "candidates" in one) == served
    if served and fault is not Fault.HUGE_FRAME:
        said = [part["text"] for one in documents for part in one["candidates"][0]["content"]["parts"]]
        assert "".join(said) == TEXT
        usage = documents[-1]["usageMetadata"]
        assert usage["candidatesTokenCount"] > 0
        assert float(usage["cost"]) > 0
        counted = fault in (Fault.MISSING_USAGE, Fault.ZERO_USAGE)
        assert usage.get("usage_source") == ("counted" if counted else None)
    eventually(lambda: post(scene, name, asking())[0] == 200)
    scene.upstream(name).enqueue(reply)
    status, _, body = post(scene, name, asking())
    assert (status == 200) == served
    assert served or json.loads(body)["error"]["code"] == status
    eventually(lambda: post(scene, name, asking())[0] == 200)


@BOTH
def test_a_caller_who_leaves_pays_for_what_was_delivered(scene: Scene, name: str) -> None:
    words = [f"word{number} " for number in range(200)]
    scene.upstream(name).enqueue(Reply(text="".join(words), chunk_delay_seconds=0.01))
    body = asking()
    with socket.create_connection(("127.0.0.1", scene.served.port)) as caller:
        caller.sendall(
            b"POST /v1beta/models/%b:streamGenerateContent?alt=sse HTTP/1.1\r\nHost: x\r\nx-goog-api-key: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (name.encode(), scene.served.key.encode(), len(body), body)
        )
        got = b""
        while got.count(b"data: ") < 10:
            got += caller.recv(65536)
    found = re.search(rb"x-fairlead-generation-id: (\S+)", got)
    assert found is not None
    receipt = receipt_of(scene.served, found[1].decode())
    assert receipt["outcome"] == "caller_gone"
    tokens = count_text(None, "".join(words)).tokens
    assert 0 < receipt["usage"]["completion_tokens"] <= tokens


def test_a_blocked_prompt_is_told_as_it_is(scene: Scene) -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
    }
    scene.gemini.enqueue(Reply(body=json.dumps(blocked)))
    found = scene.client.models.generate_content(model=GEMINI, contents="Hi")
    assert found.prompt_feedback is not None
    scene.other.enqueue(Reply(text="", finish_reason="content_filter"))
    refused = scene.client.models.generate_content(model=OTHER, contents="Hi")
    assert refused.candidates is not None
    assert refused.candidates[0].finish_reason == types.FinishReason.SAFETY


def test_garbage_of_every_type_is_refused_in_its_shape(scene: Scene) -> None:
    values: list[Any] = [None, True, -1, 1.5, "", "x", [], {}, [None], [[]], {"a": 1}, "\ud83d", 10**400]
    members = (
        "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent",
        "fairlead", "models", "provider", "serviceTier",
    )  # fmt: skip
    bodies = [asking(**{member: value}) for member in members for value in values]
    config = ("maxOutputTokens", "candidateCount", "stopSequences", "responseSchema", "thinkingConfig", "topK", "seed")
    bodies += [asking(generationConfig={name: value}) for name in config for value in values]
    parts = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "thoughtSignature")
    bodies += [asking(contents=[{"parts": [{name: value}]}]) for name in parts for value in values]
    for body in [*bodies, b"", b"{", b"[]", b"null", b"\xff"]:
        for name in (OTHER, GEMINI):
            status, _, answer = post(scene, name, body)
            assert status in (200, 400, 404), (body, answer)
            if status != 200:
                assert json.loads(answer)["error"]["code"] == status, body


def test_long_and_deep_bodies_are_answered(scene: Scene) -> None:
    bodies = [
        asking(contents=[{"parts": [{}] * 40_000}]),
        asking(contents=[{"parts": [{"text": "a"}]}] * 40_000),
        asking()[:-1] + b',"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        asking()[:-1] + b',"tools":' + b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000 + b"}",
        asking(generationConfig={"responseMimeType": "application/json", "responseSchema": {"a": [{}] * 400_000}}),
    ]
    schema: Any = {"type": "OBJECT"}
    for _ in range(300):
        schema = {"type": "OBJECT", "properties": {"a": schema}}
    bodies.append(asking(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}]))
    for body in bodies:
        for name in (OTHER, GEMINI):
            assert post(scene, name, body)[0] in (200, 400)
    assert post(scene, OTHER, asking())[0] == 200


def test_paths_that_are_none(scene: Scene) -> None:
    for path in ("x:embedContent", "x", ":generateContent", "x:generateContent/y"):
        status, _, body = call(scene, "POST", f"/v1beta/models/{path}", asking())
        assert status in (400, 404)
        assert json.loads(body)["error"]["status"] in ("NOT_FOUND", "INVALID_ARGUMENT")
    assert call(scene, "GET", f"/v1beta/models/{OTHER}:generateContent")[0] == 404
    assert call(scene, "DELETE", f"/v1beta/models/{OTHER}:generateContent")[0] == 405
    assert post(scene, OTHER.replace("-", "%2D"), asking())[0] == 200
