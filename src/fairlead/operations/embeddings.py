"""Embeddings as the middle knows them, and how a batch is split that is longer than a deployment takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from fairlead.errors import UpstreamInvalid
from fairlead.operations.batches import CallsOfABatch, Parts
from fairlead.routing.attempt import Attempt
from fairlead.routing.demand import Batch, Demand
from fairlead.routing.needs import BATCH
from fairlead.routing.prompt import CountedPrompt
from fairlead.routing.protocols import Answer, Call, MadeAnswer
from fairlead.routing.retries import Tried
from fairlead.routing.upstream import Upstream
from fairlead.tokens import Counted, count_text
from fairlead.wire.apis import EMBEDDINGS as NAME
from fairlead.wire.embedding_answer import EmbeddingsAnswer, joined
from fairlead.wire.embeddings import EmbeddingsRequest, parse_embeddings
from fairlead.wire.inputs import Inputs

# What a model may put around an input: a beginning, an end, the words of an instruction.
TEMPLATE_TOKENS: Final = 64
OPENING_BYTES: Final = 4_096


class Embeddings:
    """Its payload is an `EmbeddingsRequest`."""

    name: Final = NAME
    modes: Final = frozenset({"embedding"})

    def demand(self, payload: EmbeddingsRequest) -> Demand:
        inputs = payload.inputs
        return Demand(
            self, payload, payload.model, BATCH if len(inputs) > 1 else 0, 0, inputs.longest_bytes, most_tokens(inputs),
            0, 1, False, payload.strict, True, False, payload.fallbacks, payload.preferences, Batch(len(inputs)),
        )  # fmt: skip

    def affinity(self, payload: EmbeddingsRequest) -> int:
        """No prefix is cached: any deployment will do, and the same texts go to the same one."""
        return hash(bytes(memoryview(payload.inputs.raw)[:OPENING_BYTES])) or 1

    def media_tokens(self, _payload: EmbeddingsRequest, _image_tokens: int) -> int:
        return 0

    def count(self, payload: EmbeddingsRequest, family: str | None, whole: bool) -> Counted:
        found = counted(payload.inputs, family)
        if whole or not found:
            return Counted(sum(one.tokens for one in found), _provenance(found))
        return max(found)

    def kept(self, payload: EmbeddingsRequest) -> CountedPrompt:
        inputs = payload.inputs
        return CountedPrompt(
            len(inputs.raw), most_tokens(inputs), len(inputs), partial(self._counted, payload)
        )  # fmt: skip

    def _counted(self, payload: EmbeddingsRequest, family: str | None) -> Counted:
        return self.count(payload, family, True)

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> EmbeddingsRequest:
        return parse_embeddings(msgspec.json.encode({"model": model, "input": "OK"}))


EMBEDDINGS: Final = Embeddings()


def most_tokens(inputs: Inputs) -> int:
    return inputs.most_tokens + TEMPLATE_TOKENS * len(inputs)


def counted(inputs: Inputs, family: str | None) -> list[Counted]:
    """The tokens of each. Slow: in a thread."""
    if inputs.tokens is not None:
        return [Counted(len(one), "counted") for one in inputs.tokens]
    return [count_text(family, one) for one in inputs.texts or ()]


def _provenance(found: Sequence[Counted]) -> Any:
    return "counted" if all(one.provenance == "counted" for one in found) else "estimated"


class SplitBatch:
    """A batch in as many calls as the deployment needs for it, and their vectors in the order of the inputs."""

    names = ()
    parameters = ()

    def __init__(self, payload: EmbeddingsRequest, most: int) -> None:
        count = len(payload.inputs)
        self._parts = [payload.inputs.part(at, min(at + most, count)) for at in range(0, count, most)]
        self._whole = payload
        self.payload = payload.with_inputs(self._parts[0])

    async def check(self) -> None:
        """Any batch can be split."""

    async def answer(self, attempt: Attempt, payload: EmbeddingsRequest, call: Call) -> MadeAnswer:  # noqa: ARG002
        parts = Parts()
        attempt.answer = parts
        attempt.calls = len(self._parts)
        whole, to_vendor = self._whole, attempt.adapter.to_vendor
        calls: list[Callable[[], Call]] = [partial(_call, to_vendor, whole, part) for part in self._parts]
        found = await CallsOfABatch(attempt, calls, parts).answers()
        attempt.calls = 1
        usage = parts.usage
        if any(one.usage is None for one in found):  # what one of them leaves out is counted, of all
            attempt.billed = usage = None
        answers = [one for one in found if isinstance(one, EmbeddingsAnswer)]
        return joined(answers, usage)


def _call(to_vendor: Callable[[Any], Any], whole: EmbeddingsRequest, part: Inputs) -> Any:
    return to_vendor(whole.with_inputs(part))


class EmbeddingsRecovery:
    """A `Recovery`: batches are split, and nothing else can be done."""

    inlines = False

    async def inlined(self, payload: Any) -> Any:
        return payload

    def emulation(
        self,
        payload: EmbeddingsRequest,
        upstream: Upstream,
        missing: int,
        allowed: int,
        key: str,
        tried: Sequence[Tried],
    ) -> SplitBatch | None:
        del missing, allowed, key, tried
        most = upstream.most_inputs
        return SplitBatch(payload, most) if len(payload.inputs) > most > 0 else None

    def as_stream(self, _answer: Answer) -> MadeAnswer:
        raise UpstreamInvalid("Embeddings are not streamed.")

    def record(self, _payload: Any, _relay: Any) -> None:
        return None

    async def continuation(self, _payload: Any, _record: Any, _before: Any, _family: str | None) -> None:
        return None
