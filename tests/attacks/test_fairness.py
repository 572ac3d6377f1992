"""What one caller may take of the event loop before others get their turn: counted, never timed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from tests.attacks.test_http import GOOD, Transport, by_path, good, nothing_held
from tests.http.support import limits_with, on_error, refuse

from fairlead.api.call import outline
from fairlead.errors import InvalidRequest
from fairlead.http.body import PLACED_BYTES, BodyBuffer
from fairlead.http.connection import Connection
from fairlead.http.eager import run
from fairlead.http.pipeline import BODY_BYTES_PER_TURN
from fairlead.http.request import Request
from fairlead.http.server import Server
from fairlead.wire import bounds, counting
from fairlead.wire.chat import parse_chat

MESSAGES = {
    "compact": b'{"role":"user","content":"x"}',
    "with white space": b'{"role": "user", "content": "x"}',
    "with another member": b'{"role":"user","content":"x","name":"y"}',
}


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body)
    return str(caught.value)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_reading_a_list_of_messages_ends_at_the_first_one_too_many(message: bytes) -> None:
    body = b'{"model":"m","messages":[%b]}' % b",".join([message] * (4 * bounds.MOST_MESSAGES))
    counting._countdown.left = 0
    assert refusal(body) == "There are more than 4,096 messages."
    assert counting._countdown.left == -1  # 12,287 messages were not looked at


def test_reading_a_list_of_tool_calls_ends_at_the_first_one_too_many() -> None:
    call = b'{"id":"a","function":{"name":"f","arguments":""}}'
    calls = b",".join([call] * (4 * bounds.MOST_TOOL_CALLS))
    counting._countdown.left = 0
    assert "more than 4,096 tool calls" in refusal(
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[%b]}]}' % calls
    )
    assert counting._countdown.left >= bounds.MOST_MESSAGES - 2  # of the messages, which were counted again


def test_a_body_is_read_one_megabyte_at_a_time_and_others_get_their_turn_between() -> None:
    length, block = 12_000_000, b"x" * 256_000

    async def main() -> tuple[int, bytes]:
        server = Server(by_path, limits=limits_with(), refuse=refuse, on_error=on_error, admit=good)
        connection = Connection(server, asyncio.get_running_loop())
        transport = Transport()
        connection.connection_made(transport)
        connection.data_received(GOOD + b"Content-Length: %d\r\n\r\n" % length)
        left, turns, at_once = length, 0, 0
        while left:
            if not transport.reading:
                turns, at_once = turns + 1, 0
                await asyncio.sleep(0)
                assert transport.reading
            data = block[:left]
            connection.data_received(data)
            left, at_once = left - len(data), at_once + len(data)
            assert at_once <= BODY_BYTES_PER_TURN + 2 * len(block)
        server.outbox.flush()
        connection.connection_lost(None)
        assert nothing_held(server)
        return turns, bytes(transport.written)

    turns, written = asyncio.run(main())
    assert turns >= length // (BODY_BYTES_PER_TURN + 2 * len(block))
    assert b"%d bytes" % length in written


@pytest.mark.parametrize("known", [True, False], ids=["length known", "chunked"])
@pytest.mark.parametrize("length", [1, PLACED_BYTES, PLACED_BYTES + 1, 5_000_000])
def test_a_body_in_pieces_of_any_size_is_what_was_sent(length: int, known: bool) -> None:
    sent = bytes(range(251)) * (length // 251 + 1)
    for size in (100, 65_536, 3_000_000):
        buffer = BodyBuffer(length if known else 0)
        for at in range(0, length, max(size, length // 5_000)):
            buffer.write(sent[at : min(length, at + max(size, length // 5_000))])
        assert buffer.getvalue() == sent[:length]


def test_a_body_that_is_not_its_length_is_never_shown() -> None:
    buffer = BodyBuffer(2 * PLACED_BYTES)
    buffer.write(b"x" * (PLACED_BYTES + 1))
    with pytest.raises(ValueError, match="shorter"):
        buffer.getvalue()
    with pytest.raises(ValueError, match="longer"):
        buffer.write(b"x" * PLACED_BYTES)


def test_others_get_their_turn_while_a_long_body_is_looked_through() -> None:
    text = b"word " * 4_000_000
    body = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % text
    request = Request("POST", b"/v1/chat/completions", [], body, "1.1")

    async def main() -> int:
        turns = 0

        async def another() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(another())
        await asyncio.create_task(outline_of(request))
        task.cancel()
        return turns

    assert asyncio.run(main()) >= len(body) // 262_144
    assert request.outline is not None


async def outline_of(request: Request) -> None:
    """As the server drives a handler: without a task."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    run(outline(request), lambda error: done.set_exception(error) if error else done.set_result(None))
    await done


LOADED_WHERE = """
import asyncio, sys, threading
from fairlead.api.metrics import Metrics
from fairlead.http.request import Request, Response

class Where:
    def find_spec(self, name, path=None, target=None):
        if name == "prometheus_client":
            print(threading.current_thread() is threading.main_thread())

class Answer:
    def send(self, status, head, body):
        print(status)

sys.meta_path.insert(0, Where())
asyncio.run(Metrics(())(None, Answer()))
"""


def test_the_first_reading_of_metrics_loads_their_library_in_a_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED_WHERE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["False", "200"], done.stderr
