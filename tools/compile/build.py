"""Compiles the modules that a call runs through to C extensions beside their sources. Called by script/compile.

The sources stay what runs where no compiler is: the same code, slower. In these modules nothing is awaited while an
error is handled, and coroutines have no functions inside: what mypyc makes of either loses references.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

from fairlead import compiled

# What a call runs through. Modules with msgspec Structs stay as they are: they are C already, and mypyc would make
# ordinary classes of them.
MODULES = (
    "accounts/caller",
    "api/auth",
    "api/call",
    "api/dispatch",
    "api/ids",
    "doors/bearer",
    "doors/gemini/credential",
    "doors/gemini/door",
    "doors/gemini/parse",
    "doors/gemini/writer",
    "doors/messages/credential",
    "doors/messages/door",
    "doors/messages/parse",
    "doors/messages/writer",
    "doors/openai_chat/door",
    "doors/openai_chat/parse",
    "doors/openai_chat/writer",
    "doors/responses/door",
    "doors/responses/items",
    "doors/responses/operation",
    "doors/responses/parse",
    "doors/responses/request",
    "doors/responses/to_chat",
    "doors/responses/writer",
    "gateway/admission",
    "gateway/attempts",
    "gateway/call",
    "gateway/deadline",
    "gateway/delivery",
    "gateway/gateway",
    "http/client",
    "http/connection",
    "http/detached",
    "http/eager",
    "http/exchange",
    "http/outbox",
    "http/pipeline",
    "http/reader",
    "http/request",
    "http/server",
    "http/state",
    "http/tap",
    "http/upstream_connection",
    "ledger/bill",
    "ledger/settled",
    "ledger/spool",
    "ledger/sums",
    "ledger/wallets",
    "money/text",
    "operations/chat/event_seam",
    "operations/chat/foreign",
    "operations/chat/gemini",
    "operations/chat/messages",
    "operations/chat/native",
    "operations/chat/operation",
    "operations/chat/prompt",
    "prices/charging",
    "prices/sheet",
    "providers/anthropic/native",
    "providers/anthropic/native_answers",
    "providers/anthropic/reader",
    "providers/anthropic/request",
    "providers/anthropic/translator",
    "providers/conversation",
    "providers/event_answers",
    "providers/frames",
    "providers/gemini/native",
    "providers/gemini/native_answers",
    "providers/gemini/reader",
    "providers/gemini/request",
    "providers/gemini/translator",
    "providers/native",
    "providers/native_answers",
    "providers/openai/adapter",
    "providers/openai/answers",
    "providers/openai/foreign",
    "providers/openai/reader",
    "providers/openai/request",
    "providers/repeated",
    "providers/responses_api/native",
    "providers/responses_api/reader",
    "providers/responses_api/request",
    "providers/responses_api/translator",
    "providers/sse",
    "providers/translated",
    "routing/attempt",
    "routing/ceiling",
    "routing/demand",
    "routing/health",
    "routing/holding",
    "routing/plan",
    "routing/prompt",
    "routing/strategies",
    "routing/upstream",
    "serving",
    "telemetry/recorder",
    "wire/answer",
    "wire/body",
    "wire/chat",
    "wire/chat_answer",
    "wire/chat_request",
    "wire/duplicates",
    "wire/fast_parse",
    "wire/gemini/contents",
    "wire/gemini/framing",
    "wire/gemini/neutral",
    "wire/gemini/request",
    "wire/messages/blocks",
    "wire/messages/decoding",
    "wire/messages/neutral",
    "wire/messages/request",
    "wire/native",
    "wire/notes",
    "wire/outline",
    "wire/plain",
    "wire/random_ids",
    "wire/ready_chat",
    "wire/template",
    "wire/usage",
)


def build() -> None:
    """Raises setuptools' errors when there is no compiler, or when it refuses."""
    # Of the sources as they are now: one that changes while they are compiled makes the result stale.
    sources = compiled.manifest((".py",))
    extensions = mypycify(
        ["--config-file", "pyproject.toml", *(f"src/fairlead/{module}.py" for module in MODULES)],
        # More than that takes longer, and saves a call not a hundredth of its instructions.
        opt_level="1",
        debug_level="0",
        group_name="fairlead",
        target_dir="build/compiled",
    )
    for extension in extensions:
        # Calls within the library are direct, and may be inlined: nothing takes the place of its functions at run time.
        # Looking for warnings in what was generated takes gcc five times as long as compiling it.
        extension.extra_compile_args += ["-fno-semantic-interposition", "-Wno-all", "-w"]
        if sys.platform == "linux":
            extension.extra_link_args.append("-Wl,-Bsymbolic")
    wanted = {"name": "fairlead", "packages": [], "package_dir": {"": "src"}, "ext_modules": extensions}
    command = build_ext(Distribution(wanted))
    command.inplace = True
    command.build_temp = command.build_lib = "build/compiled"
    command.ensure_finalized()
    command.run()
    # Last and at once: extensions without it are of an unfinished build, and do not run.
    made = Path("src/fairlead") / compiled.MANIFEST
    new = made.with_suffix(".new")
    new.write_text(sources + compiled.manifest(tuple(EXTENSION_SUFFIXES)), "utf-8")
    new.replace(made)


if __name__ == "__main__":
    build()
