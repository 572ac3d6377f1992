"""What a process is made of once, at its start: a changed value is in force after a restart."""

from __future__ import annotations

from typing import Final

from fairlead.settings.sections import File

SECTIONS: Final = ("server", "database", "site", "console", "ledger", "telemetry", "responses")
# Of sections that can be replaced otherwise.
SETTINGS: Final = (("configuration", "store"), ("routing", "fetch_media"), ("routing", "probes"), ("limits", "valkey"))


def restart_needed(before: File, after: File) -> list[tuple[str, str]]:
    """The settings, as (section, name), whose values differ and which only a restart puts in force."""
    names = [(section, name) for section in SECTIONS for name in names_of(before, section)]
    return [
        (section, name)
        for section, name in (*names, *SETTINGS)
        if getattr(getattr(before, section), name) != getattr(getattr(after, section), name)
    ]


def names_of(file: File, section: str) -> tuple[str, ...]:
    return tuple(type(getattr(file, section)).__struct_fields__)
