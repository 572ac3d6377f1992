"""A process with the SDKs and the command line imported, which forks for each Python page and each `fairlead` command: so that
a page of twenty commands costs one import. Started with the path of its Unix socket.

A client sends one JSON line, with three file descriptors for a command:
{"kind": "command", "argv": [...], "cwd": ..., "env": {...}}  -> one line with the exit status
{"kind": "python", "cwd": ...} and then, for each block, {"code": ..., "name": ..., "env": {...}} -> {"ok": ..., "output": ...}
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

PRELOADED = (
    "openai",
    "anthropic",
    "fairlead.cli.main",
    "fairlead.store",
    "fairlead.admin",
    "fairlead.testing",
    "alembic.command",
)


def main(path: str) -> None:
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                serve(connection)
                os._exit(0)
            connection.close()


def serve(connection: socket.socket) -> None:
    data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    request: dict[str, Any] = json.loads(data)
    os.chdir(request["cwd"])
    if request["kind"] == "command":
        for at, descriptor in enumerate(descriptors):
            os.dup2(descriptor, at)
        connection.sendall(b"%d\n" % command(request))
    else:
        with connection.makefile("rwb") as lines:
            python(lines)


def command(request: dict[str, Any]) -> int:
    from fairlead.cli.main import main as run

    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["fairlead", *request["argv"]]
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        sys.stderr.flush()
    return 0


def python(lines: Any) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for line in lines:
        block = json.loads(line)
        os.environ.clear()
        os.environ.update(block["env"])
        output, ok = io.StringIO(), True
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                exec(compile(block["code"], block["name"], "exec"), namespace)
            except BaseException:
                traceback.print_exc()
                ok = False
        lines.write(json.dumps({"ok": ok, "output": output.getvalue()}).encode() + b"\n")
        lines.flush()


if __name__ == "__main__":
    main(sys.argv[1])
