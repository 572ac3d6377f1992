"""Requests in the words of Anthropic, Gemini and Bedrock, and recordings as their own packages read them.

`anthropic`, `google-genai` and `botocore` are the judges: nothing here was sent to a live service.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.eventstream
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.validate
import pytest
from anthropic import types as anthropic
from google.genai import types as google
from pydantic import TypeAdapter

from fairlead.errors import InvalidRequest, UpstreamInvalid
from fairlead.providers.bedrock.event_stream import FrameReader
from fairlead.providers.bedrock.sigv4 import Signer
from fairlead.wire.chat import parse_chat
from fairlead.wire.usage import TokenClasses, Usage

from .recorded import CASES, SPOKEN, adapter, amazon_events, events, frame, whole

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nnot much").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": SCHEMA}}
    for name in ("get_weather", "get_time")
]
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is the weather here?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ],
    },
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "a1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}},
            {"id": "b2", "type": "function", "function": {"name": "get_time", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "a1", "content": '{"sky": "grey"}'},
    {"role": "tool", "tool_call_id": "b2", "content": "noon"},
    {"role": "developer", "content": "In one word."},
    {"role": "user", "content": "Well?"},
]
EVERYTHING: dict[str, Any] = {
    "messages": CONVERSATION, "tools": TOOLS, "max_tokens": 300, "temperature": 0.5, "stop": ["END", "STOP"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
}  # fmt: skip
MODELS = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro", "bedrock": "anthropic.claude-sonnet-4-5-v1:0"}


def converse() -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(
        botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime"
    )


def sent(dialect: str, model: str | None = None, **given: Any) -> tuple[dict[str, Any], Any]:
    members = {"model": "public", "messages": [{"role": "user", "content": "Hello"}], **given}
    call = adapter(dialect, model or MODELS[dialect]).to_vendor(parse_chat(json.dumps(members).encode()))
    body: dict[str, Any] = json.loads(b"".join(call.body))
    JUDGES[dialect](body)
    return body, call


def judge_anthropic(body: dict[str, Any]) -> None:
    kind: Any = anthropic.MessageCreateParams
    TypeAdapter(kind).validate_python(body)


def judge_gemini(body: dict[str, Any]) -> None:
    """Every part by its own type, which takes no member that it does not know."""
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        google.Content.model_validate(content)
    for tool in body.get("tools", []):
        google.Tool.model_validate(tool)
    google.ToolConfig.model_validate(body.get("toolConfig", {}))
    google.GenerationConfig.model_validate(body.get("generationConfig", {}))
    assert set(body) <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}


def judge_bedrock(body: dict[str, Any]) -> None:
    given = json.loads(json.dumps(body))
    for message in given["messages"]:
        for block in message["content"]:
            if "image" in block:
                block["image"]["source"]["bytes"] = base64.b64decode(block["image"]["source"]["bytes"])
    shape = converse().operation_model("Converse").input_shape
    report = botocore.validate.ParamValidator().validate({"modelId": "m", **given}, shape)
    assert not report.has_errors(), report.generate_report()


JUDGES = {"anthropic": judge_anthropic, "gemini": judge_gemini, "bedrock": judge_bedrock}


# --- requests


def test_a_whole_conversation_in_anthropics_words() -> None:
    body, call = sent("anthropic", **EVERYTHING)
    assert call.dropped == ()
    assert body["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In one word."}]
    user, assistant, results = body["messages"]
    assert user["content"][1] == {
        "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG},
    }  # fmt: skip
    assert assistant["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "a1", "name": "get_weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "b2", "name": "get_time", "input": {}},
    ]
    assert results["role"] == "user"
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]
    assert results["content"][1] == {"type": "tool_result", "tool_use_id": "b2", "content": "noon"}
    assert body["tools"][0] == {"name": "get_weather", "description": "Does get_weather.", "input_schema": SCHEMA}
    assert body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert body["stop_sequences"] == ["END", "STOP"]
    assert (body["max_tokens"], body["temperature"], body["model"]) == (300, 0.5, "claude-sonnet-4-5")
    assert "stream" not in body


def test_a_whole_conversation_in_geminis_words() -> None:
    body, call = sent("gemini", **EVERYTHING, n=2, seed=7)
    assert call.dropped == ()
    assert call.path == b"/models/gemini-2.5-pro:generateContent"
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In one word."}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    user, assistant, results = body["contents"]
    assert user["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert assistant["parts"][1] == {"functionCall": {"id": "a1", "name": "get_weather", "args": {"city": "Oslo"}}}
    assert results["parts"][0]["functionResponse"] == {"id": "a1", "name": "get_weather", "response": {"sky": "grey"}}
    assert results["parts"][1]["functionResponse"]["response"] == {"result": "noon"}
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert body["generationConfig"] == {
        "maxOutputTokens": 300, "temperature": 0.5, "stopSequences": ["END", "STOP"], "candidateCount": 2, "seed": 7,
        "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
    }  # fmt: skip
    assert sent("gemini", stream=True)[1].path == b"/models/gemini-2.5-pro:streamGenerateContent?alt=sse"


def test_a_whole_conversation_in_bedrocks_words() -> None:
    body, call = sent("bedrock", **EVERYTHING)
    assert call.dropped == ()
    assert call.path == b"/model/anthropic.claude-sonnet-4-5-v1%3A0/converse"
    assert body["system"] == [{"text": "Be brief."}, {"text": "In one word."}]
    user, assistant, results = body["messages"]
    assert user["content"][1] == {"image": {"format": "png", "source": {"bytes": PNG}}}
    assert assistant["content"][1] == {"toolUse": {"toolUseId": "a1", "name": "get_weather", "input": {"city": "Oslo"}}}
    assert results["content"][1] == {"toolResult": {"toolUseId": "b2", "content": [{"text": "noon"}]}}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert body["inferenceConfig"] == {"maxTokens": 300, "temperature": 0.5, "stopSequences": ["END", "STOP"]}
    schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (json.loads(schema["schema"]), schema["name"]) == (SCHEMA, "place")
    assert sent("bedrock", stream=True)[1].path.endswith(b"/converse-stream")


ONE = {"type": "function", "function": {"name": "get_time"}}
SOME = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ONE]}}


@pytest.mark.parametrize(
    ("choice", "as_anthropic", "as_gemini", "as_bedrock"),
    [
        ("auto", {"type": "auto"}, {"mode": "AUTO"}, {"auto": {}}),
        ("required", {"type": "any"}, {"mode": "ANY"}, {"any": {}}),
        ("none", {"type": "none"}, {"mode": "NONE"}, None),
        (ONE, {"type": "tool", "name": "get_time"}, {"mode": "ANY", "allowedFunctionNames": ["get_time"]}, {"tool": {"name": "get_time"}}),
        (SOME, {"type": "any"}, {"mode": "ANY"}, {"any": {}}),
    ],
)  # fmt: skip
def test_every_form_of_tool_choice(choice: Any, as_anthropic: Any, as_gemini: Any, as_bedrock: Any) -> None:
    body, _ = sent("anthropic", tools=TOOLS, tool_choice=choice)
    assert body["tool_choice"] == as_anthropic
    assert len(body["tools"]) == (1 if choice is SOME else 2)
    body, _ = sent("gemini", tools=TOOLS, tool_choice=choice)
    assert body["toolConfig"]["functionCallingConfig"] == as_gemini
    body, call = sent("bedrock", tools=TOOLS, tool_choice=choice)
    assert body.get("toolConfig", {}).get("toolChoice") == as_bedrock
    assert call.dropped == ()
    if choice == "none":
        assert "toolConfig" not in body
        body, call = sent("bedrock", tools=TOOLS, tool_choice="none", messages=CONVERSATION)
        assert call.dropped == ("tool_choice.none",)


def test_one_tool_call_at_a_time_where_there_is_a_word_for_it() -> None:
    body, _ = sent("anthropic", tools=TOOLS, parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    for dialect in ("gemini", "bedrock"):
        assert sent(dialect, tools=TOOLS, parallel_tool_calls=False)[1].dropped == ("parallel_tool_calls",)


def test_effort_is_a_budget_a_word_or_a_level_as_the_model_takes_it() -> None:
    body, _ = sent("anthropic", reasoning_effort="low", max_tokens=9000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    body, call = sent("anthropic", reasoning_effort="high", max_tokens=500)
    assert "thinking" not in body
    assert call.dropped == ("reasoning_effort",), "no room to think"
    body, call = sent("anthropic", "claude-opus-4-6", reasoning_effort="high", temperature=0.3)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    assert call.dropped == ("temperature",), "a model that thinks takes no temperature"
    assert sent("gemini", reasoning_effort="low")[0]["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1024
    body, _ = sent("gemini", "gemini-3-pro-preview", reasoning_effort="low")
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "low"}
    body, _ = sent("bedrock", reasoning_effort="low", max_tokens=9000)
    assert body["additionalModelRequestFields"]["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert sent("bedrock", "amazon.nova-pro-v1:0", reasoning_effort="low")[1].dropped == ("reasoning_effort",)


def test_a_temperature_that_claude_refuses_is_clamped_and_said_so() -> None:
    body, call = sent("anthropic", temperature=1.7)
    assert body["temperature"] == 1
    assert (call.dropped, call.clamped) == ((), ("temperature",))
    assert sent("gemini", temperature=1.7)[0]["generationConfig"]["temperature"] == 1.7


def test_max_tokens_is_always_said_to_anthropic() -> None:
    assert sent("anthropic")[0]["max_tokens"] == 4096
    assert sent("anthropic", max_completion_tokens=5)[0]["max_tokens"] == 5
    assert "generationConfig" not in sent("gemini")[0]
    assert "inferenceConfig" not in sent("bedrock")[0]


def test_cache_breakpoints_stand_where_the_caller_put_them() -> None:
    part = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "short"}]}]
    content = sent("anthropic", messages=messages)[0]["messages"][0]["content"]
    assert content[0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in content[1]
    content = sent("bedrock", messages=messages)[0]["messages"][0]["content"]
    assert content == [{"text": "long"}, {"cachePoint": {"type": "default"}}, {"text": "short"}]


def test_geminis_signature_goes_back_with_the_call_that_bore_it() -> None:
    one = adapter("gemini", "gemini-3-pro-preview")
    call = one.to_vendor(parse_chat(json.dumps({"model": "p", "messages": CONVERSATION[1:2], "tools": TOOLS}).encode()))
    answer = json.loads(one.plain(call, whole("gemini", "tools")).end(b""))["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "{}"} for one in answer["tool_calls"]]
    body, _ = sent("gemini", "gemini-3-pro-preview", messages=[*CONVERSATION[1:2], answer, *results], tools=TOOLS)
    parts = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in parts] == ["CtwFAdHtim+abc0=", None]
    unsigned, _ = sent("gemini", "gemini-3-pro-preview", messages=CONVERSATION, tools=TOOLS)
    parts = [part for part in unsigned["contents"][1]["parts"] if "functionCall" in part]
    assert parts[0]["thoughtSignature"] == "skip_thought_signature_validator"


def test_ids_of_other_vendors_are_made_such_as_this_one_takes() -> None:
    call = {"id": "functions.get_time:0", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    messages = [
        *CONVERSATION[:2],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "noon"},
    ]
    use, result = (one["content"][0] for one in sent("anthropic", messages=messages)[0]["messages"][1:])
    assert use["id"] == result["tool_use_id"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", use["id"])
    use, result = (one["content"][0] for one in sent("bedrock", messages=messages)[0]["messages"][1:])
    assert use["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", use["toolUse"]["toolUseId"])


def test_a_prefill_for_claude_ends_without_white_space() -> None:
    hello = {"role": "user", "content": "Hello"}
    for dialect in ("anthropic", "bedrock"):
        body, _ = sent(dialect, messages=[hello, {"role": "assistant", "content": "Good day, \n"}])
        assert body["messages"][-1]["content"][0]["text"] == "Good day,"
        body, _ = sent(dialect, messages=[hello, {"role": "assistant", "content": " \n"}])
        assert [message["role"] for message in body["messages"]] == ["user"]


def test_arguments_that_are_no_object_are_told_to_the_caller() -> None:
    broken = json.loads(json.dumps(CONVERSATION))
    broken[2]["tool_calls"][0]["function"]["arguments"] = "[1]"
    for dialect in MODELS:
        with pytest.raises(InvalidRequest, match="not a JSON object"):
            sent(dialect, messages=broken)


# --- recordings


@pytest.mark.parametrize("case", CASES)
def test_anthropics_package_reads_its_recordings(case: str) -> None:
    anthropic.Message.model_validate_json(whole("anthropic", case), strict=True)
    kind: TypeAdapter[anthropic.RawMessageStreamEvent] = TypeAdapter(anthropic.RawMessageStreamEvent)
    for event in events("anthropic", case):
        name, _, data = event.decode().strip().partition("\ndata: ")
        if name != "event: ping":
            assert kind.validate_json(data).type == name.removeprefix("event: ")


@pytest.mark.parametrize("case", CASES)
def test_googles_package_reads_its_recordings(case: str) -> None:
    answer = google.GenerateContentResponse.model_validate_json(whole("gemini", case))
    assert answer.candidates
    assert answer.candidates[0].finish_reason in (google.FinishReason.STOP, google.FinishReason.MAX_TOKENS)
    for event in events("gemini", case):
        google.GenerateContentResponse.model_validate_json(event.removeprefix(b"data: "))


@pytest.mark.parametrize("case", [*CASES, "error"])
def test_botocore_reads_bedrocks_recordings(case: str) -> None:
    model = converse()
    if case != "error":
        parser = botocore.parsers.create_parser("rest-json")
        shape = model.operation_model("Converse").output_shape
        answer = {"status_code": 200, "headers": {}, "body": whole("bedrock", case)}
        assert parser.parse(answer, shape)["output"]["message"]["content"]
    buffer = botocore.eventstream.EventStreamBuffer()
    ours = FrameReader()
    stream_shape = model.shape_for("ConverseStreamOutput")
    for kind, payload in amazon_events(case):
        data = frame(kind, payload)
        buffer.add_data(data)
        theirs = next(iter(buffer))
        (mine,) = ours.feed(data)
        assert mine.headers == theirs.headers
        assert mine.payload == theirs.payload
        known = {name: value for name, value in payload.items() if name != "p"}  # padding, in no model
        report = botocore.validate.ParamValidator().validate({kind.removeprefix("!"): known}, stream_shape)
        assert not report.has_errors(), report.generate_report()
    assert not ours.in_the_middle


@pytest.mark.parametrize("at", range(0, 120, 3))
def test_a_damaged_frame_is_no_frame(at: int) -> None:
    good = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "words that were said"}})
    bad = bytearray(good)
    bad[at] ^= 0x41
    with pytest.raises(UpstreamInvalid):
        FrameReader().feed(bytes(bad))


# --- signatures


@pytest.mark.parametrize("token", ["", "session+token/=="])
@pytest.mark.parametrize(
    "model", ["amazon.nova-pro-v1:0", "arn:aws:bedrock:us-east-1:1:inference-profile/eu.x", "a b~c"]
)
def test_a_signature_is_the_one_that_botocore_makes(monkeypatch: pytest.MonkeyPatch, model: str, token: str) -> None:
    now = datetime(2026, 11, 24, 9, 8, 7, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
    host, body = "bedrock-runtime.us-east-1.amazonaws.com", b'{"messages":[]}'
    path = f"/model/{quote(model, safe='')}/converse"
    request = botocore.awsrequest.AWSRequest("POST", f"https://{host}{path}", {}, body)
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", token or None)
    botocore.auth.SigV4Auth(credentials, "bedrock", "us-east-1").add_auth(request)
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI", token, region="us-east-1", service="bedrock", host=host)
    for _ in range(2):  # the second time with the day's key
        lines = signer.headers("POST", path, (body,), now.timestamp()).decode().split("\r\n")[:-1]
        ours = dict(line.split(": ", 1) for line in lines)
        assert ours.pop("authorization") == request.headers["Authorization"]
        assert ours == {
            name.lower(): value for name, value in request.headers.items() if name.lower().startswith("x-amz-")
        }


@pytest.mark.parametrize("dialect", SPOKEN)
def test_usage_that_was_counted_here_takes_the_place_of_the_vendors_in_every_dialect(dialect: str) -> None:
    one, vendor = adapter(dialect), SPOKEN[dialect]
    counted = Usage(TokenClasses(11, output=22, request=1), 11, 22)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    call = one.to_vendor(parse_chat(json.dumps({**body, "stream_options": {"include_usage": True}}).encode()))
    relay, assembler = one.relay(call), one.assembler(call)
    for event in events(vendor, "text"):
        relay.feed(event)
        assembler.feed(event)
    relay.finish()
    assembler.finish()
    *_, last, done = relay.end(b',"usage_source":"counted"', counted).split(b"\n\n")[:-1]
    assert done == b"data: [DONE]"
    for document in (
        last.removeprefix(b"data: "),
        assembler.end(b',"usage_source":"counted"', counted),
        one.plain(call, whole(vendor, "text")).end(b',"usage_source":"counted"', counted),
    ):
        usage = json.loads(document)["usage"]
        assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [11, 22, 33]
        assert usage["usage_source"] == "counted"
