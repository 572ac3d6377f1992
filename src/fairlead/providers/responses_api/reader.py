"""Responses as neutral events: streams, and whole documents."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import UpstreamCut, UpstreamFailed, UpstreamInvalid
from fairlead.providers.responses_api.errors import failure_in_event, failure_of
from fairlead.providers.responses_api.shapes import (
    EVENT,
    ITEM,
    RESPONSE,
    SAID,
    TEXT,
    Event,
    Item,
    Part,
    Response,
    inside,
)
from fairlead.providers.sse import EventReader
from fairlead.providers.translated import decoded, said, text_in
from fairlead.wire.answer import (
    Citation,
    Extension,
    Finish,
    FinishReason,
    Logprobs,
    Media,
    OneText,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
    WholeAnswer,
    is_nothing,
)
from fairlead.wire.answer import Event as AnswerEvent
from fairlead.wire.apis import RESPONSES
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.usage import Usage, usage_from_responses

# Of what providers of this API encrypt; OpenRouter calls it so, too.
FORMAT: Final = "openai-responses-v1"
_CALLS: Final = ("function_call", "custom_tool_call")
_TEXTS: Final = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "summary",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_astuple: Final = msgspec.structs.astuple
_LAST: Final = ("response.completed", "response.incomplete")


def _start(response: Response) -> Start:
    details = None if response.service_tier == NULL else {"service_tier": Raw(bytes(response.service_tier))}
    model = "" if response.model == NULL else inside(TEXT, response.model, "a model's name")
    return Start(response.id, int(response.created_at), model, details)


def _finish(response: Response, has_calls: bool) -> Finish:
    why = response.incomplete_details.reason if response.incomplete_details is not None else None
    native = why or response.status or ""
    reason: FinishReason = "tool_calls" if has_calls else "stop"
    if response.status == "incomplete":
        reason = "content_filter" if why == "content_filter" else "length"
    return Finish(reason, native=native)


class _Items:
    """Output items become events: what came in deltas is not told again when the item is done."""

    __slots__ = ("_calls", "_parts", "_told", "has_calls")

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}  # our numbers of calls, by their items'
        self._parts: dict[tuple[int, str, int], int] = {}
        self._told: set[tuple[int, str, int]] = set()
        self.has_calls = False

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def begin(self, index: int, item: Item) -> list[AnswerEvent]:
        if item.type not in _CALLS or index in self._calls:
            return []
        number = self._calls[index] = len(self._calls)
        self.has_calls = True
        return [
            ToolCall(
                number, item.call_id or item.id, item.name, part=self._part(index, "call", 0),
                kind="custom" if item.type == "custom_tool_call" else "function", namespace=item.namespace or "",
            )
        ]  # fmt: skip

    def take(self, kind: str, index: int, part: int, text: str) -> list[AnswerEvent]:
        if kind == "arguments":
            number = self._calls.get(index)
            if number is None:
                raise UpstreamInvalid("The provider sent arguments of a tool call that it never began.")
            self._told.add((index, kind, 0))
            return [ToolArguments(number, text)]
        self._told.add((index, kind, part))
        number = self._part(index, kind, part)
        if kind == "text":
            return [Text(text, part=number)]
        if kind == "refusal":
            return [Refusal(text, part=number)]
        return [Reasoning(text, part=number, summary=kind == "summary")]

    def end(self, index: int, item: Item, raw: Raw) -> list[AnswerEvent]:
        if item.type == "message":
            return self._end_message(index, item)
        if item.type == "reasoning":
            return self._end_reasoning(index, item)
        if item.type in _CALLS:
            events = self.begin(index, item)
            arguments = item.arguments or item.input or ""
            if arguments and (index, "arguments", 0) not in self._told:
                events += self.take("arguments", index, 0, arguments)
            return events
        if item.type == "image_generation_call" and item.result:
            return [Media("image", "image/png", item.result, part=self._part(index, "image", 0))]
        return [Extension(RESPONSES, item.type, Raw(bytes(raw)), part=self._part(index, "item", 0))]

    def _end_message(self, index: int, item: Item) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        for at, part in enumerate(item.content or ()):
            kind = "refusal" if part.type == "refusal" else "text"
            text = (part.refusal if kind == "refusal" else part.text) or ""
            if text and (index, kind, at) not in self._told:
                events += self.take(kind, index, at, text)
                if part.logprobs:
                    events.append(Logprobs(_copied(part.logprobs)))
            events += self._citations(index, at, part)
        return events

    def _citations(self, index: int, at: int, part: Part) -> list[AnswerEvent]:
        number = self._part(index, "text", at)
        return [
            Citation(
                one.url, one.title, start=-1 if one.start_index is None else one.start_index,
                end=-1 if one.end_index is None else one.end_index, part=number,
            )
            for one in part.annotations or ()
            if one.type == "url_citation"
        ]  # fmt: skip

    def _end_reasoning(self, index: int, item: Item) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        for kind, parts in (("summary", item.summary), ("reasoning", item.content)):
            for at, part in enumerate(parts or ()):
                if part.text and (index, kind, at) not in self._told:
                    events += self.take(kind, index, at, part.text)
        if item.encrypted_content:
            number = self._part(index, "reasoning", 0)
            events.append(ReasoningState(FORMAT, data=item.encrypted_content, id=item.id, part=number))
        return events

    def _part(self, index: int, kind: str, part: int) -> int:
        return self._parts.setdefault((index, kind, part), len(self._parts))


def _copied(found: list[Raw]) -> tuple[Raw, ...]:
    return tuple([Raw(bytes(one)) for one in found])


class ResponsesReader:
    """Reads a stream of Responses events."""

    __slots__ = ("_events", "_items", "_started", "_usage", "done")

    def __init__(self) -> None:
        self._events = EventReader()
        self._items = _Items()
        self._started = False
        self._usage = NULL
        self.done = False

    @property
    def usage(self) -> Usage | None:
        return None if self._usage == NULL else usage_from_responses(self._usage)

    def feed(self, data: bytes) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        for payload in self._events.feed(data):
            if self.done or payload == b"[DONE]":
                break
            event: Event = decoded(EVENT, payload, "an event")
            if event.type == "error":
                raise failure_in_event(payload)
            self._take(event, events)
        return events

    def last(self) -> list[AnswerEvent]:
        events = [] if self.done else self.feed(b"\n\n")
        if not self.done:
            raise UpstreamCut("The provider's stream ended before the answer was complete.")
        return events

    def _take(self, event: Event, events: list[AnswerEvent]) -> None:
        kind = _TEXTS.get(event.type)
        if kind is not None:
            part = event.content_index if event.summary_index is None else event.summary_index
            text = inside(TEXT, event.delta, "an event")
            events += self._items.take(kind, event.output_index, part or 0, text)
            if event.logprobs:
                events.append(Logprobs(_copied(event.logprobs)))
        elif event.item != NULL:
            item: Item = inside(ITEM, event.item, "an item")
            if event.type == "response.output_item.added":
                events += self._items.begin(event.output_index, item)
            elif event.type == "response.output_item.done":
                events += self._items.end(event.output_index, item, event.item)
        elif event.response != NULL:
            self._take_response(event, events)

    def _take_response(self, event: Event, events: list[AnswerEvent]) -> None:
        response: Response = inside(RESPONSE, event.response, "a response")
        if not self._started:
            self._started = True
            events.append(_start(response))
        if event.type in _LAST:
            if response.usage != NULL:
                self._usage = Raw(bytes(response.usage))
            response.status = response.status or event.type.partition(".")[2]
            if response.status == "completed" and not response.output and self._items.is_empty:
                raise UpstreamInvalid("The provider's response has no output.")
            events.append(_finish(response, self._items.has_calls))
            self.done = True
        elif event.type == "response.failed":
            raise failure_of(response.error)
        elif event.type == "response.cancelled":
            raise UpstreamFailed("The provider cancelled its answer.")


class ResponsesFormat:
    """An `AnswerFormat`."""

    __slots__ = ()

    def reader(self, choices: int, prefill: str = "") -> ResponsesReader:
        del choices, prefill  # there is one, and nothing is continued
        return ResponsesReader()

    def whole(self, body: bytes) -> WholeAnswer:
        response: Response = decoded(RESPONSE, body, "an answer")
        check_complete(response)
        items = _Items()
        events: list[AnswerEvent] = [_start(response)]
        for index, raw in enumerate(response.output):
            events += items.end(index, inside(ITEM, raw, "an item"), raw)
        events.append(_finish(response, items.has_calls))
        return WholeAnswer(events, None if response.usage == NULL else usage_from_responses(response.usage))


def one_text(body: bytes) -> OneText | None:
    """A whole answer of one text and nothing else; None: another one, or none."""
    given = said(SAID, body)
    if given is None or given[3] != "completed" or not is_nothing(given[5]):
        return None
    parts: list[Any] | None = None
    for one in given[0]:
        item: tuple[Any, ...] = _astuple(one)
        if item[0] == "message" and parts is None:
            parts = item[1]
        elif item[0] != "reasoning" or item[1] or not is_nothing(item[2]) or not is_nothing(item[3]):
            return None
    if parts is None or len(parts) != 1:
        return None
    part: tuple[Any, ...] = _astuple(parts[0])
    text = text_in(part[1])
    if part[0] != "output_text" or not text or not is_nothing(part[2]) or not is_nothing(part[3]):
        return None
    usage: Raw = given[4]
    tier: Raw = given[6]
    return OneText(
        text, given[1], "stop", "completed", None if is_nothing(usage) else usage_from_responses(usage), int(given[2]),
        None, b"" if is_nothing(tier) else b',"service_tier":%b' % bytes(tier),
    )  # fmt: skip


def check_complete(response: Response) -> None:
    """Raises what the response says that has failed, and UpstreamInvalid for what is no complete response."""
    if response.error is not None or response.status == "failed":
        raise failure_of(response.error)
    if response.status not in ("completed", "incomplete"):
        raise UpstreamInvalid("The provider's answer is not a complete response.")
    if response.status == "completed" and not response.output:
        raise UpstreamInvalid("The provider's response has no output.")
