"""The bars, and the table that is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tests.attacks.load.honest import DASHBOARD, KINDS, MEASURED, Done
from tests.attacks.load.run import Outcome

ADDED_MS: Final = 50.0
MEMORY_KB: Final = 1_000_000
LOG_BYTES_PER_SECOND: Final = 20_000
HEALTH_SECONDS: Final = 5.0
WARM_SECONDS: Final = 1.0
EXAMPLES: Final = 5


class Bar(NamedTuple):
    """`examples` say what is wrong; none of them means that the bar is kept."""

    name: str
    value: str
    kept: bool
    examples: Sequence[str] = ()


class Latency(NamedTuple):
    """In milliseconds, of the calls of one kind and one phase."""

    count: int
    p50: float
    p99: float
    most: float


def latency(values: Sequence[float]) -> Latency | None:
    if not values:
        return None
    found = sorted(values)
    return Latency(len(found), found[len(found) // 2], found[min(len(found) - 1, int(len(found) * 0.99))], found[-1])


def phase_of(call: Done, outcome: Outcome) -> str:
    phases = outcome.phases
    if call.began < phases.begin + WARM_SECONDS:
        return "warm"
    if call.began < phases.attack:
        return "alone" if call.ended < phases.attack else "edge"
    return "attacked" if call.began < phases.after else "after"


def latencies(outcome: Outcome) -> dict[str, dict[str, Latency | None]]:
    """By row ("whole", "stream: first word", ..., "all") and by phase."""
    rows: dict[str, dict[str, list[float]]] = {}

    def add(row: str, phase: str, seconds: float) -> None:
        rows.setdefault(row, {}).setdefault(phase, []).append(1000 * seconds)

    for call in outcome.honest:
        if call.problem:
            continue
        phase = phase_of(call, outcome)
        add(call.kind, phase, call.ended - call.began)
        if call.first_at:
            add(f"{call.kind}: first word", phase, call.first_at - call.began)
        if call.kind in MEASURED:
            add("all: first word or whole answer", phase, (call.first_at or call.ended) - call.began)
            add("all: complete", phase, call.ended - call.began)
    for call in outcome.control:
        if call.ended and call.problem.startswith(UNCHARGED):
            add(
                "control: first word or whole answer",
                phase_of(call, outcome),
                (call.first_at or call.ended) - call.began,
            )
            add("control: complete", phase_of(call, outcome), call.ended - call.began)
    for call in outcome.health:
        add("/healthz", phase_of(call, outcome), call.ended - call.began)
    return {row: {phase: latency(values) for phase, values in by_phase.items()} for row, by_phase in rows.items()}


HELD: Final = ("all: first word or whole answer", "all: complete")
CONTROLS: Final = tuple(row.replace("all:", "control:") for row in HELD)
# What is said of an answer that came from the provider itself, whole and right.
UNCHARGED: Final = "costs None"


def added_ms(rows: dict[str, dict[str, Latency | None]], row: str) -> float | None:
    """By how much the attack raised the p99 of a row: over the lower one of before and after it, because other work on
    the machine only ever raises them."""
    quiet, attacked = quieter(rows.get(row, {})), rows.get(row, {}).get("attacked")
    return attacked.p99 - quiet if quiet is not None and attacked else None


def quieter(by_phase: Mapping[str, Latency | None]) -> float | None:
    """The p99 without an attack."""
    return min((found.p99 for phase in ("alone", "after") if (found := by_phase.get(phase))), default=None)


def bars(outcome: Outcome, *, with_latency: bool) -> list[Bar]:
    rows = latencies(outcome)
    found: list[Bar] = []
    if with_latency:
        for row, beside in zip(HELD, CONTROLS, strict=True):
            added, machine = added_ms(rows, row), max(0.0, added_ms(rows, beside) or 0.0)
            gateway = float("inf") if added is None else added - machine
            value = f"{gateway:.1f} ms ({added or 0:.1f} measured, {machine:.1f} of them in the control too)"
            found.append(Bar(f"p99 added, {row}", value, gateway < ADDED_MS))
        slowest = max((call.ended - call.began for call in outcome.health), default=float("inf"))
        found.append(Bar("/healthz, slowest", f"{1000 * slowest:.0f} ms", slowest < HEALTH_SECONDS))
    failed = [
        f"{call.kind} at {call.began - outcome.phases.attack:+.1f} s: {call.problem}"
        for call in outcome.honest
        if call.problem
    ]
    unwell = [
        f"at {call.began - outcome.phases.attack:+.1f} s: {call.problem}" for call in outcome.health if call.problem
    ]
    memory = max(outcome.memory_kb.values(), default=0)
    seconds = outcome.phases.end - outcome.phases.begin
    size = len(outcome.log.encode())
    lines = outcome.log.splitlines()
    tracebacks = [
        "\n".join(lines[at : at + 1] + lines[at + 1 : at + 40]) for at, line in enumerate(lines) if "Traceback" in line
    ]
    wrong = [sentence for seen in outcome.seen.values() for sentence in seen.wrong]
    charged = len({call.generation for call in outcome.honest if call.generation})
    found += [
        none("honest calls that failed", failed),
        none("honest answers without their one record", outcome.wrong_honest),
        Bar("honest answers with a record", f"{charged}", charged > 0),
        Bar("memory of all processes", f"{memory / 1000:.0f} MB", memory < MEMORY_KB),
        Bar("fairlead verify", f"status {outcome.verify_status}", outcome.verify_status == 0, [outcome.verified]),
        none("files in unreadable/", ["see the data directory"] * outcome.unreadable),
        Bar("/readyz at the end", outcome.ready or "ready", not outcome.ready),
        none("/healthz that failed", unwell),
        Bar("nothing in flight", "never" if outcome.quiet_seconds is None else f"after {outcome.quiet_seconds:.1f} s", outcome.quiet_seconds is not None),
        Bar("SIGTERM", outcome.stopped or "ended", not outcome.stopped),
        none("tracebacks in the log", tracebacks),
        Bar("log", f"{size:,} bytes, {outcome.log_lines:,} lines", size < 200_000 + LOG_BYTES_PER_SECOND * seconds, [log_kinds(outcome.log)]),
        none("answers that nobody should get", wrong),
        none("words that were not paid", outcome.unpaid),
        none("calls beyond their hold", outcome.uncovered),
        none("accounts below zero", outcome.overdrawn),
    ]  # fmt: skip
    idle = [name for name in sorted(outcome.actors) if not _acted(outcome, name)]
    found.append(none("hostile actors that did nothing", idle))
    return found


def _acted(outcome: Outcome, name: str) -> bool:
    return any(
        name in seen.acts or any(told.startswith(f"{name}: ") for told in seen.failures)
        for seen in outcome.seen.values()
    )


def none(name: str, found: Sequence[str]) -> Bar:
    return Bar(name, str(len(found)), not found, grouped(found))


def grouped(sentences: Iterable[str]) -> list[str]:
    """The first of each kind, with how many there are."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for sentence in sentences:
        kind = "".join(letter for letter in sentence if not letter.isdigit())[:60]
        first.setdefault(kind, sentence)
        counts[kind] += 1
    return [f"{count} x {first[kind]}" for kind, count in counts.most_common(EXAMPLES * 4)]


