"""A chat request in generateContent's words."""

from __future__ import annotations

import json

from tests.providers.asked import CONVERSATION, EVERYTHING, SCHEMA, TOOLS, sent
from tests.providers.asked import PNG as PICTURE
from tests.providers.parts import MP4, PDF, PNG, REMOTE, WAV, request_of, sent_by, tool_request
from tests.providers.recorded import adapter, whole

from fairlead.wire.chat import parse_chat


def test_a_whole_conversation_in_geminis_words() -> None:
    body, call = sent("gemini", **EVERYTHING, n=2, seed=7)
    assert call.dropped == ()
    assert call.path == b"/models/gemini-2.5-pro:generateContent"
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In one word."}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    user, assistant, results = body["contents"]
    assert user["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
    assert assistant["parts"][1] == {"functionCall": {"id": "a1", "name": "get_weather", "args": {"city": "Oslo"}}}
    assert results["parts"][0]["functionResponse"] == {"id": "a1", "name": "get_weather", "response": {"sky": "grey"}}
    assert results["parts"][1]["functionResponse"]["response"] == {"result": "noon"}
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert body["generationConfig"] == {
        "maxOutputTokens": 300, "temperature": 0.5, "stopSequences": ["END", "STOP"], "candidateCount": 2, "seed": 7,
        "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
    }  # fmt: skip
    assert sent("gemini", stream=True)[1].path == b"/models/gemini-2.5-pro:streamGenerateContent?alt=sse"


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


def test_gemini_gets_bytes_inline_and_addresses_as_file_data() -> None:
    parts = sent_by(adapter("gemini", "gemini-2.5-pro"), request_of(PNG, REMOTE, PDF, WAV, MP4))["contents"][0]["parts"]
    assert parts[1:] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"fileUri": "https://example.com/a.jpg", "mimeType": "image/jpeg"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
    ]
    parts = sent_by(adapter("gemini", "gemini-2.5-pro"), tool_request(PNG))["contents"][2]["parts"]
    assert list(parts[0]) == ["functionResponse"]
    assert parts[1] == {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
