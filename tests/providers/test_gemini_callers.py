"""Requests in Gemini's words, in those of every dialect: nothing that it would refuse, nothing lost unnamed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from fairlead.doors.gemini.writer import GeminiWriter
from fairlead.providers.dialect import Binding
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.wire.answer import ReasoningState
from fairlead.wire.apis import CHAT, GENERATE_CONTENT
from fairlead.wire.gemini.request import GENERATE, parse_gemini
from fairlead.wire.gemini.signatures import UNSIGNED, details_of, tagged

PNG = "iVBORw0KGgo_-A"
STANDARD = "iVBORw0KGgo/+A=="
CLAUDES = tagged([ReasoningState("anthropic-claude-v1", "Hm.", "c2ln")])
ASKED: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {
            "role": "model",
            "parts": [
                {"text": "Secret thought", "thought": True},
                {"functionCall": {"name": "my.get", "args": {"a": 1}}, "thoughtSignature": CLAUDES},
                {"functionCall": {"name": "my.get", "args": {}}, "thoughtSignature": "Z2VtaW5p"},
                {"functionCall": {"name": "my.get", "args": {}}, "thoughtSignature": UNSIGNED},
            ],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "my.get", "response": {"output": "rain"}}}] * 3},
    ],
    "tools": [{"functionDeclarations": [{"name": "my.get", "parameters": {"type": "OBJECT", "nullable": True}}]}],
    "generationConfig": {"maxOutputTokens": 4000},
    "safetySettings": [],
}  # fmt: skip
CHATS = [name for name, row in DIALECTS.items() if row.operations is None or CHAT in row.operations]


def asked_of(name: str, **members: Any) -> Any:
    row = DIALECTS[name]
    binding = Binding(
        row, "m", "up-model", {}, time.time, api=GENERATE_CONTENT, new_writer=GeminiWriter, base_url="https://x",
        region="us-east-1", path=row.path_of("up-model").split(b"?")[0],
    )  # fmt: skip
    adapter = VENDORS[row.speaks].operations[CHAT].adapter(binding)
    assert adapter is not None
    return adapter.to_vendor(parse_gemini(json.dumps({**ASKED, **members}).encode(), "m", GENERATE))


@pytest.mark.parametrize("name", CHATS)
def test_every_dialect_gets_what_it_has_words_for(name: str) -> None:
    call = asked_of(name)
    text = b"".join(bytes(piece) for piece in call.body).decode()
    json.loads(text)
    for word in ("Be brief.", "rain"):
        assert word in text
    assert "fairlead" not in text
    assert CLAUDES not in text
    if name == "gemini":
        assert call.dropped == ("contents.thoughtSignature",), "of another provider"
        assert PNG in text, "to the byte"
        assert text.count(UNSIGNED) == 2
        return
    assert "safetySettings" in call.dropped
    assert STANDARD in text
    assert '"my.get"' not in text, "a name that OpenAI refuses"
    assert UNSIGNED not in text
    assert "Secret thought" not in text
    assert ("c2ln" in text) == (name in ("anthropic", "generic"))


def test_a_signature_survives_what_clients_do_with_it() -> None:
    """They decode it and encode it again, in the alphabet for URLs."""
    state = ReasoningState("anthropic-claude-v1", "Ünë?>~", "sig")
    there = tagged([state]).replace("+", "-").replace("/", "_").rstrip("=")
    [detail] = details_of(there) or []
    assert (detail["text"], detail["signature"]) == ("Ünë?>~", "sig")
    assert details_of("Z2VtaW5p") is None
    assert details_of(there[:-3]) == [], "cut on its way: nobody's"
