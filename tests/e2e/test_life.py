"""The days when something goes wrong: hang-ups, cut streams, dead providers, a stop in the middle."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
import trustme

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, fairlead, model, provider, serving

MODEL = "mistral-small-3.2"
HELLO: Any = [{"role": "user", "content": "Hello!"}]


def sdk(served: Served, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url + "/v1", api_key=key or served.key, max_retries=0, timeout=200)


def send(served: Served, body: dict[str, Any]) -> socket.socket:
    """One chat request on a bare socket, so that a test decides what happens to the connection."""
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=200)
    connection.sendall(head.encode() + data)
    return connection


def read_until(connection: socket.socket, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        block = connection.recv(65536)
        assert block, seen
        seen += block
    return seen


BREAKS = (Fault.RESET, Fault.EOF, Fault.ERROR_EVENT, Fault.MALFORMED_JSON, Fault.MALFORMED_FRAME)
BROKEN = (
    Reply(status=500),
    Reply(status=503),
    Reply(status=429, headers={"retry-after": "1"}),
    Reply(status=401),
    Reply(fault=Fault.CLOSE_AT_ONCE),
    Reply(fault=Fault.HTML),
    Reply(fault=Fault.EMPTY_CHOICES),
    Reply(fault=Fault.HANG),
)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as first, ScriptedUpstream() as second:
        second.default = Reply(text="from the second")
        yield first, second


@pytest.fixture
def upstream(upstreams: tuple[ScriptedUpstream, ScriptedUpstream]) -> ScriptedUpstream:
    return upstreams[0]


@pytest.fixture(scope="module")
def shared(
    upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Models that fail have a provider of their own, so that what one has shown says nothing about the next."""
    first, second = upstreams
    config = IN_ORDER + provider(second.url, name="second")
    names = ["vllm", "generic", "mistake", *(f"breaks-{fault.value}" for fault in BREAKS)]
    for name in [*names, *(f"fails-{at}-{stream}" for at in range(len(BROKEN)) for stream in (True, False))]:
        dialect, extra = ("generic", 'disconnect = "cancel"\n') if name == "generic" else ("vllm", "")
        extra += "first_byte_timeout_seconds = 0.5" if name.startswith("fails-") else ""
        config += provider(first.url, name=name, dialect=dialect, extra=extra)
        config += model(name, *(["second"] if name.startswith(("fails-", "mistake")) else []), name=f"m-{name}")
    with serving(tmp_path_factory.mktemp("life"), config) as running:
        yield running


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", ["vllm", "generic"])
def test_a_caller_who_hangs_up_ends_the_providers_work(
    shared: Served, upstream: ScriptedUpstream, dialect: str, stream: bool
) -> None:
    upstream.default = Reply(text="word " * 400, chunk_delay_seconds=0.05, delay_seconds=0 if stream else 20)
    asked, cancelled = len(upstream.requests), upstream.cancelled
    connection = send(shared, {"model": f"m-{dialect}", "messages": HELLO, "stream": stream})
    if stream:
        read_until(connection, b"word")
    else:
        eventually(lambda: len(upstream.requests) > asked)
    connection.close()
    eventually(lambda: upstream.cancelled > cancelled)


def test_a_caller_who_only_closes_its_sending_side_still_gets_the_answer(
    shared: Served, upstream: ScriptedUpstream
) -> None:
    upstream.default = Reply(text="whole answer", chunk_delay_seconds=0.05)
    connection = send(shared, {"model": "m-vllm", "messages": HELLO, "stream": True})
    connection.shutdown(socket.SHUT_WR)
    assert b"[DONE]" in read_until(connection, b"[DONE]")
    connection.close()


