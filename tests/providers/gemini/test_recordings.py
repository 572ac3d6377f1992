"""Google's own package reads the recordings."""

from __future__ import annotations

import pytest
from google.genai import types as google
from tests.providers.recorded import CASES, events, whole


@pytest.mark.parametrize("case", CASES)
def test_googles_package_reads_its_recordings(case: str) -> None:
    answer = google.GenerateContentResponse.model_validate_json(whole("gemini", case))
    assert answer.candidates
    assert answer.candidates[0].finish_reason in (google.FinishReason.STOP, google.FinishReason.MAX_TOKENS)
    for event in events("gemini", case):
        google.GenerateContentResponse.model_validate_json(event.removeprefix(b"data: "))
