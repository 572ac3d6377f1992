"""The check of our prose: what it finds, and that there is nothing to find."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "tools/prose.py", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_nothing_reads_as_translated() -> None:
    done = check()
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_phrase_is_found_with_its_line_in_pages_comments_and_strings_but_not_in_code(tmp_path: Path) -> None:
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    (tmp_path / "docs" / "guides" / "a.md").write_text("# A\n\nWhoever calls hangs up.\n")
    source = tmp_path / "src" / "fairlead" / "site" / "templates"
    source.mkdir(parents=True)
    (source / "a.html").write_text("<p>Work it out\nall the same</p>\n")
    (tmp_path / "src" / "fairlead" / "a.py").write_text(
        '"""Doc.\n\nA stream goes on elsewhere.\n"""\nanew = 1\nx = "at hand"  # a slip\n'
    )
    done = check(str(tmp_path))
    assert done.returncode == 1
    assert [found[0].lower() for found in re.finditer(r"^.+?:\d+: '[^']+'", done.stdout, re.MULTILINE)] == [
        "docs/guides/a.md:3: 'whoever'",
        "docs/guides/a.md:3: 'hangs up'",
        "src/fairlead/a.py:3: 'goes on elsewhere'",
        "src/fairlead/a.py:6: 'a slip'",
        "src/fairlead/a.py:6: 'at hand'",
        "src/fairlead/site/templates/a.html:1: 'work it out'",
        "src/fairlead/site/templates/a.html:2: 'all the same'",
    ]
