"""What went wrong in 40 days: providers and deployments that were out of use, or worked badly."""

from __future__ import annotations

from typing import Final, NamedTuple


class Incident(NamedTuple):
    """`subject`: a provider, or a deployment; `day` and `minutes`: when it began, counted from the end of history
    (day 0 is the last 24 hours), and how long it lasted; `part`: of the attempts that failed: 1.0 opens the breaker."""

    subject: str
    day: float
    minutes: float
    outcome: str
    part: float = 1.0


INCIDENTS: Final = (
    Incident("lagoon", 37.05, 95, "upstream_unreachable"),
    Incident("kestrel/openai/gpt-oss-120b", 33.9, 48, "upstream_failed"),
    Incident("lagoon/deepseek-ai/DeepSeek-V3.2", 31.1, 260, "upstream_timeout", 0.45),
    Incident("aurora", 28.02, 33, "upstream_unreachable"),
    Incident("hopper/google/gemma-3-27b-it", 24.4, 150, "engine_crashed"),
    Incident("nordwind/Qwen/Qwen3-235B-A22B-Instruct-2507", 20.9, 75, "upstream_failed"),
    Incident("meridian/gemini-2.5-flash", 19.1, 190, "upstream_rate_limited"),
    Incident("aurora/gemini-2.5-flash", 19.08, 160, "upstream_failed"),
    Incident("lagoon/meta-llama/Llama-3.3-70B-Instruct", 17.2, 420, "upstream_cut", 0.35),
    Incident("meridian", 13.9, 41, "upstream_rate_limited", 0.5),
    Incident("kestrel/zai-org/GLM-4.6", 11.1, 62, "upstream_failed"),
    Incident("lagoon/mistralai/Mistral-Small-3.2-24B-Instruct-2506", 8.8, 180, "upstream_timeout"),
    Incident("nordwind", 5.06, 22, "upstream_unreachable"),
    Incident("meridian/claude-sonnet-4-6", 3.1, 57, "upstream_failed"),
    Incident("lagoon/Qwen/Qwen3-Coder-480B-A35B-Instruct", 1.4, 130, "upstream_timeout", 0.4),
    Incident("kestrel/moonshotai/Kimi-K2.6", 0.15, 26, "upstream_failed"),
)


class Span(NamedTuple):
    """An incident of one history: from `start` to `end`, in seconds since 1970."""

    subject: str
    start: float
    end: float
    outcome: str
    part: float


def spans(now: float) -> tuple[Span, ...]:
    """The oldest first."""
    found = []
    for one in INCIDENTS:
        start = now - one.day * 86_400
        found.append(Span(one.subject, start, start + one.minutes * 60, one.outcome, one.part))
    return tuple(sorted(found, key=lambda span: span.start))
