"""Events of a stream that differ from the one before in a single text, as nearly all of them do."""

from __future__ import annotations

from typing import Final

import msgspec

# A stream whose events differ in more than that (a count, a time) is not looked at for long.
MOST_TRIES: Final = 4
MOST_DIGITS: Final = 15
_string: Final = msgspec.json.Decoder(str)


class RepeatedEvent:
    """What surrounds the text of an event, as it came and as it was passed on. A later event with the same surroundings
    differs in its text alone and can be passed on without being parsed. `learn` takes events that were parsed."""

    __slots__ = ("_after", "_before", "_tries", "shown_after", "shown_before")

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._tries = 0
        self.shown_before = b""
        self.shown_after = b""

    def learn(self, came: bytes, shown: bytes, text: bytes) -> None:
        """`text`: with its quotes, as it stands in both."""
        if self._tries >= MOST_TRIES:
            return
        self._tries += 1
        if came.count(text) != 1 or shown.count(text) != 1:
            return
        at, size = came.find(text), len(text)
        self._before, self._after = came[: at + 1], came[at + size - 1 :]
        at = shown.find(text)
        self.shown_before, self.shown_after = shown[: at + 1], shown[at + size - 1 :]

    def text_of(self, came: bytes) -> bytes | None:
        """What stands between the quotes of its text; None: it is another event, or none."""
        before, after = self._before, self._after
        start, end = len(before), len(came) - len(after)
        if not start or end < start or came[:start] != before or came[end:] != after:
            return None
        text = came[start:end]
        try:
            _string.decode(b'"%b"' % text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return text


class NumberedEvent:
    """The same of events that are passed on as they come and have a number before their text, which grows."""

    __slots__ = ("_after", "_before", "_between", "_tries", "number")

    def __init__(self) -> None:
        self._before = b""
        self._between = b""
        self._after = b""
        self._tries = 0
        self.number = 0

    def learn(self, came: bytes, member: bytes, text: bytes) -> None:
        """`member`: that of the number, with its colon."""
        if self._tries >= MOST_TRIES:
            return
        self._tries += 1
        at, text_at = came.find(member) + len(member), came.find(text)
        if came.count(member) != 1 or came.count(text) != 1 or text_at < at:
            return
        end = _number_end(came, at)
        if end > at:
            self._before, self._between = came[:at], came[end : text_at + 1]
            self._after = came[text_at + len(text) - 1 :]

    def text_of(self, came: bytes) -> str | None:
        """Its text, and `number` is its number; None: it is another event, or none."""
        before, after, between = self._before, self._after, self._between
        at = len(before)
        if not at or came[:at] != before:
            return None
        number_end = _number_end(came, at)
        start, end = number_end + len(between), len(came) - len(after)
        if number_end == at or end < start or came[number_end:start] != between or came[end:] != after:
            return None
        try:
            text: str = _string.decode(b'"%b"' % came[start:end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self.number = int(came[at:number_end])
        return text


def _number_end(text: bytes, at: int) -> int:
    """Where a whole number ends that begins at `at`; `at`: there is none."""
    end, most = at, min(len(text), at + MOST_DIGITS)
    while end < most and 0x30 <= text[end] <= 0x39:
        end += 1
    return at if end > at + 1 and text[at] == 0x30 else end
