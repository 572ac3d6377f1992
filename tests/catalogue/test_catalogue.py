"""The catalogue and the operator's settings make one snapshot, or a sentence that says what is wrong where."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.catalogue.load import build, known_models
from fairlead.catalogue.snapshot import Snapshot
from fairlead.catalogue.views import limits, parameter_rows, price_ranges
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Secrets, Settings, load_settings
from fairlead.wire.chat import PARAMETERS

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
    return build(load_settings(file, {}), DIALECTS, supports_prefill, Secrets({}))


def test_the_models_that_come_along_are_ready_for_calls() -> None:
    models = known_models(Settings()).models
    mistral = models["mistral-small-3.2"]
    assert mistral.context_length == 131_072
    assert {name: bytes(value) for name, value in mistral.defaults.items()} == {"temperature": b"0.3"}
    assert mistral.input_modalities == ("text", "image")
    assert mistral.path == "/models/mistralai/mistral-small-3.2"
    for model in models.values():
        assert model.demonstration == (model.id == "fairlead-demo")
        assert model.deployments == ()
        assert set(model.defaults) <= set(PARAMETERS)


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
        ("http://127.0.0.1:1/v1/", "ftp://x", 3, "not a valid URL"),
        ("http://127.0.0.1:1/v1/", "http://u:p@x/v1", 3, "must not contain a user"),
        ("http://127.0.0.1:1/v1/", "http://:p@x/v1", 3, "must not contain a user"),
        ("http://127.0.0.1:1/v1/", "http://x/v1?k=1", 3, "must not contain a user"),
        ('id = "a"', 'id = "a"\napi_key = { env = "NOT_SET" }', 3, "NOT_SET is not set"),
        ("http://127.0.0.1:1/v1/", "unix:x", 3, "begin with '/'"),
        ("http://127.0.0.1:1/v1/", "http://x:99999", 3, "not a valid URL"),
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
    with pytest.raises(ConfigurationError, match="markup takes a decimal string"):
        made(tmp_path, text.replace("1.25", "25%"))


def test_a_provider_or_a_deployment_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, '[[providers]]\nid = "a"\nbase_url = "http://x"\n' + GOOD)
    double = '[[models.deployments]]\nprovider = "a"\nupstream_model = "m"\nprice = "free"\n'
    with pytest.raises(ConfigurationError, match="twice"):
        made(tmp_path, GOOD.replace("[[models.deployments]]", double + "[[models.deployments]]"))


def test_the_key_of_a_provider_is_not_in_its_repr(tmp_path: Path) -> None:
    snapshot = made(tmp_path, GOOD.replace('id = "a"', 'id = "a"\napi_key = "sk-secret"'))
    assert [key.value for key in snapshot.providers["a"].keys] == ["sk-secret"]
    assert "sk-secret" not in repr(snapshot)


def test_what_the_operator_says_of_a_model_is_a_fact_with_the_operator_as_its_source(tmp_path: Path) -> None:
    text = GOOD.replace(
        'id = "mistral-small-3.2"', 'id = "mistral-small-3.2"\ncontext_length = 32768\nmax_output_tokens = 8192'
    )
    facts = made(tmp_path, text).models["mistral-small-3.2"].facts
    fact = facts.get("context_length")
    assert (fact.value, facts.sources[fact.source].kind) == (32_768, "operator")
    assert {claim.value for claim in fact.others} == {131_072, 128_000}
    assert facts.get("licence").value == "Apache-2.0"


def test_a_deployment_has_limits_of_its_own(tmp_path: Path) -> None:
    own = 'upstream_model = "m"\ncontext_length = 16384\nmax_output_tokens = 4096'
    model = made(tmp_path, GOOD.replace('upstream_model = "m"', own)).models["mistral-small-3.2"]
    assert limits(model, model.deployments[0]) == (16_384, 4_096)
    assert (model.context_length, model.max_output_tokens) == (131_072, 131_072)
    with pytest.raises(ConfigurationError, match=r"c\.toml:10: max_output_tokens is larger"):
        made(tmp_path, GOOD.replace('upstream_model = "m"', own.replace("16384", "1024")))


def test_the_view_of_all_deployments_tells_who_carries_a_parameter_and_the_range_of_prices(tmp_path: Path) -> None:
    second = (
        '[[models.deployments]]\nprovider = "a"\nupstream_model = "n"\nprice = { input = "0.05", output = "0.40" }\n'
    )
    model = made(tmp_path, GOOD.replace('[[models]]\nid = "org/new"', second + '[[models]]\nid = "org/new"')).models[
        "mistral-small-3.2"
    ]
    carries = {"a/m": None, "a/n": frozenset({"temperature"})}
    rows = {row.name: row for row in parameter_rows(model, lambda deployment: carries[deployment.id])}
    assert (rows["temperature"].where, rows["temperature"].by) == ("everywhere", ("a/m", "a/n"))
    assert (rows["min_p"].where, rows["min_p"].by) == ("somewhere", ("a/m",))
    assert (rows["temperature"].default.value, rows["temperature"].sent, rows["min_p"].sent) == (0.3, True, False)
    assert rows["temperature"].range.value == (0, 2)
    assert {row.name: (row.least, row.most) for row in price_ranges(model)}["output"] == (300_000, 400_000)


def test_an_operators_own_files_add_to_the_catalogue_and_stand_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    (folder / "ours.toml").write_text(
        'id = "ours"\nvendor = "us"\nadded = 2026-01-02\n[sources.us]\ntitle = "Us"\nkind = "vendor"\nread = 2026-01-02\n'
        "context_length = 4096\n"
    )
    with pytest.raises(ConfigurationError, match="no vendor 'us'"):
        made(tmp_path, '[catalogue]\ndirectory = "facts"\n')
    (folder / "vendors.toml").write_text('[us]\nname = "Us"\n')
    snapshot = made(tmp_path, '[catalogue]\ndirectory = "facts"\n')
    assert snapshot.models["ours"].context_length == 4096
    assert snapshot.vendors["us"].name == "Us"
    assert "mistral-small-3.2" in snapshot.models


def test_a_prefill_that_is_refused_over_the_dialect_is_refused_at_the_start_with_both_sources(tmp_path: Path) -> None:
    text = GOOD.replace('base_url = "http://127.0.0.1:1/v1/"', 'base_url = "http://127.0.0.1:1/v1"\ndialect = "gemini"')
    with pytest.raises(ConfigurationError) as refused:
        made(tmp_path, text)
    sentence = str(refused.value)
    assert "c.toml:7: " in sentence, "the line of its deployment"
    assert (
        "mistral-small-3.2: it has the capability 'prefill', which this deployment cannot have over the dialect 'gemini'"
        in sentence
    )
    assert 'set lacks = ["prefill"]' in sentence
    assert "(sources: mistral-common 1.13.1, its prompts of version 11 tried by us and the dialect gemini)" in sentence
    allowed = made(tmp_path, text.replace('upstream_model = "m"\n', 'upstream_model = "m"\nlacks = ["prefill"]\n'))
    assert allowed.models["mistral-small-3.2"].deployments[0].lacks == ("prefill",)
    for ours in (
        "supports_prefill = true",
        "supports_prefill = false",
    ):  # the operator has said so, whatever is known of others
        made(tmp_path, text.replace('upstream_model = "m"\n', f'upstream_model = "m"\n{ours}\n'))
    made(tmp_path, text.replace('upstream_model = "m"', 'upstream_model = "gemini-2.5-flash"'))


def test_a_parameter_that_the_dialect_cannot_carry_is_refused(tmp_path: Path) -> None:
    def with_parameters(dialect: str, names: str) -> Snapshot:
        provider = f'base_url = "http://127.0.0.1:1/v1"\ndialect = "{dialect}"'
        text = GOOD.replace('base_url = "http://127.0.0.1:1/v1/"', provider)
        return made(tmp_path, text.replace('upstream_model = "m"\n', f'upstream_model = "m"\nparameters = {names}\n'))

    for dialect, name in (("mistral", "logit_bias"), ("groq", "n"), ("openai", "min_p")):
        with pytest.raises(
            ConfigurationError, match=f"lists the parameter '{name}', which the dialect '{dialect}' does not support"
        ) as told:
            with_parameters(dialect, f'["temperature", "{name}"]')
        assert f"(sources: the configuration and the dialect {dialect})" in str(told.value)
    for dialect, names in (
        ("vllm", '["min_p", "of_its_own"]'),
        ("mistral", '["max_completion_tokens"]'),
        ("generic", '["x"]'),
    ):
        assert with_parameters(dialect, names).models["mistral-small-3.2"].deployments[0].parameters
