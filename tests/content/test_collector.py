"""What is kept of a call, what it costs at most, and what becomes of it in trouble. No server: a response that goes
nowhere, and a database of this test."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError

from fairlead.accounts.accounts import add_account, first_account
from fairlead.accounts.caller import Caller
from fairlead.accounts.content import DETECTORS, ContentRule
from fairlead.admin.audit import command_line
from fairlead.admin.closing import delete_organisation
from fairlead.admin.content import (
    call_content,
    change_content_policy,
    content_entry,
    content_state,
    erase_content,
)
from fairlead.content import collector as module
from fairlead.content.collector import Collected, ContentCollector, Stored, Writer
from fairlead.content.retention import ContentRetention
from fairlead.content.writer import ContentWriter
from fairlead.errors import NotFound
from fairlead.http.detached import detached
from fairlead.http.request import Request, Response
from fairlead.settings import ContentSettings
from fairlead.store import Store, open_store
from fairlead.store.content import DAY_MS, DELETED_AT_ONCE, ContentRow, add_rows
from fairlead.store.tables import call_content as rows_of
from fairlead.wire.notes import CallNotes

RULE = ContentRule(1.0, DETECTORS, (), False, True)
CALL = "gen_0123456789abcdef"
SECRET = "the-harbour-opens-at-dawn"


@pytest.fixture
def store(tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", "A" * 43 + "=")
    opened = open_store(tmp_path / "data", database_url)
    yield opened
    opened.close()


@pytest.fixture
def account(store: Store) -> str:
    with store.write() as connection:
        made = add_account(connection, "Acme", prepaid=True)
    change_content_policy(store, command_line(), made, {"enabled": True})
    return made


class Waiting(Writer):
    """Takes nothing until `wanted`, then everything."""

    at_once = 10_000

    def __init__(self) -> None:
        self.seen: list[Collected] = []
        self.missed: dict[tuple[str, str], int] = {}

    def store(
        self, batch: list[Collected], missed: dict[tuple[str, str], int], may_retry: Callable[[], bool]
    ) -> Stored:
        del may_retry
        self.seen += batch
        for name, number in missed.items():
            self.missed[name] = self.missed.get(name, 0) + number
        return Stored(len(batch), 0, 0)


def request(body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", b"/v1/chat/completions", headers, data, "1.1")


def asked(words: str = SECRET, **more: Any) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": words}], **more}


def begun(
    collector: ContentCollector, account: str, body: Any = None, rule: ContentRule = RULE, *,
    headers: tuple[tuple[bytes, bytes], ...] = (), call: str = CALL, user: str = "",
) -> Response:  # fmt: skip
    """A call under way."""
    given = request(asked() if body is None else body, headers)
    response, _ = detached(given)
    response.extra = b"x-fairlead-generation-id: %b\r\n" % call.encode()
    notes = CallNotes("", user) if user else None
    collector.collect(Caller(account, "key_1", content=rule), given, response, notes)
    return response


def answer(response: Response, words: str = "Good morning.") -> None:
    body = json.dumps({"choices": [{"message": {"content": words}, "finish_reason": "stop"}]}).encode()
    response.send(200, b"content-type: application/json\r\n", body)


def collecting(store: Store, settings: ContentSettings | None = None, **more: Any) -> ContentCollector:
    given = settings or ContentSettings()
    return ContentCollector(lambda: given, lambda: ContentWriter(store, lambda: given, **more))


def test_what_is_stored_is_redacted_and_sealed(store: Store, account: str) -> None:
    collector = collecting(store)
    answer(begun(collector, account, asked(f"{SECRET} ada@mail.example")), "Ask ada@mail.example")
    collector.close()
    assert (collector.kept, collector.dropped, collector.held_bytes) == (1, 0, 0)
    entry = content_entry(call_content(store, command_line(), account, CALL))
    assert entry["request"][0]["parts"][0]["text"] == f"{SECRET} [redacted: email]"
    assert entry["answer"][0]["parts"][0]["text"] == "Ask [redacted: email]"
    for account_id, member in (("acc_another", None), (account, "mem_another")):
        with pytest.raises(NotFound):
            call_content(store, command_line(), account_id, CALL, member)
    with store.read() as connection:
        body = connection.execute(select(rows_of.c.body)).scalar_one()
    assert SECRET.encode() not in body
    with store.write() as connection:  # a row that is moved to another call cannot be opened
        connection.execute(text("UPDATE call_content SET id = 'gen_moved'"))
    assert content_entry(call_content(store, command_line(), account, "gen_moved"))["readable"] is False


def test_a_stream_is_put_together_before_it_is_redacted_and_one_that_broke_off_says_so(
    store: Store, account: str
) -> None:
    collector = collecting(store)
    for call, complete in (("gen_a", True), ("gen_b", False)):
        response = begun(collector, account, call=call)
        response.start(200, b"content-type: text/event-stream\r\n")
        for piece in ("ada@ma", "il.example"):
            event = {"choices": [{"index": 0, "delta": {"content": piece}}]}
            response.write(b"data: %b\n\n" % json.dumps(event).encode())
        if complete:
            response.end(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        else:
            response.abort()
    collector.close()
    for call, complete in (("gen_a", True), ("gen_b", False)):
        entry = content_entry(call_content(store, command_line(), account, call))
        assert entry["answer"][0]["parts"] == [{"kind": "text", "text": "[redacted: email]"}]
        assert entry["answer_is_whole"] is complete


@pytest.mark.parametrize(
    ("headers", "body", "kept"),
    [
        (((b"x-fairlead-content", b"omit"),), asked(), (False, False)),
        (((b"x-fairlead-content", b"what-is-this"),), asked(), (False, False)),
        (((b"x-fairlead-content", b"Omit-Request"),), asked(), (False, True)),
        (((b"x-fairlead-content", b"omit-answer"),), asked(), (True, False)),
        (((b"helicone-omit-request", b"true"), (b"helicone-omit-response", b"true")), asked(), (False, False)),
        (((b"helicone-omit-response", b"true"),), asked(), (True, False)),
        ((), asked(store=False), (False, False)),
        ((), asked(store=True), (True, True)),
        ((), asked(provider={"data_collection": "deny"}), (False, False)),
        ((), asked(provider={"zdr": True}), (False, False)),
    ],
)  # fmt: skip
def test_a_request_can_ask_not_to_be_kept(
    store: Store, account: str, headers: Any, body: Any, kept: tuple[bool, bool]
) -> None:
    collector = collecting(store)
    answer(begun(collector, account, body, headers=headers))
    collector.close()
    assert collector.left_out == (not any(kept))
    assert content_state(store, account).counts.left_out == (not any(kept))
    if not any(kept):
        with pytest.raises(NotFound):
            call_content(store, command_line(), account, CALL)
        return
    entry = content_entry(call_content(store, command_line(), account, CALL))
    assert (entry["request"] is not None, entry["answer"] is not None) == kept


def test_store_false_may_be_kept_where_the_organisation_says_so(store: Store, account: str) -> None:
    collector = collecting(store)
    answer(begun(collector, account, asked(store=False), ContentRule(1.0, (), (), False, False)))
    collector.close()
    assert collector.kept == 1


def test_only_a_share_of_the_calls_is_kept(store: Store, account: str) -> None:
    chances = iter((0.2, 0.3))
    writer = Waiting()
    collector = ContentCollector(ContentSettings, lambda: writer, lambda: next(chances))
    for _ in range(2):
        answer(begun(collector, account, rule=ContentRule(0.25, (), (), False, True)))
    collector.close()
    assert len(writer.seen) == 1


def test_a_call_that_was_not_admitted_has_no_content(store: Store, account: str) -> None:
    collector = collecting(store)
    response = begun(collector, account)
    response.extra = b""
    answer(response)
    collector.close()
    assert (collector.kept, collector.dropped) == (0, 0)


def test_a_server_that_does_not_allow_it_keeps_nothing_and_deletes_what_there_is(store: Store, account: str) -> None:
    collector = collecting(store)
    answer(begun(collector, account))
    collector.close()
    never = ContentSettings(allow=False)
    refusing = collecting(store, never)
    answer(begun(refusing, account, call="gen_2"))
    refusing.close()
    assert refusing.kept == 0
    assert ContentRetention(store, lambda: never).step() is False
    with pytest.raises(NotFound):
        call_content(store, command_line(), account, CALL)


def test_a_thousand_calls_of_a_megabyte_at_once_stay_within_their_memory(store: Store, account: str) -> None:
    writer = Waiting()
    collector = ContentCollector(ContentSettings, lambda: writer)
    body = b'{"messages":[{"content":"' + b"x" * 1_000_000 + b'"}]}'
    under_way = [begun(collector, account, body) for _ in range(1_000)]
    assert module.MOST_BYTES * 0.9 < collector.held_bytes <= module.MOST_BYTES
    for response in under_way:
        answer(response)
    collector.close()
    with_body = [one for one in writer.seen if one.body is not None]
    assert len(with_body) <= module.MOST_BYTES // 1_000_000
    assert {one.why_no_request for one in writer.seen} == {"", "memory"}
    assert collector.held_bytes == 0


def test_what_is_too_long_is_not_kept_and_says_so(store: Store, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_BODY", 50_000)
    collector = collecting(store)
    response = begun(collector, account, asked("x" * 60_000))
    response.start(200, b"content-type: text/event-stream\r\n")
    for _ in range(10):
        response.write(b"data: " + b"y" * 10_000 + b"\n\n")
    response.end()
    collector.close()
    entry = content_entry(call_content(store, command_line(), account, CALL))
    assert (entry["why_no_request"], entry["why_no_answer"]) == ("long", "long")
    assert entry["answer_bytes"] > 0


def test_a_database_that_is_away_is_tried_again_and_no_caller_notices(store: Store, account: str) -> None:
    left, waits = [2], []

    class Away:
        """The store, which fails twice."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        @contextmanager
        def write(self) -> Iterator[Connection]:
            if left[0]:
                left[0] -= 1
                raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
            with store.write() as connection:
                yield connection

    away: Any = Away()
    collector = ContentCollector(ContentSettings, lambda: ContentWriter(away, ContentSettings, waits.append))
    answer(begun(collector, account))
    collector.close()
    assert (collector.kept, waits) == (1, [0.5, 1.0])


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(
    store: Store, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 3_000)
    writer = Waiting()
    collector = ContentCollector(ContentSettings, lambda: writer)
    first = begun(collector, account)
    second = begun(collector, account)  # no room for it
    answer(second)
    answer(first)
    collector.close()
    assert (len(writer.seen), collector.dropped) == (1, 1)
    assert writer.missed == {(account, "dropped"): 1}


