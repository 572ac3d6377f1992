"""A chat request in Converse's words."""

from __future__ import annotations

import json

import pytest
from tests.providers.asked import EVERYTHING, SCHEMA, sent
from tests.providers.asked import PNG as PICTURE
from tests.providers.parts import MP4, PDF, PNG, request_of, sent_by, tool_request
from tests.providers.recorded import adapter

from fairlead.errors import UnsupportedContent


def test_a_whole_conversation_in_bedrocks_words() -> None:
    body, call = sent("bedrock", **EVERYTHING)
    assert call.dropped == ()
    assert call.path == b"/model/anthropic.claude-sonnet-4-5-v1%3A0/converse"
    assert body["system"] == [{"text": "Be brief."}, {"text": "In one word."}]
    user, assistant, results = body["messages"]
    assert user["content"][1] == {"image": {"format": "png", "source": {"bytes": PICTURE}}}
    assert assistant["content"][1] == {"toolUse": {"toolUseId": "a1", "name": "get_weather", "input": {"city": "Oslo"}}}
    assert results["content"][1] == {"toolResult": {"toolUseId": "b2", "content": [{"text": "noon"}]}}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert body["inferenceConfig"] == {"maxTokens": 300, "temperature": 0.5, "stopSequences": ["END", "STOP"]}
    schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (json.loads(schema["schema"]), schema["name"]) == (SCHEMA, "place")
    assert sent("bedrock", stream=True)[1].path.endswith(b"/converse-stream")


def test_bedrock_gets_images_documents_and_video_by_its_own_names() -> None:
    blocks = sent_by(adapter("bedrock", "amazon.nova-pro-v1:0"), request_of(PNG, PDF, MP4))["messages"][0]["content"]
    assert blocks[1:] == [
        {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
        {"document": {"format": "pdf", "name": "Q3 report v2", "source": {"bytes": "JVBERi0="}}},
        {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
    ]
    result = sent_by(adapter("bedrock", "amazon.nova-pro-v1:0"), tool_request(PNG))["messages"][2]["content"][0][
        "toolResult"
    ]
    assert result["content"][1] == {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}
    zip_file = {"type": "file", "file": {"file_data": "data:application/zip;base64,UEsD"}}
    with pytest.raises(UnsupportedContent, match="application/zip"):
        adapter("bedrock", "amazon.nova-pro-v1:0").to_vendor(request_of(zip_file))
