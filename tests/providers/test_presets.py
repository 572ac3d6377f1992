"""Hosted providers by name, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.catalogue.load import build
from fairlead.catalogue.snapshot import Provider
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import PRESETS, with_presets
from fairlead.settings import Secrets, load_settings


def key_of(it: Provider) -> str:
    return "".join(key.value for key in it.keys)


def provider(tmp_path: Path, text: str, environment: dict[str, str]) -> Provider:
    file = tmp_path / "c.toml"
    file.write_text(f'[[providers]]\nid = "it"\n{text}\n')
    settings = with_presets(load_settings(file, environment), environment)
    return build(settings, DIALECTS, supports_prefill, Secrets(environment)).providers["it"]


def test_every_preset_names_a_dialect_an_address_a_key_and_a_source() -> None:
    assert len(PRESETS) >= 30
    for row in PRESETS.values():
        assert row.dialect in DIALECTS, row.id
        assert re.fullmatch(r"https://[^/\s]+(/[^\s]*[^/\s])?", row.base_url) or row.id == "azure", row.id
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", row.key_variable), row.id
        assert row.source.startswith("https://"), row.id


@pytest.mark.parametrize(
    ("text", "drains"),
    [
        *((f'preset = "{name}"', False) for name in ("openai", "anthropic", "fireworks", "deepseek", "cohere", "xai")),
        *((f'preset = "{name}"', True) for name in ("groq", "mistral", "gemini", "nebius", "sambanova", "perplexity")),
        ('preset = "groq"\ndisconnect = "cancel"', False),
        ('preset = "openai"\ndisconnect = "drain"', True),
        ('base_url = "https://example.com/v1"', False),
        ('base_url = "https://example.com/v1"\ndialect = "bedrock"', True),
    ],
)
def test_an_answer_is_read_on_only_where_its_provider_bills_it_anyway(tmp_path: Path, text: str, drains: bool) -> None:
    environment = {row.key_variable: "k" for row in PRESETS.values()}
    it = provider(tmp_path, text, environment)
    assert (DIALECTS[it.dialect].bills_cut if it.bills_cut is None else it.bills_cut) is drains


def test_a_preset_is_a_whole_provider(tmp_path: Path) -> None:
    it = provider(tmp_path, 'preset = "groq"', {"GROQ_API_KEY": "k"})
    assert (it.base_url, it.dialect, key_of(it)) == ("https://api.groq.com/openai/v1", "groq", "k")


def test_what_is_said_goes_before_the_preset(tmp_path: Path) -> None:
    text = 'preset = "anthropic"\nbase_url = "https://proxy.example/v1/"\napi_key = "mine"'
    it = provider(tmp_path, text, {})
    assert (it.base_url, it.dialect, key_of(it)) == ("https://proxy.example/v1", "anthropic", "mine")


def test_bedrock_takes_an_api_key_or_signs(tmp_path: Path) -> None:
    it = provider(tmp_path, 'preset = "bedrock"', {"AWS_BEARER_TOKEN_BEDROCK": "b", "AWS_REGION": "eu-west-1"})
    assert (it.base_url, key_of(it), it.aws_keys) == ("https://bedrock-runtime.eu-west-1.amazonaws.com", "b", None)
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    it = provider(tmp_path, 'preset = "bedrock"\nregion = "us-east-1"', keys)
    assert (key_of(it), it.aws_keys, it.region) == ("", ("id", "secret", "token"), "us-east-1")
    assert "secret" not in repr(it)


def test_bedrock_signs_with_a_profile_of_the_shared_file(tmp_path: Path) -> None:
    shared = tmp_path / "credentials"
    shared.write_text(
        "[default]\naws_access_key_id = id\naws_secret_access_key = s%cret\n"
        "[work]\naws_access_key_id=wid\naws_secret_access_key=wsecret\naws_session_token=token\n[role]\nrole_arn=x\n"
    )
    text, home = 'preset = "bedrock"\nregion = "us-east-1"', {"AWS_SHARED_CREDENTIALS_FILE": str(shared)}
    assert provider(tmp_path, text, home).aws_keys == ("id", "s%cret", "")
    assert provider(tmp_path, text, {**home, "AWS_PROFILE": "work"}).aws_keys == ("wid", "wsecret", "token")
    assert provider(tmp_path, text + '\nprofile = "work"', home).aws_keys == ("wid", "wsecret", "token")
    variables = {"AWS_ACCESS_KEY_ID": "v", "AWS_SECRET_ACCESS_KEY": "w"}
    assert provider(tmp_path, text, {**home, **variables}).aws_keys == ("v", "w", ""), "variables go first"
    for profile, words in (("none", "no profile 'none'"), ("role", "Roles and other sources")):
        with pytest.raises(ConfigurationError, match=words):
            provider(tmp_path, f'{text}\nprofile = "{profile}"', home)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        provider(tmp_path, text + '\nprofile = "x"', {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no")})


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ('preset = "grok"', {}, "did you mean 'groq'"),
        ('preset = "groq"', {}, "GROQ_API_KEY"),
        ('preset = "azure"', {"AZURE_API_KEY": "k"}, "https://RESOURCE.openai.azure.com"),
        ('preset = "bedrock"', {"AWS_BEARER_TOKEN_BEDROCK": "b"}, "needs a region"),
        ('preset = "bedrock"\nregion = "us-east-1"\naccess_key_id = "a"', {}, "secret_access_key"),
        ('base_url = "https://x.example"\ndialect = "bedrock"\naccess_key_id = "a"\nsecret_access_key = "b"', {}, "region"),
        ('dialect = "openai"', {}, "'base_url' is missing"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_with_its_place(
    tmp_path: Path, text: str, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        provider(tmp_path, text, environment)
    assert "c.toml" in caught.value.message
