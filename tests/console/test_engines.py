"""Engines in the console: a file below the folders of models becomes a version of the configuration, and never another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.kit import Browser, Kit
from tests.console.test_first_steps import hidden_fields
from tests.console.test_operating import Live, ok

from fairlead.admin.configuration import current, history
from fairlead.engines.spec import DEMO_GGUF
from fairlead.settings import parse_settings

NEW = "/admin/start/gguf"
FIELDS = {"file": "tiny.gguf", "model": "org/tiny", "mode": "chat", "context": "1,024", "slots": "2", "vision": ""}


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", live=Live())
    (tmp_path / "data" / "models").mkdir()
    shutil.copyfile(DEMO_GGUF, tmp_path / "data" / "models" / "tiny.gguf")
    yield made
    made.close()


@pytest.fixture
def operator(kit: Kit) -> Browser:
    return kit.as_operator()


def test_a_file_is_chosen_planned_applied_stopped_and_removed_with_undo(kit: Kit, operator: Browser) -> None:
    assert "tiny.gguf" in ok(operator.get(NEW))
    page = ok(operator.get(f"{NEW}?file=tiny.gguf"))
    assert 'value="2048"' in page, "the model's own context"
    page = ok(operator.post(NEW, FIELDS))
    assert "engine org-tiny is started: model org/tiny from tiny.gguf" in page
    assert "is free" in page or "of the accelerator" in page
    sent = hidden_fields(page, f"{NEW}/apply")
    assert operator.post(f"{NEW}/apply", {**sent, "slots": "9"}).status == 400, "what was seen, or nothing"
    assert operator.post(f"{NEW}/apply", sent).location == "/admin/engines"
    [engine] = parse_settings(current(kit.store).text, "x").engines
    assert (engine.id, engine.model, engine.context_length, engine.slots) == ("org-tiny", "org/tiny", 1024, 2)
    assert operator.post(NEW, FIELDS).status == 422, "it is there already"

    page = ok(operator.follow(operator.post("/admin/engines/stop", {"engine": "org-tiny"})))
    assert not parse_settings(current(kit.store).text, "x").engines[0].enabled
    operator.post("/admin/engines/start", hidden_fields(page, "/admin/engines/start"))
    assert parse_settings(current(kit.store).text, "x").engines[0].enabled
    page = ok(operator.follow(operator.post("/admin/engines/remove", {"engine": "org-tiny"})))
    assert not parse_settings(current(kit.store).text, "x").engines
    ok(
        operator.follow(
            operator.post("/admin/configuration/rollback", hidden_fields(page, "/admin/configuration/rollback"))
        )
    )
    assert parse_settings(current(kit.store).text, "x").engines
    assert history(kit.store)[0].comment == "engine org-tiny again"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("file", "/etc/passwd", "not below a folder of models"),
        ("file", "../fairlead.db", "not below a folder of models"),
        ("file", "missing.gguf", "does not exist"),
        ("context", "many", "whole number"),
        ("context", "1000000", "must be from 256"),
        ("slots", "65", "whole number"),
        ("mode", "<b>", "Choose what"),
        ("model", "<script>alert(1)</script>", "letters, digits"),
    ],
)
def test_anything_else_is_refused_beside_its_field(
    kit: Kit, operator: Browser, field: str, value: str, says: str
) -> None:
    answer = operator.post(NEW, {**FIELDS, field: value})
    assert answer.status == 422
    assert says in answer.text
    assert "<script>alert" not in answer.text
    assert not history(kit.store)


def test_the_list_shows_how_each_is_with_its_last_lines_as_text(kit: Kit, operator: Browser) -> None:
    entry = {
        "id": "bad", "model": "bad", "file": "/m/bad.gguf", "mode": "chat", "context_tokens": 1024, "slots": 1,
        "configured": True, "state": "crashed", "gave_up": True, "reason": "It exited with code 1.",
        "log": ["<script>alert(1)</script>"], "since": 1_790_000_000.0,
    }  # fmt: skip
    kit.services.live.engines = lambda: [entry]  # type: ignore[method-assign]
    page = ok(operator.get("/admin/engines"))
    assert "failed" in page
    assert "It exited with code 1." in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'data-poll="2"' in page
    kit.services.live.engines = list  # type: ignore[method-assign]
    assert "No engine runs here." in ok(operator.get("/admin/engines"))
