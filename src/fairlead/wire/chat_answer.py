"""Chat completions read into events: a chunk of a stream, or a whole completion, as OpenAI and all who follow it write
them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from fairlead.wire.answer import (
    NULL,
    Citation,
    Event,
    Finish,
    FinishReason,
    Logprobs,
    Media,
    Reasoning,
    ReasoningState,
    Refusal,
    Start,
    Text,
    ToolArguments,
    ToolCall,
)
from fairlead.wire.chat_answer_shapes import (
    Call,
    Choice,
    Completion,
    Function,
    Part,
    Words,
)

FINISHES: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Of `reasoning_details` without a format.
UNKNOWN_FORMAT: Final = "unknown"
_DATA_URL: Final = "data:"
# In a variable of this module's own, which compiled code reads without a look-up.
_NULL: Final[Raw] = NULL


def start_of(document: Completion) -> Start:
    tier, fingerprint = document.service_tier, document.system_fingerprint
    details: dict[str, Raw] | None = None
    if tier is not _NULL or fingerprint is not _NULL:
        details = {}
        if tier != _NULL:
            details["service_tier"] = Raw(bytes(tier))
        if fingerprint != _NULL:
            details["system_fingerprint"] = Raw(bytes(fingerprint))
    return Start(document.id or "", document.created, document.model or "", details or None)


class ChoiceReader:
    """Reads the deltas of one choice. `rest`: what is still to come of the prefill that the provider repeats."""

    __slots__ = ("_calls", "_index", "_pending", "_rest", "_thoughts")

    def __init__(self, index: int, prefill: str) -> None:
        self._index = index
        self._rest = prefill
        self._calls: dict[int, tuple[int, str]] = {}  # by the provider's index: ours, and the id
        self._pending: dict[int, list[str]] = {}  # calls whose name has not come: id and arguments
        self._thoughts: dict[int, list[str]] = {}

    def take(self, choice: Choice) -> list[Event]:
        words = choice.delta or choice.message
        is_whole = choice.delta is None
        events: list[Event] = []
        if words is not None:
            self._take_reasoning(words, events)
            if words.content:
                self._take_content(words.content, events)
            if words.refusal:
                events.append(Refusal(words.refusal, self._index))
            for at, call in enumerate(words.tool_calls or ()):
                self._take_call(call, at if is_whole else call.index or 0, events)
            if words.annotations or words.audio is not None or words.images:
                self._take_rare(words, events)
        if choice.logprobs is not None:
            content, refusal = choice.logprobs.content or (), choice.logprobs.refusal or ()
            if content or refusal:
                events.append(Logprobs(_copied(content), _copied(refusal), self._index))
        if choice.finish_reason is not None:
            reason = choice.finish_reason
            events.append(Finish(FINISHES.get(reason, "stop"), self._index, reason))
        return events

    def _take_content(self, content: str | list[Part], events: list[Event]) -> None:
        if not isinstance(content, str):
            for part in content:
                if part.thinking:
                    thinking = part.thinking
                    text = thinking if isinstance(thinking, str) else "".join([one.text for one in thinking])
                    events.append(Reasoning(text, self._index))
                elif part.text:
                    self._take_content(part.text, events)
            return
        if self._rest:
            content = self._without_prefill(content)
        if content:
            events.append(Text(content, self._index))

    def _without_prefill(self, text: str) -> str:
        rest = self._rest
        if text.startswith(rest):
            self._rest = ""
            return text[len(rest) :]
        if rest.startswith(text):
            self._rest = rest[len(text) :]
            return ""
        self._rest = ""  # it does not repeat it after all
        return text

    def _take_reasoning(self, words: Words, events: list[Event]) -> None:
        text = words.reasoning_content or words.reasoning
        if text:
            events.append(Reasoning(text, self._index))
        for detail in words.reasoning_details or ():
            part = detail.index or 0
            thought = self._thoughts.setdefault(part, [])
            thought.append(detail.text or "")
            if detail.signature or detail.data:
                said = "" if detail.data else "".join(thought)
                thought.clear()
                events.append(
                    ReasoningState(
                        detail.format or UNKNOWN_FORMAT, said, detail.signature or "", detail.data or "",
                        detail.id or "", self._index, part,
                    )
                )  # fmt: skip

    def _take_call(self, call: Call, place: int, events: list[Event]) -> None:
        """A call begins once its name has come. Some providers give all calls the same index: another id is another
        call."""
        function = call.function or call.custom or Function()
        arguments = function.arguments or function.input or ""
        known = self._calls.get(place)
        if known is not None and not (call.id and function.name and call.id != known[1]):
            if arguments:
                events.append(ToolArguments(known[0], arguments, self._index))
            return
        tool_id, before = self._pending.pop(place, ["", ""])
        tool_id, arguments = call.id or tool_id, before + arguments
        if not function.name:
            self._pending[place] = [tool_id, arguments]
            return
        number = max((one[0] for one in self._calls.values()), default=-1) + 1
        self._calls[place] = (number, tool_id)
        google = None if call.extra_content is None else call.extra_content.google
        events.append(
            ToolCall(
                number, tool_id, function.name, arguments, self._index,
                kind="function" if call.custom is None else "custom",
                signature=None if google is None else google.thought_signature,
            )
        )  # fmt: skip

    def _take_rare(self, words: Words, events: list[Event]) -> None:
        for annotation in words.annotations or ():
            cited = annotation.url_citation
            if cited is not None:
                start, end = (-1 if at is None else at for at in (cited.start_index, cited.end_index))
                events.append(Citation(cited.url, cited.title, cited.content, start, end, self._index))
        for image in words.images or ():
            if image.image_url is not None:
                events.append(_image(image.image_url.url, self._index))
        audio = words.audio
        if audio is not None:
            events.append(
                Media(
                    "audio", data=audio.data or "", id=audio.id or "", transcript=audio.transcript or "",
                    expires_at=audio.expires_at or 0, choice=self._index,
                )
            )  # fmt: skip


def _copied(found: Iterable[Raw]) -> tuple[Raw, ...]:
    return tuple([Raw(bytes(one)) for one in found])


def _image(url: str, choice: int) -> Media:
    if not url.startswith(_DATA_URL):
        return Media("image", url=url, choice=choice)
    head, _, data = url.partition(",")
    return Media("image", head.removeprefix(_DATA_URL).removesuffix(";base64"), data, choice=choice)


def events_of(completion: Completion) -> list[Event]:
    """A whole completion. Its choices are counted as they stand; one without a finish reason is finished."""
    events: list[Event] = [start_of(completion)]
    for at, choice in enumerate(completion.choices):
        events += ChoiceReader(at, "").take(choice)
        if choice.finish_reason is None:
            events.append(Finish("stop", at))
    return events
