"""The linter finds contradictions and names the sources of both sides, those of the reference page among them."""

from __future__ import annotations

import pytest

from fairlead.catalogue.facts import Vendor
from fairlead.catalogue.files import built_in, read_model, resolve
from fairlead.catalogue.lint import Problem, against_dialect, lint
from fairlead.providers.dialects import DIALECTS

VENDORS = {"mistralai": Vendor("mistralai", "Mistral AI")}
HEAD = 'id = "m"\nvendor = "mistralai"\nadded = 2026-01-02\n'
# What the reference page shows, and what the model's card says of the same.
CARD = 'released = "2025-06-20"\ncannot = ["reasoning"]'


def source(key: str, facts: str) -> str:
    return f'[sources.{key}]\ntitle = "the {key}"\nkind = "collection"\nread = 2026-01-02\n{facts}\n'


def problems(*texts: str) -> list[Problem]:
    return lint([resolve(read_model(text, "m.toml")) for text in texts], VENDORS)


@pytest.mark.parametrize(
    ("page", "card", "rule", "words"),
    [
        ("max_output_tokens = 131100", "context_length = 120000", "output_within_context", "131100 is above the context 120000"),
        ('can = ["reasoning"]', CARD, "capability_without_support", "'reasoning' is claimed by one source and denied"),
        ('input_modalities = ["image", "text"]', 'cannot = ["vision"]', "modalities_and_capabilities", "does not have the capability 'vision'"),
        ('parameters = ["reasoning"]', 'cannot = ["reasoning"]', "capability_without_support", "does not reason"),
        ("defaults = { temperature = 0.3 }", 'no_parameters = ["temperature"]', "defaults_and_ranges", "is not supported"),
        ('defaults = { temperature = 0.3 }\nparameters = ["temperature"]', "ranges = { temperature = [0.5, 1] }", "defaults_and_ranges", "outside its range 0.5 to 1"),
        ('knowledge_cutoff = "2025-07"', CARD, "days", "2025-07 is after the release 2025-06-20"),
        ('can = ["vision"]', 'input_modalities = ["text"]', "modalities_and_capabilities", "input_modalities lacks 'image'"),
        ('parameters = ["tools"]', 'cannot = ["tools"]', "parameters_fit_capabilities", "lacks the capability 'tools'"),
        ('can = ["parallel_tools"]', 'cannot = ["tools"]', "capability_without_support", "calls no functions"),
        ('retires = "2025-01-01"', CARD, "days", "before its release"),
    ],
)  # fmt: skip
def test_a_contradiction_names_both_sources(page: str, card: str, rule: str, words: str) -> None:
    found = [row for row in problems(HEAD + source("page", page) + source("card", card)) if words in row.sentence]
    assert [row.rule for row in found] == [rule]
    assert set(found[0].sources) == {"the page", "the card"}
    assert "the page" in str(found[0])
    assert "the card" in str(found[0])


# What the reference page says of mistral-small-3.2, each word a table of it: its badges and everything else. The badges
# have no vision.
PAGE = {
    "context_length": "context_length = 120000",
    "max_output_tokens": "max_output_tokens = 131100",
    "badges": 'can = ["reasoning", "tools", "structured_outputs", "prefill"]\ncannot = ["vision"]',
    "input_modalities": 'input_modalities = ["image", "text"]',
}


def beside_the_real_file(*words: str) -> list[Problem]:
    """What the linter says of the built-in file when the page is its first source."""
    text = (built_in() / "models/mistralai/mistral-small-3.2.toml").read_text("utf-8")
    page = source("page", "\n".join(PAGE[word] for word in words))
    # Decisions were made between the other sources: the page is to be believed here.
    head, _, rest = text.partition("[sources.card]")
    sources, _, decisions = rest.partition("[decisions]")
    kept = "".join(line + "\n" for line in decisions.splitlines() if not line.startswith(("context_", "max_output")))
    return lint([resolve(read_model(f"{head}{page}\n[sources.card]{sources}[decisions]\n{kept}", "m.toml"))], VENDORS)


@pytest.mark.parametrize(
    ("words", "rule", "sentence", "sources"),
    [
        (("context_length",), "output_within_context", "output limit 131072 is above the context 120000", ("config.json of the weights", "the page")),
        (("max_output_tokens",), "output_within_context", "output limit 131100 is above the context 131072", ("the page", "config.json of the weights")),
        (("context_length", "max_output_tokens"), "output_within_context", "131100 is above the context 120000", ("the page",)),
        (("badges",), "capability_without_support", "'reasoning' is claimed by one source and denied by another", ("the page", "mistral-common 1.13.1, its prompts of version 11 tried by us", "models.dev (edition 2026-06-30)")),
        (("badges",), "modalities_and_capabilities", "has 'image', but the model does not have the capability 'vision'", ("Model card of Mistral-Small-3.2-24B-Instruct-2506", "the page")),
        (("badges", "input_modalities"), "modalities_and_capabilities", "has 'image', but the model does not have the capability 'vision'", ("the page",)),
    ],
)  # fmt: skip
def test_each_contradiction_of_the_reference_page_is_named_with_its_sources(
    words: tuple[str, ...], rule: str, sentence: str, sources: tuple[str, ...]
) -> None:
    found = [row for row in beside_the_real_file(*words) if row.rule == rule and sentence in row.sentence]
    assert [row.sources for row in found] == [sources]
    assert all(title in str(found[0]) for title in sources)


