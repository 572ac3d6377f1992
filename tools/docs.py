"""Renews the tables of docs/ that are made from the sources. Called by script/docs."""

from __future__ import annotations

import sys
from pathlib import Path

from fairlead.settings.reference import renewed

DOCS = Path(__file__).parents[1] / "docs"


def main(*, check: bool) -> int:
    differs = False
    for page in DOCS.rglob("settings.md"):
        text = renewed(page, DOCS)
        if text == page.read_text("utf-8"):
            continue
        differs = True
        print(f"{page} {'differs from the sources' if check else 'renewed'}")
        if not check:
            page.write_text(text, "utf-8")
    return int(differs and check)


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
