"""The whole service against strangers with raw sockets: keys before bodies, hosts that are none, heads of answers."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.testing import Reply, ScriptedUpstream

from ..e2e.conftest import Served, model, provider, serving  # noqa: TID252 - tests are no package with a name

MODEL = "mistral-small-3.2"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CALL = b'{"model": "%b", "messages": [{"role": "user", "content": "Hello!"}]}' % MODEL.encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text="hello")
        config = '[server]\ncors_origins = ["https://chat.example.org"]\n' + provider(upstream.url) + model()
        with serving(directory, config) as found:
            yield found


def ask(served: Served, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(data)
        seen = []
        while block := connection.recv(65_536):
            seen.append(block)
        return b"".join(seen)


def comparable(answer: bytes) -> bytes:
    return re.sub(rb"\r\n(date|x-request-id|connection): [^\r]*", b"", answer)


@pytest.mark.parametrize("key", [b"", b"Authorization: Bearer sk-fl-wrong\r\n", b"Authorization: Basic abc\r\n"])
@pytest.mark.parametrize("origin", [b"", b"Origin: https://chat.example.org\r\n"])
def test_a_bad_key_gets_the_same_answer_without_its_body_as_with_it(served: Served, key: bytes, origin: bytes) -> None:
    whole = ask(served, CHAT + key + origin + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(CALL) + CALL)
    assert whole.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Bearer\r\n" in whole
    assert (b"access-control-allow-origin" in whole) == bool(origin)
    for framing in (
        b"Content-Length: 30000000\r\n\r\n",
        b"Content-Length: 30000000\r\nExpect: 100-continue\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Connection: close\r\nContent-Length: 10\r\n\r\n",
    ):
        assert comparable(ask(served, CHAT + key + origin + framing)) == comparable(whole)


def test_a_good_key_gets_its_continue(served: Served) -> None:
    head = CHAT + b"Authorization: Bearer %b\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(head % (served.key.encode(), len(CALL)))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(CALL)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"POST /v1/fine_tuning/jobs", b"404"),
        (b"PUT /v1/chat/completions", b"405"),
        (b"GET /v1/models", b"200"),
        (b"GET /", b"200"),
        (b"POST /models", b"405"),
        (b"POST /v1/plan", b"401"),
        (b"POST /v1/credits/redeem", b"401"),
    ],
)
def test_bodies_that_no_endpoint_wants_are_not_waited_for(served: Served, line: bytes, status: bytes) -> None:
    answer = ask(served, line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close\r\n" in answer


def test_hosts_and_targets_that_are_none_are_refused_without_a_traceback(served: Served) -> None:
    for host in (b"[", b"]", b"a b", b"[::1", b"x:99999", b"\xff", b"a\\b", b"x" * 300):
        for path in (b"/", b"/models", b"/docs", b"/v1/models", b"/nothing", b"/robots.txt", b"/sitemap.xml"):
            answer = ask(served, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 400 ")
    for target in (
        b"CONNECT [",
        b"CONNECT x:443",
        b"GET http://[/",
        b"OPTIONS *",
        b"GET http://x:1/models",
        b"GET //[",
        b"GET /?[#",
    ):
        answer = ask(served, target + b" HTTP/1.1\r\nConnection: close\r\nHost: x:80\r\n\r\n")
        assert not answer.startswith(b"HTTP/1.1 5"), (target, answer)
    assert "Traceback" not in served.output


def test_every_answer_of_the_api_has_nosniff(served: Served) -> None:
    key = b"Authorization: Bearer %b\r\n" % served.key.encode()
    heads = {
        line: ask(served, line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + key + b"\r\n").partition(b"\r\n\r\n")[0]
        for line in (
            b"GET /v1/models", b"GET /v1/models/" + MODEL.encode(), b"GET /v1/models/nothing", b"GET /v1/key",
            b"GET /v1/models/" + MODEL.encode() + b"/performance", b"GET /v1/models/" + MODEL.encode() + b"/endpoints",
            b"GET /v1/credits", b"GET /v1/generation?id=x", b"GET /v1/receipts/x", b"POST /v1/credits/redeem", b"PUT /v1/models",
            b"GET /healthz", b"GET /readyz", b"GET /openapi.json", b"GET /metrics", b"GET /v1/nothing",
            b"POST /v1/chat/completions", b"POST /v1/plan",
        )
    }  # fmt: skip
    heads[b"bad"] = ask(served, b"nonsense\r\n\r\n")
    for stream in (b"false", b"true"):
        body = CALL.replace(b'{"model', b'{"stream": %b, "model' % stream)
        head = CHAT + key + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        heads[b"chat " + stream] = ask(served, head + body)
        assert heads[b"chat " + stream].startswith(b"HTTP/1.1 200 ")
    assert [
        line for line, head in heads.items() if b"\r\nx-content-type-options: nosniff\r\n" not in head + b"\r\n"
    ] == []
    assert all(head.count(b"x-content-type-options") == 1 for head in heads.values())


def test_nothing_is_held_in_the_end(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        key = b"Authorization: Bearer %b\r\n" % served.key.encode()
        connection.sendall(CHAT + key + b"Content-Length: 100000\r\n\r\n" + b" " * 1000)
        figures = b""
        while b'"} 1000.0' not in figures:
            answer = ask(served, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            figures = b"".join(re.findall(rb"\nfairlead_buffered_bytes\{.*\n", answer))
            assert figures
    while b'"} 0.0' not in figures:
        answer = ask(served, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        figures = b"".join(re.findall(rb"\nfairlead_buffered_bytes\{.*\n", answer))


def test_a_budget_smaller_than_two_bodies_is_a_mistake(tmp_path: Path) -> None:
    from fairlead.errors import ConfigurationError
    from fairlead.settings import load_settings

    file = tmp_path / "fairlead.toml"
    file.write_text("[server]\nmax_body_bytes = 1048576\nmax_buffered_bytes = 2000000\n")
    with pytest.raises(
        ConfigurationError, match=r"fairlead\.toml:3: 'max_buffered_bytes' \(2000000\) must be at least"
    ):
        load_settings(file, {})