@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_in_the_middle_ends_with_an_error_and_never_looks_complete(
    shared: Served, upstream: ScriptedUpstream, fault: Fault
) -> None:
    upstream.default = Reply(text="one two three four five six", fault=fault, after_chunks=3, chunk_delay_seconds=0.03)
    name = f"m-breaks-{fault.value}"
    connection = send(shared, {"model": name, "messages": HELLO, "stream": True})
    with connection:
        answer = read_until(connection, b"\r\n0\r\n\r\n")
    assert b"one" in answer
    assert b'"error":{' in answer
    assert b"[DONE]" not in answer
    assert b'"finish_reason":"stop"' not in answer
    with sdk(shared) as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(model=name, messages=HELLO, stream=True))
    with sdk(shared) as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=name, messages=HELLO)
    assert caught.value.status_code == 502


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("at", range(len(BROKEN)), ids=[str(one.fault or one.status) for one in BROKEN])
def test_the_next_deployment_serves_when_the_first_fails_before_a_byte(
    shared: Served, upstream: ScriptedUpstream, at: int, stream: bool
) -> None:
    upstream.default = BROKEN[at]
    before, name = len(upstream.requests), f"m-fails-{at}-{stream}"
    with sdk(shared) as client:
        if stream:
            chunks = client.chat.completions.create(model=name, messages=HELLO, stream=True)
            text = "".join(c.choices[0].delta.content or "" for c in chunks)
        else:
            text = client.chat.completions.create(model=name, messages=HELLO).choices[0].message.content or ""
        assert text == "from the second"
        assert len(upstream.requests) == before + 1
        client.chat.completions.create(model=name, messages=HELLO)
        assert len(upstream.requests) == before + 1, "a deployment that just failed rests"


