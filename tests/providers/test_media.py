"""Images, audio, files and video in the words of each dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.operations.chat.operation import needs_of
from fairlead.prices import FREE, PriceSheet
from fairlead.providers.anthropic.adapter import AnthropicMessages
from fairlead.providers.bedrock.adapter import BedrockConverse
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.gemini.adapter import Gemini
from fairlead.providers.openai.adapter import OpenAIChat
from fairlead.routing.needs import CAPABILITY_BITS, lacks_of, names_of
from fairlead.wire.chat import ChatRequest, parse_chat

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
REMOTE = {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}}
PDF = {"type": "file", "file": {"filename": "Q3 report_v2.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
REMOTE_PDF = {"type": "file", "file": {"file_data": "https://example.com/b/c.pdf"}}
PLAIN = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,SGVsbG8="}}
BY_ID = {"type": "file", "file": {"file_id": "file-abc"}}
WAV = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
MP4 = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
TEXT = {"type": "text", "text": "What is this?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def request_of(*parts: Any, **members: Any) -> ChatRequest:
    body = {"model": "public", "messages": [{"role": "user", "content": [TEXT, *parts]}], **members}
    return parse_chat(json.dumps(body).encode())


def tool_request(*parts: Any) -> ChatRequest:
    messages = [
        {"role": "user", "content": "Draw"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": [TEXT, *parts]},
    ]
    return parse_chat(json.dumps({"model": "public", "messages": messages}).encode())


def sent(adapter: Any, request: ChatRequest) -> Any:
    return json.loads(b"".join(adapter.to_vendor(request).body))


def anthropic() -> AnthropicMessages:
    return AnthropicMessages(DIALECTS["anthropic"], "public", "claude-sonnet-4-5", clock=lambda: 0)


def gemini() -> Gemini:
    return Gemini(DIALECTS["gemini"], "public", "gemini-2.5-pro", clock=lambda: 0)


def bedrock() -> BedrockConverse:
    return BedrockConverse(DIALECTS["bedrock"], "public", "amazon.nova-pro-v1:0", clock=lambda: 0)


@pytest.mark.parametrize("dialect", [name for name, row in DIALECTS.items() if row.speaks == "openai"])
def test_openais_dialects_get_the_messages_byte_for_byte(dialect: str) -> None:
    parts = (PNG, REMOTE) if dialect == "mistral" else (PNG, REMOTE, PDF, BY_ID, WAV, MP4)
    request = request_of(*parts)
    made = b"".join(OpenAIChat(DIALECTS[dialect], "public", "vendor").to_vendor(request).body)
    assert bytes(request.messages) in made


def test_mistral_gets_files_and_audio_in_parts_of_its_own() -> None:
    parts = sent(OpenAIChat(DIALECTS["mistral"], "p", "v"), request_of(PNG, PDF, BY_ID, WAV))["messages"][0]["content"]
    assert parts == [
        TEXT, PNG,
        {"type": "document_url", "document_url": PDF["file"]["file_data"], "document_name": "Q3 report_v2.pdf"},  # type: ignore[index]
        {"type": "file", "file_id": "file-abc"},
        {"type": "input_audio", "input_audio": "UklGRg=="},
    ]  # fmt: skip


def test_anthropic_gets_images_and_documents_by_bytes_or_address() -> None:
    blocks = sent(anthropic(), request_of(PNG, REMOTE, PDF, REMOTE_PDF, PLAIN))["messages"][0]["content"]
    assert blocks[1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "Q3 report_v2.pdf",
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/b/c.pdf"}, "title": "c.pdf"},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Hello"},
            "title": "a.txt",
        },
    ]
    result = sent(anthropic(), tool_request(PNG))["messages"][2]["content"][0]
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert sent(anthropic(), tool_request())["messages"][2]["content"][0]["content"] == "What is this?"


def test_gemini_gets_bytes_inline_and_addresses_as_file_data() -> None:
    parts = sent(gemini(), request_of(PNG, REMOTE, PDF, WAV, MP4))["contents"][0]["parts"]
    assert parts[1:] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"fileUri": "https://example.com/a.jpg", "mimeType": "image/jpeg"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
    ]
    parts = sent(gemini(), tool_request(PNG))["contents"][2]["parts"]
    assert list(parts[0]) == ["functionResponse"]
    assert parts[1] == {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


def test_bedrock_gets_images_documents_and_video_by_its_own_names() -> None:
    blocks = sent(bedrock(), request_of(PNG, PDF, MP4))["messages"][0]["content"]
    assert blocks[1:] == [
        {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
        {"document": {"format": "pdf", "name": "Q3 report v2", "source": {"bytes": "JVBERi0="}}},
        {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
    ]
    result = sent(bedrock(), tool_request(PNG))["messages"][2]["content"][0]["toolResult"]
    assert result["content"][1] == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    zip_file = {"type": "file", "file": {"file_data": "data:application/zip;base64,UEsD"}}
    with pytest.raises(UnsupportedContent, match="application/zip"):
        bedrock().to_vendor(request_of(zip_file))


@pytest.mark.parametrize(
    ("dialect", "part", "named"),
    [
        ("bedrock", REMOTE, "media_urls"),
        ("bedrock", WAV, "audio"),
        ("bedrock", BY_ID, "file_ids"),
        ("llamacpp", REMOTE, "media_urls"),
        ("llamacpp", PDF, "files"),
        ("vllm", PDF, "files"),
        ("sglang", PDF, "files"),
        ("openai", MP4, "video"),
        ("azure", MP4, "video"),
        ("mistral", MP4, "video"),
        ("anthropic", WAV, "audio"),
        ("anthropic", MP4, "video"),
        ("anthropic", BY_ID, "file_ids"),
        ("gemini", BY_ID, "file_ids"),
    ],
)
def test_what_a_dialect_cannot_carry_is_a_capability_that_it_lacks(dialect: str, part: Any, named: str) -> None:
    lacks = sum(CAPABILITY_BITS[name] for name in DIALECTS[dialect].incapable)
    assert named in names_of(needs_of(request_of(part)) & lacks)


def test_no_image_of_an_assistant_goes_to_claude() -> None:
    said = {"role": "assistant", "content": [PNG]}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, said, {"role": "user", "content": "y"}]}
    needs = needs_of(parse_chat(json.dumps(body).encode()))
    assert "assistant_media" in names_of(needs)
    assert "assistant_media" in DIALECTS["anthropic"].incapable
    assert "assistant_media" not in DIALECTS["openai"].incapable


def test_what_is_not_known_of_a_model_counts_as_there() -> None:
    def lacks(model: Model) -> list[str]:
        deployment = Deployment("d", "p", "u", PriceSheet("d", FREE))
        return [name for name in names_of(lacks_of(model, deployment, None, True)) if name != "prefill"]

    assert lacks(Model("m", "m", "v", "", 0, None, None)) == []
    known = Model("m", "m", "v", "", 0, None, None, input_modalities=("text", "image"), inputs_known=True)
    assert lacks(known) == ["audio", "files", "video"]


def test_a_constraint_in_a_string_cannot_add_members_to_what_is_sent() -> None:
    """`structured_outputs.json` may be a text; it is written into the request as the JSON that it is."""
    for text in ('{}}},"model":"dearer","x":{"a":{"b":{}', "{} {}", "[]", "{", "", "\ud800", '{"a":' * 5000):
        body = json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "structured_outputs": {"json": text}}
        )
        with pytest.raises(InvalidRequest, match=r"structured_outputs|valid JSON"):
            parse_chat(body.encode())
    request = request_of(structured_outputs={"json": '{"type": "object"}'})
    made = sent(OpenAIChat(DIALECTS["openai"], "p", "v"), request)
    assert made["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert made["model"] == "v"
    assert request.given["structured_outputs"] != Raw(b"null")
