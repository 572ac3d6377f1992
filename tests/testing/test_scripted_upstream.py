"""The scripted upstream does what its page says: as vLLM would answer, or wrong in exactly the way that was asked."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import h11
import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream, ToolCall

HELLO: Any = [{"role": "user", "content": "Hello!"}]
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def client(upstream: ScriptedUpstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=upstream.url, api_key="sk-x", max_retries=0, timeout=60) as sdk:
        yield sdk


def connect(upstream: ScriptedUpstream) -> socket.socket:
    return socket.create_connection(("127.0.0.1", upstream.port), timeout=60)


def request(*, stream: bool = False, **more: Any) -> bytes:
    data = json.dumps({"model": "m", "messages": HELLO, "stream": stream, **more}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


def everything(connection: socket.socket) -> bytes:
    seen = b""
    while block := connection.recv(1 << 20):
        seen += block
    return seen


def complete(data: bytes) -> bytes:
    """The body of a complete answer, by h11; fails for one that is cut or badly framed."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 22)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    reader.receive_data(b"")
    body = b""
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        if isinstance(event, h11.Data):
            body += event.data
    return body


def exchange(upstream: ScriptedUpstream, reply: Reply, *, stream: bool, **more: Any) -> bytes:
    """One answer as it comes over the wire, up to the close that the request asked for."""
    upstream.enqueue(reply)
    with connect(upstream) as connection:
        connection.sendall(request(stream=stream, **more).replace(b"Host: x", b"Host: x\r\nConnection: close"))
        return everything(connection)


def eventually(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)


def test_replies_come_in_order_and_then_the_default(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text="one"), Reply(text="two", prompt_tokens=3, completion_tokens=4))
    upstream.default = Reply(text="default")
    answers = [client.chat.completions.create(model="m", messages=HELLO) for _ in range(3)]
    assert [answer.choices[0].message.content for answer in answers] == ["one", "two", "default"]
    assert answers[1].usage is not None
    assert answers[1].usage.total_tokens == 7
    assert len({answer.id for answer in answers}) == 3
    assert [entry.method for entry in upstream.requests] == ["POST"] * 3
    assert upstream.requests[0].path == "/v1/chat/completions"
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-x"
    assert upstream.requests[0].json["messages"] == HELLO
    assert upstream.accepted == 1, "the connection is kept"
    assert [entry.id for entry in client.models.list()] == ["scripted"]


def test_a_stream_has_words_a_finish_and_usage_only_when_asked(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.default = Reply(text="one  two\nthree ")
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].delta.content for c in chunks] == ["", "one  ", "two\n", "three ", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    wanted: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=wanted))
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_several_choices_and_logprobs_are_given_when_asked_for(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=HELLO, n=3, logprobs=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.choices[2].logprobs is not None
    assert "".join(e.token for e in answer.choices[2].logprobs.content or []) == answer.choices[0].message.content
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, n=2, logprobs=True, stream=True))
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}
    assert sum(chunk.choices[0].finish_reason == "stop" for chunk in chunks) == 2


def test_tool_calls_are_whole_or_in_pieces(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    arguments = '{"city": "Oslo", "unit": "celsius"}'
    upstream.default = Reply(tool_calls=(ToolCall("weather", arguments), ToolCall("time", id="call-2")))
    message = client.chat.completions.create(model="m", messages=HELLO).choices[0].message
    assert message.content is None
    assert [call.function.arguments for call in message.tool_calls or [] if call.type == "function"] == [
        arguments,
        "{}",
    ]
    assert (message.tool_calls or [])[1].id == "call-2"
    assert re.fullmatch(r"[A-Za-z0-9]{9}", (message.tool_calls or [])[0].id)
    with client.chat.completions.stream(model="m", messages=HELLO) as stream:
        pieces = sum(event.type == "tool_calls.function.arguments.delta" for event in stream)
        final = stream.get_final_completion().choices[0]
    assert pieces > 2
    assert final.finish_reason == "tool_calls"
    assert [call.function.arguments for call in final.message.tool_calls or []] == [arguments, "{}"]


@pytest.mark.parametrize("stream", [True, False])
def test_errors_and_bodies_of_ones_own_are_sent_as_they_are(upstream: ScriptedUpstream, stream: bool) -> None:
    answer = exchange(upstream, Reply(status=429, headers={"retry-after": "7"}), stream=stream)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 7\r\n" in answer
    assert json.loads(complete(answer))["error"]["type"] == "RateLimitError"
    assert complete(exchange(upstream, Reply(status=500, body="oh"), stream=stream)) == b"oh"
    assert complete(exchange(upstream, Reply(body=b"\xff\x00"), stream=stream)) == b"\xff\x00"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.EOF, Fault.MALFORMED_FRAME, Fault.CLOSE_AT_ONCE])