def test_the_reference_page_is_refused_as_a_whole_and_without_it_the_file_is_sound() -> None:
    assert {row.rule for row in beside_the_real_file(*PAGE)} == {
        "output_within_context",
        "modalities_and_capabilities",
        "capability_without_support",
    }
    assert beside_the_real_file() == []


def test_a_prefill_badge_is_held_against_the_dialect_of_a_deployment() -> None:
    facts = resolve(read_model(HEAD + source("page", PAGE["badges"].split("\n")[0]), "m.toml"))
    (problem,) = against_dialect(facts, (), ("prefill",), DIALECTS["gemini"])
    assert (problem.rule, problem.sources) == ("capability_of_dialect", ("the page", "the dialect gemini"))
    assert list(against_dialect(facts, (), (), DIALECTS["gemini"])) == []
    assert list(against_dialect(facts, (), ("json_object",), DIALECTS["gemini"])) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ('input_modalities = ["image", "text"]', "is not said to have the capability 'vision'"),
        ('price = { input = "-1", output = "1" }', "negative"),
        ('price = { input = "1,5", output = "1" }', "'1,5'"),
        ('price = { inptu = "1" }', "no class"),
        ('can = ["telepathy"]', "no capability 'telepathy'"),
        ('parameters = ["temprature"]', "no parameter 'temprature'"),
        ('mode = "talk"', "mode is 'talk'"),
        ('input_modalities = ["smell"]', "no modality"),
        ('parameters = ["temperature"]\ndefaults = { temperature = 3 }', "outside its range 0 to 2"),
        ("ranges = { temperature = [2, 1] }", "begins above its end"),
    ],
)
def test_what_is_wrong_by_itself_is_found_too(facts: str, words: str) -> None:
    assert [
        row for row in problems(HEAD + source("page", facts)) if words in row.sentence and row.sources == ("the page",)
    ]


def test_a_vendor_that_is_not_known_and_an_alias_that_is_taken_are_refused() -> None:
    assert "no vendor 'nobody'" in str(problems(HEAD.replace("mistralai", "nobody") + source("a", ""))[0])
    other = HEAD.replace('id = "m"', 'id = "n"\naliases = ["m"]') + source("a", "")
    assert [(row.model, row.rule) for row in problems(HEAD + source("a", ""), other)] == [("n", "alias")]


def test_a_decision_settles_a_badge_that_one_source_denies() -> None:
    text = HEAD + source("page", 'can = ["reasoning"]') + source("card", CARD)
    assert problems(text)
    assert problems(text + '[decisions]\n"capability.reasoning" = { use = "card", why = "The card is right." }\n') == []


@pytest.mark.parametrize(
    "told",
    [
        "Of June 2025, with 24 billion parameters.",
        "It uses 22 of its 235 billion parameters in a context of 131,072 tokens.",
        "A model of 2025, after its name the M 3.2.",
        "It takes text and images.",
    ],
)
def test_a_description_may_tell_what_is_a_fact(told: str) -> None:
    facts = 'name = "M 3.2"\nreleased = "2025-06-20"\nsize = "24B"\ncontext_length = 131072\nfamily = "m-235B-A22B"'
    assert problems(HEAD + f'description = "{told}"\n' + source("card", facts)) == []


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ("Of July 2025.", "July 2025"),
        ("A model of 2024.", "2024"),
        ("With 24 million parameters.", "24 million"),
        ("With 2 billion parameters.", "2 billion"),
        ("A context of 131,000 tokens.", "131,000"),
        ("A context of about a million tokens.", "a million"),
        ("It has three million parameters.", "three million"),
        ("The one before M 3.3.", "3.3"),
    ],
)
def test_a_description_that_tells_a_number_without_a_source_is_refused(told: str, number: str) -> None:
    facts = 'name = "M 3.2"\nreleased = "2025-06-20"\nsize = "24B"\ncontext_length = 131072'
    (problem,) = problems(HEAD + f'description = "{told}"\n' + source("card", facts))
    assert (problem.rule, problem.sentence) == (
        "description",
        f"the description has the number {number!r}, which is not a fact of the model.",
    )
