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
    assert deployment.price is not None
    assert deployment.price.output.per_million() == "0.30"
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


def test_a_provider_or_a_deployment_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, '[[providers]]\nid = "a"\nbase_url = "http://x"\n' + GOOD)
    double = '[[models.deployments]]\nprovider = "a"\nupstream_model = "m"\n'
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, GOOD.replace("[[models.deployments]]", double + "[[models.deployments]]"))


def test_the_key_of_a_provider_is_not_in_its_repr(tmp_path: Path) -> None:
    snapshot = made(tmp_path, GOOD.replace('id = "a"', 'id = "a"\napi_key = "sk-secret"'))
    assert snapshot.providers["a"].api_key == "sk-secret"
    assert "sk-secret" not in repr(snapshot)
