"""The control: nginx between honest callers and their provider, at the same time on the same machine. What the attack
adds to the latency of calls through it is the machine's doing: processes that wait for a core."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

START_SECONDS: Final = 20
CONFIGURATION: Final = """daemon off; worker_processes 1; pid {work}/pid; error_log {work}/error crit;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 1m; client_body_buffer_size 256k;
    client_body_temp_path {work}/1; proxy_temp_path {work}/2; fastcgi_temp_path {work}/3; uwsgi_temp_path {work}/4; scgi_temp_path {work}/5;
    upstream provider {{ server {provider}; keepalive 32; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port}; keepalive_requests 1000000;
        location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
    }}
}}
"""


@contextlib.contextmanager
def control(directory: Path, provider: str) -> Iterator[int]:
    """Its port; 0 where there is no nginx. `provider`: "http://127.0.0.1:9000"."""
    binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if binary is None:
        yield 0
        return
    work = directory.resolve() / "control"
    work.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    file = work / "nginx.conf"
    file.write_text(CONFIGURATION.format(work=work, provider=provider.removeprefix("http://"), port=port))
    process = subprocess.Popen([binary, "-e", str(work / "error"), "-p", str(work), "-c", str(file)], stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"nginx did not start: {(work / 'error').read_text()[-500:]}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
