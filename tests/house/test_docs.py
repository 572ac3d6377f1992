"""The pages say what the code says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def test_every_folder_has_its_page() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\(((?:\.\./reference/)?(\w+))\.md\) \| `([\w.]+)/?` \|",
        page("internals/README.md"),
        re.MULTILINE,
    )
    listed = {place for *_, place in rows}
    for word, path, name, place in rows:
        assert word == name
        assert page(f"internals/{path}.md").startswith("# "), name
        assert (ROOT / "src" / "fairlead" / place).exists() or (ROOT / place).is_dir(), place
    parts = {
        entry.name
        for entry in (ROOT / "src" / "fairlead").iterdir()
        if not entry.name.startswith("__") and entry.suffix in ("", ".py")
    }
    assert parts - listed == {"compose", "runtime.py"}, "the composition has no page of its own"


def test_the_model_card_is_of_the_model_that_ships() -> None:
    folder = ROOT / "src" / "fairlead" / "engines" / "demo"
    model, card = (folder / "fairlead-demo.gguf").read_bytes(), (folder / "MODEL_CARD.md").read_text("utf-8")
    assert hashlib.sha256(model).hexdigest() in card
    assert f"{len(model):,} bytes" in card
    assert len(model) <= 4_000_000
    assert "@" not in card


def test_nothing_tells_where_it_was_made() -> None:
    here = "/" + "work" + "/"
    for file in [*PAGES, *ROOT.glob("requirements*.lock"), *(ROOT / "script").iterdir()]:
        text = file.read_text("utf-8")
        assert here not in text, file
        assert "--" + "index-url" not in text, file
