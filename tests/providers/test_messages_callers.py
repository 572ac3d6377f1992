"""Requests in Anthropic's Messages, in the words of every dialect: nothing that it would refuse, nothing lost unnamed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from fairlead.doors.messages.writer import MessagesWriter
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.wire.apis import CHAT, MESSAGES
from fairlead.wire.messages.request import parse_messages

PNG = "iVBORw0KGgo="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
MARK = {"cache_control": {"type": "ephemeral"}}
ASKED: dict[str, Any] = {
    "model": "m", "max_tokens": 4000, "system": [{"type": "text", "text": "Be brief.", **MARK}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, IMAGE]},
        {"role": "system", "content": "Today is Monday."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "fairlead:"},
                {"type": "redacted_thinking", "data": "fairlead:google-gemini-v1:c:t1:c2ln"},
                {"type": "tool_use", "id": "t1", "name": "get", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "rain"}, IMAGE]}]},
    ],
    "tools": [{"name": "get", "input_schema": {"type": "object"}}], "context_management": {"edits": []},
}  # fmt: skip
CHATS = [name for name, row in DIALECTS.items() if row.operations is None or CHAT in row.operations]


def asked_of(name: str) -> Any:
    row = DIALECTS[name]
    binding = Binding(
        row, "m", "up-model", {}, time.time, api=MESSAGES, new_writer=MessagesWriter, base_url="https://x",
        region="us-east-1", path=row.path_of("up-model").split(b"?")[0],
    )  # fmt: skip
    adapter = VENDORS[row.speaks].operations[CHAT].adapter(binding)
    assert adapter is not None
    return adapter.to_vendor(parse_messages(json.dumps(ASKED).encode()))


@pytest.mark.parametrize("name", CHATS)
def test_every_dialect_gets_what_it_has_words_for(name: str) -> None:
    call = asked_of(name)
    text = b"".join(bytes(piece) for piece in call.body).decode()
    json.loads(text)
    for word in ("Be brief.", "Today is Monday.", "rain", '"get"'):
        assert word in text
    assert text.count(PNG) == 2, "also the one in the result of the tool"
    assert "fairlead:" not in text
    if name == "anthropic":
        assert call.dropped == ("messages.thinking",), "of another provider"
        return
    assert "context_management" in call.dropped
    assert ("cache_control" in text) == (name == "generic")
    assert ("cachePoint" in text) == (name == "bedrock")
    assert ("c2ln" in text) == (name in ("gemini", "generic"))
    assert "reasoning_details" not in text
