"""A PDF of 20 MB through every door that takes files, as it is and translated: it arrives whole, and memory stays flat."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import AT_ONCE, Served, eventually, fairlead, provider, serving
from .speaking import DOORS

PDF_BYTES = 20_000_000
MOST_GROWTH_BYTES = 16 * 1024 * 1024


class Way(NamedTuple):
    """`most`: how many times the body a call may hold at once: as it came, as it is read, and as it is sent."""

    door: str
    dialect: str
    most: float


WAYS = (
    Way("chat", "openai", 1.5), Way("gemini", "gemini", 2.5), Way("messages", "anthropic", 3.5),
    Way("responses", "openai-responses", 3.5), Way("chat", "anthropic", 4.5), Way("messages", "openai", 4.5),
    Way("gemini", "anthropic", 5.5), Way("responses", "gemini", 6.5),
)  # fmt: skip


@pytest.fixture(scope="module")
def pdf() -> str:
    return base64.b64encode(os.urandom(PDF_BYTES)).decode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as found:
        yield found


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE
    for dialect in sorted({way.dialect for way in WAYS}):
        config += provider(upstream.url, name=dialect, dialect=dialect) + (
            f'[[models]]\nid = "{dialect}"\ninput_modalities = ["text", "file"]\n[[models.deployments]]\n'
            f'provider = "{dialect}"\nupstream_model = "up"\nprice = {{ input = "1", output = "2" }}\n'
        )
    with serving(tmp_path_factory.mktemp("long"), config) as running:
        yield running


def memory(served: Served, name: str) -> int:
    """`VmRSS`: what the process has now; `VmHWM`: the most that it has had since `forget`."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def forget(served: Served) -> None:
    Path(f"/proc/{served.process.pid}/clear_refs").write_text("5")


def body_of(door: str, model: str, pdf: str) -> dict[str, Any]:
    body = DOORS[door].write(model, stream=False)
    url = f"data:application/pdf;base64,{pdf}"
    match door:
        case "chat":
            part: Any = {"type": "file", "file": {"filename": "a.pdf", "file_data": url}}
            return {**body, "messages": [{"role": "user", "content": [part]}]}
        case "messages":
            part = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}}
            return {**body, "messages": [{"role": "user", "content": [part]}]}
        case "responses":
            part = {"type": "input_file", "filename": "a.pdf", "file_data": url}
            return {**body, "input": [{"role": "user", "content": [part]}]}
        case _:
            part = {"inlineData": {"mimeType": "application/pdf", "data": pdf}}
            return {**body, "contents": [{"role": "user", "parts": [part]}]}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.door}-{way.dialect}")
def test_a_pdf_of_20_mb_arrives_and_memory_stays_flat(
    served: Served, upstream: ScriptedUpstream, pdf: str, way: Way
) -> None:
    body = json.dumps(body_of(way.door, way.dialect, pdf)).encode()
    path, head = DOORS[way.door].path(way.dialect, False), {"authorization": f"Bearer {served.key}"}
    before = memory(served, "VmRSS")
    peaks = []
    with httpx.Client(base_url=served.url, timeout=120) as client:
        for _ in range(2):
            forget(served)
            got = client.post(path, content=body, headers=head)
            assert got.status_code == 200, got.text
            assert pdf.encode() in upstream.requests[-1].body
            upstream.requests.clear()
            peaks.append(memory(served, "VmHWM"))
    assert peaks[0] - before < way.most * len(body)
    assert peaks[-1] - peaks[0] < MOST_GROWTH_BYTES


def test_many_at_once_broken_ones_among_them_leave_nothing_behind(
    served: Served, upstream: ScriptedUpstream, pdf: str
) -> None:
    """Four doors at once, two callers who leave in the middle of their body, and a provider that closes on two."""
    ways = WAYS[:4]
    bodies = {way: json.dumps(body_of(way.door, way.dialect, pdf)).encode() for way in ways}
    head = {"authorization": f"Bearer {served.key}"}

    def call(way: Way) -> int:
        with httpx.Client(base_url=served.url, timeout=120) as client:
            return client.post(DOORS[way.door].path(way.dialect, False), content=bodies[way], headers=head).status_code

    def leave(way: Way) -> int:
        path, body = DOORS[way.door].path(way.dialect, False), bodies[way]
        lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\nContent-Length: {len(body)}"
        with socket.create_connection(("127.0.0.1", served.port)) as caller:
            caller.sendall(lines.encode() + b"\r\n\r\n" + body[: len(body) // 2])
        return 0

    before = memory(served, "VmRSS")
    forget(served)
    with ThreadPoolExecutor(6) as threads:
        left = [threads.submit(leave, way) for way in ways[:2]]
        assert [one.result() for one in [threads.submit(call, way) for way in ways]] == [200] * 4
        assert [one.result() for one in left] == [0, 0]
        most = sum(way.most * len(bodies[way]) for way in ways) + sum(len(bodies[way]) for way in ways[:2])
        assert memory(served, "VmHWM") - before < most
        upstream.requests.clear()
        upstream.enqueue(*[Reply(fault=Fault.CLOSE_AT_ONCE)] * 4)  # one more each: on a connection that was used before
        assert set(threads.map(call, ways[:2])) <= {200, 502}
    upstream.requests.clear()
    eventually(lambda: memory(served, "VmRSS") - before < MOST_GROWTH_BYTES)
    assert fairlead("verify", data=served.data).returncode == 0
