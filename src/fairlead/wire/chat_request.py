"""A chat request that has been checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.wire.apis import CHAT_COMPLETIONS
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.plain import LONGEST, PlainTurns, plain_turns, taken
from fairlead.wire.preferences import Preferences
from fairlead.wire.template import BodyTemplate
from fairlead.wire.traceparent import TraceContext

_NULL: Final[Raw] = NULL
# Numbers and flags, checked as such: whatever a provider does with them, they do not become tokens of a prompt.
NOT_IN_PROMPT: Final = frozenset({
    "frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "min_p", "n", "parallel_tool_calls",
    "presence_penalty", "repetition_penalty", "seed", "store", "temperature", "top_k", "top_logprobs", "top_p",
})  # fmt: skip
CAPS: Final = ("max_tokens", "max_completion_tokens")
_integer: Final = msgspec.json.Decoder(int)
_astuple: Final = msgspec.structs.astuple


class ChatRequest:
    """What the caller wants. No Struct: compiled code reads the attributes of its own classes without a look-up.

    `given` holds what is neither null nor `model`, `messages`, `stream`, `stream_options` or `fairlead`, in the
    caller's own bytes; `unknown` names those of them that are no parameters of the API. `prefill`: the text of a last
    assistant message, which the answer is to continue. `fallbacks`: models to try after `model`. `opening`: what the
    conversation began with, the first user message. `reports`: the answer is to say what became of each parameter.
    `trace`: what its attempts are children of, where somebody is told of them. `template`: what its messages came in.
    `media`: what it has beside text (`wire/media.py`), 0: nothing.
    `outline`: the messages of a long body with their long strings cut, for readers of their shape alone.
    `given` may be the template's: a change needs a copy first. `told`: the messages as somebody has read them who found
    nothing but texts, a list of `PlainMessage` or `PlainTurns`; None: they are to be read.

    `session`: the caller's name of what the call belongs to, "": none.

    `cap`: the most tokens of an answer, from `given`; 0: none is given. `other_bytes`: of the members in `given` that
    may come into the prompt (documents, tools, schemas, whatever is not known here), with their names.
    """

    __slots__ = (
        "cap",
        "choices",
        "emulate",
        "fallbacks",
        "given",
        "has_tool_history",
        "include_usage",
        "media",
        "messages",
        "model",
        "opening",
        "other_bytes",
        "outline",
        "preferences",
        "prefill",
        "reports",
        "session",
        "stream",
        "strict",
        "template",
        "told",
        "trace",
        "unknown",
    )  # fmt: skip

    def __init__(
        self,
        model: str,
        messages: Raw,
        given: dict[str, Raw],
        unknown: tuple[str, ...] = (),
        stream: bool = False,
        include_usage: bool = False,
        strict: bool = False,
        media: int = 0,
        has_tool_history: bool = False,
        prefill: str | None = None,
        choices: int = 1,
        preferences: Preferences | None = None,
        fallbacks: tuple[str, ...] = (),
        opening: Raw = _NULL,
        reports: bool = False,
        emulate: bool = True,
        trace: TraceContext | None = None,
        template: RequestTemplate | None = None,
        cap: int = -1,
        other_bytes: int = -1,
    ) -> None:
        self.model = model
        self.messages = messages
        self.given = given
        self.unknown = unknown
        self.stream = stream
        self.include_usage = include_usage
        self.strict = strict
        self.media = media
        self.has_tool_history = has_tool_history
        self.prefill = prefill
        self.choices = choices
        self.preferences = preferences
        self.fallbacks = fallbacks
        self.opening = opening
        self.reports = reports
        self.emulate = emulate
        self.trace = trace
        self.template = template
        self.outline: Raw | None = None
        self.told: Any = None
        self.session = ""
        self.cap = cap if cap >= 0 else cap_in(given)
        self.other_bytes = other_bytes if other_bytes >= 0 else prompt_bytes_in(given)

    @property
    def api(self) -> str:
        return CHAT_COMPLETIONS

    @property
    def echo(self) -> None:
        return None

    @property
    def lost(self) -> tuple[str, ...]:
        return ()

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        return parameters

    def neutral(self) -> ChatRequest:
        """Itself (`ChatPayload`)."""
        return self

    def plain(self) -> PlainTurns | None:
        """As of a `ChatPayload`."""
        template, told = self.template, self.told
        if template is None or self.prefill is not None or self.given is not template.request.given:
            return None
        if isinstance(told, PlainTurns):
            return told
        if told is None or len(self.messages) > LONGEST:
            return plain_turns(self.messages)
        return taken([_astuple(one) for one in told])

    def with_neutral(self, request: ChatRequest) -> ChatRequest:
        return request

    def copy(self) -> ChatRequest:
        """Another one, to be changed: what it holds is shared. It is in no template."""
        same = ChatRequest(
            self.model, self.messages, self.given, self.unknown, self.stream, self.include_usage, self.strict,
            self.media, self.has_tool_history, self.prefill, self.choices, self.preferences, self.fallbacks,
            self.opening, self.reports, self.emulate, self.trace, None, self.cap, self.other_bytes,
        )  # fmt: skip
        same.outline = self.outline
        same.session = self.session
        return same

    @property
    def names(self) -> Iterable[str]:
        """Of its parameters, as the caller wrote them."""
        return self.given

    @property
    def cap_name(self) -> str:
        """Which of the two names for a cap this request has, or would have."""
        return next((name for name in CAPS if name in self.given), CAPS[0])

    def with_cap(self, tokens: int) -> ChatRequest:
        """The same request for an answer no longer than this."""
        capped = self.copy()
        capped.given = {**self.given, self.cap_name: Raw(b"%d" % tokens)}
        capped.cap = tokens
        return capped

    def release(self) -> None:
        """Drops the caller's bytes, once they will not be sent again."""
        self.messages = self.opening = _NULL
        self.outline = self.told = None
        self.given = {}
        self.template = None


def cap_in(given: dict[str, Raw]) -> int:
    """The cap of an answer among checked members; 0: none."""
    for name in CAPS:
        raw = given.get(name)
        if raw is not None:
            return _integer.decode(raw)
    return 0


def prompt_bytes_in(given: dict[str, Raw]) -> int:
    """The bytes of the members that may come into the prompt."""
    found = 0
    for name, raw in given.items():
        if name not in NOT_IN_PROMPT:
            found += len(name.encode()) + len(raw)
    return found


class RequestTemplate(BodyTemplate):
    """The template of a chat request. `request`: one that has it, whose messages do not count."""

    __slots__ = ("request",)

    def __init__(self, before: bytes, after: bytes, request: ChatRequest) -> None:
        super().__init__(before, after)
        self.request = request

    def around(self, messages: Raw, prefill: str | None, opening: Raw) -> ChatRequest:
        """The request with these messages, which are texts."""
        same = self.request
        request = ChatRequest(
            same.model, messages, same.given, same.unknown, same.stream, same.include_usage, False, 0, False,
            prefill, same.choices, same.preferences, same.fallbacks, opening, same.reports, same.emulate, None, self,
            same.cap, same.other_bytes,
        )  # fmt: skip
        request.session = same.session
        return request
