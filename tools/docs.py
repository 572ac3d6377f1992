"""Renews the tables of docs/ that are made from the sources. Called by script/docs."""

from __future__ import annotations

import sys
from pathlib import Path

import reference_pages

from fairlead.settings.reference import renewed

DOCS = Path(__file__).parents[1] / "docs"


def main(*, check: bool) -> int:
    """With `check` nothing is written; the exit status is 1 when a page differs."""
    texts = {page: reference_pages.renewed(page) for page in reference_pages.pages()}
    texts |= {page: renewed(page, DOCS) for page in DOCS.rglob("settings.md")}
    differs = False
    for page, text in texts.items():
        if text == page.read_text("utf-8"):
            continue
        differs = True
        print(f"{page} {'differs from the sources' if check else 'renewed'}")
        if not check:
            page.write_text(text, "utf-8")
    return int(differs and check)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
