"""What the playground reads of this server, asked in process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from tests.site.asking import Answer, ask, pages_of

from fairlead.catalogue.load import build
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import DeploymentSettings, ModelSettings, PriceSettings, ProviderSettings, Settings


def app(*models: ModelSettings) -> Starlette:
    mock = ProviderSettings(id="mock", base_url="http://127.0.0.1:9/v1", dialect="vllm")
    return pages_of(build(Settings(providers=(mock,), models=models), DIALECTS, supports_prefill))


def deployed(name: str, **more: Any) -> ModelSettings:
    price = more.pop("price", PriceSettings(input="0.10", output="0.30"))
    return ModelSettings(id=name, deployments=(DeploymentSettings("mock", name, price=price),), **more)


def asked(target: str, *models: ModelSettings) -> Answer:
    return asyncio.run(ask(app(*models), target))


def test_without_scripts_the_page_says_what_to_do_and_its_policy_allows_no_inline_script() -> None:
    answer = asked("/playground")
    assert answer.status == 200
    assert "needs a script" in answer.text
    assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert "microphone=()" in asked("/models").headers["permissions-policy"]


def test_only_models_that_can_be_chatted_with_are_listed_and_free_ones_are_marked() -> None:
    models = (deployed("paid"), deployed("gratis", price="free"), deployed("vectors", mode="embedding"))
    listed = json.loads(asked("/playground/models.json", *models).body)["models"]
    assert [(one["id"], one["free"]) for one in listed] == [("gratis", True), ("paid", False)]
    assert asked("/playground/models/vectors.json", *models).status == 404
    assert asked("/playground/models/nothing.json", *models).status == 404


def test_parameters_have_the_range_and_default_that_the_page_of_the_model_shows() -> None:
    facts = json.loads(asked("/playground/models/mistral-small-3.2.json", deployed("mistral-small-3.2")).body)
    assert facts["prices"] == {"input": "$0.10", "output": "$0.30"}
    rows = {row["name"]: row for row in facts["parameters"]}
    assert (rows["repetition_penalty"]["least"], rows["repetition_penalty"]["most"]) == (0, 2)
    assert rows["repetition_penalty"]["default"] == 1
    assert "reasoning_effort" not in rows, "it does not reason"
    assert "tools" not in rows, "tools have an editor of their own"


def test_a_model_of_which_nothing_is_known_shows_every_parameter() -> None:
    facts = json.loads(asked("/playground/models/own/model.json", deployed("own/model")).body)
    assert {"temperature", "min_p", "reasoning_effort", "logit_bias"} <= {row["name"] for row in facts["parameters"]}
