"""Events of a stream that differ from the one before in a single text, as nearly all of them do."""

from __future__ import annotations

from typing import Final

import msgspec

# A stream whose events differ in more than that (a count, a time) is not looked at for long.
MOST_TRIES: Final = 4
MOST_DIGITS: Final = 15
_string: Final = msgspec.json.Decoder(str)


# OpenAI adds random letters to each event, so that its length does not tell that of the text.
_PADDING: Final = (b'"obfuscation":"', b'"obfuscation": "')


class Ending:
    """What stands behind the text of an event: always the same, but for its padding, if it has one."""

    __slots__ = ("_after", "_rest", "padding")

    def __init__(self) -> None:
        self._after = b""  # up to the padding
        self._rest = b""  # nothing: there is none
        self.padding = b""

    def learn(self, after: bytes) -> None:
        self._after, self._rest = split_at_padding(after)

    def begin_in(self, came: bytes, start: int) -> int:
        """Where it begins in an event whose text begins at `start`, and `padding` is what it has; -1: it is another
        one."""
        after, rest = self._after, self._rest
        if not rest:
            end = len(came) - len(after)
            return end if end >= start and came[end:] == after else -1
        end = len(came) - len(rest)
        at = came.rfind(after)
        padding_at = at + len(after)
        if at < start or end < padding_at or came[end:] != rest:
            return -1
        padding = came[padding_at:end]
        if padding and not padding.isalnum():
            return -1
        self.padding = padding
        return at


class RepeatedEvent:
    """What surrounds the text of an event, as it came and as it was passed on. A later event with the same surroundings
    differs in its text alone and can be passed on without being parsed. `learn` takes events that were parsed."""

    __slots__ = ("_before", "_ending", "_shown_after", "_shown_rest", "_tries", "shown_before")

    def __init__(self) -> None:
        self._before = b""
        self._ending = Ending()
        self._tries = 0
        self.shown_before = b""
        self._shown_after = b""
        self._shown_rest = b""

    def learn(self, came: bytes, shown: bytes, text: bytes) -> None:
        """`text`: with its quotes, as it stands in both."""
        if self._tries >= MOST_TRIES:
            return
        self._tries += 1
        if came.count(text) != 1 or shown.count(text) != 1:
            return
        at, size = came.find(text), len(text)
        self._before = came[: at + 1]
        self._ending.learn(came[at + size - 1 :])
        at = shown.find(text)
        self.shown_before = shown[: at + 1]
        self._shown_after, self._shown_rest = split_at_padding(shown[at + size - 1 :])

    def text_of(self, came: bytes) -> bytes | None:
        """What stands between the quotes of its text; None: it is another event, or none."""
        before = self._before
        start = len(before)
        if not start or came[:start] != before:
            return None
        end = self._ending.begin_in(came, start)
        if end < 0:
            return None
        text = came[start:end]
        try:
            _string.decode(b'"%b"' % text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return text

    @property
    def shown_after(self) -> bytes:
        """What is passed on after the text that was found last."""
        rest = self._shown_rest
        return b"".join((self._shown_after, self._ending.padding, rest)) if rest else self._shown_after


class NumberedEvent:
    """The same of events that are passed on as they come and have a number before their text, which grows."""

    __slots__ = ("_before", "_between", "_ending", "_tries", "number")

    def __init__(self) -> None:
        self._before = b""
        self._between = b""
        self._ending = Ending()
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
            self._ending.learn(came[text_at + len(text) - 1 :])

    def text_of(self, came: bytes) -> str | None:
        """Its text, and `number` is its number; None: it is another event, or none."""
        before, between = self._before, self._between
        at = len(before)
        if not at or came[:at] != before:
            return None
        number_end = _number_end(came, at)
        start = number_end + len(between)
        if number_end == at or came[number_end:start] != between:
            return None
        end = self._ending.begin_in(came, start)
        if end < 0:
            return None
        try:
            text: str = _string.decode(b'"%b"' % came[start:end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self.number = int(came[at:number_end])
        return text


def split_at_padding(after: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the padding; all of it and nothing: there is none."""
    for key in _PADDING:
        at = after.find(key)
        if at >= 0:
            start = at + len(key)
            end = after.find(b'"', start)
            if end >= start and (end == start or after[start:end].isalnum()):
                return after[:start], after[end:]
    return after, b""


def _number_end(text: bytes, at: int) -> int:
    """Where a whole number ends that begins at `at`; `at`: there is none."""
    end, most = at, min(len(text), at + MOST_DIGITS)
    while end < most and 0x30 <= text[end] <= 0x39:
        end += 1
    return at if end > at + 1 and text[at] == 0x30 else end
