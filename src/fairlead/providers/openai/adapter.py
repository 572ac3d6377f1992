"""OpenAI's chat completions bound to one deployment of a server that speaks them, more or less. Answers:
`answers.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, InvalidRequest, NotCarried
from fairlead.providers.dialect import Dialect
from fairlead.providers.failures import upstream_error
from fairlead.providers.openai.answers import ChatAssembler, ChatRelay, PlainAnswer, plain_answer
from fairlead.providers.openai.messages import (
    may_hold_control,
    neutral_text,
    neutralise,
    with_mistral_parts,
    with_prefix_mark,
    with_short_ids,
    with_text_results,
    without_members,
)
from fairlead.providers.openai.request import rewrite_json_object, rewrite_structured, rewrite_tool_choice
from fairlead.providers.openai.shapes import UpstreamCall
from fairlead.wire.chat import PARAMETERS, ChatRequest
from fairlead.wire.heads import EVENT_STREAM
from fairlead.wire.media import AUDIO, FILE
from fairlead.wire.vocabulary import FOREIGN_REASONING

__all__ = ["OpenAIChat", "UpstreamCall"]

_OWN_PARTS: Final = AUDIO | FILE
# Up to here copying the messages costs less than having them apart.
MOST_COPIED: Final = 16_384
# The same of all other members together.
MOST_JOINED: Final = 262_144
_encode: Final = msgspec.json.encode
_NAMES: Final = {
    name: b',"%b":' % name.encode()
    for name in (*PARAMETERS, "random_seed", "repeat_penalty", "repeat_last_n", "continue_final_message")
}


class Start:
    """What a request begins with, up to its messages; it is the same for all in one template."""

    __slots__ = ("dropped", "stream", "text")

    def __init__(self, text: bytes, stream: bool, dropped: tuple[str, ...]) -> None:
        self.text = text
        self.stream = stream
        self.dropped = dropped


def _body(start: bytes, messages: Raw) -> list[bytes | memoryview]:
    if len(messages) < MOST_COPIED:
        return [b"".join((start, messages, b"}"))]
    return [start, memoryview(messages), b"}"]


def _apart(pieces: list[bytes | Raw]) -> list[bytes | memoryview]:
    """The same bytes: what is long as it is, what is short between joined."""
    found: list[bytes | memoryview] = []
    short: list[bytes | Raw] = []
    for piece in pieces:
        if len(piece) < MOST_COPIED:
            short.append(piece)
        else:
            found += (b"".join(short), memoryview(piece))
            short = []
    found.append(b"".join(short))
    return found


class OpenAIChat:
    """A dialect bound to one deployment. Everything here is pure: no clock, no network.

    `defaults` are the catalogue's values for parameters that the caller leaves out.
    """

    __slots__ = (
        "_always_streams",
        "_asks_usage",
        "_carries",
        "_defaults",
        "_dialect",
        "_lacks",
        "_needle",
        "_neutral",
        "_parses_control_tokens",
        "_passes_unknown",
        "_public",
        "_refused",
        "_renames",
        "_replacement",
        "_short_tool_ids",
        "_start",
        "_structured",
        "_tool_choice",
        "_unknown",
        "_upstream_model",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect, public_model: str, upstream_model: str, defaults: Mapping[str, Raw] | None = None
    ) -> None:
        self._dialect = dialect
        # What every call looks at, in typed attributes: a compiled module reads those without a look-up.
        self._carries = dialect.carries
        self._lacks = dialect.lacks
        self._renames = dialect.renames
        self._unknown = dialect.unknown
        self._neutral = dialect.neutral
        self._refused = tuple([b'"%b"' % name.encode() for name in sorted(dialect.refuses)])
        self._structured = dialect.structured
        self._tool_choice = dialect.tool_choice
        self._passes_unknown = dialect.passes_unknown
        self._short_tool_ids = dialect.short_tool_ids
        self._parses_control_tokens = dialect.parses_control_tokens
        self._always_streams = dialect.always_streams
        self._asks_usage = dialect.asks_usage
        self._public = _encode(public_model)
        self._upstream_model = Raw(_encode(upstream_model))
        self._defaults = {
            name: raw
            for name, raw in (defaults or {}).items()
            if (name not in dialect.lacks if dialect.carries is None else name in dialect.carries)
        }
        self._start = b'{"model":%b' % bytes(self._upstream_model)
        self._needle = b'"model":%b' % bytes(self._upstream_model)
        self._replacement = b'"model":%b' % self._public

    @property
    def stream_type(self) -> bytes:
        return EVENT_STREAM

    def to_vendor(self, request: ChatRequest) -> UpstreamCall:
        """The request as this upstream takes it. Raises InvalidRequest in strict mode for what it cannot carry."""
        template = request.template
        if template is not None and request.prefill is None and request.given is template.request.given:
            start = template.memos.get(self)
            if isinstance(start, Start):
                return UpstreamCall(
                    _body(start.text, request.messages), start.stream, start.dropped, request.include_usage,
                    request.choices, "",
                )  # fmt: skip
        return self._translate(request)

    def _translate(self, request: ChatRequest) -> UpstreamCall:
        row = self._dialect
        dropped: list[str] = []
        given = request.given
        members = {name: raw for name, raw in self._defaults.items() if name not in given}
        renames = self._renames
        for name, raw in given.items():
            if self._takes(name, name in request.unknown):
                members[renames.get(name, name) if renames else name] = raw
            else:
                dropped.append(name[:64])
        if "structured_outputs" in members and self._structured != "as_is":
            dropped += rewrite_structured(row, members)
        if self._structured == "llamacpp" and "response_format" in members:
            rewrite_json_object(members)
        if "tool_choice" in members and self._tool_choice != "as_is":
            rewrite_tool_choice(row, members)
        for name, neutral in self._neutral.items():
            if name not in members:
                members[name] = Raw(neutral)
        if "repeat_penalty" in members:
            members.setdefault("repeat_last_n", Raw(b"-1"))  # the whole context, as the others do it
        if dropped and request.strict:
            raise NotCarried(dropped)
        messages = request.messages
        if row.refuses and request.template is None:  # what has a template is nothing but texts
            messages, loses = without_members(messages, row.refuses, self._refused)
            if loses:
                dropped.append(FOREIGN_REASONING)
        if request.has_tool_history and self._short_tool_ids:
            messages = with_short_ids(messages)
        if request.media and request.has_tool_history and row.text_results:
            messages = with_text_results(messages)
        if request.media & _OWN_PARTS and row.own_parts:
            messages = with_mistral_parts(messages)
        prefill = request.prefill
        if self._parses_control_tokens:
            try:
                messages = neutralise(messages)
                if "tools" in members:
                    members["tools"] = neutralise(members["tools"])
            except RecursionError:
                raise InvalidRequest("messages are nested too deeply.", param="messages") from None
            except msgspec.DecodeError as error:  # a number that nothing can hold
                raise InvalidRequest(f"messages or tools: {str(error)[:200]}.", param="messages") from None
            if prefill and may_hold_control(_encode(prefill)):
                prefill = neutral_text(prefill)
        if prefill is not None:
            for name, value in row.prefill_members.items():
                members[name] = Raw(value)
            if row.prefill_prefix:
                messages = with_prefix_mark(messages)
        stream = request.stream or self._always_streams
        if stream:
            members["stream"] = Raw(b"true")
            if self._asks_usage:
                members["stream_options"] = Raw(b'{"include_usage":true}')
        pieces: list[bytes | Raw] = [self._start]
        for name, raw in members.items():
            pieces.append(_NAMES.get(name) or b",%b:" % _encode(name))
            pieces.append(raw)
        pieces.append(b',"messages":')
        if request.other_bytes > MOST_JOINED:
            return UpstreamCall(
                [*_apart(pieces), memoryview(messages), b"}"], stream, tuple(dropped), request.include_usage,
                request.choices, prefill if prefill and row.echoes_prefill else "",
            )  # fmt: skip
        start = b"".join(pieces)
        template = request.template
        if (
            template is not None
            and messages is request.messages
            and prefill is None
            and not self._parses_control_tokens
            and given is template.request.given
        ):
            template.remember(self, Start(start, stream, tuple(dropped)))
        return UpstreamCall(
            _body(start, messages), stream, tuple(dropped), request.include_usage, request.choices,
            prefill if prefill and row.echoes_prefill else "",
        )  # fmt: skip

    def _takes(self, name: str, unknown: bool) -> bool:
        carries = self._carries
        if name in self._lacks or (unknown and self._unknown is not None and name not in self._unknown):
            return False
        return carries is None or name in carries or (unknown and self._passes_unknown)

    def relay(self, call: UpstreamCall) -> ChatRelay:
        return ChatRelay(self._public, call)

    def assembler(self, call: UpstreamCall) -> ChatAssembler:
        return ChatAssembler(self._public, call)

    def plain(self, _call: UpstreamCall, body: bytes) -> PlainAnswer:
        """A whole answer that the upstream sent in one document, with the public name of the model."""
        return plain_answer(body, self._upstream_model, self._needle, self._public, self._replacement)

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)
