"""How chat helps itself: emulation of what a deployment lacks, media at addresses, streams that go on elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from fairlead.errors import AnswerInvalid
from fairlead.operations.chat.continuation import Seam, Sent, Splice, continued, may_be_continued
from fairlead.operations.chat.emulate import Emulated, EmulatedAnswer, as_events, emulated, inner_request
from fairlead.operations.chat.emulating import emulate
from fairlead.operations.chat.inlining import Inliner
from fairlead.operations.chat.unpaid import UnpaidEmulations
from fairlead.routing.attempt import Attempt
from fairlead.routing.protocols import Answer, Call, Relay
from fairlead.routing.retries import Tried
from fairlead.schemas.checker import SchemaChecker
from fairlead.tokens import count_text
from fairlead.wire.chat_request import ChatRequest

# The request of a stream that might have to be continued is kept, unless it is longer.
CONTINUED_PROMPT_BYTES: Final = 65_536


class ChatEmulation:
    """JSON by checking it, `n` by as many calls."""

    __slots__ = ("_key", "_schemas", "_unpaid", "_wanted", "payload")

    def __init__(
        self, request: ChatRequest, wanted: Emulated, key: str, schemas: SchemaChecker, unpaid: UnpaidEmulations
    ) -> None:
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

    async def answer(self, attempt: Attempt, payload: ChatRequest, call: Call) -> EmulatedAnswer:
        return await emulate(attempt, payload, call, self._wanted, self._schemas, self._unpaid)


class ChatContinuation:
    """A chat that goes on behind the text that was sent. `payload`: with that text as the beginning of its answer."""

    __slots__ = ("payload", "splice")

    def __init__(self, payload: ChatRequest, splice: Splice) -> None:
        self.payload = payload
        self.splice = splice

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
        return Seam(relay, self.splice)


class ChatRecovery:
    """`clock` gives seconds; `inliner`: None when nothing at an address is fetched here."""

    def __init__(self, clock: Callable[[], float], schemas: SchemaChecker, inliner: Inliner | None = None) -> None:
        self._schemas = schemas
        self._unpaid = UnpaidEmulations(clock)
        self._inliner = inliner

    @property
    def inlines(self) -> bool:
        return self._inliner is not None

    async def inlined(self, payload: ChatRequest) -> ChatRequest:
        return payload if self._inliner is None else await self._inliner.inlined(payload)

    def emulation(
        self, payload: ChatRequest, missing: int, allowed: int, key: str, tried: Sequence[Tried]
    ) -> ChatEmulation | None:
        wanted = emulated(payload, missing, allowed)
        if wanted is None:
            return None
        if wanted.schema is not None:
            self._admit(key, tried)
        return ChatEmulation(payload, wanted, key, self._schemas, self._unpaid)

    def _admit(self, key: str, tried: Sequence[Tried]) -> None:
        """Raises AnswerInvalid where a schema was emulated in vain for this call already, and RateLimited where that
        has happened too often: nobody pays for it."""
        self._unpaid.admit(key)
        for one in tried:
            if one.outcome == AnswerInvalid.code:
                raise AnswerInvalid("No answer conformed to the JSON schema; it is not emulated a second time.")

    def as_stream(self, answer: Answer) -> EmulatedAnswer:
        return as_events(answer)

    def record(self, payload: ChatRequest) -> Sent | None:
        if len(payload.messages) <= CONTINUED_PROMPT_BYTES and may_be_continued(payload):
            return Sent()
        return None

    async def continuation(
        self, payload: ChatRequest, record: Sent, before: ChatContinuation | None, family: str | None
    ) -> ChatContinuation | None:
        text = record.text
        if text is None:
            return None
        tokens = 0
        if text:
            counted = await asyncio.get_running_loop().run_in_executor(None, count_text, family, text)
            tokens = counted.tokens
        origin = payload if before is None else before.splice.origin
        made = continued(origin, text, tokens) if text else (origin, "")
        if made is None:
            return None
        return ChatContinuation(made[0], Splice(record, origin, text, tokens, made[1]))