def test_cut_answers_are_cut(upstream: ScriptedUpstream, fault: Fault, stream: bool) -> None:
    if fault is Fault.RESET:
        with pytest.raises(ConnectionResetError):
            exchange(upstream, Reply(fault=fault), stream=stream)
        return
    answer = exchange(upstream, Reply(fault=fault), stream=stream)
    if fault is Fault.EOF and stream:
        body = complete(answer)
        assert b"This " in body
        assert b"[DONE]" not in body
        assert b'"stop"' not in body
        return
    with pytest.raises(h11.RemoteProtocolError):
        complete(answer)
    assert (answer == b"") is (fault is Fault.CLOSE_AT_ONCE)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_IN_THE_MIDDLE])
def test_hanging_answers_never_end_and_a_hang_up_is_counted_at_once(
    upstream: ScriptedUpstream, fault: Fault, stream: bool
) -> None:
    upstream.enqueue(Reply(fault=fault))
    with connect(upstream) as connection:
        connection.sendall(request(stream=stream))
        eventually(lambda: upstream.requests)
        if fault is Fault.HANG_IN_THE_MIDDLE:
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert upstream.cancelled == 0
        assert upstream.connections == 1
    eventually(lambda: upstream.cancelled == 1)
    eventually(lambda: upstream.connections == 0)


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_framed_well_but_makes_no_sense(upstream: ScriptedUpstream, stream: bool) -> None:
    def body(fault: Fault) -> bytes:
        return complete(exchange(upstream, Reply(fault=fault), stream=stream, stream_options={"include_usage": True}))

    assert b"<html>" in body(Fault.HTML)
    assert b'"error":{"message":"scripted failure"' in body(Fault.ERROR_EVENT)
    assert b'"usage"' not in body(Fault.MISSING_USAGE)
    assert b'"prompt_tokens":0,"completion_tokens":0,"total_tokens":0' in body(Fault.ZERO_USAGE)
    assert b'"choices":[]' in body(Fault.EMPTY_CHOICES)
    assert b'"finish_reason"' not in body(Fault.EMPTY_CHOICES)
    broken = body(Fault.MALFORMED_JSON)
    pieces = re.findall(rb"data: (.*)\n", broken) if stream else [broken]
    with pytest.raises(ValueError):
        [json.loads(piece) for piece in pieces if piece != b"[DONE]"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "fault", [Fault.HUGE_FRAME, Fault.ONE_BYTE_AT_A_TIME, Fault.SPLIT_UTF8, Fault.CRLF, Fault.COMMENTS]
)
def test_what_is_odd_but_right_is_understood_by_the_sdk(
    client: openai.OpenAI, upstream: ScriptedUpstream, fault: Fault, stream: bool
) -> None:
    text = "Grüße, 世界 🙂 done. "
    upstream.default = Reply(text=text, fault=fault)
    if stream:
        chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
        answer = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        answer = client.chat.completions.create(model="m", messages=HELLO).choices[0].message.content or ""
    if fault is Fault.HUGE_FRAME:
        assert len(answer.encode()) > 1024 * 1024
        assert answer.replace(text, "") == ""
    else:
        assert answer == text


def test_odd_streams_look_odd_on_the_wire(upstream: ScriptedUpstream) -> None:
    assert b"}\r\n\r\ndata: " in complete(exchange(upstream, Reply(fault=Fault.CRLF), stream=True))
    assert complete(exchange(upstream, Reply(fault=Fault.COMMENTS), stream=True)).startswith(b": keep-alive\n\ndata: ")
    assert re.search(rb"\xc3\r\n[0-9a-f]+\r\n\xa9", exchange(upstream, Reply("é", fault=Fault.SPLIT_UTF8), stream=True))


def test_a_stale_connection_is_advertised_as_kept_and_closed_on_its_next_use(upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(fault=Fault.STALE_KEEP_ALIVE))
    connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=60)
    body = json.dumps({"model": "m", "messages": HELLO})
    connection.request("POST", "/v1/chat/completions", body)
    answer = connection.getresponse()
    assert answer.status == 200
    assert not answer.will_close
    answer.read()
    connection.request("POST", "/v1/chat/completions", body)
    # An end or a reset, as the timing has it: what was sent is not read before the close.
    with pytest.raises(ConnectionResetError):
        connection.getresponse()
    connection.close()
    assert len(upstream.requests) == 1


def test_delays_pass_before_the_answer_and_between_its_pieces(upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text="a b c", delay_seconds=0.1, chunk_delay_seconds=0.02))
    began = time.monotonic()
    with connect(upstream) as connection:
        connection.sendall(request(stream=True))
        connection.recv(10)
        assert time.monotonic() - began >= 0.1
        seen = b""
        while b"0\r\n\r\n" not in seen:
            seen += connection.recv(65536)
    assert time.monotonic() - began >= 0.1 + 5 * 0.02
    assert upstream.cancelled == 0, "an answer that was complete is not cancelled"