def test_a_provider_that_is_not_there_is_502_and_a_slow_one_504(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(fault=Fault.HANG)
        config = provider(nobody, name="a") + provider(upstream.url, name="b", extra="first_byte_timeout_seconds = 0.3")
        config += model("a", name="gone") + model("b", name="slow")
        with serving(tmp_path, config) as served, sdk(served) as client:
            for name, status, code in (("gone", 502, "upstream_unreachable"), ("slow", 504, "upstream_timeout")):
                with pytest.raises(openai.APIStatusError) as caught:
                    client.chat.completions.create(model=name, messages=HELLO)
                assert (caught.value.status_code, caught.value.code) == (status, code)


def test_a_callers_own_mistake_is_not_tried_elsewhere(
    shared: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    first, second = upstreams
    first.default = Reply(status=400, body='{"error": {"message": "bad tool", "type": "BadRequestError", "code": 400}}')
    before = len(second.requests)
    with sdk(shared) as client, pytest.raises(openai.BadRequestError, match="bad tool"):
        client.chat.completions.create(model="m-mistake", messages=HELLO)
    assert len(second.requests) == before


def test_sigterm_lets_a_stream_finish_and_exits_0(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream, serving(tmp_path, provider(upstream.url) + model()) as served:
        upstream.default = Reply(text="word " * 30, chunk_delay_seconds=0.03)
        connection = send(served, {"model": MODEL, "messages": HELLO, "stream": True})
        read_until(connection, b"word")
        served.process.send_signal(signal.SIGTERM)
        assert b"[DONE]" in read_until(connection, b"[DONE]")
        connection.close()
        assert served.process.wait(60) == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", served.port), timeout=60)


def test_keys_made_and_revoked_beside_a_running_server_are_in_force_within_a_second(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream, serving(tmp_path, provider(upstream.url) + model()) as served:
        made = fairlead("keys", "create", "--name", "second", "--credit", "2.50", data=served.data)
        key = made.stdout.splitlines()[-1]
        assert key.startswith("sk-fl-")

        def works() -> bool:
            with sdk(served, key) as client:
                try:
                    client.chat.completions.create(model=MODEL, messages=HELLO)
                except openai.AuthenticationError:
                    return False
            return True

        eventually(works)
        listed = json.loads(fairlead("keys", "list", "--json", data=served.data).stdout)
        assert {entry["name"] for entry in listed} >= {"second"}
        assert key not in json.dumps(listed)
        key_id = next(entry["id"] for entry in listed if entry["name"] == "second")
        assert fairlead("keys", "revoke", str(key_id), data=served.data).returncode == 0
        eventually(lambda: not works())


def test_a_thousand_calls_at_once_are_all_answered(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream, serving(tmp_path, provider(upstream.url) + model()) as served:
        codes: list[int] = []
        lock = threading.Lock()

        def call(_: int) -> None:
            with send(served, {"model": MODEL, "messages": HELLO}) as connection:
                head = read_until(connection, b"\r\n")
            with lock:
                codes.append(int(head.split(b" ", 2)[1]))

        with ThreadPoolExecutor(200) as pool:
            list(pool.map(call, range(1000)))
        assert len(codes) == 1000
        assert set(codes) == {200}, {code: codes.count(code) for code in set(codes)}


def test_a_second_start_keeps_the_key_and_prints_no_new_one(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = provider(upstream.url) + model()
        with serving(tmp_path, config, forked=False) as served:
            key = served.key
            assert key
            assert (served.data.stat().st_mode & 0o777) == 0o700
        with serving(tmp_path, config, forked=False) as served:
            assert served.key == ""
            with sdk(served, key) as client:
                assert client.chat.completions.create(model=MODEL, messages=HELLO).choices


def test_a_wrong_configuration_is_refused_with_file_line_and_the_right_word(tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text(provider("http://127.0.0.1:1/v1") + "conect_timeout_seconds = 2\n")
    done = fairlead("serve", "--config", str(config), "--no-engine", data=tmp_path / "data")
    assert done.returncode == 2
    assert f"{config}:" in done.stderr
    assert "connect_timeout_seconds" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = fairlead("serve", "--port", str(taken.getsockname()[1]), "--no-engine", data=tmp_path / "data")
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_cross_origin_calls_work_only_for_the_configured_origins(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = '[server]\ncors_origins = ["https://app.example"]\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served:

            def preflight(origin: str) -> bytes:
                connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
                connection.sendall(
                    f"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n"
                    "Access-Control-Request-Method: POST\r\n\r\n".encode()
                )
                with connection:
                    return read_until(connection, b"\r\n\r\n")

            assert b"access-control-allow-origin: https://app.example" in preflight("https://app.example").lower()
            assert b"access-control" not in preflight("https://evil.example").lower()
            for path in ("/v1/messages", "/v1/messages/count_tokens"):  # a key's first call, and another one
                connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
                connection.request(
                    "POST", path, b'{"model":"mistral-small-3.2","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}',
                    {"x-api-key": served.key, "origin": "https://app.example"},
                )  # fmt: skip
                answer = connection.getresponse()
                assert answer.status == 200
                names = [name for name, _ in answer.getheaders()]
                for name in ("request-id", "x-request-id", "access-control-allow-origin", "vary"):
                    assert names.count(name) == 1, "a browser refuses the answer where it stands twice"
                connection.close()


def test_https_is_served_with_the_configured_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with ScriptedUpstream() as upstream:
        upstream.default = Reply(text=("over" + "TLS" * 500 + " ") * 4_000)  # 6 MB, far more than buffers hold
        config = f'[server]\ntls_certificate = "{tmp_path / "server.pem"}"\n' + provider(upstream.url) + model()
        with serving(tmp_path, config) as served:
            assert served.url.startswith("https://")
            connection = http.client.HTTPSConnection("127.0.0.1", served.port, context=trusting, timeout=60)
            for _ in range(2):
                body = json.dumps({"model": MODEL, "messages": HELLO, "stream": True})
                connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {served.key}"})
                answer = connection.getresponse().read()
                assert answer.count(b"over") == 4_000
                assert answer.endswith(b"data: [DONE]\n\n")
            connection.close()
    missing = f'[server]\ntls_certificate = "{tmp_path / "nothing.pem"}"\n'
    (tmp_path / "wrong.toml").write_text(missing)
    done = fairlead("serve", "--config", str(tmp_path / "wrong.toml"), "--no-engine", data=tmp_path / "data")
    assert done.returncode == 2
    assert "nothing.pem" in done.stderr


def test_the_command_line_stays_quiet_about_tracebacks(tmp_path: Path) -> None:
    assert fairlead("keys", "create", "--name", "x", data=tmp_path / "data").returncode == 0
    done = fairlead("keys", "revoke", "nothing", data=tmp_path / "data")
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


FAILING = """
from fairlead.accounts.key_ring import KeyRing
from fairlead.cli import main

follow = KeyRing.follow
failures = []

def fail_once(ring):
    if not failures:
        failures.append(1)
        raise RuntimeError("on purpose")
    follow(ring)

KeyRing.follow = fail_once
main()
"""


def test_work_beside_the_calls_that_fails_is_told_and_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FAILING)
    with serving(tmp_path, program=(str(program),)) as served:
        eventually(lambda: "RuntimeError: on purpose" in served.output)
        assert "Background task 'key watcher' failed. Restarting in 1 s." in served.output
        key = fairlead("keys", "create", "--name", "later", data=served.data).stdout.split()[-1]
        eventually(lambda: got(served, "/v1/key", key)[0] == 200)
        metrics = got(served, "/metrics")[1]
        assert re.findall(r"^fairlead_chore_failures\{.*\} (.*)$", metrics, re.MULTILINE) == ["1.0"]


def got(served: Served, path: str, key: str = "") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
