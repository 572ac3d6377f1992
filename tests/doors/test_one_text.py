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
from fairlead.providers.event_answers import EventAnswer
from fairlead.wire.answer import AnswerContext, Extension, Finish, Start, Text, WholeAnswer, one_text
from fairlead.wire.random_ids import AT_ONCE, random_digits
from fairlead.wire.usage import Usage

WRITERS: list[Any] = [ChatWriter, MessagesWriter, ResponsesWriter, GeminiWriter]
CONTEXT = AnswerContext('the "model"', 1_700_000_000)
# What no writer has a word for, and what makes an answer more than one text.
UNKNOWN = Extension("other", "thing", Raw(b"{}"))
COST = b',"cost":0.1'
RANDOM = re.compile(rb'"((?:msg|resp)_)?[0-9a-f]{24,}"')


def written(writer: Any, events: list[Any], usage: Usage | None) -> bytes:
    return RANDOM.sub(b'"id"', re.sub(rb'"completed_at":\d+', b'"completed_at":0', writer.whole(events, usage, COST)))


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
def test_a_text_alone_is_written_as_with_something_that_nobody_writes(
    new_writer: Any, start: Start, finish: Finish, usage: Usage | None
) -> None:
    text = Text('Höher \U0001f388 "quoted" \\ \n', part=2)
    plain = written(new_writer(CONTEXT), [start, text, finish], usage)
    assert plain == written(new_writer(CONTEXT), [start, text, UNKNOWN, finish], usage)
    assert json.loads(plain)


def test_only_one_text_of_one_choice_is_one_text() -> None:
    start, text, finish = Start(), Text("a"), Finish("stop")
    assert one_text([start, text, finish]) is text
    for events in (
        [start, finish], [start, text, text, finish], [text, start, finish], [start, UNKNOWN, finish],
        [start, Text("a", 1), Finish("stop", 1)], [start, text, Finish("stop", 1)],
    ):  # fmt: skip
        assert one_text(events) is None  # type: ignore[arg-type]


def test_such_an_answer_is_not_taken_apart() -> None:
    usage = Usage((1, 0, 0, 0, 0, 0, 1, 0, 0, 1), 1, 1)
    answer = EventAnswer(ChatWriter(CONTEXT), 1, whole=WholeAnswer([Start("a"), Text("Hi"), Finish("stop")], usage))
    assert (answer.usage, answer.choices, answer.delivered()) == (usage, 1, "Hi")
    assert json.loads(answer.end(COST))["choices"][0]["message"]["content"] == "Hi"


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
