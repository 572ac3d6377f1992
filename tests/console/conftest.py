"""A console for the tests of every area: `kit.as_role("admin")` is a browser of somebody who is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console.kit import Kit


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path / "data")
    yield made
    made.close()
