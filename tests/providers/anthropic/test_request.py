"""A chat request in the words of the Messages API."""

from __future__ import annotations

from tests.providers.asked import EVERYTHING, SCHEMA, sent
from tests.providers.asked import PNG as PICTURE
from tests.providers.parts import PDF, PLAIN, PNG, REMOTE, REMOTE_PDF, request_of, sent_by, tool_request
from tests.providers.recorded import adapter


def test_a_whole_conversation_in_anthropics_words() -> None:
    body, call = sent("anthropic", **EVERYTHING)
    assert call.dropped == ()
    assert body["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In one word."}]
    user, assistant, results = body["messages"]
    assert user["content"][1] == {
        "type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE},
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


def test_anthropic_gets_images_and_documents_by_bytes_or_address() -> None:
    blocks = sent_by(adapter("anthropic", "claude-sonnet-4-5"), request_of(PNG, REMOTE, PDF, REMOTE_PDF, PLAIN))[
        "messages"
    ][0]["content"]
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
    result = sent_by(adapter("anthropic", "claude-sonnet-4-5"), tool_request(PNG))["messages"][2]["content"][0]
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    assert (
        sent_by(adapter("anthropic", "claude-sonnet-4-5"), tool_request())["messages"][2]["content"][0]["content"]
        == "What is this?"
    )
