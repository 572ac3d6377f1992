"""What a model cost, how fast it was and how much it was used before: prices as they were set, and 30 days of its
calls. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fairlead.site.charts import minute
from fairlead.site.model.courses import MOST_LINES, Courses, Staged, courses, staged
from fairlead.site.model.usage import Effective, Usage, effective, usage_of
from fairlead.site.records import Priced, Used
from fairlead.telemetry.figures import Performance
from fairlead.wire.usage import TokenClasses

PRICE_DAYS = 90
PICODOLLARS_PER_DOLLAR_A_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class PriceChange:
    """On a day, in UTC; `before_*` None: the deployment's first price. In picodollars per token."""

    on: str
    deployment: str
    input: int
    output: int
    before_input: int | None
    before_output: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """`since`: the day of the first price. `price`: of output, over time, where one has changed. `usage`: by day;
    `effective`: of deployments by id."""

    prices: tuple[PriceChange, ...] = ()
    since: str | None = None
    price: Staged | None = None
    first_token: Courses | None = None
    speed: Courses | None = None
    usage: Usage | None = None
    effective: Mapping[str, Effective] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[PriceChange, ...]:
        """The newest first, without the first price of each deployment."""
        return tuple(one for one in reversed(self.prices) if one.before_input is not None)


UNKNOWN_PAST = Past()


def past_of(
    month: Performance | None,
    prices: Sequence[Priced],
    names: Mapping[str, str],
    now: int,
    used: Sequence[Used] = (),
    rates: Mapping[str, TokenClasses] | None = None,
) -> Past:
    """`names`: of the deployments by id; prices of others are left out. `rates`: what they cost now, by id."""
    latest: dict[str, Priced] = {}
    found = []
    for one in prices:
        before = latest.get(one.deployment)
        if one.deployment not in names or (before and (before.input, before.output) == (one.input, one.output)):
            continue
        latest[one.deployment] = one
        found.append(
            PriceChange(
                minute(one.at)[:10], names[one.deployment], one.input, one.output,
                before.input if before else None, before.output if before else None,
            )
        )  # fmt: skip
    changed = any(one.before_input is not None for one in found)
    start = max(min((one.at for one in prices), default=now), now - PRICE_DAYS * 86_400)
    by_name = {
        name: [(one.at, one.output / PICODOLLARS_PER_DOLLAR_A_MILLION) for one in prices if one.deployment == id_]
        for id_, name in list(names.items())[:MOST_LINES]
    }
    series = {} if month is None else {"": month.total.series}
    end = 0 if month is None else month.end
    return Past(
        tuple(found),
        found[0].on if found else None,
        staged(by_name, start, now) if changed else None,
        courses(series, end, "ms", lambda point: point.first_token, "p95"),
        courses(series, end, "tokens/s", lambda point: point.speed, "p5"),
        usage_of(used, datetime.fromtimestamp(now, UTC).date()),
        effective(used, rates or {}),
    )
