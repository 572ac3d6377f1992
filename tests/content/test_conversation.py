"""A request and its answer as a conversation, whatever API they are in."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fairlead.accounts.content import DETECTORS, ContentRule
from fairlead.content import sealing
from fairlead.content.collector import Collected
from fairlead.content.conversation import (
    LONGEST_TEXT,
    MOST_REQUEST,
    Conversation,
    Part,
    Turn,
    assembled,
)
from fairlead.content.sealing import opened_content, sealed_content
from fairlead.content.wire import answered, conversation_of
from fairlead.providers.sealed import SealKey

RULE = ContentRule(1.0, DETECTORS, (), False, True)
PNG = "iVBORw0KGgo" + "A" * 69
HEAD = b"HTTP/1.1 200 OK\r\nx-fairlead-generation-id: gen_1\r\ncontent-type: %b\r\n%b\r\n"
ADA = "ada@mail.example"


def whole(document: Any) -> list[bytes]:
    return [HEAD % (b"application/json; charset=utf-8", b"") + json.dumps(document).encode()]


def stream(*events: Any) -> list[bytes]:
    pieces = [HEAD % (b"text/event-stream", b"transfer-encoding: chunked\r\n")]
    for event in events:
        data = b"data: %b\n\n" % json.dumps(event).encode()
        pieces.append(b"%x\r\n%b\r\n" % (len(data), data))
    return [*pieces, b"0\r\n\r\n"]


def made(body: Any, pieces: list[bytes], rule: ContentRule = RULE) -> Conversation:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = Collected(rule, "acc", "key", "", 0, "/", data, len(data), "", pieces, 0, "", 0)
    found = answered(pieces)
    assert found is not None
    return conversation_of(call, found)


def told(turns: list[Turn] | None) -> list[tuple[str, list[tuple[str, str]]]]:
    assert turns is not None
    return [(turn.role, [(part.kind, part.text) for part in turn.parts]) for turn in turns]


CHAT: Any = {
    "model": "m", "temperature": 0.5, "tools": [{"type": "function", "function": {"name": "send", "description": "d"}}],
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "send", "arguments": '{"to":"ada\\u0040mail.example"}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    ],
}  # fmt: skip
MESSAGES: Any = {
    "system": [{"type": "text", "text": "Be kind."}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "send", "input": {"to": ADA}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sent"}]}]},
    ],
}  # fmt: skip
RESPONSES: Any = {
    "instructions": "Be kind.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]},
        {"type": "function_call", "call_id": "c1", "name": "send", "arguments": json.dumps({"to": ADA})},
        {"type": "function_call_output", "call_id": "c1", "output": "sent"},
    ],
}  # fmt: skip
GEMINI: Any = {
    "systemInstruction": {"parts": [{"text": "Be kind."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "send", "args": {"to": ADA}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "send", "response": {"text": "sent"}}}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("body", [CHAT, MESSAGES, RESPONSES, GEMINI], ids=("chat", "messages", "responses", "gemini"))
def test_a_request_of_each_api(body: Any) -> None:
    turns = told(made(body, whole({})).request)
    assert turns[0] == ("system", [("text", "Be kind.")])
    assert turns[1][1][0] == ("text", "See")
    assert turns[1][1][1][0] == "media"
    assert turns[2][1] == [("call", '{"to":"\ue000email\ue001"}')], "escapes hide nothing"
    [(kind, text)] = turns[3][1]
    assert (kind, "sent" in text) == ("result", True)


def test_media_is_replaced_by_its_size_and_digest_unless_it_is_kept() -> None:
    picture = bytes.fromhex("89504e470d0a1a0a") + bytes(52)
    for keep in (False, True):
        rule = ContentRule(1.0, (), (), keep, True)
        request = made(CHAT, whole({}), rule).request
        assert request is not None
        part = request[1].parts[1]
        assert (part.media, part.bytes, part.sha256) == ("image/png", 60, hashlib.sha256(picture).hexdigest())
        assert part.data == (PNG if keep else "")


def test_data_is_found_wherever_it_stands() -> None:
    data = "QUJD" * 1_000
    made_ = made(
        {"messages": [{"role": "user", "content": {"odd": {"deep": data}}}], "metadata": {"x": data}}, whole({})
    )
    text = json.dumps(told(made_.request)) + json.dumps(made_.parameters)
    assert data[:100] not in text
    assert "3,000 bytes, sha256" in text


STREAMS: Any = {
    "chat": [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm"}}]},
        {"choices": [{"index": 0, "delta": {"content": "a@b."}}]},
        {"choices": [{"index": 0, "delta": {"content": "example"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, "finish_reason": "stop"}]},
    ],
    "messages": [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a@b."}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "example"}},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "message_delta", "delta": {"stop_reason": "stop"}}, {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.output_text.delta", "delta": "a@b."},
        {"type": "response.completed", "response": {"output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a@b.example"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
        ]}},
    ],
    "gemini": [
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "a@b."}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "example"}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}, "finishReason": "stop"}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_a_streamed_answer_of_each_api(name: str) -> None:
    found = made(CHAT, stream(*STREAMS[name]))
    assert found.whole
    parts = [part for _, some_ in told(found.answer) for part in some_]
    assert parts == [("reasoning", "hm"), ("text", "\ue000email\ue001"), ("call", '{"a":1}')]
    cut = made(CHAT, stream(*STREAMS[name][:-1]))
    assert not cut.whole or name == "messages"


def test_other_operations_and_errors() -> None:
    assert told(made({"input": ["one", "two"]}, whole({"data": [{"embedding": [1.0] * 99}]})).answer) == [
        ("assistant", [("other", "1 vectors")])
    ]
    [(_, [(kind, _text)])] = told(made({"prompt": "cat"}, whole({"data": [{"b64_json": "QUJD" * 1_000}]})).answer)
    assert kind == "media"
    [(_, [(kind, text)])] = told(made(CHAT, whole({"error": {"message": f"no {ADA}"}})).answer)
    assert (kind, ADA in text) == ("other", False)
    speech = made({"input": "Hello"}, [HEAD % (b"audio/mpeg", b"") + bytes(5_000)])
    assert told(speech.answer) == [("assistant", [("media", "")])]
    assert told(made(b"no json", whole({})).request)[0][1][0][0] == "media"


def test_what_is_kept_is_bounded_and_says_what_is_not() -> None:
    words = "Once upon a time. " * 10_000
    turns = [{"role": "user", "content": f"{at} {words}"} for at in range(20)]
    found = made({"messages": [{"role": "system", "content": "Be kind."}, *turns]}, whole({}))
    assert found.request is not None
    texts = [part for turn in found.request for part in turn.parts]
    assert sum(len(part.text) for part in texts) <= MOST_REQUEST + 10
    assert texts[-1].text.startswith("19 "), "the newest are kept"
    assert texts[-1].cut == len(words) + 3 - LONGEST_TEXT
    assert found.left_out > 10


def test_a_key_that_is_cut_in_two_is_redacted_before() -> None:
    key = "sk-fl-" + "a" * 40
    found = made(
        {"messages": [{"role": "user", "content": "x " * (LONGEST_TEXT // 2 - 5) + key + " y" * 100}]}, whole({})
    )
    assert found.request is not None
    assert "sk-fl" not in found.request[0].parts[0].text


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3)
    | some.dictionaries(
        some.sampled_from([
            "role", "content", "parts", "type", "text", "messages", "input", "tools", "choices", "delta", "index",
            "candidates", "content_block", "output", "source", "image_url", "function", "tool_calls", "error", "data",
        ]), inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON, JSON, some.lists(JSON, max_size=4))
def test_nothing_that_is_json_fails(body: Any, answer: Any, events: list[Any]) -> None:
    if isinstance(body, dict) and (body.get("store") is False or isinstance(body.get("provider"), dict)):
        return
    made(body, whole(answer))
    assembled(events)
    made(body, stream(*events))


def test_what_is_stored_expands_to_so_much_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    key = SealKey(bytes(32))
    bomb = Conversation(request=[Turn("user", [Part("text", "x" * 5_000_000)])])
    sealed = sealed_content(key, "acc", "gen_1", bomb)
    assert len(sealed[1]) < 20_000
    assert opened_content(key, "acc", "gen_1", *sealed) == bomb
    assert opened_content(key, "other", "gen_1", *sealed) is None
    assert opened_content(SealKey(b"1" * 32), "acc", "gen_1", *sealed) is None
    monkeypatch.setattr(sealing, "MOST_EXPANDED", 1_000_000)
    assert opened_content(key, "acc", "gen_1", *sealed) is None
    nonce, body = key.seal("content/acc/gen_1", b"not compressed")
    assert opened_content(key, "acc", "gen_1", nonce, body) is None
