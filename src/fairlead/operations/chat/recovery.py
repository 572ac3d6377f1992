"""How chat helps itself: emulation of what a deployment lacks, media at addresses, streams that continue elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from fairlead.errors import AnswerInvalid, UpstreamInvalid
from fairlead.operations.chat.continuation import Seam, Sent, Splice, continued, may_be_continued
from fairlead.operations.chat.emulate import Emulated, EmulatedAnswer, as_events, emulated, inner_request
from fairlead.operations.chat.emulating import emulate
from fairlead.operations.chat.event_seam import EventSeam, SentEvents
from fairlead.operations.chat.inlining import Inliner
from fairlead.operations.chat.unpaid import UnpaidEmulations
from fairlead.providers.event_answers import EventAnswer, EventRelay
from fairlead.routing.attempt import Attempt
from fairlead.routing.protocols import Answer, Call, MadeAnswer, Relay
from fairlead.routing.retries import Tried
from fairlead.routing.upstream import Upstream
from fairlead.schemas.checker import SchemaChecker
from fairlead.tokens import count_text
from fairlead.wire.answer import AnswerContext, WholeAnswer, WriterFactory
from fairlead.wire.apis import CHAT_COMPLETIONS
from fairlead.wire.chat_answer import events_of
from fairlead.wire.chat_answer_shapes import Completion
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.payload import ChatPayload

# The request of a stream that might have to be continued is kept, unless it is longer.
CONTINUED_PROMPT_BYTES: Final = 65_536


class ChatEmulation:
    """JSON by checking it, `n` by as many calls."""

    __slots__ = ("_key", "_rewrite", "_schemas", "_unpaid", "_wanted", "payload")

    def __init__(
        self,
        request: ChatRequest,
        wanted: Emulated,
        key: str,
        schemas: SchemaChecker,
        unpaid: UnpaidEmulations,
        rewrite: Callable[[EmulatedAnswer], MadeAnswer] | None = None,
    ) -> None:
        self._rewrite = rewrite
        self._wanted = wanted
        self._key = key
        self._schemas = schemas
        self._unpaid = unpaid
        self.payload = inner_request(request, wanted)

    @property
    def names(self) -> tuple[str, ...]:
        return self._wanted.names

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple("response_format" if name != "n" else name for name in self._wanted.names)

    async def check(self) -> None:
        """Raises InvalidRequest and Overloaded for a schema that cannot be checked."""
        if self._wanted.schema is not None:
            await self._schemas.check(self._key, self._wanted.schema)

    async def answer(self, attempt: Attempt, payload: ChatRequest, call: Call) -> MadeAnswer:
        made = await emulate(attempt, payload, call, self._wanted, self._schemas, self._unpaid)
        return made if self._rewrite is None else self._rewrite(made)


class ChatContinuation:
    """A chat that continues after the text that was sent. `payload`: with that text as the beginning of its answer."""

    __slots__ = ("_sent", "payload", "splice")

    def __init__(self, payload: Any, splice: Splice, sent: Sent | SentEvents) -> None:
        self.payload = payload
        self.splice = splice
        self._sent = sent

    @property
    def tokens(self) -> int:
        return self.splice.tokens

    @property
    def stopped(self) -> bool:
        return self.splice.stopped

    @property
    def at(self) -> int:
        return len(self.splice.text)

    def joined(self, relay: Relay) -> Relay:
        if isinstance(self._sent, SentEvents):
            assert isinstance(relay, EventRelay), "what was rewritten here is translated"
            return EventSeam(relay, self.splice, self._sent)
        return Seam(relay, self.splice)


class ChatRecovery:
    """`clock` gives seconds; `inliner`: None when nothing at an address is fetched here. `writers`: of the answers that
    are put together here, by the API of their callers; chat completions need none."""

    def __init__(
        self,
        clock: Callable[[], float],
        schemas: SchemaChecker,
        inliner: Inliner | None = None,
        writers: Mapping[str, WriterFactory] | None = None,
    ) -> None:
        self._writers = writers or {}
        self._schemas = schemas
        self._unpaid = UnpaidEmulations(clock)
        self._inliner = inliner

    @property
    def inlines(self) -> bool:
        return self._inliner is not None

    async def inlined(self, payload: Any) -> Any:
        if self._inliner is None:
            return payload
        return payload.with_neutral(await self._inliner.inlined(payload.neutral()))

    def emulation(
        self,
        payload: ChatPayload,
        upstream: Upstream,  # noqa: ARG002 - all are emulated alike
        missing: int,
        allowed: int,
        key: str,
        tried: Sequence[Tried],
    ) -> ChatEmulation | None:
        request = payload.neutral()
        wanted = emulated(request, missing, allowed)
        if wanted is None:
            return None
        if wanted.schema is not None:
            self._admit(key, tried)
        rewrite = None if payload.api == CHAT_COMPLETIONS else partial(self._rewritten, payload)
        return ChatEmulation(request, wanted, key, self._schemas, self._unpaid, rewrite)

    def _rewritten(self, payload: ChatPayload, made: EmulatedAnswer) -> EventAnswer:
        """An answer that was put together here, for a caller of another API than chat completions."""
        try:
            completion = msgspec.json.decode(msgspec.json.encode(made.document), type=Completion)
        except msgspec.DecodeError:
            raise UpstreamInvalid("The provider's answer is not a chat completion.") from None
        context = AnswerContext(
            completion.model or "", completion.created, payload.include_usage, made.choices, payload.echo
        )
        writer = self._writers[payload.api](context)
        return EventAnswer(writer, made.choices, whole=WholeAnswer(events_of(completion), made.usage))

    def _admit(self, key: str, tried: Sequence[Tried]) -> None:
        """Raises AnswerInvalid where a schema was emulated in vain for this call already, and RateLimited where that
        has happened too often: nobody pays for it."""
        self._unpaid.admit(key)
        for one in tried:
            if one.outcome == AnswerInvalid.code:
                raise AnswerInvalid("No answer conformed to the JSON schema; it is not emulated a second time.")

    def as_stream(self, answer: Answer) -> MadeAnswer:
        return answer if isinstance(answer, EventAnswer) else as_events(answer)

    def record(self, payload: ChatPayload, relay: Relay) -> Sent | SentEvents | None:
        of_events = payload.api != CHAT_COMPLETIONS
        if of_events and not isinstance(relay, EventRelay):
            return None  # bytes that are passed on in another API than chat completions
        request = payload.neutral()
        if len(request.messages) > CONTINUED_PROMPT_BYTES or not may_be_continued(request):
            return None
        return SentEvents(relay) if of_events and isinstance(relay, EventRelay) else Sent()

    async def continuation(
        self, payload: ChatPayload, record: Sent | SentEvents, before: ChatContinuation | None, family: str | None
    ) -> ChatContinuation | None:
        text = record.text
        if text is None:
            return None
        tokens = 0
        if text:
            counted = await asyncio.get_running_loop().run_in_executor(None, count_text, family, text)
            tokens = counted.tokens
        origin = payload.neutral() if before is None else before.splice.origin
        made = continued(origin, text, tokens) if text else (origin, "")
        if made is None:
            return None
        splice = Splice(record if isinstance(record, Sent) else None, origin, text, tokens, made[1])
        return ChatContinuation(payload.with_neutral(made[0]), splice, record)
