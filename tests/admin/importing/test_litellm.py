"""LiteLLM's configuration, in the shapes that are found in public repositories, as a configuration of ours."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.e2e.fork_server import environment_of, run

from fairlead.admin.importing.document import checked, price_text
from fairlead.admin.importing.litellm.importer import Imported, import_litellm
from fairlead.admin.importing.report import Report, leaves, shown
from fairlead.admin.importing.secrets import variable
from fairlead.admin.importing.yaml_file import read_yaml
from fairlead.errors import ConfigurationError

SHAPES = sorted((Path(__file__).parent / "litellm").glob("*.yaml"))
KINDS = ("mapped", "not_mapped", "never_effective")
# Every row of the table of what is found in LiteLLM's configurations, as words of the files.
TABLE = (
    "model_name", "azure/", "vertex_ai/", "bedrock/", "openai/", "gemini/", "groq/", "together_ai/", "openrouter/",
    "ollama_chat/", "hosted_vllm/", "model: gpt-4o-mini", "openai/*", "api_base", "api_key", "api_version",
    "organization", "vertex_", "aws_", "os.environ/", "env/OPENAI", "${OPENAI_KEY_B:-", "rpm", "tpm", "timeout:",
    "stream_timeout", "max_tokens", "temperature", "weight", "order", "drop_params: true", "drop_params: [",
    "input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost", "mode:", "base_model", "id: azure",
    "num_retries", "request_timeout", "cache:", "cache_params", "callbacks", "fallbacks", "context_window_fallbacks",
    "default_fallbacks", "routing_strategy", "allowed_fails", "cooldown_time", "model_group_alias", "redis_",
    "master_key", "database_url", "store_model_in_db", "custom_auth", "alerting",
)  # fmt: skip


def imported(text: str, **environment: str) -> Imported:
    return import_litellm(text, "config.yaml", environment)


def shape(start: str) -> Imported:
    [file] = [one for one in SHAPES if one.name.startswith(start)]
    return imported(file.read_text())


def lists(report: Report) -> dict[str, dict[str, str]]:
    return {kind: {line.setting: line.note for line in report.lines(kind)} for kind in KINDS}  # type: ignore[arg-type]


def document(found: Imported) -> dict[str, Any]:
    return tomllib.loads(found.text)


def model(found: Imported, id_: str) -> dict[str, Any]:
    [one] = [one for one in document(found)["models"] if one["id"] == id_]
    return dict(one)


def provider(found: Imported, id_: str) -> dict[str, Any]:
    [one] = [one for one in document(found)["providers"] if one["id"] == id_]
    return dict(one)


# --- no silent loss


@pytest.mark.parametrize("file", SHAPES, ids=lambda file: file.stem)
def test_every_setting_is_in_exactly_one_list_and_the_document_loads(file: Path) -> None:
    found = imported(file.read_text())
    tree, duplicates = read_yaml(file.read_text(), file.name)
    in_lists = [line.setting for kind in KINDS for line in found.report.lines(kind)]  # type: ignore[arg-type]
    expected = [shown(path) for path, _ in leaves(tree)] + [one.shown for one in duplicates]
    assert sorted(in_lists) == sorted(expected)
    assert all(line.note for kind in KINDS for line in found.report.lines(kind))  # type: ignore[arg-type]
    snapshot = checked(found.text)
    assert {one["id"] for one in document(found)["models"]} <= set(snapshot.models)


def test_the_shapes_have_every_row_of_the_table() -> None:
    everything = "\n".join(file.read_text() for file in SHAPES)
    assert len(SHAPES) >= 12
    assert [word for word in TABLE if word not in everything] == []


@pytest.mark.parametrize("file", SHAPES, ids=lambda file: file.stem)
def test_no_secret_is_in_any_output(file: Path, tmp_path: Path) -> None:
    text = file.read_text()
    tree, _ = read_yaml(text, file.name)
    secrets = [str(value) for _, value in leaves(tree) if re.search(r"secret", str(value), re.IGNORECASE)]
    for options in ((), ("--json",), ("-o", str(tmp_path / "out.toml"))):
        done = run("import", "litellm", str(file), *options)
        assert done.returncode == 0, done.stderr
        assert [one for one in secrets if one in done.stdout + done.stderr] == []
        assert "sk-secret" not in done.stdout + done.stderr
    assert [one for one in secrets if one in (tmp_path / "out.toml").read_text()] == []


# --- what becomes of each shape


def test_a_single_model_gets_its_key_from_the_variable_and_its_price_from_the_catalogue() -> None:
    found = shape("01")
    assert provider(found, "openai") == {"id": "openai", "preset": "openai", "api_key": {"env": "OPENAI_API_KEY"}}
    one = model(found, "gpt-4o")
    assert one["defaults"] == {"temperature": 0.2}
    [deployment] = one["deployments"]
    assert (deployment["upstream_model"], deployment["max_output_tokens"]) == ("gpt-4o", 4096)
    assert deployment["cost"]["input"] == "2.5"
    assert "general_settings.master_key" in lists(found.report)["not_mapped"]
    assert found.variables == ["OPENAI_API_KEY"]


def test_a_repeated_name_is_a_pool_with_weights_priorities_and_limits_summed_up() -> None:
    found = shape("02")
    pool = model(found, "gpt-4o-mini")
    assert pool["limits"] == {"requests_per_minute": 600 + 400 + 500 + 60}
    assert [(one["provider"], one.get("weight"), one.get("priority")) for one in pool["deployments"]] == [
        ("openai", 3, 1),
        ("openai-2", 1, 1),
        ("openai-3", None, 2),
        ("groq", None, 1_002),
    ]
    assert pool["deployments"][0]["cost"]["input"] == "0.15"
    assert pool["deployments"][3]["price"] == "free", (
        "it is another model: not the price of the one that it stands in for"
    )
    assert any("No price was found of gpt-4o-mini" in note for note in found.report.notes)
    keys = [one.get("api_key") for one in document(found)["providers"]]
    assert keys[:4] == [{"env": name} for name in ("OPENAI_KEY_A", "OPENAI_KEY_B", "OPENAI_API_KEY", "GROQ_API_KEY")]
    assert provider(found, "openai")["first_byte_timeout_seconds"] == 30
    assert provider(found, "openai")["idle_timeout_seconds"] == 60
    assert provider(found, "groq")["first_byte_timeout_seconds"] == 45
    assert document(found)["routing"] == {"retries": 2, "strategy": "weighted"}
    assert "logit_bias" not in model(found, "kimi")["deployments"][0]["parameters"]
    said = lists(found.report)
    assert "default is not taken over" in said["mapped"]["model_list[1].litellm_params.api_key"]
    assert "model_list[0].litellm_params.tpm" in said["not_mapped"], "not every deployment has one"
    assert any("OPENAI_API_KEY" in note for note in found.report.notes)


def test_azure_keeps_address_and_version_and_the_deployment_is_the_model() -> None:
    found = shape("03")
    assert provider(found, "azure") == {
        "id": "azure",
        "preset": "azure",
        "base_url": "https://example-eu.openai.azure.com",
        "api_key": {"env": "AZURE_EU_KEY"},
        "api_version": "2024-10-21",
    }
    assert provider(found, "azure-2")["base_url"] == "https://example-us.openai.azure.com"
    assert provider(found, "azure-2")["api_key"] == {"env": "EXAMPLE_US_API_KEY"}
    assert [one["upstream_model"] for one in model(found, "gpt-4.1")["deployments"]] == ["gpt-41-eu", "gpt-41-us"]
    assert model(found, "gpt-4.1")["deployments"][0]["cost"]["input"] == "2"
    assert model(found, "embeddings")["mode"] == "embedding"
    assert "model_list[2].litellm_params.api_base" in lists(found.report)["not_mapped"]


def test_an_address_in_a_variable_is_read_from_the_environment_or_marked_as_missing() -> None:
    text = (Path(__file__).parent / "litellm" / "03-azure.yaml").read_text()
    there = imported(text, AZURE_API_BASE="https://there.openai.azure.com")
    assert provider(there, "azure-3")["base_url"] == "https://there.openai.azure.com"
    assert "model_list[2].litellm_params.api_base" in lists(there.report)["mapped"]
    assert provider(imported(text), "azure-3")["base_url"] == "https://azure-api-base.invalid"


def test_bedrock_gets_region_and_keys() -> None:
    found = shape("04")
    assert provider(found, "bedrock-2") == {
        "id": "bedrock-2",
        "preset": "bedrock",
        "access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
        "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"},
        "session_token": {"env": "AWS_SESSION_TOKEN"},
        "region": "us-west-2",
    }
    assert provider(found, "bedrock-3") == {
        "id": "bedrock-3",
        "preset": "bedrock",
        "region": "us-east-1",
        "profile": "dev",
    }
    upstream = [one["upstream_model"] for one in model(found, "claude")["deployments"]]
    assert upstream == [f"{start}anthropic.claude-sonnet-4-5-20250929-v1:0" for start in ("", "us.")]
    assert model(found, "nova")["deployments"][0]["upstream_model"] == "amazon.nova-lite-v1:0"


def test_vertex_ai_is_called_through_its_endpoint_of_openais_kind() -> None:
    found = shape("05")
    base = (
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/my-project/locations/europe-west4/endpoints/openapi"
    )
    assert provider(found, "vertex-ai")["base_url"] == base
    assert provider(found, "vertex-ai")["api_key"] == {"env": "VERTEX_ACCESS_TOKEN"}
    assert model(found, "gemini-pro")["deployments"][0]["upstream_model"] == "google/gemini-2.5-pro"
    assert "claude-vertex" not in {one["id"] for one in document(found)["models"]}
    assert "model_list[2].litellm_params.model" in lists(found.report)["not_mapped"]


def test_callbacks_are_told_apart() -> None:
    said = lists(shape("06").report)
    assert "metrics" in said["not_mapped"]["litellm_settings.callbacks[1]"]
    assert "Python" in said["never_effective"]["litellm_settings.callbacks[2]"]
    assert "no callback" in said["never_effective"]["litellm_settings.failure_callback[0]"]


def test_ollama_and_engines_of_ones_own_are_free_and_need_no_key() -> None:
    found = shape("07")
    assert provider(found, "ollama-chat") == {"id": "ollama-chat", "base_url": "http://localhost:11434/v1"}
    assert model(found, "llama3")["deployments"][0]["price"] == "free"
    found = shape("08")
    assert provider(found, "hosted-vllm") == {
        "id": "hosted-vllm",
        "dialect": "vllm",
        "base_url": "http://gpu1:8000/v1",
        "first_byte_timeout_seconds": 600,
        "idle_timeout_seconds": 600,
    }
    first, second = model(found, "mistral-small-3.2")["deployments"]
    assert first["cost"] == {"input": "0.1", "output": "0.3"}
    assert second["cost"] == {"input": "0", "output": "0"}
    assert {"user", "logit_bias"}.isdisjoint(first["parameters"])
    assert "temperature" in first["parameters"]
    assert "images" in first["lacks"]
    assert provider(found, "openai")["base_url"] == "http://gpu2:8000/v1"
    assert "preset" not in provider(found, "openai")


def test_wildcards_become_the_models_of_the_catalogue() -> None:
    found = shape("09")
    ids = {one["id"] for one in document(found)["models"]}
    assert {"openai/gpt-4o", "openai/gpt-4.1", "or/openai/gpt-4o", "or/mistralai/mistral-small-3.2-24b-instruct"} <= ids
    assert "openai/gpt-oss-120b" not in ids, "its own API does not serve it"
    [own] = model(found, "openai/gpt-4o")["deployments"]
    assert provider(found, own["provider"])["api_key"] == {"env": "OPENAI_API_KEY_FOR_4O"}
    said = lists(found.report)["not_mapped"]
    assert "model_list[2].litellm_params.model" not in said
    assert "list the models" in said["model_list[3].litellm_params.model"]


def test_fallbacks_are_deployments_that_serve_when_the_others_cannot() -> None:
    found = shape("10")
    assert [(one["provider"], one.get("priority", 0)) for one in model(found, "small")["deployments"]] == [
        ("openai", 0),
        ("anthropic", 1),
    ]
    assert [one["provider"] for one in model(found, "alone")["deployments"]] == ["xai", "deepseek"]
    assert model(found, "cheap")["deployments"][0]["cost"] == {"input": "0.27", "output": "1.1", "cached_input": "0.07"}
    assert model(found, "small")["deployments"][0]["context_length"] == 16_000
    said = lists(found.report)
    assert "router_settings.fallbacks[0].small[1]" in said["never_effective"]
    assert "router_settings.fallbacks[1].large[0].model" in said["not_mapped"]
    assert "router_settings has it too" in said["never_effective"]["litellm_settings.fallbacks[0].small[0]"]
    assert document(found)["routing"]["retries"] == 10


def test_aliases_credentials_and_general_settings() -> None:
    found = shape("11")
    assert model(found, "gpt-4")["deployments"] == model(found, "gpt-4o")["deployments"]
    assert provider(found, "openai")["api_key"] == {"env": "OPENAI_API_KEY"}
    assert provider(found, "openai")["preset"] == "openai"
    assert document(found)["routing"] == {"retries": 1, "strategy": "balanced", "probe_interval_seconds": 300}
    assert document(found)["server"] == {"max_requests_in_flight": 2000, "max_body_bytes": 64 * 1024 * 1024}
    assert {one["max_concurrent"] for one in model(found, "gpt-4o")["deployments"]} == {50}
    said = lists(found.report)
    assert "router_settings has it too" in said["never_effective"]["litellm_settings.num_retries"]
    assert "PostgreSQL" in said["not_mapped"]["router_settings.redis_password"]
    assert "no model" in said["never_effective"]["router_settings.model_group_alias.broken"]
    assert model(found, "fast-model")["deployments"]
    assert any("fast-model" in note for note in found.report.notes)


def test_an_alias_has_the_fallbacks_of_its_model() -> None:
    text = (Path(__file__).parent / "litellm" / "10-fallbacks.yaml").read_text()
    found = imported(
        text.replace("  fallbacks:\n    - small", "  model_group_alias: {tiny: small}\n  fallbacks:\n    - small")
    )
    assert [one["provider"] for one in model(found, "tiny")["deployments"]] == ["openai", "anthropic"]


def test_a_file_of_thousands_of_models_is_read_in_steps_that_grow_with_it() -> None:
    """Each compares nothing with all others: twice the entries are twice the steps."""

    def steps(count: int) -> int:
        entries = "".join(
            f"- {{model_name: m{at}, litellm_params: {{model: openai/g{at}, api_key: os.environ/K{at}, "
            f"input_cost_per_token: 0}}}}\n"
            for at in range(count)
        )
        done = 0

        def step(_frame: object, event: str, _argument: object) -> None:
            nonlocal done
            done += event == "call"

        sys.setprofile(step)
        try:
            imported(f"model_list:\n{entries}")
        finally:
            sys.setprofile(None)
        return done

    imported("model_list: []")
    assert steps(200) < 2.2 * steps(100)


def test_modes_and_prices_are_exact() -> None:
    found = shape("12")
    assert model(found, "text-embedding-3-small")["deployments"][0]["cost"] == {"input": "0.02", "output": "0"}
    assert model(found, "whisper")["deployments"][0]["cost"]["audio_input"] == "100"
    assert model(found, "tts")["deployments"][0]["cost"]["input"] == "15"
    assert model(found, "rerank")["deployments"][0]["cost"]["request"] == "0.002"
    assert [model(found, id_)["mode"] for id_ in ("dall-e-3", "whisper", "tts", "rerank")] == [
        "image", "transcription", "speech", "rerank",
    ]  # fmt: skip
    assert model(found, "gemini-2.5-pro")["deployments"][0]["cost"] == {
        "input": "1.25",
        "output": "10",
        "cached_input": "0.125",
        "tiers": [{"above_prompt_tokens": 200_000, "input": "2.5", "output": "15", "cached_input": "0.125"}],
    }
    said = lists(found.report)["not_mapped"]
    assert "picodollar" in said["model_list[5].model_info.output_cost_per_reasoning_token"]


def test_what_litellm_itself_does_not_know_was_never_effective() -> None:
    found = shape("13")
    never = lists(found.report)["never_effective"]
    assert "'api_base'" in never["model_list[0].litellm_params.api_bas"]
    assert "belongs in litellm_params" in never["model_list[0].rpm"]
    assert "model_info" in never["model_list[0].litellm_params.mode"]
    assert "Azure" in never["model_list[0].litellm_params.api_version"]
    assert "cannot tell the provider" in never["model_list[1].litellm_params.model"]
    assert "'litellm_settings'" in never["litellm_setings.drop_params"]
    assert "router_settings" in never["num_retries"]
    assert "general_settings" in never["router_settings.master_key"]
    assert "which wins" in never["general_settings.master_key (line 28)"]
    assert "general_settings.master_key" in lists(found.report)["not_mapped"]
    assert "model_list[4].litellm_params.api_key" in lists(found.report)["not_mapped"]
    assert [one["id"] for one in document(found)["models"]] == ["gpt-4o"]


@given(st.decimals(0, 1, allow_nan=False, allow_infinity=False, places=12))
@settings(max_examples=200, deadline=None)
def test_a_price_per_token_is_the_same_amount_per_million(price: Decimal) -> None:
    text = price_text(price)
    assert text is not None
    assert Decimal(text) == price * 1_000_000
    assert price_text(price + Decimal("0.0000000000001")) is None, "finer than a picodollar"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("os.environ/A_KEY", "A_KEY"), ("env/A_KEY", "A_KEY"), ("${A_KEY}", "A_KEY"), ("${A_KEY:-x}", "A_KEY"),
        ("${A_KEY-x}", "A_KEY"), ("$A_KEY", "A_KEY"), ("sk-1", None), ("os.environ/", None), ("os.environ/a b", None),
        ("${}", None),
    ],
)  # fmt: skip
def test_references_to_variables_are_recognized(text: str, name: str | None) -> None:
    assert variable(text) == name


# --- hostile files


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, levels)]
    return "\n".join(lines)


MERGES = "\n".join(
    ["m0: &m0 {a: 1}"] + [f"m{at}: &m{at}\n  <<: [*m{at - 1}, *m{at - 1}]\n  k{at}: 1" for at in range(1, 60)]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_list: !!python/object/apply:os.system ['true']", "tags are not read"),
        ("model_list: !!python/name:os.system", "tags are not read"),
        ("model_list: !include secrets.yaml", "tags are not read"),
        ("model_list: !!binary c2VjcmV0", "tags are not read"),
        ("model_list: !!set {a}", "tags are not read"),
        (bomb(9), "stands for more than"),
        (MERGES, "stands for more than"),
        ("a: &a [*a]", "own alias"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("a: " + "{b: " * 5_000 + "1" + "}" * 5_000, "nested too deeply"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("[1, 2]", "not a table"),
        ("", "is empty"),
        ("just text", "not a table"),
        ("? [a, b]\n: 1", "a key must be text"),
        ("a: *nowhere", "not valid YAML"),
        ("a: 'sk-secret-unclosed", "not valid YAML"),
        ("sk-secret-tab:\n\t- x", "not valid YAML"),
        ("a: " + "9" * 5_000, "too long"),
        ('a: "\\ud800"', "surrogate"),
        ("a: \x01", "characters that are not allowed"),
        ("<<: 1", "merges only tables"),
        ("a: " + "x" * (1024 * 1024), "is larger than"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_in_one_sentence_that_quotes_nothing(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        imported(text)
    assert words in raised.value.message
    assert "secret" not in raised.value.message
    assert len(raised.value.message) < 200
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    "evil", ['x"\n[server]\nmetrics = "public"', "x'''\n", "a\\", "😀 \u2028", "]]\n[[providers]]"]
)
def test_a_name_cannot_write_settings_of_its_own(evil: str) -> None:
    tree = {
        "model_list": [
            {"model_name": evil, "litellm_params": {"model": f"hosted_vllm/{evil}", "api_base": "http://gpu1:8000/v1"}},
            {"model_name": "x", "litellm_params": {"model": "openai/x", "api_base": f"http://gpu1:8000/{evil}"}},
            {"model_name": "y", "litellm_params": {"model": "openai/y", "api_key": evil, evil: evil}},
        ],
        "router_settings": {"model_group_alias": {evil: "y"}, "fallbacks": [{evil: ["y"]}], evil: evil},
    }
    found = imported(json.dumps(tree))
    assert set(document(found)) <= {"providers", "models", "routing"}
    checked(found.text)
    for kind in KINDS:
        for line in found.report.lines(kind):  # type: ignore[arg-type]
            assert "\n" not in line.setting + line.note
    assert [note for note in found.report.notes if "\n" in note] == []


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**16) | st.text(max_size=8) | st.sampled_from(["openai/gpt-4o", "os.environ/X", "http://a/v1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "model_list", "model_name", "litellm_params", "model", "api_key", "api_base", "model_info", "rpm", "weight",
            "litellm_settings", "router_settings", "general_settings", "fallbacks", "model_group_alias", "timeout",
            "credential_list", "credential_name", "credential_values", "callbacks", "mode", "max_parallel_requests",
        ]), inner, max_size=4),
    max_leaves=30,
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_whatever_the_types_are_nothing_is_lost_and_the_document_loads(tree: object) -> None:
    if not isinstance(tree, dict):
        tree = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "x": tree}}, tree]}
    found = imported(json.dumps(tree))
    in_lists = [line.setting for kind in KINDS for line in found.report.lines(kind)]  # type: ignore[arg-type]
    assert sorted(in_lists) == sorted(shown(path) for path, _ in leaves(tree))
    checked(found.text)


# --- the command


def test_the_document_is_a_new_file_and_never_goes_through_a_link(tmp_path: Path) -> None:
    file = str(SHAPES[0])
    done = run("import", "litellm", file, "-o", str(tmp_path / "a.toml"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Next: fairlead config plan" in done.stdout
    before = (tmp_path / "a.toml").read_text()
    again = run("import", "litellm", file, "-o", str(tmp_path / "a.toml"))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link.toml").symlink_to(victim)
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "made-by-link")
    for name in ("link.toml", "dangling.toml"):
        done = run("import", "litellm", file, "-o", str(tmp_path / name))
        assert done.returncode == 2
    assert victim.read_text() == "precious"
    assert not (tmp_path / "made-by-link").exists()
    assert (tmp_path / "a.toml").read_text() == before


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "named pipe"), ("", "is a directory"), ("nothing", "does not exist")):
        done = run("import", "litellm", str(tmp_path / name))
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_the_json_report_has_the_document_and_the_three_lists() -> None:
    done = run(
        "import", "litellm", str(SHAPES[2]), "--json", environment=environment_of(AZURE_API_BASE="https://a.example")
    )
    found = json.loads(done.stdout)
    assert set(found) == {"document", "mapped", "not_mapped", "never_effective", "notes", "variables"}
    assert 'base_url = "https://a.example"' in found["document"]
    assert tomllib.loads(found["document"])
