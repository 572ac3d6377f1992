"""LangChain's standard suites (`langchain-tests`) pass at our doors, against a scripted model that does as it is asked.

They run in a virtual environment of their own: FAIRLEAD_LANGCHAIN names its `python`; in CI it is made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import AT_ONCE, Served, provider, serving
from .responder import Responder

LOCK = Path(__file__).with_name("langchain.lock")
SUITES = Path(__file__).with_name("langchain_suites.py")
INSTALL_SECONDS = 240
RUN_SECONDS = 240


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with the suites."""
    if found := os.environ.get("FAIRLEAD_LANGCHAIN"):
        return found
    if os.environ.get("CI") != "true":
        pytest.skip("FAIRLEAD_LANGCHAIN names no python with langchain-tests")
    folder = tmp_path_factory.mktemp("langchain")
    program = str(folder / "bin" / "python")
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True, timeout=60
        )
        subprocess.run(
            [
                sys.executable, "-m", "pip", "--python", program, "install", "--quiet", "--no-compile",
                "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(LOCK),
            ],
            check=True, capture_output=True, timeout=INSTALL_SECONDS,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"LangChain's packages could not be installed ({type(error).__name__})")
    return program


def deployed(name: str, mode: str = "chat") -> str:
    return (
        f'[[models]]\nid = "{name}"\nmode = "{mode}"\ninput_modalities = ["text", "image", "audio", "file"]\n'
        '[[models.deployments]]\nprovider = "openai"\nupstream_model = "up"\nprice = { input = "1", output = "2" }\n'
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Responder() as upstream:
        config = AT_ONCE + provider(upstream.url, name="openai", dialect="openai")
        config += deployed("follows") + deployed("follows-too") + deployed("embeds", "embedding")
        with serving(tmp_path_factory.mktemp("gateway"), config) as running:
            yield running


def test_langchains_standard_suites_pass(python: str, served: Served, tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))},
        "FAIRLEAD_TEST_URL": served.url, "FAIRLEAD_TEST_KEY": served.key, "LANGSMITH_TRACING": "false",
    }  # fmt: skip
    ran = subprocess.run(
        [
            python, "-m", "pytest", str(SUITES), "-q", "-c", os.devnull, "--rootdir", str(tmp_path), "-p",
            "no:cacheprovider", "--noconftest", "-W", "ignore", "-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session", "-o",
            "asyncio_default_fixture_loop_scope=session", "--tb=short", "--durations=5",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 100, ran.stdout