def test_an_organisation_has_only_so_much_stored(store: Store, account: str) -> None:
    settings = ContentSettings(max_megabytes=1)
    collector = collecting(store, settings)
    noise = "".join(chr(0x4E00 + (at * 7919) % 20_000) for at in range(200_000))  # compresses badly
    for at in range(12):
        answer(begun(collector, account, asked(f"{at}{noise}"[at * 1_000 :]), call=f"gen_{at}"), noise[::-1])
    collector.close(60)
    counts = content_state(store, account).counts
    assert counts.dropped > 0
    assert counts.bytes <= 1_000_000
    assert counts.kept + counts.dropped == 12


def test_what_was_erased_is_not_stored_by_a_writer_that_comes_late(store: Store, account: str) -> None:
    writer = Waiting()
    collector = ContentCollector(ContentSettings, lambda: writer)
    for call, user in (("gen_1", "u1"), ("gen_2", "u2"), ("gen_3", "")):
        answer(begun(collector, account, call=call, user=user))
    collector.close()
    erase_content(store, command_line(), account, "u1")
    late = ContentWriter(store, ContentSettings)
    assert late.store(writer.seen, {}, lambda: False).kept == 2
    assert erase_content(store, command_line(), account) == 2
    assert late.store(writer.seen, {}, lambda: False).kept == 0


