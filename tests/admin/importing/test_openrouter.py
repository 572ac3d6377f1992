"""OpenRouter's list of models and an export of what was spent there, as a configuration of ours."""

from __future__ import annotations

import json
import os
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.fork_server import run

from fairlead.admin.importing.document import checked
from fairlead.admin.importing.openrouter import Imported, import_openrouter
from fairlead.errors import ConfigurationError
from fairlead.money import Picodollars

DAY = date(2026, 11, 30)


def listed(id_: str, slug: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "canonical_slug": slug or id_, "name": f"X: {id_}", "created": 1_700_000_000, "context_length": 32_000,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.0000025", "completion": "0.00001"}, "top_provider": {}, "supported_parameters": [], **more,
    }  # fmt: skip


MODELS = [
    listed("openai/gpt-4o", "openai/gpt-4o-2024-05-13"),
    listed("openai/gpt-4o:free", "openai/gpt-4o-2024-05-13", pricing={"prompt": "0", "completion": "0"}),
    listed("a/thinker", pricing={"prompt": "0.000001", "completion": "0.000002", "internal_reasoning": "0.000003",
                                 "input_cache_read": "0.0000001", "request": "0.005", "web_search": "0.01", "odd": "1"}),
    listed("openrouter/auto", pricing={"prompt": "-1", "completion": "-1"}),
    listed("x y/z"),
]  # fmt: skip
HEAD = "created_at,model_permaslug,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,cost_total\n"


def imported(activity: str | None = None, *wanted: str, models: object = None) -> Imported:
    body = json.dumps({"data": MODELS} if models is None else models).encode()
    return import_openrouter(body, DAY, None if activity is None else activity.encode(), wanted, "models.json")


def ids(found: Imported) -> list[str]:
    return [one["id"] for one in tomllib.loads(found.text).get("models", [])]


def test_the_models_that_were_used_are_proposed_with_their_prices() -> None:
    found = imported(HEAD + "d,openai/gpt-4o-2024-05-13,100,10,0,0,0.00035\nd,gone/model,5,5,0,0,0.1\n", "a/thinker")
    assert ids(found) == ["openai/gpt-4o", "a/thinker"]
    document = tomllib.loads(found.text)
    assert document["providers"] == [{"id": "openrouter", "preset": "openrouter"}]
    [deployment] = document["models"][0]["deployments"]
    assert deployment == {
        "provider": "openrouter", "upstream_model": "openai/gpt-4o", "cost": {"input": "2.5", "output": "10"},
    }  # fmt: skip
    assert document["models"][1]["deployments"][0]["cost"] == {
        "input": "1", "output": "2", "cached_input": "0.1", "reasoning": "3", "request": "0.005",
    }  # fmt: skip
    not_mapped = {line.setting: line.note for line in found.report.lines("not_mapped")}
    assert "retired" in not_mapped["'gone/model'"]
    assert {"'a/thinker': 'odd'", "'a/thinker': 'web_search'"} <= set(not_mapped)
    assert found.variables == ["OPENROUTER_API_KEY"]


def test_without_a_choice_every_model_with_a_price_is_taken() -> None:
    found = imported()
    assert ids(found) == ["openai/gpt-4o", "openai/gpt-4o:free", "a/thinker"]
    not_mapped = {line.setting for line in found.report.lines("not_mapped")}
    assert {"'openrouter/auto'", "'x y/z'"} <= not_mapped
    assert set(ids(found)) <= set(checked(found.text).models)


