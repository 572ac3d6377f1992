"""Answers of one text, which writers write in one piece, and ids, which are made of digits that were asked for before."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from msgspec import Raw

from fairlead.api.ids import RequestIds, with_alias
from fairlead.doors.gemini.writer import GeminiWriter
from fairlead.doors.messages.writer import MessagesWriter
from fairlead.doors.openai_chat.writer import ChatWriter
from fairlead.doors.responses.writer import ResponsesWriter
from fairlead.providers.anthropic.reader import MessageFormat
from fairlead.providers.anthropic.reader import one_text as message_text
from fairlead.providers.event_answers import OneTextAnswer
from fairlead.providers.gemini.reader import ContentFormat
from fairlead.providers.gemini.reader import one_text as content_text
from fairlead.providers.openai.reader import ChunkFormat
from fairlead.providers.openai.reader import one_text as completion_text
from fairlead.providers.responses_api.reader import ResponsesFormat
from fairlead.providers.responses_api.reader import one_text as response_text
from fairlead.wire.answer import AnswerContext, AnswerFormat, Finish, OneText, Start, Text
from fairlead.wire.random_ids import AT_ONCE, random_digits
from fairlead.wire.usage import Usage

WRITERS: list[Any] = [ChatWriter, MessagesWriter, ResponsesWriter, GeminiWriter]
CONTEXT = AnswerContext('the "model"', 1_700_000_000)
COST = b',"cost":0.1'
RANDOM = re.compile(rb'"((?:msg|resp)_)?[0-9a-f]{24,}"')


def without_ids(document: bytes) -> bytes:
    return RANDOM.sub(b'"id"', re.sub(rb'"completed_at":\d+', b'"completed_at":0', document))


@pytest.mark.parametrize("new_writer", WRITERS)
@pytest.mark.parametrize("usage", [None, Usage((3, 2, 1, 1, 4, 5, 6, 7, 8, 1), 16, 21)])
@pytest.mark.parametrize(
    "finish",
    [
        Finish("stop"), Finish("length", native="max_tokens"), Finish("content_filter", native="SAFETY"),
        Finish("stop", native="stop_sequence", stop_sequence='"x"'), Finish("tool_calls"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "start",
    [Start(), Start('msg_é"', 1_600_000_000, "theirs"), Start("a", details={"service_tier": Raw(b'"flex"')})],
)
def test_a_text_alone_is_written_as_by_its_events(
    new_writer: Any, start: Start, finish: Finish, usage: Usage | None
) -> None:
    text = 'Höher \U0001f388 "quoted" \\ \n'
    details = b"".join([b',"%b":%b' % (name.encode(), raw) for name, raw in (start.details or {}).items()])
    found = OneText(
        json.dumps(text).encode(), start.id, finish.reason, finish.native, None, start.created, finish.stop_sequence,
        details,
    )  # fmt: skip
    plain = without_ids(new_writer(CONTEXT).one_text(found, usage, COST))
    by_events = without_ids(new_writer(CONTEXT).whole([start, Text(text, part=2), finish], usage, COST))
    assert json.loads(plain) == json.loads(by_events)


def chat(**members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hi \u00e9", "refusal": None, "annotations": [], **members}
    return {"id": "a", "created": 7, "choices": [{"message": message, "finish_reason": "length", "logprobs": None}]}


def message(*more: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_a", "content": [{"type": "text", "text": "Hi \u00e9"}, *more], "stop_reason": "stop_sequence",
        "stop_sequence": "X", "usage": {"input_tokens": 3, "output_tokens": 2},
    }  # fmt: skip


def response(*more: dict[str, Any], **members: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "Hi \u00e9", "annotations": [], "logprobs": [], **members}
    output = [*more, {"type": "message", "content": [part]}]
    return {"id": "resp_a", "status": "completed", "created_at": 7.5, "output": output, "service_tier": "flex"}


def gemini(*more: dict[str, Any], reason: str = "MAX_TOKENS") -> dict[str, Any]:
    return {
        "candidates": [{"content": {"parts": [{"text": "Hi \u00e9"}, *more]}, "finishReason": reason}],
        "responseId": "a", "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("format_", "read", "document"),
    [
        (ChunkFormat(), completion_text, chat()),
        (MessageFormat(), message_text, message()),
        (ResponsesFormat(), response_text, response()),
        (ResponsesFormat(), response_text, response({"type": "reasoning", "id": "rs_a", "summary": []})),
        (ContentFormat(), content_text, gemini()),
        (ContentFormat(), content_text, gemini(reason="SAFETY")),
    ],
)
def test_an_answer_of_one_text_is_read_as_its_events_are(
    format_: AnswerFormat, read: Any, document: dict[str, Any]
) -> None:
    body = json.dumps(document).encode()
    events, usage = format_.whole(body)
    start, text, finish = events
    assert isinstance(start, Start)
    assert isinstance(text, Text)
    assert isinstance(finish, Finish)
    found: OneText = read(body)
    assert (found.words(), found.usage) == (text.text, usage)
    assert (found.id, found.created) == (start.id, start.created)
    assert (found.reason, found.native, found.stop_sequence) == (finish.reason, finish.native, finish.stop_sequence)
    assert read(body.replace(b"\\u00e9", b"\xff")) is None
    assert read(b"{}") is None


@pytest.mark.parametrize(
    ("read", "document"),
    [
        (completion_text, chat(content="")),
        (completion_text, chat(content=[{"type": "text", "text": "Hi"}])),
        (completion_text, chat(reasoning_content="Hm")),
        (completion_text, chat(refusal="No")),
        (completion_text, chat(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{}"}}])),
        (completion_text, chat(audio={"id": "a", "data": "AAAA"})),
        (completion_text, {**chat(), "choices": chat()["choices"] * 2}),
        (completion_text, {**chat(), "error": {"message": "No"}}),
        (message_text, message({"type": "text", "text": "More"})),
        (message_text, {**message(), "content": [{"type": "thinking", "thinking": "Hm", "signature": "x"}]}),
        (message_text, {**message(), "error": {"type": "api_error"}}),
        (message_text, {**message(), "stop_reason": None}),
        (response_text, response({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]})),
        (response_text, response({"type": "reasoning", "encrypted_content": "x", "summary": []})),
        (response_text, response({"type": "function_call", "name": "f", "call_id": "a", "arguments": "{}"})),
        (response_text, response(annotations=[{"type": "url_citation", "url": "https://a.test"}])),
        (response_text, response(type="refusal")),
        (response_text, {**response(), "status": "incomplete"}),
        (response_text, {**response(), "error": {"message": "No"}}),
        (content_text, gemini({"functionCall": {"name": "f", "args": {}}})),
        (content_text, gemini({"text": "More"})),
        (content_text, gemini(reason="OTHER")),
        (content_text, {**gemini(), "candidates": []}),
        (content_text, {**gemini(), "error": {"code": 500}}),
    ],
)
def test_an_answer_with_anything_more_is_none(read: Any, document: dict[str, Any]) -> None:
    assert read(json.dumps(document).encode()) is None


def test_such_an_answer_is_not_taken_apart() -> None:
    usage = Usage((1, 0, 0, 0, 0, 0, 1, 0, 0, 1), 1, 1)
    answer = OneTextAnswer(ChatWriter(CONTEXT), OneText(b'"H\\u0069"', "a", "stop", "stop", usage))
    assert (answer.usage, answer.choices, answer.delivered()) == (usage, 1, "Hi")
    assert b'"content":"H\\u0069"' in answer.end(COST)
    broken = OneText(b'"\\ud800"', "a", "stop", "stop", usage)
    assert broken.words() == "\\ud800"


def test_ids_are_of_their_own() -> None:
    found = [random_digits(24) for _ in range(2 * AT_ONCE + 1)]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{24}", one) for one in found)


def test_a_child_process_gives_other_ids_than_its_parent() -> None:
    random_digits(48)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, random_digits(48).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 100).decode() != random_digits(48)
    os.close(reads)
    os.close(writes)


def test_ids_of_requests_are_numbered() -> None:
    ids = RequestIds()
    found = [ids.line() for _ in range(600)]
    numbers = [re.fullmatch(rb"x-request-id: req_[0-9a-f]{16}([0-9a-f]{8})\r\n", line) for line in found]
    assert [int(one[1], 16) for one in numbers if one] == list(range(1, 601))
    assert with_alias(found[0], b"request-id") == found[0] + found[0][2:]
