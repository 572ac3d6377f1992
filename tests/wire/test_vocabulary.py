"""One vocabulary: whoever names a capability or a parameter takes the word from the same table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from fairlead.catalogue import vocabulary as catalogue
from fairlead.errors import ConfigurationError
from fairlead.providers.dialects import DIALECTS
from fairlead.routing import needs
from fairlead.settings import load_settings
from fairlead.wire.chat import PARAMETERS
from fairlead.wire.vocabulary import CAPABILITIES, NEEDS, Need
from fairlead.wire.vocabulary import PARAMETERS as NAMES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_need_is_one_row_and_every_name_too() -> None:
    assert list(NEEDS) == list(get_args(Need))
    assert sorted(row.need for row in CAPABILITIES if row.need is not None) == sorted(NEEDS)
    assert len({row.name for row in CAPABILITIES}) == len(CAPABILITIES)
    assert all(row.title or row.need for row in CAPABILITIES), "a row that nobody uses"


def test_facts_of_a_model_are_the_rows_that_a_page_explains() -> None:
    assert {row.name for row in CAPABILITIES if row.title and row.meaning} == set(catalogue.CAPABILITIES)
    modalities = {word for row in CAPABILITIES for word in (row.takes, row.gives) if word}
    assert modalities <= set(catalogue.MODALITIES)
    assert {row.capability for row in catalogue.PARAMETERS.values() if row.capability} <= set(catalogue.CAPABILITIES)


def test_routing_has_a_bit_for_every_need_and_every_parameter() -> None:
    assert list(needs.CAPABILITY_BITS) == list(NEEDS)
    assert set(needs.PARAMETER_BITS) == NAMES == set(PARAMETERS)
    bits = [*needs.CAPABILITY_BITS.values(), needs.UNKNOWN_PARAMETER, *needs.PARAMETER_BITS.values()]
    assert len(set(bits)) == len(bits) == sum(bits).bit_count()
    assert {row.parameter for row in CAPABILITIES if row.parameter} <= NAMES
    assert needs.names_of(~needs.HARD & sum(needs.CAPABILITY_BITS.values())) == ["logprobs"]
    assert needs.names_of(needs.MAY_BE_EMULATED) == ["json_schema", "json_object", "n"]


def test_dialects_and_settings_use_the_words_of_needs(tmp_path: Path) -> None:
    for row in DIALECTS.values():
        assert row.incapable <= set(NEEDS), row.name
    text = (
        '[[providers]]\nid = "p"\nbase_url = "http://x"\n[[models]]\nid = "m"\n'
        '[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\nprice = "free"\nlacks = '
    )
    file = tmp_path / "fairlead.toml"
    file.write_text(f"{text}{list(NEEDS)}")
    assert load_settings(file).models[0].deployments[0].lacks == tuple(NEEDS)
    file.write_text(f'{text}["telepathy"]')
    with pytest.raises(ConfigurationError, match="telepathy"):
        load_settings(file)


def test_the_page_of_the_settings_lists_every_need() -> None:
    [row] = re.findall(r"^\| `lacks` \|.*$", (DOCS / "reference" / "settings.md").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r'"(\w+)"', row) == list(NEEDS)