def test_a_deleted_organisation_leaves_no_content(store: Store, account: str) -> None:
    with store.write() as connection:
        first_account(connection)
        other = add_account(connection, "Other", prepaid=True)
    change_content_policy(store, command_line(), other, {"enabled": True})
    collector = collecting(store)
    answer(begun(collector, other))
    collector.close()
    delete_organisation(store, command_line(), other, "Other", forfeit=True)
    assert not content_state(store, other).policy.enabled
    assert ContentRetention(store, ContentSettings).step() is False
    with pytest.raises(NotFound):
        call_content(store, command_line(), other, CALL)


def test_retention_deletes_in_small_steps_while_others_write(store: Store, account: str) -> None:
    now = int(time.time() * 1000)

    def row(call: str, days: float) -> ContentRow:
        return ContentRow(call, account, "key_1", "", now - int(days * DAY_MS), "k", b"n" * 12, b"b")

    with store.write() as connection:
        add_rows(connection, [row(f"old{at}", 31) for at in range(DELETED_AT_ONCE + 1)])
        add_rows(connection, [row("young", 29)])
    retention = ContentRetention(store, ContentSettings)
    assert retention.step() is True
    collector = collecting(store)
    answer(begun(collector, account))
    collector.close()
    assert retention.step() is False
    with store.read() as connection:
        assert set(connection.execute(select(rows_of.c.id)).scalars()) == {"young", CALL}
    assert ContentRetention(store, lambda: ContentSettings(max_days=7)).step() is False
    with store.read() as connection:
        assert set(connection.execute(select(rows_of.c.id)).scalars()) == {CALL}


def test_nothing_of_a_call_that_fails_gets_into_the_log(
    store: Store, account: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from fairlead.content import writer as writing

    def fails(*_: Any) -> Any:
        raise ValueError(SECRET)

    monkeypatch.setattr(writing, "conversation_of", fails)
    collector = collecting(store)
    answer(begun(collector, account))
    collector.close()
    assert collector.dropped == 1
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


def test_without_the_seal_key_nothing_is_written(
    store: Store, account: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("FAIRLEAD_SEAL_KEY")
    collector = collecting(store)
    answer(begun(collector, account))
    collector.close()
    assert (collector.kept, collector.dropped) == (0, 1)
    assert "seal" in caplog.text.lower()
