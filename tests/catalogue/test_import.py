"""Imports from other catalogues: found by exact ids, shown as a difference, applied once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.fork_server import run as fairlead

from fairlead.catalogue.files import read_model, resolve

MODELS_DEV = {
    "acme": {
        "models": {
            "m-1": {
                "id": "m-1", "name": "M One (latest)", "family": "m", "release_date": "2025-06-20",
                "last_updated": "2025-06-21", "knowledge": "2024-10", "reasoning": True, "tool_call": True,
                "open_weights": False, "limit": {"context": 1000, "output": 200},
                "modalities": {"input": ["text", "image", "pdf"], "output": ["text"]},
                "cost": {"input": 0.1, "output": 0.3, "cache_read": 0.01,
                         "tiers": [{"tier": {"size": 500}, "input": 0.2, "output": 0.6}]},
            },
            "m-1-mini": {
                "id": "m-1-mini", "name": "M One Mini", "limit": {"context": 100, "output": 200},
                "release_date": "2025-06-20", "knowledge": "2026-01",
                "modalities": {"input": ["text"], "output": ["text"]},
            },
        }
    }
}  # fmt: skip
OPENROUTER = {
    "data": [
        {
            "id": "acme/m-1", "name": "Acme: M One", "created": 1750443016, "context_length": 900,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"], "tokenizer": "Mistral"},
            "pricing": {"prompt": "0.000000075", "completion": "0.0000002"},
            "top_provider": {"max_completion_tokens": 100}, "supported_parameters": ["temperature", "tools"],
            "default_parameters": {"temperature": 0.3, "top_k": 5},
        }
    ]
}  # fmt: skip
VENDORS = '[acme]\nname = "Acme"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("dev.json", MODELS_DEV), ("or.json", OPENROUTER)):
        (tmp_path / name).write_text(json.dumps(content))
    own = tmp_path / "own"
    own.mkdir()
    (own / "vendors.toml").write_text(VENDORS)
    return own


def run(folder: Path, name: str, form: str, *more: str, code: int = 0) -> tuple[str, str]:
    done = fairlead(
        "catalogue", "import", str(folder.parent / name), "--format", form,
        "--into", str(folder), "--read", "2026-01-02", *more,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def add(folder: Path) -> Path:
    run(folder, "dev.json", "models.dev", "--add", "acme/m-1=acme/m-1", "--apply")
    return folder / "acme" / "m-1.toml"


def test_a_new_model_is_shown_first_and_written_when_told_so(folder: Path) -> None:
    shown, _ = run(folder, "dev.json", "models.dev", "--add", "acme/m-1=acme/m-1")
    assert "+context_length = 1000" in shown
    assert not (folder / "acme").exists()
    facts = resolve(read_model(add(folder).read_text(), "m-1.toml"))
    assert facts.text("name") == "M One"
    assert facts.words("input_modalities") == ("text", "file", "image")
    assert {"reasoning", "tools", "vision", "file_input", "prompt_caching"} == set(facts.capabilities)
    assert facts.get("capability.audio_input").value is False
    assert facts.prices[0].rates == {"input": "0.1", "output": "0.3", "cached_input": "0.01"}
    assert (facts.prices[0].long_above, facts.prices[0].long_rates["input"]) == (500, "0.2")
    assert facts.sources["models_dev"].edition == "2025-06-21"


def test_a_second_run_changes_nothing(folder: Path) -> None:
    file = add(folder)
    before = file.read_text()
    assert run(folder, "dev.json", "models.dev", "--apply")[0] == ""
    assert file.read_text() == before


def test_a_second_source_is_found_by_an_exact_alias_and_never_by_a_like_name(folder: Path) -> None:
    file = add(folder)
    assert run(folder, "or.json", "openrouter")[0] == ""
    file.write_text(file.read_text().replace("added = ", 'aliases = ["acme/m-1"]\nadded = '))
    shown, _ = run(folder, "or.json", "openrouter", "--apply")
    assert "+[sources.openrouter]" in shown
    assert "not taken over: a default of top_k" in shown
    facts = resolve(read_model(file.read_text(), "m-1.toml"))
    assert (facts.get("context_length").value, facts.get("context_length").others[0].value) == (1000, 900)
    assert facts.get("default.temperature").value == 0.3
    assert [price.rates["input"] for price in facts.prices] == ["0.1", "0.075"]
    assert run(folder, "or.json", "openrouter", "--apply")[0] == ""


def test_a_fact_that_changes_is_told_and_kept_in_the_history_and_what_was_written_by_hand_stays(folder: Path) -> None:
    file = add(folder)
    by_hand = '# A remark.\n[decisions]\nfamily = { use = "models_dev", why = "Because it is so." }\n'
    file.write_text(file.read_text().replace("added = 2", "added = 1") + "\n" + by_hand)
    changed = json.loads(json.dumps(MODELS_DEV))
    changed["acme"]["models"]["m-1"]["limit"]["context"] = 2000
    (folder.parent / "dev.json").write_text(json.dumps(changed))
    shown, _ = run(folder, "dev.json", "models.dev", "--apply")
    assert "-context_length = 1000" in shown
    assert "+context_length = 2000" in shown
    assert "# context_length: 1000 -> 2000 (source: models_dev)" in shown
    text = file.read_text()
    assert by_hand in text
    change = resolve(read_model(text, "m-1.toml")).history[0]
    assert (change.fact, change.before, change.after, change.source) == ("context_length", 1000, 2000, "models_dev")
    assert run(folder, "dev.json", "models.dev", "--apply")[0] == ""


def test_a_source_that_contradicts_itself_is_not_taken_over_and_says_so(folder: Path) -> None:
    shown, _ = run(folder, "dev.json", "models.dev", "--add", "acme/m-1-mini=acme/mini", "--apply")
    assert "max_output_tokens 200 is above its own context_length 100" in shown
    assert "knowledge_cutoff 2026-01 is after its own release" in shown
    facts = resolve(read_model((folder / "acme" / "mini.toml").read_text(), "mini.toml"))
    assert facts.get("context_length").value is None
    assert facts.get("knowledge_cutoff").value is None


def test_nothing_is_written_that_would_contradict_another_source(folder: Path) -> None:
    file = add(folder)
    card = '[sources.card]\ntitle = "Card"\nkind = "card"\nread = 2026-01-02\nmax_output_tokens = 5000\n'
    file.write_text(
        file.read_text()
        .replace("[sources.models_dev]", card + "\n[sources.models_dev]", 1)
        .replace("context_length = 1000\n", "")
    )
    before = file.read_text()
    _, error = run(folder, "dev.json", "models.dev", "--apply", code=1)
    assert (
        "contradiction: m-1: the output limit 5000 is above the context 1000. (sources: Card and models.dev (edition 2025-06-21))"
        in error
    )
    assert file.read_text() == before


def test_the_list_of_any_provider_is_read_with_what_engines_add(folder: Path) -> None:
    rows = [{"id": "m-1", "object": "model", "max_model_len": 32768}, {"id": "other", "meta": {"n_ctx_train": 4096}}]
    (folder.parent / "list.json").write_text(json.dumps({"object": "list", "data": rows}))
    add(folder)
    shown, _ = run(folder, "list.json", "models", "--as", "gpu_one", "--apply")
    assert "[sources.gpu_one]" in shown
    assert "context_length = 4096" in run(folder, "list.json", "models", "--as", "b", "--add", "other=acme/m-1")[0]
    facts = resolve(read_model((folder / "acme" / "m-1.toml").read_text(), "m-1.toml"))
    assert {claim.value for claim in facts.get("context_length").others} == {32768}


def test_what_is_not_in_the_format_is_one_sentence(folder: Path) -> None:
    assert "is not in the format openrouter" in run(folder, "dev.json", "openrouter", code=2)[1]


def test_five_thousand_models_are_compared(folder: Path) -> None:
    add(folder)
    one = MODELS_DEV["acme"]["models"]["m-1"]
    many = {f"p{at}": {"models": {f"m-{row}": {**one, "id": f"m-{row}"} for row in range(50)}} for at in range(100)}
    (folder.parent / "many.json").write_text(json.dumps({**many, **MODELS_DEV}))
    assert run(folder, "many.json", "models.dev")[0] == ""
