"""The middle knows demands and operations, and no type of any one operation."""

from __future__ import annotations

import re

import pytest
from tests.conftest import ROOT

MIDDLE = ("gateway", "routing", "ledger", "accounts", "telemetry")
OF_CHAT = re.compile(r"ChatRequest|operations\.chat|wire\.chat(_\w+)?\b")


@pytest.mark.parametrize("part", MIDDLE)
def test_no_type_of_chat_is_named_between_the_doors_and_the_operations(part: str) -> None:
    files = sorted((ROOT / "src" / "fairlead" / part).rglob("*.py"))
    assert files
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if OF_CHAT.search(line)
    ]
    assert found == []


def test_the_gateway_knows_health_by_its_protocol_alone() -> None:
    for file in (ROOT / "src" / "fairlead" / "gateway").glob("*.py"):
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("from fairlead.routing.health import "):
                assert line.endswith(" import DeploymentHealth"), file
