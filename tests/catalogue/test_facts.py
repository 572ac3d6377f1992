"""Every fact that is shown has a source and a day; sources that differ are kept, with the reason for the one believed."""

from __future__ import annotations

import tomllib

import pytest

from fairlead.catalogue.built import COMPILED, compile_built_in, load_catalogue
from fairlead.catalogue.files import built_in, read_model, resolve
from fairlead.catalogue.lint import lint
from fairlead.errors import ConfigurationError

HEAD = 'id = "m"\nvendor = "openai"\nadded = 2026-01-02\n'


def source(key: str, facts: str) -> str:
    return f'[sources.{key}]\ntitle = "{key}"\nkind = "collection"\nread = 2026-01-02\n{facts}\n'


def test_every_fact_that_comes_along_has_a_source_and_the_day_it_was_read() -> None:
    catalogue = load_catalogue()
    assert len(catalogue.models) >= 90
    for model in catalogue.models.values():
        assert model.vendor in catalogue.vendors
        assert model.text("name"), model.id
        for name, fact in model.facts.items():
            if fact.value is None:
                assert fact.why, (model.id, name)
                continue
            said = model.source_of(fact)
            assert said is not None, (model.id, name)
            assert len(said.read) == 10, (model.id, name)
            assert said.url or said.kind == "ours", (model.id, name)
            assert not fact.others or fact.why, (model.id, name)
        for price in model.prices:
            assert model.sources[price.source].read


def test_the_catalogue_that_comes_along_contradicts_itself_nowhere() -> None:
    catalogue = load_catalogue()
    assert [str(problem) for problem in lint(catalogue.models.values(), catalogue.vendors)] == []


def test_the_document_that_is_read_at_the_start_is_made_of_the_files() -> None:
    assert (built_in() / COMPILED).read_bytes() == compile_built_in(), "run: fairlead catalogue build"


def test_a_start_reads_one_document_and_none_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(tomllib, "loads", read.append)
    assert len(load_catalogue().models) > 50
    assert read == []


def test_mistral_small_is_complete_and_exact() -> None:
    model = load_catalogue().models["mistral-small-3.2"]
    shown = {
        "context_length": 131_072,
        "max_output_tokens": 131_072,
        "knowledge_cutoff": "2023-10-01",
        "released": "2025-06-20",
        "licence": "Apache-2.0",
        "size": "24B",
        "capability.vision": True,
        "capability.prefill": True,
        "capability.reasoning": False,
        "default.temperature": 0.3,
    }
    assert {name: model.get(name).value for name in shown} == shown
    assert "Tekken" in (model.text("tokenizer") or "")
    assert [claim.value for claim in model.get("default.temperature").others] == [0.15]
    assert model.sent == ("temperature",)
    assert len(model.parameters) == 15


def test_the_first_source_is_believed_and_the_other_one_is_kept() -> None:
    text = HEAD + source("a", "context_length = 10") + source("b", "context_length = 20")
    fact = resolve(read_model(text, "m.toml")).get("context_length")
    assert (fact.value, fact.source, [claim.value for claim in fact.others]) == (10, "a", [20])
    assert fact.why


def test_a_decision_names_another_source_or_nobody() -> None:
    text = HEAD + source("a", "context_length = 10") + source("b", "context_length = 20") + "[decisions]\n"
    used = resolve(read_model(text + 'context_length = { use = "b", why = "It was measured." }', "m.toml"))
    assert (used.get("context_length").value, used.get("context_length").why) == (20, "It was measured.")
    unknown = resolve(read_model(text + 'context_length = { use = "unknown", why = "Both are guesses." }', "m.toml"))
    fact = unknown.get("context_length")
    assert (fact.value, fact.source, len(fact.others)) == (None, "", 2)


def test_two_sources_that_name_the_same_words_in_another_order_agree() -> None:
    text = (
        HEAD + source("a", 'input_modalities = ["text", "image"]') + source("b", 'input_modalities = ["image", "text"]')
    )
    assert resolve(read_model(text, "m.toml")).get("input_modalities").others == ()


def test_a_file_that_has_not_the_form_is_refused_by_name() -> None:
    for text in ("id = ", HEAD, HEAD + source("a", "contxt = 1"), HEAD + source("a", 'released = "June"')):
        with pytest.raises(ConfigurationError, match="m.toml"):
            read_model(text, "m.toml")


def test_a_date_that_says_less_is_not_another_date() -> None:
    less = source("a", 'released = "2025-04"') + source("b", 'released = "2025-04-29"')
    assert resolve(read_model(HEAD + less, "m.toml")).get("released").others == ()
    other = source("a", 'released = "2025-04"') + source("b", 'released = "2025-05"')
    assert len(resolve(read_model(HEAD + other, "m.toml")).get("released").others) == 1


def test_a_source_is_named_with_the_edition_that_was_read() -> None:
    text = HEAD + source("a", "edition = 2025-12-24\ncontext_length = 10")
    said = resolve(read_model(text, "m.toml")).sources["a"]
    assert (said.title, said.read, said.edition) == ("a (edition 2025-12-24)", "2026-01-02", "2025-12-24")


def test_nearly_every_model_has_a_licence_and_each_open_one_says_where_its_weights_are() -> None:
    models = load_catalogue().models.values()
    assert sum(model.text("licence") is None for model in models) <= 5
    assert all(model.text("description") for model in models)
    # Its weights were announced; where they are is not in what was read.
    assert [
        model.id for model in models if model.get("open_weights").value is True and model.text("weights") is None
    ] == ["command-a-plus-05-2026"]