def test_the_same_traffic_is_priced_to_the_last_picodollar() -> None:
    rows = (
        "d,a/thinker,1000,500,200,400,0.02\nd,a/thinker,1,0,0,0,0.00000001\nd,openai/gpt-4o-2024-05-13:free,7,7,,,0\n"
    )
    found = imported(HEAD + rows)
    thinker, free = found.compared
    assert (thinker.model, thinker.spent.requests) == ("a/thinker", 2)
    micro = 600 * 1 + 400 * 0.1 + 300 * 2 + 200 * 3 + 1  # of each token class, in millionths of a dollar
    assert thinker.ours == Picodollars(int(micro * 10**6) + 2 * 5 * 10**9)
    assert thinker.entry()["openrouter_usd"] == "0.02000001"
    assert (free.model, free.ours) == ("openai/gpt-4o:free", Picodollars(0))


def test_the_answer_of_the_activity_endpoint_is_read_too() -> None:
    rows = [{"date": "2026-11-01", "model": "openai/gpt-4o", "requests": 3, "prompt_tokens": 10, "completion_tokens": 2,
             "reasoning_tokens": 0, "usage": 0.1}] * 2  # fmt: skip
    [one] = imported(json.dumps({"data": rows})).compared
    assert (one.spent.requests, one.spent.prompt, str(one.spent.usage)) == (6, 20, "0.2")


@pytest.mark.parametrize(
    ("activity", "words"),
    [
        ("a,b\n1,2\n", "no column"), ("", "no column"), ("{", "not valid JSON"), ("[1]", "list of rows"),
        ('{"data": {}}', "list of rows"), ('[{"usage": 1}]', "names no model"), (HEAD + "d,m,1.5,0,0,0,0\n", "no whole number"),
        (HEAD + "d,m,-1,0,0,0,0\n", "number that is none"), (HEAD + "d,m,nan,0,0,0,0\n", "number that is none"),
        (HEAD + "d,m,1e99,0,0,0,0\n", "number that is none"), ('[{"model": "m", "usage": true}]', "number that is none"),
        ("[" * 100_000, "not valid JSON"),
    ],
)  # fmt: skip
def test_a_wrong_export_is_refused_in_one_sentence(activity: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        imported(activity)
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("models", [[], {"data": 1}, {"data": [{"id": 1}]}, "x", None])
def test_what_is_no_list_of_models_is_refused(models: object) -> None:
    with pytest.raises(ConfigurationError, match="no list of models"):
        import_openrouter(json.dumps(models).encode(), DAY, None, (), "models.json")


def test_names_cannot_write_settings(tmp_path: Path) -> None:
    evil = 'x"\n[server]\nmetrics = "public"'
    found = imported(json.dumps([{"model": evil}]), evil, models={"data": [listed(evil), *MODELS]})
    assert set(tomllib.loads(found.text)) <= {"providers", "models"}
    for line in found.report.lines("not_mapped"):
        assert "\n" not in line.setting + line.note


def test_the_command_compares_and_writes_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text(json.dumps({"data": MODELS}))
    (tmp_path / "activity.csv").write_text(
        HEAD + "d,openai/gpt-4o-2024-05-13,100,10,0,0,0.5\nd,gone/model,5,5,0,0,0.1\n"
    )
    command = ("import", "openrouter", str(tmp_path / "models.json"), "--activity", str(tmp_path / "activity.csv"))
    done = run(*command, "-o", str(tmp_path / "a.toml"))
    assert done.returncode == 0, done.stderr
    assert "'openai/gpt-4o': 0.5, 0.00035" in done.stdout
    assert "'gone/model': 0.1, not in it" in done.stdout
    assert tomllib.loads((tmp_path / "a.toml").read_text())
    assert run(*command, "-o", str(tmp_path / "a.toml")).returncode == 2
    found = json.loads(run(*command, "--json").stdout)
    assert found["compared"][0]["ours_usd"] == "0.00035"
    assert tomllib.loads(found["document"])
    assert run("import", "openrouter", str(tmp_path / "nothing")).returncode == 2
    os.mkfifo(tmp_path / "pipe")
    assert run("import", "openrouter", str(tmp_path / "pipe")).returncode == 2, "it is not waited for"
    assert run("import", "openrouter", "http://127.0.0.1:1/models").returncode == 2
