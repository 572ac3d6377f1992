"""Times are read by `time.time` everywhere, so that a demonstration can set them."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "fairlead"
# Commands run once, in processes of their own.
REAL_TIME = "cli"


def test_nobody_asks_the_system_for_the_date() -> None:
    asked = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if file.relative_to(SOURCE).parts[0] != REAL_TIME and "datetime.now(" in file.read_text("utf-8")
    ]
    assert asked == [], "use fairlead.clock.utc_now()"
