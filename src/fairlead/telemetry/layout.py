"""What a cell counts. A cell is a list of integers, one per slot; cells are merged by adding them, slot by slot.

Slots are written to the database by their numbers: none is ever renumbered or given another meaning, new ones are added
in the gaps. Histograms are on a logarithmic scale of 16 buckets per doubling, so that a value is known to 4.4 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import NamedTuple

PER_DOUBLING = 16
DOUBLINGS = 22
BUCKETS = PER_DOUBLING * DOUBLINGS
# The greatest relative error of a quantile: what it is read as and what it was lie in one bucket.
GREATEST_ERROR = 2 ** (1 / PER_DOUBLING) - 1

# By number; the codes are those of errors.py, and "served" and "empty" (an answer without a word) of the ledger.
OUTCOMES = (
    "served",
    "empty",
    "caller_gone",
    "invalid_request",
    "context_length_exceeded",
    "unsupported_content",
    "invalid_api_key",
    "insufficient_credit",
    "budget_exceeded",
    "forbidden",
    "not_found",
    "model_not_found",
    "method_not_allowed",
    "rate_limit_exceeded",
    "upstream_refused",
    "internal_error",
    "no_deployment",
    "engine_starting",
    "overloaded",
    "ledger_unavailable",
    "shutting_down",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_busy",
    "upstream_rate_limited",
    "upstream_denied",
    "upstream_failed",
    "upstream_invalid",
    "upstream_cut",
    "engine_crashed",
    "other",
    "no_candidate",
    "candidates_resting",
    "deadline_exceeded",
    "answer_invalid",
    "websocket_not_supported",
    "request_too_large",
    "unsupported_encoding",
)
OUTCOME_SLOTS: Mapping[str, int] = {code: slot for slot, code in enumerate(OUTCOMES)}
SERVED = OUTCOME_SLOTS["served"]
EMPTY = OUTCOME_SLOTS["empty"]
CALLER_GONE = OUTCOME_SLOTS["caller_gone"]
OTHER = OUTCOME_SLOTS["other"]


def _slots(*codes: str) -> frozenset[int]:
    return frozenset(OUTCOME_SLOTS[code] for code in codes)


OK = frozenset({SERVED, EMPTY})
# A caller who sends these would get them from any deployment.
CALLER_FAULTS = _slots(
    "invalid_request",
    "context_length_exceeded",
    "unsupported_content",
    "invalid_api_key",
    "insufficient_credit",
    "budget_exceeded",
    "forbidden",
    "not_found",
    "model_not_found",
    "method_not_allowed",
    "rate_limit_exceeded",
    "upstream_refused",
    "no_candidate",
    "websocket_not_supported",
    "request_too_large",
    "unsupported_encoding",
)
# What happens before a deployment is asked, or whatever it does, is not its fault.
OURS = _slots(
    "internal_error",
    "no_deployment",
    "overloaded",
    "ledger_unavailable",
    "shutting_down",
    "upstream_busy",
    "candidates_resting",
    "deadline_exceeded",
)
FAULTS = frozenset(range(len(OUTCOMES))) - OK - CALLER_FAULTS - {CALLER_GONE}
DEPLOYMENT_FAULTS = FAULTS - OURS

PROMPT_TOKENS = 64
OUTPUT_TOKENS = 65
# Added when the writers' cells of a minute have been merged: minutes that had calls which tell something, and those of
# them that were up.
MINUTES_SEEN = 69
MINUTES_UP = 70
MOST_OUTCOMES = 64
# Of these calls or attempts at least this share was served in a minute that counts as up.
UP_SHARE = 0.5


class Scale(NamedTuple):
    """A histogram's place in the cell. `lowest`: the value at which its first bucket begins; smaller ones are counted
    there, greater ones than the last in the last. `sum_slot`: the sum of all values, in thousandths of the unit."""

    name: str
    unit: str
    first_slot: int
    lowest: float
    sum_slot: int

    def slot(self, value: float) -> int:
        ratio = value / self.lowest
        if ratio < 1:
            return self.first_slot
        bucket = int(log2(ratio) * PER_DOUBLING)
        return self.first_slot + (bucket if bucket < BUCKETS else BUCKETS - 1)

    def edge(self, bucket: float) -> float:
        """Where a bucket begins."""
        return self.lowest * float(2 ** (bucket / PER_DOUBLING))


FIRST_TOKEN = Scale("first_token", "ms", 80, 1.0, 66)
SPEED = Scale("speed", "tokens/s", 80 + BUCKETS, 0.125, 67)
LATENCY = Scale("latency", "ms", 80 + 2 * BUCKETS, 1.0, 68)
SCALES = (FIRST_TOKEN, SPEED, LATENCY)
SLOTS = 80 + len(SCALES) * BUCKETS

# A cell as it is stored: only the slots that are not zero.
Counts = dict[int, int]


def add(into: Counts, counts: Mapping[int, int]) -> None:
    for slot, count in counts.items():
        into[slot] = into.get(slot, 0) + count


def merged(cells: Iterable[Mapping[int, int]]) -> Counts:
    total: Counts = {}
    for cell in cells:
        add(total, cell)
    return total


def sum_of(counts: Mapping[int, int], slots: Iterable[int]) -> int:
    # Most cells of most charts are empty.
    return sum([counts[slot] for slot in slots if slot in counts]) if counts else 0


def filled(counts: Mapping[int, int], scale: Scale) -> list[tuple[int, int]]:
    """The buckets of a histogram that hold something, ascending, and how many."""
    first = scale.first_slot
    end = first + BUCKETS
    return sorted((slot - first, count) for slot, count in counts.items() if first <= slot < end)


def samples(counts: Mapping[int, int], scale: Scale) -> int:
    return sum(count for _, count in filled(counts, scale))


def quantiles(buckets: Sequence[tuple[int, int]], scale: Scale, shares: Iterable[float]) -> list[float]:
    """The values below which these shares (ascending, 0 to 1) of the samples in `filled` buckets lie.

    Between the edges of a bucket its samples are taken to be spread evenly on the logarithmic scale; the error is at
    most GREATEST_ERROR of the value, for values within the scale.
    """
    total = sum(count for _, count in buckets)
    found = []
    before, at = 0, 0
    for share in shares:
        rank = share * total
        while before + buckets[at][1] < rank:
            before += buckets[at][1]
            at += 1
        bucket, count = buckets[at]
        found.append(scale.edge(bucket + (rank - before) / count))
    return found


def seal(minute: Counts, deployment: bool) -> Counts:
    """The whole of a minute, all writers merged: says whether the minute counts, and whether it was up."""
    good = sum_of(minute, OK)
    bad = sum_of(minute, DEPLOYMENT_FAULTS if deployment else FAULTS)
    if good + bad:
        minute[MINUTES_SEEN] = 1
        if good >= UP_SHARE * (good + bad):
            minute[MINUTES_UP] = 1
    return minute
