"""Images, audio, files and video for those who speak OpenAI's dialect."""

from __future__ import annotations

import pytest
from tests.providers.parts import BY_ID, MP4, PDF, PNG, REMOTE, TEXT, WAV, request_of, sent_by

from fairlead.providers.dialects import DIALECTS
from fairlead.providers.openai.adapter import OpenAIChat


@pytest.mark.parametrize("dialect", [name for name, row in DIALECTS.items() if row.speaks == "openai"])
def test_openais_dialects_get_the_messages_byte_for_byte(dialect: str) -> None:
    parts = (PNG, REMOTE) if dialect == "mistral" else (PNG, REMOTE, PDF, BY_ID, WAV, MP4)
    request = request_of(*parts)
    made = b"".join(OpenAIChat(DIALECTS[dialect], "public", "vendor").to_vendor(request).body)
    assert bytes(request.messages) in made


def test_mistral_gets_files_and_audio_in_parts_of_its_own() -> None:
    parts = sent_by(OpenAIChat(DIALECTS["mistral"], "p", "v"), request_of(PNG, PDF, BY_ID, WAV))["messages"][0][
        "content"
    ]
    assert parts == [
        TEXT, PNG,
        {"type": "document_url", "document_url": PDF["file"]["file_data"], "document_name": "Q3 report_v2.pdf"},  # type: ignore[index]
        {"type": "file", "file_id": "file-abc"},
        {"type": "input_audio", "input_audio": "UklGRg=="},
    ]  # fmt: skip
