"""The one sum behind every charge."""

from __future__ import annotations

from fairlead.wire.usage import TokenClasses


def charge(counted: tuple[int, ...], rates: TokenClasses) -> int:
    """Picodollars: the tokens of each class times its rate."""
    rated: tuple[int, ...] = rates
    total = 0
    for at in range(len(counted)):
        count = counted[at]
        if count:
            total += count * rated[at]
    return total
