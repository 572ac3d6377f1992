"""Images, audio, files and video are capabilities that dialects and models may lack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.operations.chat.operation import needs_of
from fairlead.prices import FREE, PriceSheet
from fairlead.providers.dialects import DIALECTS
from fairlead.routing.needs import CAPABILITY_BITS, lacks_of, names_of
from fairlead.wire.chat import parse_chat

from .parts import BY_ID, MP4, PDF, PNG, REMOTE, WAV, request_of


@pytest.mark.parametrize(
    ("dialect", "part", "named"),
    [
        ("bedrock", REMOTE, "media_urls"),
        ("bedrock", WAV, "audio"),
        ("bedrock", BY_ID, "file_ids"),
        ("llamacpp", REMOTE, "media_urls"),
        ("llamacpp", PDF, "files"),
        ("vllm", PDF, "files"),
        ("sglang", PDF, "files"),
        ("openai", MP4, "video"),
        ("azure", MP4, "video"),
        ("mistral", MP4, "video"),
        ("anthropic", WAV, "audio"),
        ("anthropic", MP4, "video"),
        ("anthropic", BY_ID, "file_ids"),
        ("gemini", BY_ID, "file_ids"),
    ],
)
def test_what_a_dialect_cannot_carry_is_a_capability_that_it_lacks(dialect: str, part: Any, named: str) -> None:
    lacks = sum(CAPABILITY_BITS[name] for name in DIALECTS[dialect].incapable)
    assert named in names_of(needs_of(request_of(part)) & lacks)


def test_no_image_of_an_assistant_goes_to_claude() -> None:
    said = {"role": "assistant", "content": [PNG]}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, said, {"role": "user", "content": "y"}]}
    needs = needs_of(parse_chat(json.dumps(body).encode()))
    assert "assistant_media" in names_of(needs)
    assert "assistant_media" in DIALECTS["anthropic"].incapable
    assert "assistant_media" not in DIALECTS["openai"].incapable


def test_what_is_not_known_of_a_model_counts_as_there() -> None:
    def lacks(model: Model) -> list[str]:
        deployment = Deployment("d", "p", "u", PriceSheet("d", FREE), 1.0, 0)
        return [name for name in names_of(lacks_of(model, deployment, None, True)) if name != "prefill"]

    assert lacks(Model("m", "m", "v", "", 0, None, None)) == []
    known = Model("m", "m", "v", "", 0, None, None, input_modalities=("text", "image"), inputs_known=True)
    assert lacks(known) == ["audio", "files", "video"]
