"""The process around llama.cpp's server. Started by the supervisor, by path; imports nothing of this package.

Its parameters come as one line of JSON on stdin, because a command line and an environment can be read by others and
they hold the API key. Stdin then stays open for as long as the parent lives: its end is the order to go, for systems
without PR_SET_PDEATHSIG and for the moment before it is set.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
EXIT_CANNOT_LOAD = 3
EXIT_PARENT_GONE = 4
OUT_OF_MEMORY_SCORE = 600


def main() -> int:
    """Runs the engine until a signal or the end of stdin; returns only when the model cannot be loaded."""
    os.umask(0o077)
    line = sys.stdin.buffer.readline()
    if not line:
        return EXIT_PARENT_GONE
    asked = json.loads(line)
    _die_with(asked["parent"])
    _be_the_first_to_go()
    try:
        server = _serve(asked)
    except (RuntimeError, ValueError, OSError) as failure:
        print(f"The engine cannot load the model: {failure}", file=sys.stderr, flush=True)
        return EXIT_CANNOT_LOAD
    while server is not None:
        signal.pause()
    return 0


def _die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The parent may have died before the line above.
    if os.getppid() != parent:
        os._exit(EXIT_PARENT_GONE)
    threading.Thread(target=_leave_at_end_of_stdin, daemon=True).start()


def _leave_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(EXIT_PARENT_GONE)


def _be_the_first_to_go() -> None:
    """When memory runs out the kernel takes the engine, not the gateway. No dump of a model's memory to disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE))
    # ggml would start a debugger to print the stack of an abort.
    os.environ["GGML_NO_BACKTRACE"] = "1"


def _serve(asked: dict[str, Any]) -> Any:
    # Imported only here: 34 MB of native code that must never be part of the gateway's process.
    import xllamacpp

    slots: int = asked["slots"]
    params = xllamacpp.CommonParams()
    params.model.path = asked["gguf"]
    params.model_alias = {asked["model_id"]}
    if asked["mmproj"]:
        params.mmproj.path = asked["mmproj"]
    params.no_mmproj = not asked["mmproj"]
    params.hostnames = [asked["socket"]]
    params.port = 0
    params.api_keys = [asked["api_key"]]
    params.n_parallel = slots
    params.n_ctx = slots * asked["context_tokens"]
    if asked["mode"] != "chat":
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type(asked["pooling"])
        # An encoder sees an input as a whole: all of it is one batch.
        params.n_batch = params.n_ubatch = asked["context_tokens"]
    params.kv_unified = False
    params.cpuparams.n_threads = asked["threads"]
    params.cpuparams_batch.n_threads = asked["threads"]
    params.n_threads_http = asked["http_threads"]
    params.cache_ram_mib = asked["prompt_cache_mib"]
    params.use_jinja = True
    if asked["chat_template"]:
        params.chat_template = asked["chat_template"]
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.endpoint_props = False
    params.ui = False
    params.cors_origins = ""
    params.ctx_shift = False
    params.offline = True
    params.verbosity = asked["verbosity"]
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())
