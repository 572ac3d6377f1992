"""The catalogue and the operator's settings make one snapshot, or a sentence that says what is wrong where."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from fairlead.catalogue.load import build, catalogue_models
from fairlead.catalogue.snapshot import Snapshot
from fairlead.errors import ConfigurationError
from fairlead.settings import load_settings
from fairlead.wire.chat import PARAMETERS

ROOT = Path(__file__).parents[2]
DIALECTS = frozenset({"generic", "vllm"})
GOOD = """\
[[providers]]
id = "a"
base_url = "http://127.0.0.1:1/v1/"
[[models]]
id = "mistral-small-3.2"
[[models.deployments]]
provider = "a"
upstream_model = "m"
price = { input = "0.10", output = "0.30" }
[[models]]
id = "org/new"
context_length = 100
"""


def made(tmp_path: Path, text: str) -> Snapshot:
    file = tmp_path / "c.toml"
    file.write_text(text)
    return build(load_settings(file, {}), DIALECTS, {})


def test_the_models_that_come_along_have_facts_with_a_source() -> None:
    models = catalogue_models()
    assert set(models) == {"mistral-small-3.2", "fairlead-demo"}
    mistral = models["mistral-small-3.2"]
    assert mistral.context_length == 131_072
    assert bytes(mistral.defaults["temperature"]) == b"0.3"
    assert "image" in mistral.input_modalities
    for model in models.values():
        assert set(model.parameters) <= set(PARAMETERS)
        assert model.demonstration == (model.id == "fairlead-demo")
        assert model.deployments == ()
    for entry in (files("fairlead.catalogue") / "models").iterdir():
        source = tomllib.loads(entry.read_text("utf-8"))["facts"]["source"]
        assert source.startswith("https://") or (ROOT / source).is_file(), entry.name


def test_deployments_prices_and_new_models_arrive(tmp_path: Path) -> None:
    snapshot = made(tmp_path, GOOD)
    deployment = snapshot.models["mistral-small-3.2"].deployments[0]
    assert deployment.id == "a/m"
    assert deployment.sheet.price.rates.output == 300_000
    assert deployment.sheet.cost is None
    assert snapshot.providers["a"].base_url == "http://127.0.0.1:1/v1"
    assert snapshot.models["org/new"].context_length == 100
    assert "fairlead-demo" in snapshot.models


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('provider = "a"', 'provider = "b"', 7, "no provider 'b'"),
        ('id = "a"', 'id = "a"\ndialect = "vlm"', 3, "'vllm'"),
        ("http://127.0.0.1:1/v1/", "ftp://x", 3, "no address"),
        ("http://127.0.0.1:1/v1/", "http://u:p@x/v1", 3, "takes no user"),
        ("http://127.0.0.1:1/v1/", "http://:p@x/v1", 3, "takes no user"),
        ("http://127.0.0.1:1/v1/", "http://x/v1?k=1", 3, "takes no user"),
        ('id = "a"', 'id = "a"\napi_key = { env = "NOT_SET" }', 3, "NOT_SET is not set"),
        ("http://127.0.0.1:1/v1/", "unix:x", 3, "begin with '/'"),
        ("http://127.0.0.1:1/v1/", "http://x:99999", 3, "no address"),
        ('"0.10"', '"0,10"', 9, "decimal string"),
        ('"0.10"', '"0.00000001"', 9, "6 decimals"),
        ('price = { input = "0.10", output = "0.30" }\n', "", 6, "has no price"),
        ('price = { input = "0.10", output = "0.30" }', 'price = "fre"', 9, "price"),
        ('price = { input = "0.10"', 'price = { inptu = "0.10"', 9, "'input'"),
        ("price = {", 'cost = "free"\nprice = { tiers = [{ above_prompt_tokens = 1, input = "1" }],', 10, "missing"),
        (
            '"0.30" }',
            '"0.30", tiers = [%s, %s] }' % (("{ above_prompt_tokens = 9, input = '1', output = '1' }",) * 2),
            9,
            "same",
        ),
        ('id = "org/new"', 'id = "mistral-small-3.2"', 11, "twice"),
        ("context_length = 100", "context_length = 100\nmax_output_tokens = 200", 10, "larger than"),
    ],
)
def test_what_does_not_fit_together_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        made(tmp_path, GOOD.replace(old, new))
    assert f"c.toml:{line}: " in caught.value.message
    assert words in caught.value.message


def test_a_price_is_the_cost_times_the_markup_when_it_is_not_given(tmp_path: Path) -> None:
    cost = 'cost = { input = "0.10", output = "0.30", cached_input = "0.02", request = "0.001" }'
    text = GOOD.replace('price = { input = "0.10", output = "0.30" }', cost).replace(
        'id = "mistral-small-3.2"', 'id = "mistral-small-3.2"\nmarkup = "1.25"'
    )
    sheet = made(tmp_path, text).models["mistral-small-3.2"].deployments[0].sheet
    assert sheet.cost is not None
    assert (sheet.cost.rates.input, sheet.price.rates.input) == (100_000, 125_000)
    assert (sheet.price.rates.cached_input, sheet.price.rates.reasoning) == (25_000, 375_000)
    assert sheet.price.rates.request == 1_250_000_000
    with pytest.raises(ConfigurationError, match="markup is a decimal string"):
        made(tmp_path, text.replace("1.25", "25%"))


def test_a_provider_or_a_deployment_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, '[[providers]]\nid = "a"\nbase_url = "http://x"\n' + GOOD)
    double = '[[models.deployments]]\nprovider = "a"\nupstream_model = "m"\nprice = "free"\n'
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, GOOD.replace("[[models.deployments]]", double + "[[models.deployments]]"))


def test_the_key_of_a_provider_is_not_in_its_repr(tmp_path: Path) -> None:
    snapshot = made(tmp_path, GOOD.replace('id = "a"', 'id = "a"\napi_key = "sk-secret"'))
    assert snapshot.providers["a"].api_key == "sk-secret"
    assert "sk-secret" not in repr(snapshot)
