"""Presets of hosted providers: what they stand for, and what is told when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.catalogue.load import build
from fairlead.catalogue.snapshot import Provider
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.presets import PRESETS, with_presets
from fairlead.settings import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"


def provider(tmp_path: Path, text: str, **environment: str) -> Provider:
    file = tmp_path / "c.toml"
    file.write_text(f'[[providers]]\nid = "p"\n{text}\n')
    settings = with_presets(load_settings(file, environment), environment)
    return build(settings, frozenset(DIALECTS), environment).providers["p"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_provider_with_nothing_but_its_key(tmp_path: Path, name: str) -> None:
    preset = PRESETS[name]
    more = 'region = "us-east-1"' if "{region}" in preset.base_url else ""
    if not preset.base_url:
        more = 'base_url = "https://my-resource.openai.azure.com"'
    made = provider(tmp_path, f'preset = "{name}"\n{more}', **{preset.key_variable: "sk-1"})
    assert (made.api_key, made.dialect) == ("sk-1", preset.dialect)
    assert made.base_url.startswith("https://")
    assert "{" not in made.base_url


def test_more_than_thirty_presets_speak_openais_dialect_and_all_are_on_the_page() -> None:
    assert sum(DIALECTS[preset.dialect].speaks == "openai" for preset in PRESETS.values()) >= 30
    rows = {line.split("`")[1]: line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")}
    for preset in PRESETS.values():
        cells = [cell.strip() for cell in rows[preset.id].strip("|").split("|")]
        assert cells == [
            f"`{preset.id}`", preset.name, preset.base_url or "yours", preset.key_variable, preset.dialect,
            preset.source.removeprefix("https://"), preset.note,
        ]  # fmt: skip


def test_what_is_said_goes_before_the_preset(tmp_path: Path) -> None:
    made = provider(tmp_path, 'preset = "groq"\nbase_url = "http://127.0.0.1:1/v1"\ndialect = "vllm"\napi_key = "k"')
    assert (made.base_url, made.dialect, made.api_key) == ("http://127.0.0.1:1/v1", "vllm", "k")


def test_bedrock_takes_an_api_key_or_the_keys_of_aws_from_their_usual_variables(tmp_path: Path) -> None:
    aws = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    made = provider(tmp_path, 'preset = "bedrock"', **aws)
    assert made.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert (made.api_key, made.aws_keys, made.region) == ("", ("id", "secret", ""), "eu-west-1")
    assert provider(tmp_path, 'preset = "bedrock"', **aws, AWS_SESSION_TOKEN="t").aws_keys == ("id", "secret", "t")
    made = provider(tmp_path, 'preset = "bedrock"', **aws, AWS_BEARER_TOKEN_BEDROCK="b")
    assert (made.api_key, made.aws_keys) == ("b", None)
    assert "secret" not in repr(provider(tmp_path, 'preset = "bedrock"', **aws))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('preset = "grok"', "did you mean 'groq'?"),
        ('preset = "groq"', "GROQ_API_KEY is not set"),
        ('preset = "bedrock"', "needs a region"),
        ('preset = "azure"\napi_key = "k"', "'base_url' is missing"),
        ('dialect = "openai"', "'base_url' is missing"),
        ('base_url = "http://x"\naccess_key_id = "a"', "access_key_id and secret_access_key, both"),
        ('base_url = "http://x"\naccess_key_id = "a"\nsecret_access_key = "b"', "need a region"),
    ],
)
def test_what_is_missing_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(tmp_path, text)
    assert words in caught.value.message
    assert "c.toml:" in caught.value.message
