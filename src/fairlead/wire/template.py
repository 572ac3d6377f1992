"""Bodies that are an earlier one with another value for one member: nothing else of them is read again."""

from __future__ import annotations

from typing import Final

MOST_MEMOS: Final = 8
# A connection keeps one template: thousands of them may be open.
LONGEST_TEMPLATE: Final = 4_096


class BodyTemplate:
    """What stands around the conversation in a body. Callers send the same again and again: what was found out about it
    holds for the next body that has it, byte for byte, whatever the conversation is, because where a value may stand in
    JSON any other value may.

    `memos` is for translators of requests: what each wants to remember of those with this template. `needs`: what its
    requests need of a deployment beside what is in their conversation; -1: nobody has worked it out; `formatted`: their
    answers are to be JSON, worked out together with it.
    """

    __slots__ = ("after", "before", "formatted", "memos", "needs")

    def __init__(self, before: bytes, after: bytes) -> None:
        self.before = before
        self.after = after
        self.memos: dict[object, object] = {}
        self.needs = -1
        self.formatted = False

    def value_in(self, body: bytes) -> bytes | None:
        """What stands between; None for any other body."""
        start, end = len(self.before), len(body) - len(self.after)
        if end <= start or body[:start] != self.before or body[end:] != self.after:
            return None
        return body[start:end]

    def remember(self, who: object, what: object) -> None:
        if len(self.memos) >= MOST_MEMOS:  # most of them are of a catalogue that was replaced
            self.memos.clear()
        self.memos[who] = what
