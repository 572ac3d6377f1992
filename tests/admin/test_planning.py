"""What a plan says of two configurations: in words an operator would use, and never with a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead.admin import configuration
from fairlead.admin.configuration import change_entry, described
from fairlead.admin.planning import LIVE_SECTIONS, MODEL_FIELDS, Change, Known, changes
from fairlead.catalogue.load import Known as Catalogue
from fairlead.catalogue.load import known_models
from fairlead.errors import ConfigurationError
from fairlead.settings import File, ModelSettings, Settings
from fairlead.settings.restart import SECTIONS

PROVIDERS = """
[[providers]]
id = "gpu1"
base_url = "http://gpu1:8000/v1"
dialect = "vllm"

[[providers]]
id = "gpu2"
base_url = "http://gpu2:8000/v1"
dialect = "vllm"
"""


def deployment(provider: str, output: str = "0.30", more: str = "") -> str:
    return (
        f'[[models.deployments]]\nprovider = "{provider}"\nupstream_model = "x"\n'
        f'price = {{ input = "0.10", output = "{output}" }}\n{more}'
    )


def model(name: str = "mistral-small-3.2", *deployments: str, more: str = "") -> str:
    return f'[[models]]\nid = "{name}"\n{more}' + "".join(deployments)


BASE = PROVIDERS + model("mistral-small-3.2", deployment("gpu1"), deployment("gpu2"))


def planned(before: str, after: str, known: Known | None = None) -> list[Change]:
    first, second = (described(text, "fairlead.toml")[0] for text in (before, after))
    return changes(first, second, known or Known())


def words(before: str, after: str, known: Known | None = None) -> list[str]:
    return [one.words for one in planned(before, after, known)]


def test_documents_that_are_compared_read_each_catalogue_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def known(settings: Settings) -> Catalogue:
        asked.append(settings.catalogue.directory)
        return known_models(settings)

    monkeypatch.setattr(configuration, "known_models", known)
    own = f'[catalogue]\ndirectory = "{tmp_path}"\n'
    (tmp_path / "ours.toml").write_text(
        'id = "ours"\nvendor = "mistralai"\nadded = 2026-01-02\n'
        '[sources.us]\ntitle = "Us"\nkind = "vendor"\nread = 2026-01-02\n'
        "context_length = 4096\n"
    )
    read: configuration.Catalogues = {}
    models = [described(text, "fairlead.toml", read)[0].snapshot.models for text in (BASE, own, own + BASE, "")]
    assert asked == [None, str(tmp_path)]
    assert ["ours" in one for one in models] == [False, True, True, False]
    assert [len(one["mistral-small-3.2"].deployments) for one in models] == [2, 0, 2, 0]


def test_budgets_that_go_on_with_a_model_that_goes_away_are_a_warning() -> None:
    known = Known(continued={"mistral-small-3.2": {"key": 2, "account": 1}})
    [change] = [one for one in planned(BASE, PROVIDERS, known) if one.kind == "budgets.model_removed"]
    assert change.effect == "warning"
    assert change.words == (
        "budgets of 2 keys and 1 account go on with model mistral-small-3.2 when they are used up; it goes away, and "
        "calls are refused then"
    )


def test_nothing_changes_where_only_the_text_differs() -> None:
    assert words(BASE, "# another comment\n" + BASE.replace("\n\n", "\n")) == []


def test_a_provider_that_goes_away_is_drained_with_its_calls_counted() -> None:
    after = BASE.replace(BASE[BASE.index('[[providers]]\nid = "gpu2"') : BASE.index("[[models]]")], "").replace(
        deployment("gpu2"), ""
    )
    known = Known(in_flight={"gpu1/x": 5, "gpu2/x": 37})
    assert words(BASE, after, known) == ["gpu2 is drained: 37 calls are under way, which end as they began"]
    assert words(after, BASE) == [
        "provider gpu2 is added (http://gpu2:8000/v1, vllm)",
        "deployment gpu2/x is added to model mistral-small-3.2 (input 0.10, output 0.30)",
    ]


def test_a_price_changes_from_now_on() -> None:
    after = PROVIDERS + model("mistral-small-3.2", deployment("gpu1", "0.25"), deployment("gpu2", "0.25"))
    assert words(BASE, after) == ["price of mistral-small-3.2 output 0.30 -> 0.25 from now on"]
    only_one = PROVIDERS + model("mistral-small-3.2", deployment("gpu1"), deployment("gpu2", "0.25"))
    assert words(BASE, only_one) == ["price of mistral-small-3.2 at gpu2/x output 0.30 -> 0.25 from now on"]
    (change,) = planned(BASE, only_one)
    assert (change.kind, change.effect, change.before, change.after) == ("price.changed", "now", "0.30", "0.25")


def test_a_price_per_request_tiers_and_a_cost_are_named() -> None:
    before = PROVIDERS + '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "gpu1"\nupstream_model = "x"\n'
    one = 'price = { input = "1", output = "2", request = "0.01" }\n'
    two = 'price = { input = "1", output = "2", tiers = [{ above_prompt_tokens = 9, input = "3", output = "4" }] }\n'
    assert words(before + one, before + two + 'cost = "free"\n') == [
        "price of m request 0.01 -> 0.00 from now on",
        "price of m tiers none -> above 9: input 3.00, output 4.00 from now on",
        "cost of m unknown -> known from now on",
    ]


def test_keys_that_name_a_model_which_goes_away_are_counted() -> None:
    before = BASE + model("other", deployment("gpu1").replace('"x"', '"y"'))
    known = Known(in_flight={"gpu1/y": 1}, named={"other": {"key": 2}})
    found = planned(before, BASE, known)
    assert [one.words for one in found] == [
        "model other goes away: further calls of it are refused with 404; 1 call is under way, which end as they began",
        "2 keys name model other, which goes away",
    ]
    assert [one.effect for one in found] == ["now", "warning"]
    for counts, said in (
        ({"key": 1}, "1 key names model other, which goes away"),
        ({"key": 2, "project": 1}, "2 keys and 1 project name model other, which goes away"),
        (
            {"project": 2, "member": 1, "account": 1},
            "2 projects, 1 member and 1 account name model other, which goes away",
        ),
    ):
        assert words(before, BASE, Known(named={"other": counts}))[1] == said


def test_limits_routing_and_deployments_are_compared_setting_by_setting() -> None:
    after = (
        PROVIDERS
        + "[limits]\nrequests_per_minute = 60\n[limits.free]\nrequests_per_day = 5\n"
        + '[routing]\nstrategy = "price"\n'
        + model(
            "mistral-small-3.2",
            deployment("gpu1", more="weight = 2\n"),
            deployment("gpu2"),
            more="context_length = 9\n",
        )
    )
    assert words(BASE, after)[0].startswith("context_length of model mistral-small-3.2: ")
    assert [one for one in words(BASE, after) if "mistral" not in one] == [
        "limits: requests_per_minute none -> 60",
        "limits.free: requests_per_day none -> 5",
        "[routing] strategy: balanced -> price",
    ]
    assert "weight of deployment gpu1/x of model mistral-small-3.2: 1 -> 2" in words(BASE, after)


def test_every_setting_of_a_model_is_compared() -> None:
    """Deployments, prices and limits have sentences of their own; providers and sections are compared as a whole."""
    elsewhere = {"id", "deployments", "markup", "limits"}
    assert set(ModelSettings.__struct_fields__) == set(MODEL_FIELDS) | elsewhere
    assert set(File.__struct_fields__) == {*LIVE_SECTIONS, *SECTIONS, "limits", "providers", "models", "engines"}
    with_defaults = BASE.replace('id = "mistral-small-3.2"\n', 'id = "mistral-small-3.2"\ndefaults = { top_k = 7 }\n')
    (change,) = planned(BASE, with_defaults)
    assert change.words.startswith("defaults of model mistral-small-3.2: ")
    assert change.after["top_k"] == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nmax_body_bytes = 2048\n", "[server] max_body_bytes: 33554432 -> 2048: needs a restart"),
        ('[ledger]\ndurability = "power"\n', "[ledger] durability: process -> power: needs a restart"),
        ("[routing]\nfetch_media = true\n", "[routing] fetch_media: false -> true: needs a restart"),
        ('[configuration]\nstore = "database"\n', "[configuration] store: file -> database: needs a restart"),
    ],
)
def test_what_a_process_is_made_of_needs_a_restart(text: str, said: str) -> None:
    (change,) = planned(BASE, text + BASE)
    assert (change.words, change.effect) == (said, "restart")


SECRET = "sk-live-0123456789abcdef"
WITH_SECRETS = """
[database]
url = "postgresql://fairlead:{0}@db/fairlead"
[telemetry]
otlp_headers = {{ x-token = "{0}" }}
[[providers]]
id = "aws"
base_url = "https://bedrock.example"
dialect = "bedrock"
region = "eu-central-1"
access_key_id = "{0}"
secret_access_key = "{0}"
session_token = "{0}"
[[providers]]
id = "p"
base_url = "http://p/v1"
api_key = "{0}"
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("", SECRET), (SECRET, ""), (SECRET, SECRET.replace("0", "z")), (SECRET, '" # ' + "other-secret-value-2")],
)
def test_a_plan_has_no_secret_in_it_and_still_says_that_one_changes(before: str, after: str) -> None:
    texts = [WITH_SECRETS.format(one) if one and '"' not in one else "" for one in (before, after)]
    found = planned(texts[0], texts[1])
    shown = json.dumps([change_entry(one) for one in found])
    assert found
    assert not [secret for secret in (before, after) if secret and secret in shown]
    if all(texts):
        assert "api_key of provider p: another secret value" in [one.words for one in found]
        assert "[database] url: another secret value: needs a restart" in [one.words for one in found]


