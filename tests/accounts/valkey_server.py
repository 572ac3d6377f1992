"""A Valkey server of a test's own; Redis of Debian speaks the same."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAMS = ("valkey-server", "redis-server")


class ValkeyServer:
    def __init__(self, directory: Path, password: str = "") -> None:
        found = [path for name in PROGRAMS if (path := shutil.which(name))]
        if not found:
            if os.environ.get("CI") == "true":
                pytest.fail("neither Valkey nor Redis is installed; in CI nothing is left out")
            pytest.skip("needs Valkey or Redis (Debian: apt-get install redis-server)")
        self._program = found[0]
        self._directory = directory
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"valkey://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self._directory),
        ]  # fmt: skip
        if self._password:
            command += ["--requirepass", self._password]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"{self._program} does not listen")

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