def log_kinds(log: str) -> str:
    return "most of it: " + " | ".join(grouped(line[24:] for line in log.splitlines())[:EXAMPLES])


def table(outcome: Outcome) -> str:
    """Latencies by phase, then what the attackers did."""
    lines = [
        f"{'milliseconds':34}{'alone p50':>10}{'p99':>8}{'attacked p50':>14}{'p99':>8}{'most':>8}{'added p99':>11}{'after p99':>11}{'calls':>8}"
    ]
    rows = latencies(outcome)
    order = ["whole", "stream: first word", "stream"] + [
        kind.name for kind in KINDS if kind.name not in ("whole", "stream")
    ]
    for row in [*order, "/healthz", *CONTROLS, *HELD]:
        by_phase = rows.get(row, {})
        alone, attacked, after = (by_phase.get(phase) for phase in ("alone", "attacked", "after"))
        quiet = quieter(by_phase)
        added = f"{attacked.p99 - quiet:+.1f}" if quiet is not None and attacked else "-"
        cells = [
            f"{alone.p50:10.1f}{alone.p99:8.1f}" if alone else f"{'-':>10}{'-':>8}",
            f"{attacked.p50:14.1f}{attacked.p99:8.1f}{attacked.most:8.1f}" if attacked else f"{'-':>14}{'-':>8}{'-':>8}",
            f"{added:>11}", f"{after.p99:11.1f}" if after else f"{'-':>11}", f"{attacked.count if attacked else 0:8}",
        ]  # fmt: skip
        lines.append(f"{row:34}" + "".join(cells))
    memory = ", ".join(f"{phase} {kilobytes / 1000:.0f} MB" for phase, kilobytes in outcome.memory_kb.items())
    cpu = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in outcome.cpu_seconds.items())
    waited = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in outcome.no_core_seconds.items())
    cpu += f"; the gateway's loop waited for a core: {waited}"
    lines.append(f"\nmemory: {memory}\nCPU: {cpu}\nrecords: {outcome.records:,}")
    for kind, seen in outcome.seen.items():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(seen.statuses.items()))
        lines.append(f"{kind}: {seen.acts.total():,} acts, answers {statuses}")
        lines.append("  " + ", ".join(f"{name} {count}" for name, count in seen.acts.most_common()))
        lines.append(
            "  left in the middle: " + ", ".join(f"{name} {count}" for name, count in seen.failures.most_common())
        )
    return "\n".join(lines)


def verdicts(found: Sequence[Bar]) -> str:
    lines = []
    for bar in found:
        lines.append(f"{'ok  ' if bar.kept else 'FAIL'} {bar.name}: {bar.value}")
        if not bar.kept:
            lines += [f"       {example[:1500]}" for example in list(bar.examples)[: EXAMPLES * 4]]
    return "\n".join(lines)


def document(outcome: Outcome, found: Sequence[Bar]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "bars": [
            {"name": bar.name, "value": bar.value, "kept": bar.kept, "examples": list(bar.examples)} for bar in found
        ],
        "latencies": {
            row: {phase: value._asdict() if value else None for phase, value in by_phase.items()}
            for row, by_phase in latencies(outcome).items()
        },
        "memory_kb": outcome.memory_kb,
        "records": outcome.records,
        "honest_calls": sum(call.kind != DASHBOARD for call in outcome.honest),
        "acts": {kind: dict(seen.acts) for kind, seen in outcome.seen.items()},
    }