def test_alerts_are_compared_without_the_address_of_a_webhook() -> None:
    hook = '[alerts]\nwebhook = { url = "https://hook.example/T0KEN", secret = { env = "HOOK" } }\n'
    mail = '[alerts]\nemail = { to = ["a@b.example"], smtp = { host = "m.example", username = "u", password = { env = "P" } } }\n'
    assert words(BASE, hook + BASE) == ["[alerts] webhook: none -> (hidden)"]
    assert words(hook + BASE, hook.replace("T0KEN", "0THER") + BASE) == ["[alerts] webhook: another secret value"]
    (change,) = planned(BASE, mail + BASE)
    assert change.after == {
        "to": ["a@b.example"],
        "smtp": {"host": "m.example", "username": "u", "password": {"env": "P"}},
    }
    assert change.words == "[alerts] email: none -> to: a@b.example, smtp: host: m.example, username: u, password: $P"


def test_a_variable_in_place_of_a_secret_is_named() -> None:
    literal = WITH_SECRETS.format(SECRET)
    named = literal.replace(f'api_key = "{SECRET}"', 'api_key = { env = "P_KEY" }')
    assert words(literal, named) == ["api_key of provider p: (hidden) -> $P_KEY"]


def test_a_variable_that_is_not_set_here_is_no_mistake_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    text = '[[providers]]\nid = "g"\npreset = "groq"\n[[providers]]\nid = "h"\nbase_url = "http://h/v1"\n'
    text += 'api_key = { env = "NOT_SET_HERE" }\n'
    assert described(text, "fairlead.toml")[1] == ("GROQ_API_KEY", "NOT_SET_HERE")


def test_a_mistake_has_its_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^fairlead.toml:14: there is no provider 'gpu3'"):
        described(BASE.replace('provider = "gpu1"', 'provider = "gpu3"'), "fairlead.toml")
