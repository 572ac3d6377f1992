"""Names in messages: the nearest right one, and nothing longer than a line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Names and words longer than this are cut in messages and are not compared with the right ones.
LONGEST_WORD = 80


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is none of those known, with the nearest or with all of them."""
    return f"there is no {what} {quoted(name)}; {nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """'did you mean "x"?', or the names that there are."""
    names = list(known)
    near = closest(name, names)
    return f"did you mean {near!r}?" if near else f"known here: {', '.join(names)}."


def closest(name: str, known: Iterable[str], alike: float = 0.5) -> str | None:
    """The known name that is nearest. A long one is not compared: that would take the square of its length."""
    if len(name) > LONGEST_WORD:
        return None
    return next(iter(difflib.get_close_matches(name.lower(), list(known), 1, alike)), None)


def quoted(word: str) -> str:
    return repr(cut(word, LONGEST_WORD))


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
