"""What a policy may say."""

from __future__ import annotations

from fairlead.accounts.content import DETECTORS, LONGEST_PATTERN, MOST_DAYS, MOST_NAMED, MOST_PATTERNS, ContentPolicy
from fairlead.content.redaction import compiled
from fairlead.errors import InvalidRequest


def check_policy(policy: ContentPolicy, most_days: int) -> None:
    """Raises InvalidRequest, with the member as `param`."""
    if not 0 <= policy.share <= 100:
        raise InvalidRequest("The share must be a number from 0 to 100 per cent.", param="share")
    if not 1 <= policy.days <= min(MOST_DAYS, most_days):
        raise InvalidRequest(f"Content is kept for 1 to {min(MOST_DAYS, most_days)} days on this server.", param="days")
    for name, given in (("projects", policy.projects), ("keys", policy.keys), ("never", policy.never)):
        if len(given) > MOST_NAMED:
            raise InvalidRequest(f"At most {MOST_NAMED:,} {name} can be named.", param=name)
    for name in policy.detectors:
        if name not in DETECTORS:
            raise InvalidRequest(f"There is no detector {name[:40]!r}: {', '.join(DETECTORS)}.", param="detectors")
    if len(policy.patterns) > MOST_PATTERNS:
        raise InvalidRequest(f"There can be at most {MOST_PATTERNS} expressions.", param="patterns")
    for at, pattern in enumerate(policy.patterns, 1):
        if len(pattern) > LONGEST_PATTERN:
            raise InvalidRequest(f"Expression {at} is longer than {LONGEST_PATTERN} characters.", param="patterns")
        made = compiled(pattern)
        if made is None:
            raise InvalidRequest(
                f"Expression {at} is not one that RE2 supports (no look-around, no back-references), or too large.",
                param="patterns",
            )
        if made.search(b"") is not None:
            raise InvalidRequest(
                f"Expression {at} matches the empty text, so it would match anywhere.", param="patterns"
            )
