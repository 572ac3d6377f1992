"""`fairlead` in a block: asks the host to fork for the command; `serve`, `demo` and `engine run` are processes of their own."""

import json
import os
import socket
import sys
from pathlib import Path


def main() -> int:
    argv = sys.argv[1:]
    if argv[:1] in (["serve"], ["demo"]) or argv[:2] == ["engine", "run"]:
        if (
            "--port" not in argv
            and not any(one.startswith("--port=") for one in argv)
            and not {"-h", "--help"} & {*argv}
        ):
            argv += ["--port", os.environ.get("DOCS_PORT", "0")]
        if argv[0] == "serve" and "DOCS_ENGINE" not in os.environ and not {"-h", "--help"} & {*argv}:
            argv.append("--no-engine")
        os.execv(os.environ["DOCS_PYTHON"], [os.environ["DOCS_PYTHON"], "-m", "fairlead", *argv])
    request = {"kind": "command", "argv": argv, "cwd": str(Path.cwd()), "env": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["DOCS_HOST"])
        socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
        return int(connection.recv(16) or b"1")


if __name__ == "__main__":
    sys.exit(main())
