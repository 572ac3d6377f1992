"""Similar models are near in what they take, can, hold and cost, and the reason is said."""

from __future__ import annotations

from fairlead.catalogue.built import load_catalogue
from fairlead.catalogue.facts import ModelFacts
from fairlead.catalogue.files import read_model, resolve
from fairlead.catalogue.similar import distance, reasons, similar


def model(name: str, **facts: object) -> ModelFacts:
    lines = {"family": '"f"', "context_length": 1000, "input_modalities": '["text"]', "output_modalities": '["text"]'}
    lines |= {"price": '{ input = "1", output = "1" }', "can": '["tools"]', **facts}
    text = f'id = "{name}"\nvendor = "v"\nadded = 2026-01-02\n[sources.a]\ntitle = "A"\nkind = "vendor"\nread = 2026-01-02\n'
    return resolve(read_model(text + "\n".join(f"{key} = {value}" for key, value in lines.items()), name))


def test_a_model_is_at_no_distance_from_its_twin_and_the_distance_is_the_same_both_ways() -> None:
    one, twin = model("one"), model("twin")
    far = model("far", family='"g"', context_length=1_000_000, input_modalities='["text", "image"]')
    assert distance(one, twin) == 0
    assert distance(one, far) == distance(far, one) > 0.2
    assert [row.model.id for row in similar(one, [far, twin, one])] == ["twin", "far"]


def test_the_reasons_are_words() -> None:
    one = model("one")
    other = model(
        "other", context_length=4000, input_modalities='["text", "image"]', price='{ input = "0.5", output = "0.5" }',
        can='["tools", "vision", "reasoning"]',
    )  # fmt: skip
    assert tuple(map(str, reasons(one, other))) == (
        "same family", "half the price", "also takes images", "reasons before it answers", "4 times the context",
    )  # fmt: skip
    back = tuple(map(str, reasons(other, one)))
    assert "2 times the price" in back
    assert "takes no images" in back
    assert "a shorter context" in back


def test_neighbours_of_mistral_small_are_small_models_that_take_images_and_not_the_next_in_the_alphabet() -> None:
    models = load_catalogue().models
    found = similar(models["mistral-small-3.2"], models.values())
    assert len(found) == 6
    assert "mistral-small-3.1" in {row.model.id for row in found}
    assert all(row.reasons for row in found)
    assert [row.distance for row in found] == sorted(row.distance for row in found)
    assert all(row.model.id != "fairlead-demo" for row in found)
