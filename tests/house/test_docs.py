"""The pages say what the code says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from fairlead import errors
from fairlead.api.dispatch import EXPOSED_HEADERS
from fairlead.providers.dialects import DIALECTS
from fairlead.wire.chat import PARAMETERS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]


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


def test_every_error_code_every_parameter_every_dialect_is_on_its_page() -> None:
    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FairleadError)
    }
    for code in codes:
        assert f"`{code}`" in page("reference/errors.md"), code
    for name in PARAMETERS:
        assert f"| `{name}` |" in page("internals/wire.md"), name
    for name in DIALECTS:
        assert f" {name} |" in page("internals/providers.md"), name


def test_a_browser_may_read_every_header_that_an_answer_has_by_the_docs() -> None:
    listed = re.search(r"## Headers of an answer\n(.+?)\n## ", page("reference/api.md"), re.DOTALL)
    assert listed is not None
    told = re.findall(r"^\| `([\w-]+)`", listed[1], re.MULTILINE)
    assert len(told) > 8
    exposed = EXPOSED_HEADERS.decode().split(", ")
    assert [name for name in told if name not in exposed] == []


def test_the_model_card_is_of_the_model_that_ships() -> None:
    folder = ROOT / "src" / "fairlead" / "engines" / "demo"
    model, card = (folder / "fairlead-demo.gguf").read_bytes(), (folder / "MODEL_CARD.md").read_text("utf-8")
    assert hashlib.sha256(model).hexdigest() in card
    assert f"{len(model):,} bytes" in card
    assert len(model) <= 4_000_000
    assert "@" not in card


def test_nothing_tells_where_it_was_made() -> None:
    here = "/" + "work" + "/"
    for file in [*PAGES, ROOT / "requirements.lock", ROOT / "requirements-dev.lock", *(ROOT / "script").iterdir()]:
        text = file.read_text("utf-8")
        assert here not in text, file
        assert "--" + "index-url" not in text, file
