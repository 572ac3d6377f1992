"""Runs the blocks of one page, in order, in a working folder that is also HOME."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.blocks import ROOT, Block, Document, matches

from fairlead.catalogue.load import build
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import PRESETS, with_presets
from fairlead.settings import Secrets, load_settings

START_SECONDS, COMMAND_SECONDS = 100, 60
GATEWAY_PORT = "8080"
# Where guides put the metrics: a free port takes its place, because other runs may be under way on this machine.
METRICS_PORT = "9464"
GREETING = " is at http"
KEY = re.compile(r"sk-fl-[A-Za-z0-9_-]{20,}")
# Addresses of providers as guides write them; a scripted upstream answers there.
# Files that examples of the reference upload.
UPLOADED = ("speech.mp3", "harbour.png")
PROVIDERS = re.compile(r"http://(?:gpu\d+(?::\d+)?|(?:localhost|127\.0\.0\.1):(?:8000|8081|30000))(?=[/\"'\s]|$)")
LOCAL = r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])"
KEY_ID, ACCOUNT_ID, GENERATION_ID = PLACEHOLDERS = "key_0123456789ab", "acc_0123456789ab", "gen_0123456789abcdef"
FILE_NAME = re.compile(r"# ([\w./-]+\.toml)\s*$", re.MULTILINE)


class Failed(AssertionError):
    pass


@dataclass
class Place:
    """What pages share: the host that forks for commands, a scripted upstream, and the gateway before it (address, key, data)."""

    host: Path
    upstream: str
    shims: Path
    gateway: tuple[str, str, Path] | None = None


@dataclass
class Session:
    document: Document
    place: Place
    work: Path
    environment: dict[str, str]
    ports: dict[str, int] = field(default_factory=lambda: {METRICS_PORT: free_port()})
    output: str = ""
    made: dict[str, str] = field(default_factory=dict)
    python: tuple[socket.socket, Any] | None = None
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, block: Block) -> None:
        where = f"{self.document.name}:{block.line}"
        try:
            self._run(block)
        except Failed as error:
            raise Failed(
                f"{where}: {error}\n\n```{block.language}\n{block.text}```\n\noutput:\n{self.output}"
            ) from None

    def _run(self, block: Block) -> None:
        text = self.prepare(block.text)
        if "not run" in block.marks or missing(block.marks.get("requires", "sh")):
            self._check_syntax(block)
        elif "output" in block.marks:
            if not matches(block.text, self.output):
                raise Failed("the block before it printed something else")
        elif "file" in block.marks or "append" in block.marks:
            self._write(block, text)
        elif block.language == "toml":
            found = FILE_NAME.match(text)
            file = self.work / (found[1] if found else ".block.toml")
            file.write_text(text)
            self._configuration(file)
        elif block.language == "json":
            self._parsed(block, text)
        elif block.language == "python":
            self._python(block, text)
        elif block.language == "sh":
            self._shell(block, text)

    def prepare(self, text: str) -> str:
        """The text as it is run here: other addresses, this checkout's programs."""
        text = text.replace(".venv/bin/", "").replace("script/serve", "fairlead serve")
        for port, free in self.ports.items():
            text = re.sub(rf"({LOCAL}):{port}\b", rf"\g<1>:{free}", text)
            text = re.sub(rf"(--port[ =]){port}\b", rf"\g<1>{free}", text)
        if GATEWAY_PORT not in self.ports and self.document.setup == "gateway" and self.place.gateway:
            text = re.sub(rf"http://{LOCAL}:{GATEWAY_PORT}\b", self.place.gateway[0], text)
        text = PROVIDERS.sub(self.place.upstream, text)
        for name in PLACEHOLDERS:
            if name in text:
                text = text.replace(name, self._real(name))
        return re.sub(r"sk-fl-\.\.\.", self.environment.get("FAIRLEAD_API_KEY", "sk-fl-none"), text)

    def _real(self, placeholder: str) -> str:
        """A key, an account with credit or a call, made for the page."""
        if not self.made:
            command = [str(self.place.shims / "fairlead"), "keys"]
            create = [*command, "create", "--name", "docs", "--credit", "100"]
            made = subprocess.run(create, env=self.environment, capture_output=True, text=True, check=True)
            key = made.stdout.split()[-1]
            listed = subprocess.run(
                [*command, "list", "--json"], env=self.environment, capture_output=True, text=True, check=True
            )
            row = next(one for one in json.loads(listed.stdout) if key.startswith(one["key"]))
            self.made = {KEY_ID: row["id"], ACCOUNT_ID: row["account"]}
            if self.place.gateway and self.document.setup == "gateway":
                self.made[GENERATION_ID] = call(self.place.gateway[0], self.place.gateway[1])
        return self.made.get(placeholder, placeholder)

    def _write(self, block: Block, text: str) -> None:
        name = block.marks.get("file") or block.marks["append"]
        file = self.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if "append" in block.marks:
            if not file.exists():
                raise Failed(f"no block before it writes {name}")
            text = f"{file.read_text().rstrip()}\n\n{text}"
        file.write_text(text)
        if block.language == "toml" and "append" in block.marks:
            self._configuration(file)
        elif block.language in ("toml", "json"):
            self._parsed(block, text)
        elif block.language == "sh":
            file.chmod(0o755)

    def _check_syntax(self, block: Block) -> None:
        """Of a block that is not run."""
        if block.language in ("toml", "json"):
            self._parsed(block, block.text)
        elif block.language == "python":
            try:
                compile(block.text, f"{self.document.name}:{block.line}", "exec")
            except SyntaxError as error:
                raise Failed(f"it is no Python: {error}") from None

    def _parsed(self, block: Block, text: str) -> None:
        try:
            json.loads(text) if block.language == "json" else tomllib.loads(text)
        except ValueError as error:
            raise Failed(f"it is no {block.language}: {error}") from None

    def _configuration(self, file: Path) -> None:
        named = re.findall(r'env\s*=\s*"(\w+)"', file.read_text())
        for name in (*named, *(preset.key_variable for preset in PRESETS.values())):
            self.environment.setdefault(name, "a-value-for-the-test")
        for name in re.findall(r'^directory\s*=\s*"(\w+)"', file.read_text(), re.MULTILINE):
            (file.parent / name).mkdir(exist_ok=True)
        try:
            settings = with_presets(load_settings(file, self.environment), self.environment)
            build(settings, DIALECTS, supports_prefill, Secrets(self.environment, "sealed-{}".format))
        except ConfigurationError as error:
            raise Failed(f"it is no configuration: {error.message}") from None

    def _shell(self, block: Block, text: str) -> None:
        state, folder = self.work / ".state", self.work / ".folder"
        script = f"trap 'env -0 > {state}; pwd > {folder}' EXIT\nset -a\n{text}"
        cwd = Path(folder.read_text().strip()) if folder.exists() else self.work
        command = ["bash", "-eu", "-o", "pipefail", "-c", script]
        if port := block.marks.get("background"):
            self._background(port, text, cwd)
            return
        with (self.work / ".output").open("w+b") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                status = process.wait(COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = -1
            out.seek(0)
            self.output = out.read().decode(errors="replace")
        if status == -1:
            raise Failed(f"it did not end within {COMMAND_SECONDS} s; a server needs the mark 'background'")
        if (status != 0) != ("fails" in block.marks):
            raise Failed(f"it ended with status {status}")
        if state.exists():
            pairs = (one.partition("=") for one in state.read_text(errors="replace").split("\0") if one)
            self.environment = {name: value for name, _, value in pairs if name not in ("_", "SHLVL", "PWD", "OLDPWD")}

    def _background(self, port: str, text: str, cwd: Path) -> None:
        self.ports[port] = free = free_port()
        again = text.replace(f"--port {port}", f"--port {free}").replace(f"--port={port}", f"--port={free}")
        again = re.sub(rf"({LOCAL}):{port}\b", rf"\g<1>:{free}", again)
        file = self.work / f".background-{port}"
        with file.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-eu", "-c", again], cwd=cwd, env={**self.environment, "DOCS_PORT": str(free)},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.background.append(process)
        deadline = time.monotonic() + START_SECONDS
        gateway = "fairlead serve" in text or "engine run" in text
        while True:
            self.output = file.read_text(errors="replace")
            # A gateway opens its port before it prints the first key.
            if (GREETING in self.output or not gateway) and listens(free):
                break
            if process.poll() is not None:
                raise Failed(f"it ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise Failed(f"nothing listens on its port after {START_SECONDS} s")
            time.sleep(0.02)
        if port == GATEWAY_PORT and (key := KEY.search(self.output)):
            self.environment |= {"FAIRLEAD_API_KEY": key[0], "OPENAI_API_KEY": key[0]}

    def _python(self, block: Block, text: str) -> None:
        if self.python is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(COMMAND_SECONDS)
            connection.connect(str(self.place.host))
            socket.send_fds(connection, [json.dumps({"kind": "python", "cwd": str(self.work)}).encode() + b"\n"], [0])
            self.python = connection, connection.makefile("rwb")
        lines = self.python[1]
        asked = {"code": text, "name": f"{self.document.name}:{block.line}", "env": self.environment}
        lines.write(json.dumps(asked).encode() + b"\n")
        lines.flush()
        answer = json.loads(lines.readline() or b'{"ok": false, "output": "the process ended"}')
        self.output = answer["output"]
        if answer["ok"] == ("fails" in block.marks):
            raise Failed("it raised" if not answer["ok"] else "it did not fail")

    def close(self) -> None:
        if self.python is not None:
            self.python[1].close()
            self.python[0].close()
        for process in self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.background:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def session(document: Document, place: Place, work: Path) -> Iterator[Session]:
    running = Session(document, place, work, environment_of(document, place, work))
    for name in UPLOADED:
        (work / name).write_bytes(b"a file that an example uploads")
    try:
        yield running
    finally:
        running.close()


def environment_of(document: Document, place: Place, work: Path) -> dict[str, str]:
    shared = place.gateway if document.setup == "gateway" else None
    url, key, data = shared or (f"http://127.0.0.1:{GATEWAY_PORT}", "sk-fl-none", work / "data")
    found = {
        "PATH": f"{place.shims}:{os.environ['PATH']}",
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "src"),
        "FAIRLEAD_PURE": os.environ.get("FAIRLEAD_PURE", ""),
        "FAIRLEAD_API_KEY": key,
        "FAIRLEAD_MANAGEMENT_KEY": "fl-mgmt-none",
        "FAIRLEAD_DATA": str(data),
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": f"{url}/v1",
        "NO_PROXY": "*",
        "DOCS_HOST": str(place.host),
        "DOCS_PYTHON": sys.executable,
    }
    if document.setup == "engine":
        found["DOCS_ENGINE"] = "1"
    return found


def call(url: str, key: str) -> str:
    """The id of a call that was made now."""
    body = {"model": "fairlead-demo", "messages": [{"role": "user", "content": "What is a token?"}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=COMMAND_SECONDS) as answer:
        return str(answer.headers["x-fairlead-generation-id"])


def missing(names: str) -> list[str]:
    """Of the programs and modules of a `requires` mark, those that are not here."""
    wanted = [name.strip() for name in names.split(",")]
    return [name for name in wanted if shutil.which(name) is None and not _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def write_shims(folder: Path) -> Path:
    """`fairlead` and `python` as the blocks find them."""
    folder.mkdir()
    programs: Mapping[str, str] = {
        "fairlead": f'exec {sys.executable} -ISs {ROOT / "tests" / "docs" / "shim.py"} "$@"',
        "python": f'exec {sys.executable} "$@"',
        "python3": f'exec {sys.executable} "$@"',
    }
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder
