"""Anthropic's own package reads the recordings."""

from __future__ import annotations

import pytest
from anthropic import types as anthropic
from pydantic import TypeAdapter
from tests.providers.recorded import CASES, events, whole


@pytest.mark.parametrize("case", CASES)
def test_anthropics_package_reads_its_recordings(case: str) -> None:
    anthropic.Message.model_validate_json(whole("anthropic", case), strict=True)
    kind: TypeAdapter[anthropic.RawMessageStreamEvent] = TypeAdapter(anthropic.RawMessageStreamEvent)
    for event in events("anthropic", case):
        name, _, data = event.decode().strip().partition("\ndata: ")
        if name != "event: ping":
            assert kind.validate_json(data).type == name.removeprefix("event: ")
