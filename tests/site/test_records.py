"""Rankings, incidents and charts from what was recorded: pure."""

from __future__ import annotations

from datetime import date
from xml.etree import ElementTree as ET

from fairlead.site.charts import history
from fairlead.site.compare import _round_up
from fairlead.site.incidents import SILENT_MS, atom, incidents_of
from fairlead.site.rankings import compared_days, rank
from fairlead.site.records import Event
from fairlead.telemetry.figures import DayBar, ModelDay, Rate

TODAY = date(2026, 11, 24)


def day(model: str, at: str, tokens: int) -> ModelDay:
    return ModelDay(model, at, 1, tokens, 0)


def test_models_are_ranked_by_the_tokens_of_the_period_and_compared_by_whole_days() -> None:
    days = [
        day("a", "2026-11-24", 100),  # today is not over: it counts, and is not compared
        day("a", "2026-11-17", 200),
        day("a", "2026-11-10", 50),
        day("b", "2026-11-20", 400),
        day("c", "2026-11-16", 9),  # it began at the end of the week before
        day("c", "2026-11-18", 90),
        day("d", "2026-11-09", 9),
    ]
    ranked = rank(days, TODAY, 7, {"a": "acme"})
    assert [(one.place, one.model, one.tokens, one.growth) for one in ranked] == [
        (1, "b", 400, None),
        (2, "a", 100, 3.0),
        (3, "c", 90, None),
    ]
    assert (ranked[1].before, ranked[1].share, ranked[1].vendor) == (1, 100 / 590, "acme")
    assert (ranked[0].before, ranked[0].vendor) == (None, None)
    assert rank([], TODAY, 7, {}) == []


def test_where_no_whole_period_came_before_nothing_is_compared() -> None:
    days = [day("a", "2026-11-11", 5), day("a", "2026-11-20", 100)]
    assert compared_days(days, TODAY, 7) is None
    assert [(one.growth, one.before) for one in rank(days, TODAY, 7, {})] == [(None, None)]
    assert compared_days([*days, day("b", "2026-11-10", 1)], TODAY, 7) == (
        (date(2026, 11, 17), date(2026, 11, 23)),
        (date(2026, 11, 10), date(2026, 11, 16)),
    )


def test_an_incident_lasts_from_the_first_opening_to_the_closing() -> None:
    events = [
        Event("p/m", "p", "closed", "", 9_000), Event("p/m", "p", "open", "again", 5_000),
        Event("p/m", "p", "half_open", "", 4_000),
        Event("p/m", "p", "open", "upstream_failed", 1_000), Event("", "q", "open", "upstream_denied", 7_000),
    ]  # fmt: skip
    still, over = incidents_of(events, 10_000, (), {"p/m", "q"})
    assert (still.subject, still.start, still.end) == ("q", 7_000, None)
    assert (over.subject, over.reason, over.start, over.end) == ("p/m", "upstream_failed", 1_000, 9_000)


def test_a_breaker_that_nobody_has_heard_of_for_long_is_no_incident_any_more() -> None:
    events = [Event("p/m", "p", "open", "upstream_failed", 1_000), Event("p/m", "p", "open", "again", 6_000)]
    late = 6_000 + SILENT_MS
    (over,) = incidents_of(events, late, (), {"p/m"})
    assert over.end == 6_000
    (own,) = incidents_of(events, late, {"p/m"}, {"p/m"})
    assert own.end is None, "this process itself keeps it out of use"
    (gone,) = incidents_of(events, 7_000, (), ())
    assert gone.end == 6_000, "a deployment that is not there any more"


def test_the_feed_is_well_formed_and_every_entry_has_its_own_id() -> None:
    events = [Event("p/<m>", "p", "open", "a & b", 1_000), Event("", "q", "open", "x", 2_000)]
    root = ET.fromstring(atom(incidents_of(events, 3_000, (), {"p/<m>", "q"}), "https://x.example"))
    space = "{http://www.w3.org/2005/Atom}"
    ids = [entry.findtext(f"{space}id") for entry in root.findall(f"{space}entry")]
    assert len(ids) == len(set(ids)) == 2
    assert root.findtext(f"{space}updated") == "1970-01-01T00:00:02Z"


def test_a_day_without_traffic_is_neither_up_nor_down() -> None:
    def bar(at: str, uptime: float | None, minutes: int) -> DayBar:
        return DayBar(at, minutes, Rate(uptime, minutes), Rate(uptime, minutes))

    found = history("", [bar("2026-11-22", None, 0), bar("2026-11-23", 1.0, 300), bar("2026-11-24", 0.5, 100)])
    assert [one.state for one in found.bars] == ["none", "up", "down"]
    assert (found.uptime, found.minutes) == (0.875, 400)
    assert history("", [bar("2026-11-22", None, 0)]).uptime is None


def test_axes_end_at_a_round_figure_that_holds_every_value() -> None:
    assert [_round_up(value) for value in (0, 0.3, 1, 1.01, 9, 90, 81)] == [1, 0.4, 1, 2, 10, 100, 100]
