"""A document with, without and with a stopped engine: all else stays as it is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply, plan
from fairlead.admin.engines import with_engine, with_engine_enabled, without_engine
from fairlead.errors import ConfigurationError, Forbidden, InvalidRequest, NotFound
from fairlead.settings import EngineSettings, parse_settings
from fairlead.store import Store, open_store

BEFORE = """# kept
[[providers]]
id = "gpu1" # here, too
base_url = "https://8.8.8.8/v1"

[[engines]]
id = "first"
file = "first.gguf"
enabled = true

[limits]
requests_per_minute = 5
"""
GIVEN = EngineSettings(id="second", file='odd "name".gguf', model="org/second", mode="chat", context_length=4096)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "data")


def test_an_engine_is_added_stopped_started_and_removed_as_text() -> None:
    text = with_engine(BEFORE, GIVEN)
    assert text.startswith(BEFORE)
    assert parse_settings(text, "x").engines[1] == GIVEN
    stopped = with_engine_enabled(text, "second", enabled=False)
    assert [one.enabled for one in parse_settings(stopped, "x").engines] == [True, False]
    both = with_engine_enabled(stopped, "first", enabled=False)
    assert both.count("enabled = false") == 2
    assert with_engine_enabled(both, "first", enabled=True) == stopped
    gone = without_engine(without_engine(text, "first"), "second")
    assert "engines" not in tomllib.loads(gone)
    assert "# kept" in gone
    assert "[limits]" in gone
    assert with_engine("", GIVEN).startswith("[[engines]]")


def test_what_cannot_be_done_by_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="already"):
        with_engine(BEFORE, EngineSettings(id="first", file="x"))
    with pytest.raises(NotFound):
        without_engine(BEFORE, "third")
    with pytest.raises(InvalidRequest, match="cannot be changed from here"):
        without_engine('engines = [{ id = "inline", file = "x" }]', "inline")


def test_ids_are_unique_and_files_below_the_folders(store: Store) -> None:
    for engine, words in (("gpu1", "already"), ("engine-2", "command line")):
        with pytest.raises(ConfigurationError, match=words):
            parse_settings(with_engine(BEFORE, EngineSettings(id=engine, file="x")), "x")
    with pytest.raises(ConfigurationError, match=r"document:\d+: .*not below a folder of models"):
        plan(store, with_engine("", EngineSettings(id="a", file="/etc/passwd")), "document")
    by = Submission(Actor("person", "usr_0123456789ab"), "ann", on_server=False)
    with pytest.raises(Forbidden, match="model_folders"):
        apply(store, '[configuration]\nmodel_folders = ["/etc"]\n', "document", by)
    with pytest.raises(ConfigurationError, match="absolute"):
        parse_settings('[configuration]\nmodel_folders = ["models"]\n', "document")


def test_a_plan_words_engines_and_warns_of_files_that_are_not_here(store: Store) -> None:
    kinds = [(one.kind, one.effect) for one in plan(store, with_engine("", GIVEN), "document").changes]
    assert kinds == [("engine.added", "now"), ("engine.file_missing", "warning")]
    text = with_engine("", GIVEN)
    apply(store, text, "document", Submission(Actor("command line", "ann")))
    [stopped, _] = plan(store, with_engine_enabled(text, "second", enabled=False), "document").changes
    assert "ended; it stays" in stopped.words
    [removed] = plan(store, "[limits]\n", "document").changes
    assert removed.kind == "engine.removed"
