"""Requests that are kept in the caller's own bytes: a provider of the same API gets them as they are, others get them
translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw

from fairlead.errors import CallerError
from fairlead.wire.body import value_span
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.notes import CallNotes
from fairlead.wire.plain import PlainTurns
from fairlead.wire.preferences import Preferences
from fairlead.wire.ready_chat import ReadyChat, ready_chat
from fairlead.wire.template import LONGEST_TEMPLATE, BodyTemplate
from fairlead.wire.traceparent import TraceContext

_NULL: Final[Raw] = NULL


class Contents:
    """What a conversation has. `entries`: messages, or contents of Gemini's; `blocks`: their parts. `media`: as in
    `wire/media.py`; `opening`: what the caller said first; `prefilled`: the model's words are the last ones; `beyond`:
    it refers to something that only the provider has; `plain`: there is nothing but texts in it; `told`: those, as
    they were read; None: they are to be read."""

    __slots__ = (
        "audio", "beyond", "blocks", "entries", "files", "images", "media", "opening", "plain", "prefilled", "told",
        "tools", "videos",
    )  # fmt: skip

    def __init__(self) -> None:
        self.beyond = False
        self.entries = 0
        self.blocks = 0
        self.images = 0
        self.audio = 0
        self.videos = 0
        self.files = 0
        self.tools = 0
        self.media = 0
        self.opening = _NULL
        self.plain = False
        self.told: Any = None
        self.prefilled = False


class NativeRequest:
    """A `ChatPayload`. `fields`: all members of `body`, each as the caller wrote it. `query`: what of it goes on to a
    provider of the same API. `beyond`: its members refer to something that only the provider has, beside the
    conversation.

    `cap`: the most tokens of an answer, 0: none is given; `capped`: it is not the caller's. `server_tools`: what the
    provider is to run. `other_bytes`: of the members, beside the conversation, that may come into the prompt. `notes`:
    what the members say of the call. `translated`: the request in OpenAI's shape, once somebody has asked for it.
    `template`: what its conversation came in, None: no other will be like it.
    """

    __slots__ = (
        "beyond", "body", "cap", "capped", "contents", "emulate", "fallbacks", "fields", "lost", "model", "notes",
        "other_bytes", "preferences", "query", "reports", "server_tools", "stream", "strict", "template", "trace",
        "translated",
    )  # fmt: skip
    include_usage: Final = True

    def __init__(self, body: bytes, fields: dict[str, Raw], query: str) -> None:
        self.body = body
        self.fields = fields
        self.query = query
        self.beyond = False
        self.model = ""
        self.fallbacks: tuple[str, ...] = ()
        self.stream = False
        self.cap = 0
        self.capped = False
        self.contents = Contents()
        self.server_tools: tuple[str, ...] = ()
        self.strict = False
        self.reports = False
        self.emulate = True
        self.other_bytes = 0
        self.notes: CallNotes | None = None
        self.preferences: Preferences | None = None
        self.trace: TraceContext | None = None
        self.lost: tuple[str, ...] = ()
        self.translated: ChatRequest | None = None
        self.template: NativeTemplate | None = None

    @property
    def conversation(self) -> Raw:
        """The value of the member that it stands in."""
        raise NotImplementedError

    @property
    def prompt_bytes(self) -> int:
        """Of everything that may come into the prompt."""
        return self.other_bytes + len(self.conversation)

    @property
    def needs_provider(self) -> bool:
        """The prompt is longer than what is sent here."""
        return self.beyond or self.contents.beyond

    def neutral(self) -> ChatRequest:
        """The request in OpenAI's shape; what it has `lost` is there when it has been asked for."""
        if self.translated is None:
            self.translated = made = self._plainly() or self._translate()
            made.trace = self.trace
        return self.translated

    def _plainly(self) -> ChatRequest | None:
        """By what is known of the template, where the conversation is nothing but texts."""
        template = self.template
        if template is None or template.chat is None:
            return None
        turns = self.plain_turns()
        made = None if turns is None else template.chat.around(turns)
        if made is not None:
            self.lost = template.chat.lost
            self.take_kept(template.chat.kept)
        return made

    def learn(self, request: ChatRequest, system: dict[str, Any] | None, kept: Any) -> None:
        """Remembers what the translation has made of it. `system`: its first message, None: another one; `kept`: for
        `take_kept`."""
        template = self.template
        if template is not None and template.chat is None:
            template.chat = ready_chat(request, system, self.lost, kept)

    def _translate(self) -> ChatRequest:
        """Raises CallerError."""
        raise NotImplementedError

    def plain(self) -> PlainTurns | None:
        """As of a `ChatPayload`."""
        template = self.template
        if template is None or template.chat is None:
            return None
        turns = self.plain_turns()
        told = None if turns is None else template.chat.told(turns)
        if told is not None:
            self.lost = template.chat.lost
            self.take_kept(template.chat.kept)
        return told

    def plain_turns(self) -> PlainTurns | None:
        """The conversation; None: it has more than texts."""
        raise NotImplementedError

    def take_kept(self, kept: Any) -> None:
        """What the answer needs of the translation."""
        raise NotImplementedError

    def copy(self) -> NativeRequest:
        """Another one, to be changed: what it holds is shared."""
        raise NotImplementedError

    def _take(self, other: NativeRequest) -> None:
        """Everything of another one but its body, its members and its query."""
        self.beyond = other.beyond
        self.model = other.model
        self.fallbacks = other.fallbacks
        self.stream = other.stream
        self.cap = other.cap
        self.capped = other.capped
        self.contents = other.contents
        self.server_tools = other.server_tools
        self.strict = other.strict
        self.reports = other.reports
        self.emulate = other.emulate
        self.other_bytes = other.other_bytes
        self.notes = other.notes
        self.preferences = other.preferences
        self.trace = other.trace
        self.lost = other.lost
        self.translated = other.translated
        self.template = other.template

    def within(self, body: bytes, conversation: Raw) -> NativeRequest:
        """A copy for a body that has another conversation. Raises CallerError."""
        raise NotImplementedError

    def marked(self, body: bytes, conversation: Raw) -> NativeRequest:
        """The same with something else in the place of the conversation, which nobody reads."""
        raise NotImplementedError

    def with_neutral(self, request: ChatRequest) -> NativeRequest:
        """The same caller with a request that was rewritten here: its own body does not hold any more."""
        self.neutral()
        changed = self.copy()
        changed.body, changed.cap = b"", request.cap
        changed.translated = request
        changed.template = None
        return changed

    def with_cap(self, tokens: int) -> NativeRequest:
        changed = self.copy()
        changed.cap, changed.capped = tokens, True
        changed.translated = None if self.translated is None else self.translated.with_cap(tokens)
        changed.template = None
        return changed

    def release(self) -> None:
        self.body = b""
        self.fields = {}
        self.contents = Contents()
        self.translated = None
        self.template = None


