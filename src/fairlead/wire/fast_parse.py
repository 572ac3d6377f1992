"""Prompts read in one pass: `wire/chat` looks at every body twice, which is most of the cost of a long one.

What SDKs write is compact, has each member once, and its messages are a role and a text each. Then everything but the
messages' own bytes is known to its length, and they are found by exclusion. Whatever is not like that, good or bad, is
left to the two passes. Of a body that is an earlier one with other messages, only these are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import MOST_MESSAGES
from fairlead.wire.chat_request import ChatRequest, RequestTemplate
from fairlead.wire.chat_shapes import NULL, PlainMessage
from fairlead.wire.counting import CountedPlainMessage, TooMany, decode_counted
from fairlead.wire.template import LONGEST_TEMPLATE

# From here on a body may have any member of the API; a shorter one would not gain by it.
LEAST_BYTES: Final = 8_192
# What short bodies have beside their messages, most of them.
USUAL: Final = (
    "model", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "seed",
    "stop", "user", "presence_penalty", "frequency_penalty",
)  # fmt: skip
# A longer one has its messages counted while they are decoded: a list of a million ends at the first one too many.
UNCOUNTED_BYTES: Final = 131_072
_ABSENT: Final = Raw(b"")
_string: Final = msgspec.json.Decoder(str)
_astuple: Final = msgspec.structs.astuple
_NULL: Final[Raw] = NULL
_messages: Final = msgspec.json.Decoder(list[PlainMessage]).decode
_counted_messages: Final = msgspec.json.Decoder(list[CountedPlainMessage])


class FastParse:
    """A body that was read: its members, the text of a last assistant message, the content of the first user's, and
    where the messages stand."""

    __slots__ = ("end", "fields", "opening", "prefill", "start")

    def __init__(self, fields: dict[str, Raw], prefill: str | None, opening: Raw, start: int, end: int) -> None:
        self.fields = fields
        self.prefill = prefill
        self.opening = opening
        self.start = start
        self.end = end

    def template(self, body: bytes, request: ChatRequest) -> RequestTemplate | None:
        """What is around the messages, to be kept with the request that was made of it all."""
        if self.start + len(body) - self.end > LONGEST_TEMPLATE or request.strict:
            return None
        same = request.copy()  # what is done to the request itself does not count
        same.messages = same.opening = _NULL
        if len(body) > LEAST_BYTES:  # which would be kept by its members
            same.given = {name: Raw(bytes(raw)) for name, raw in same.given.items()}
        return RequestTemplate(body[: self.start], body[self.end :], same)


class FastParser:
    """Reads bodies whose members are among `names`, beside `messages`."""

    __slots__ = ("_counted", "_decode", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._decode = self._decoder(PlainMessage).decode
        self._counted = self._decoder(CountedPlainMessage)

    def _decoder(self, message: type[PlainMessage]) -> msgspec.json.Decoder[Any]:
        members: list[Any] = [("messages", list[message])]  # type: ignore[valid-type]
        members += [(name, Raw, _ABSENT) for name in self._names]
        return msgspec.json.Decoder(msgspec.defstruct("Body", members, forbid_unknown_fields=True, gc=False))

    def read(self, body: bytes) -> FastParse | None:
        """None when the two passes have to look at it. `body` is known to be UTF-8."""
        try:
            decoded: Any
            if len(body) <= UNCOUNTED_BYTES:
                decoded = self._decode(body)
            else:
                decoded = decode_counted(self._counted, body, MOST_MESSAGES)
        except (msgspec.DecodeError, RecursionError):
            return None
        except TooMany:
            raise too_many_messages() from None
        values: tuple[Any, ...] = _astuple(decoded)
        # Each member takes at least so many bytes. What they leave is for the messages, which take at least theirs:
        # when that is all of it, none takes more.
        others = len('{"messages":}')
        fields: dict[str, Raw] = {}
        at = 1
        for name in self._names:
            value: Raw = values[at]
            at += 1
            if value is not _ABSENT:
                fields[name] = value
                others += 4 + len(name) + len(value)
        start = _start(body, fields)
        end = start + len(body) - others
        said = _said(values[0], body, start, end) if start >= 0 and end <= len(body) else None
        if said is None:
            return None
        role, content, opening = said
        prefill: str | None = None
        if role == "assistant":
            try:
                prefill = _string.decode(content)
            except msgspec.DecodeError:  # half of a surrogate pair
                return None
        fields["messages"] = Raw(_part(body, start, end))
        return FastParse(fields, prefill, opening, start, end)


def read_within(template: RequestTemplate, body: bytes, begin: int = 0) -> ChatRequest | None:
    """A body that has this template, and texts as messages; it begins at `begin` and is known to be UTF-8. None for any
    other."""
    start = begin + len(template.before)
    end = len(body) - len(template.after)
    if end <= start or body[begin:start] != template.before or body[end:] != template.after:
        return None
    text = _part(body, start, end)
    told: list[PlainMessage]
    try:
        if end - start <= UNCOUNTED_BYTES:
            told = _messages(text)
        else:
            told = decode_counted(_counted_messages, Raw(text), MOST_MESSAGES)
        said = _said(told, body, start, end)
        if said is None:
            return None
        prefill: str | None = _string.decode(said[1]) if said[0] == "assistant" else None
    except (msgspec.DecodeError, RecursionError):
        return None
    except TooMany:
        raise too_many_messages() from None
    request = template.around(Raw(text), prefill, said[2])
    if end - start < LEAST_BYTES:  # of a long one it is not worth keeping
        request.told = told
    return request


def _said(messages: list[PlainMessage], body: bytes, start: int, end: int) -> tuple[str, Raw, Raw] | None:
    """Role and content of the last message, and the first user's content, when all are texts and take no more bytes
    than they must, which together are those from `start` to `end`; None otherwise. Raises InvalidRequest when there
    are too many: they are not decoded twice to find that out."""
    if len(messages) > MOST_MESSAGES:
        raise too_many_messages()
    role = ""
    content = opening = _NULL
    at = start + 1
    for message in messages:
        pair: tuple[str, Raw] = _astuple(message)
        role, content = pair
        length = len(role)
        if at + 21 + length >= end:
            return None
        # The content is behind the role or before it.
        if body[at + 21 + length if body[at + 2] == 0x72 else at + 11] != 0x22:
            return None
        if opening is _NULL and role == "user":
            opening = content
        at += 23 + length + len(content)
    return (role, content, opening) if at == end and role else None


def too_many_messages() -> InvalidRequest:
    return InvalidRequest(f"There are more than {MOST_MESSAGES:,} messages.", param="messages")


def _start(body: bytes, fields: dict[str, Raw]) -> int:
    """Where the messages begin, behind members that take no more bytes than they must; -1 for others."""
    at = 1
    end = len(body)
    while at < end:
        stop = body.find(b'"', at + 1)
        name = body[at + 1 : stop]
        if name == b"messages":
            return stop + 2
        value = fields.get(name.decode())
        if value is None:  # a name with escapes in it
            return -1
        at = stop + 3 + len(value)
    return -1


def _part(body: bytes, start: int, end: int) -> bytes | memoryview:
    """Copied where that costs less than a view."""
    return body[start:end] if end - start < LEAST_BYTES else memoryview(body)[start:end]
