"""The configuration of nginx and Caddy in the guide passes on a stream event by event."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT

from fairlead.testing import Reply, ScriptedUpstream

GUIDE = ROOT / "docs" / "guides" / "reverse-proxy.md"
SECONDS = 60
# A proxy that buffers gives out nothing but the head and what came with it until the answer is complete.
PAUSE_SECONDS = 0.5
WORDS = "one two three four five six"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, directory: Path) -> Iterator[None]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            until = time.monotonic() + SECONDS
            while True:
                assert process.poll() is None, (directory / "log").read_text()
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
                else:
                    break
            yield
        finally:
            process.terminate()
            process.wait(SECONDS)


def events_come_one_by_one(port: int, upstream: ScriptedUpstream) -> None:
    """The upstream pauses before each word. Who has read the first one disconnects, and the upstream is still at work."""
    upstream.default = Reply(text=WORDS, chunk_delay_seconds=PAUSE_SECONDS)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    body = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Host": "a.example"})
    answer = connection.getresponse()
    assert answer.status == 200
    while b"one" not in answer.readline():
        pass
    answer.close()
    connection.close()
    until = time.monotonic() + SECONDS
    while not upstream.cancelled:
        assert upstream.connections, "the answer was complete before its first word was passed on"
        assert time.monotonic() < until, "the proxy did not pass on that the caller left"
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_nginx_passes_on_each_event_and_the_disconnect(tmp_path: Path) -> None:
    port = free_port()
    with ScriptedUpstream() as upstream:
        site = block("nginx").replace("127.0.0.1:8080", f"127.0.0.1:{upstream.port}")
        site = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", site)
        site = re.sub(r"\n *ssl_certificate[^\n]*", "", site)
        paths = "".join(
            f"{name} {tmp_path}/{name};"
            for name in (
                "client_body_temp_path",
                "proxy_temp_path",
                "fastcgi_temp_path",
                "uwsgi_temp_path",
                "scgi_temp_path",
            )
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {paths} {site} }}"
        )
        with running(["nginx", "-p", str(tmp_path), "-c", "nginx.conf"], port, tmp_path):
            events_come_one_by_one(port, upstream)


@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs Caddy")
def test_caddy_passes_on_each_event_and_the_disconnect(tmp_path: Path) -> None:
    port = free_port()
    with ScriptedUpstream() as upstream:
        site = re.search(r"<!-- file: Caddyfile -->\n```text\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
        assert site is not None
        text = site[1].replace("127.0.0.1:8080", f"127.0.0.1:{upstream.port}")
        text = text.replace("llm.example.org", f"http://:{port}")
        (tmp_path / "Caddyfile").write_text(f"{{\n admin off\n}}\n{text}")
        with running(["caddy", "run", "--config", "Caddyfile"], port, tmp_path):
            events_come_one_by_one(port, upstream)
