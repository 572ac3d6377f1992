"""`defaults` of a model: sent where a caller leaves the parameter out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compose.test_serving import run, running

from fairlead.errors import ConfigurationError
from fairlead.settings import parse_settings
from fairlead.testing import ScriptedUpstream

MODEL = """[[models]]
id = "m"
defaults = { temperature = 0.25, top_k = 40 }
[[models.deployments]]
provider = "p"
upstream_model = "x"
price = "free"
"""


def test_a_default_is_sent_and_the_callers_own_value_comes_first(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:

        async def test() -> None:
            provider = f'[[providers]]\nid = "p"\nbase_url = "{upstream.url}"\n'
            async with running(tmp_path, provider + MODEL) as it:
                caller = it.caller()
                assert (await caller.call("m")).status == 200
                assert (await caller.call("m", temperature=1)).status == 200

        run(test)
        first, second = upstream.requests
        assert (first.json["temperature"], first.json["top_k"]) == (0.25, 40)
        assert (second.json["temperature"], second.json["top_k"]) == (1, 40)


def test_only_numbers_of_sampling_are_defaults() -> None:
    for wrong in ("{ max_tokens = 5 }", '{ temperature = "hot" }'):
        with pytest.raises(ConfigurationError, match="line|:3"):
            parse_settings(MODEL.replace("{ temperature = 0.25, top_k = 40 }", wrong), "f.toml", {})
