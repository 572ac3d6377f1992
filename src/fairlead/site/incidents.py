"""Incidents from the events of circuit breakers: what was out of use, why, from when to when. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape  # xml.sax has one too, and half a megabyte of HTTP client behind it

from fairlead.site.records import Event

MOST_INCIDENTS = 50
# What no XML document may contain, not even escaped: https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A breaker that is open is heard of again within a minute, by probes or by calls. One that another process told of, and
# that has been silent for this long, is no longer believed.
SILENT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Incident:
    """From the moment a deployment (or a whole provider) was taken out of use to the one it was back. `end` None: it
    still is out."""

    subject: str
    reason: str
    start: int
    end: int | None

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.start / 1000, UTC)

    @property
    def ended(self) -> datetime | None:
        return None if self.end is None else datetime.fromtimestamp(self.end / 1000, UTC)

    @property
    def minutes(self) -> int | None:
        return None if self.end is None else max(1, round((self.end - self.start) / 60_000))


def incidents_of(
    events: Iterable[Event], now_ms: int, out: Collection[str], known: Collection[str]
) -> tuple[Incident, ...]:
    """The newest first, from events in any order. `out`: the deployments and providers that this process keeps out of
    use; `known`: those that there are. A breaker that half opens is still in its incident; one that nobody has heard
    of for long ended when it was last heard of."""
    begun: dict[str, Event] = {}
    heard: dict[str, int] = {}
    found = []
    for event in sorted(events, key=lambda one: one.at):
        subject = event.deployment or event.provider
        heard[subject] = event.at
        if event.event == "open":
            begun.setdefault(subject, event)
        elif event.event == "closed" and subject in begun:
            first = begun.pop(subject)
            found.append(Incident(subject, first.reason, first.at, event.at))
    for subject, event in begun.items():
        lasts = subject in out or (subject in known and now_ms - heard[subject] < SILENT_MS)
        found.append(Incident(subject, event.reason, event.at, None if lasts else heard[subject]))
    return tuple(sorted(found, key=lambda one: (-one.start, one.subject))[:MOST_INCIDENTS])


def atom(incidents: Sequence[Incident], origin: str) -> str:
    updated = max((one.end or one.start for one in incidents), default=0)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>Status of this gateway</title>",
        f"<id>{escape(origin)}/status</id>",
        f'<link href="{escape(origin)}/status"/><link rel="self" href="{escape(origin)}/status.atom"/>',
        f"<updated>{time_of(updated)}</updated><author><name>Fairlead</name></author>",
    ]
    for one in incidents:
        state = "over" if one.end is not None else "out of use"
        text = f"{one.subject} was taken out of use at {time_of(one.start)} ({one.reason})."
        text += f" Back in use at {time_of(one.end)}." if one.end is not None else " It is still out of use."
        lines += [
            "<entry>",
            f"<title>{escape(one.subject)}: {state}</title>",
            f"<id>{escape(origin)}/status#{one.start}-{escape(_slug(one.subject))}</id>",
            f'<link href="{escape(origin)}/status"/>',
            f"<published>{time_of(one.start)}</published><updated>{time_of(one.end or one.start)}</updated>",
            f"<content>{escape(text)}</content>",
            "</entry>",
        ]
    return _NOT_XML.sub("\ufffd", "\n".join([*lines, "</feed>", ""]))


def time_of(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)
