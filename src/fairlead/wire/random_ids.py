"""Random digits for the ids of answers: asked of the kernel once for many."""

from __future__ import annotations

import os
from typing import Final

# Of an id, at most.
DIGITS: Final = 48
AT_ONCE: Final = 128
_left: Final[list[str]] = []
# A child process must not give the ids that its parent gives.
os.register_at_fork(after_in_child=_left.clear)


def random_digits(count: int) -> str:
    """So many hexadecimal digits, up to DIGITS, that nobody can guess."""
    while True:
        try:
            return _left.pop()[:count]
        except IndexError:  # another thread may take what is made here
            text = os.urandom(DIGITS * AT_ONCE // 2).hex()
            _left.extend([text[at : at + DIGITS] for at in range(0, len(text), DIGITS)])