class NativeTemplate(BodyTemplate):
    """The template of such a request. `request`: one that has it, without a body, whose conversation does not count."""

    __slots__ = ("chat", "request")

    def __init__(self, before: bytes, after: bytes, request: NativeRequest) -> None:
        super().__init__(before, after)
        self.request = request
        self.chat: ReadyChat | None = None  # what its plain ones become in OpenAI's shape, once that is known

    def again(self, body: bytes) -> NativeRequest | None:
        """What a body asks for that has this template; None for any other, and for one that is refused, which shows
        when it is read as a whole."""
        value = self.value_in(body)
        if value is None or (value[0] != 0x5B and value[0] != 0x22):  # a list or a text, without white space before it
            return None
        try:
            if not value.isascii():
                value.decode()
            request = self.request.within(body, Raw(value))
        except (UnicodeDecodeError, CallerError):
            return None
        request.template = self
        return request

    @staticmethod
    def of(request: NativeRequest, name: str) -> NativeTemplate | None:
        """`name`: of the member with the conversation. None: the body is not one that others would be like."""
        body, fields = request.body, request.fields
        start, end = value_span(body, fields, name)
        if start < 0 or start + len(body) - end > LONGEST_TEMPLATE or request.strict:
            return None
        same = request.copy()
        same.body = b""
        same.contents = Contents()
        same.contents.tools = request.contents.tools
        same.fields = copied(fields, name)
        return NativeTemplate(body[:start], body[end:], same)


def copied(fields: Mapping[str, Raw], name: str) -> dict[str, Raw]:
    """The same members in bytes of their own, so that they do not keep the body; that of `name` is null."""
    return {one: _NULL if one == name else Raw(bytes(raw)) for one, raw in fields.items()}
