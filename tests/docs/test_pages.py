"""Every command and every snippet of the documentation runs, and every link leads somewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.docs.blocks import Document, pages, read
from tests.docs.runner import Failed, Place, missing, session

PAGES = [read(path) for path in pages()]
# Blocks that no test can run. Raise this only for what is out of reach: another machine, an account elsewhere, minutes.
MOST_NOT_RUN = 58


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page: Document, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    place: Place = request.getfixturevalue("gateway" if page.setup == "gateway" else "host")
    problem = ""
    try:
        with session(page, place, tmp_path) as running:
            for block in page.blocks:
                running.run(block)
    except Failed as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


def test_what_is_not_run_has_a_reason_and_is_little(capsys: pytest.CaptureFixture[str]) -> None:
    left = [
        f"{page.name}:{block.line}: {block.marks['not run']}"
        for page in PAGES
        for block in page.blocks
        if "not run" in block.marks
    ]
    without = [
        f"{page.name}:{block.line}: needs {', '.join(names)}"
        for page in PAGES
        for block in page.blocks
        if (names := missing(block.marks.get("requires", "sh")))
    ]
    with capsys.disabled():
        print("\nNot run:", *left, *without, sep="\n  ")
    assert len(left) <= MOST_NOT_RUN
    if os.environ.get("CI") == "true":
        assert not [one for one in without if "nginx" in one], "in CI nothing is left out"
