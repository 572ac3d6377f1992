"""The pictures of the internals are those that the tool draws, and the map has the layers that the imports are held to."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from tests.house.test_imports import LAYERS

ROOT = Path(__file__).parents[2]
NOT_DRAWN = {"__main__"}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["house", "call"])
def test_a_picture_is_as_the_tool_draws_it_and_says_in_words_what_it_shows(tool: ModuleType, name: str) -> None:
    text = (ROOT / "docs" / "internals" / f"{name}.svg").read_text("utf-8")
    assert text == getattr(tool, name)(), "run tools/pictures.py"
    drawn = ET.fromstring(text)
    described = {one.tag.rpartition("}")[2]: one.text or "" for one in drawn}
    assert described["title"]
    assert len(described["desc"]) > 200
    assert "prefers-color-scheme:dark" in text


def test_the_map_has_every_part_once_and_none_above_a_part_that_imports_it(tool: ModuleType) -> None:
    rows = [parts.split() for parts, _ in tool.HOUSE]
    drawn = [part for row in rows for part in row]
    assert sorted(drawn) == sorted(set().union(*LAYERS) - NOT_DRAWN)
    row_of = {part: at for at, row in enumerate(rows) for part in row}
    depths = [{row_of[part] for part in layer - NOT_DRAWN} for layer in LAYERS]
    for above, below in pairwise(depths):
        assert not above or not below or max(above) <= min(below)
