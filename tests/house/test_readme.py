"""README.md promises what the program does, with the figures that are committed elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from fairlead.catalogue.built import load_catalogue
from fairlead.doors.table import DOORS
from fairlead.providers.presets import PRESETS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
LARGEST_PICTURE = 150_000


def test_every_picture_has_a_light_and_a_dark_form_that_are_small() -> None:
    light = re.findall(r'<img src="(.+?)-light\.png" alt=".{60,}?">', README)
    assert len(light) == README.count("<img ") == README.count("<picture>") >= 2
    assert light == re.findall(r'"\(prefers-color-scheme: dark\)" srcset="(.+?)-dark\.png"', README)
    for name in light:
        forms = [(ROOT / f"{name}-{scheme}.png").read_bytes() for scheme in ("light", "dark")]
        assert forms[0][16:24] == forms[1][16:24], "width and height of a PNG"
        assert all(form.startswith(b"\x89PNG") and len(form) < LARGEST_PICTURE for form in forms)


def test_the_apis_that_it_lists_are_those_that_callers_can_use() -> None:
    listed = re.findall(r"^\| .+ \| `POST (/\S+)` \|$", README, re.MULTILINE)
    assert "/v1/chat/completions" in listed
    assert set(listed) <= {path for row in DOORS.values() for path in row.paths}


def test_its_figures_are_those_of_the_pages_they_come_from() -> None:
    page = (ROOT / "docs" / "internals" / "performance.md").read_text("utf-8")
    rows = {cells[1].strip(): cells for line in page.splitlines() if (cells := line.split("|"))[1:] and len(cells) == 6}

    def cell(row: str, column: int) -> str:
        return rows[row][column].split("(")[0].strip()

    call, chunk = "CPU µs/request, 1 KB, c=32", "CPU µs/chunk, paced, 64 streams × 100/s"
    stream = "KB per open slow stream (growth of PSS)"
    for figure in (
        f"{float(cell(call, 3)):.0f} µs of CPU, {cell(call, 4)} × nginx",
        f"{cell(chunk, 3)} µs, {cell(chunk, 4)} × nginx",
        f"{cell(stream, 3)} KB of memory",
    ):
        assert figure in README, "the benchmark was run again (docs/internals/performance.md): update README.md"
    assert f"{len(PRESETS)} presets" in README
    assert f"{len(load_catalogue().models)} models" in README


def test_every_kind_of_issue_has_a_form() -> None:
    for name in ("bug", "feature"):
        form = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text("utf-8")
        assert {"name", "description", "body"} <= set(re.findall(r"^(\w+):", form, re.MULTILINE))
        kinds = re.findall(r"^  - type: (\w+)$", form, re.MULTILINE)
        assert set(kinds) <= {"markdown", "textarea", "input"}
        assert form.count("    id: ") == len(kinds) - kinds.count("markdown") == form.count("      label: ")
    assert "private security advisory" in (ROOT / "SECURITY.md").read_text("utf-8")