def test_chunked_bodies_pipelining_continue_and_old_http_are_understood(upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text="first"), Reply(text="second"))
    body = request().partition(b"\r\n\r\n")[2]
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"5\r\n" + body[:5] + b"\r\n%x;x=y\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\nA: b\r\n\r\n"
    with connect(upstream) as connection:
        for byte in range(0, len(chunked), 7):
            connection.sendall(chunked[byte : byte + 7])
        connection.sendall(request().replace(b"Host", b"Connection: close\r\nHost"))
        answers = everything(connection)
    assert answers.index(b"first") < answers.index(b"second")
    assert upstream.requests[0].body == upstream.requests[1].body == body
    with connect(upstream) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert json.loads(complete(everything(connection)))["object"] == "chat.completion"
    for garbage in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"A" * 70_000):
        with connect(upstream) as connection:
            connection.sendall(garbage)
            assert re.match(rb"HTTP/1.1 4\d\d ", everything(connection))


def test_a_thousand_connections_are_served_at_once(upstream: ScriptedUpstream) -> None:
    upstream.default = Reply(text="a b", delay_seconds=0.2)
    sockets = [connect(upstream) for _ in range(1000)]
    try:
        eventually(lambda: upstream.connections == 1000)
        for connection in sockets:
            connection.sendall(request())
        with ThreadPoolExecutor(8) as pool:
            heads = set(pool.map(lambda connection: connection.recv(65536)[:15], sockets))
        assert heads == {b"HTTP/1.1 200 OK"}
    finally:
        for connection in sockets:
            connection.close()
    assert upstream.cancelled == 0


def test_a_stop_in_the_middle_of_everything_leaves_no_thread_and_no_warning() -> None:
    before = set(threading.enumerate())  # other tests' upstreams may still be up in this process
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text="word " * 1000, chunk_delay_seconds=0.01)
        connections = [connect(upstream) for _ in range(20)]
        for connection in connections:
            connection.sendall(request(stream=True))
        eventually(lambda: len(upstream.requests) == 20)
    for connection in connections:
        connection.close()
    assert not any(thread.name == "scripted-upstream" for thread in set(threading.enumerate()) - before)
    assert upstream.cancelled == 0, "its own stop is nobody's hang-up"


def test_a_port_in_use_is_an_error_where_it_was_started(upstream: ScriptedUpstream) -> None:
    with pytest.raises(OSError, match="in use"):
        ScriptedUpstream(port=upstream.port).start()


def test_the_command_prints_its_url_and_ends_on_sigterm() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fairlead.testing", "--port", "0", "--rate", "500", "--text", "Hi there"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", env={"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as sdk:
        assert sdk.chat.completions.create(model="m", messages=HELLO).choices[0].message.content == "Hi there"
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_long_stream_ends_with_its_caller_and_not_with_its_text(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        upstream.enqueue(Reply(text="word " * 20_000))
        with connect(upstream) as connection:
            connection.sendall(request(stream=True))
            connection.recv(1)  # what is left unread makes the kernel reset it
    give_up = time.monotonic() + 60
    while upstream.cancelled < 5 and time.monotonic() < give_up:
        time.sleep(0.01)
    assert upstream.cancelled == 5
    assert caplog.messages == []


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropics_messages_with_its_own_sdk(streamed: bool) -> None:
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(
            text="Hello.", thinking="Hm.", signature="c2ln", tool_calls=(ToolCall("get", '{"a":1}'),)
        )
        with anthropic.Anthropic(base_url=upstream.url.removesuffix("/v1"), api_key="x", max_retries=0) as client:
            found, counted = converse(client, streamed)
            upstream.enqueue(Reply(status=529))
            with pytest.raises(anthropic.InternalServerError, match="scripted status 529"):
                converse(client, False)
        thought, said, called = found.content
        assert (thought.thinking, thought.signature, said.text, called.input) == ("Hm.", "c2ln", "Hello.", {"a": 1})
        assert (found.stop_reason, found.usage.input_tokens, counted) == ("tool_use", 12, 12)
        assert upstream.requests[0].path == "/v1/messages"


def converse(client: anthropic.Anthropic, streamed: bool) -> tuple[Any, int]:
    """A message, and the tokens of its prompt."""
    given: Any = {"model": "m", "max_tokens": 9, "messages": HELLO}
    if streamed:
        with client.messages.stream(**given) as stream:
            found: Any = stream.get_final_message()
    else:
        found = client.messages.create(**given)
    return found, client.messages.count_tokens(model="m", messages=HELLO).input_tokens
