"""The calls behind what is made up for: as many as `n` wants at once, and one more to repair JSON."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec

from fairlead.errors import AnswerInvalid, InvalidRequest
from fairlead.http.exchange import Exchange
from fairlead.routing.attempt import Attempt
from fairlead.routing.emulate import (
    Emulated,
    MadeUp,
    complaint,
    joined,
    prompts_again,
    repair_request,
    with_output,
    without_fence,
)
from fairlead.routing.gates import not_ready
from fairlead.routing.protocols import Answer, Call
from fairlead.routing.upstream import is_stream, send
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import Usage

# How the receipt calls what the operator pays and the caller does not.
EXTRA_CALLS = "extra_calls"
REPAIRED = "repaired"


class Whole(NamedTuple):
    document: dict[str, Any]
    usage: Usage | None


async def make_up(attempt: Attempt, inner: ChatRequest, call: Call, wanted: Emulated) -> MadeUp:
    """The answer to a request that the deployment cannot take as it is. Raises the UpstreamError family."""
    found = await _wholes(attempt, call, wanted.calls)
    if wanted.schema is not None:
        found = [await _conforming(attempt, inner, wanted.schema, one) for one in found]
    again = [one.usage for one in found[1:] if one.usage is not None]
    if again:
        attempt.bill.failed(attempt.upstream.deployment.sheet, EXTRA_CALLS, prompts_again(again))
    return joined([one.document for one in found], [one.usage for one in found])


async def _wholes(attempt: Attempt, call: Call, calls: int) -> list[Whole]:
    """Whole answers to as many calls at once."""
    upstream = attempt.upstream
    if upstream.gate is not None and not upstream.gate.is_ready:
        raise not_ready(upstream.gate)
    exchanges = [send(upstream, call) for _ in range(calls)]
    attempt.exchange = exchanges[0]
    try:
        return [await _whole(attempt, call, exchange) for exchange in exchanges]
    finally:
        for exchange in exchanges:
            exchange.cancel()


async def _whole(attempt: Attempt, call: Call, exchange: Exchange) -> Whole:
    adapter = attempt.upstream.adapter
    status = await exchange.head()
    if status != 200:
        raise adapter.error(status, exchange.headers, await exchange.read())
    answer: Answer
    if call.stream and is_stream(attempt.upstream, exchange):
        assembler = adapter.assembler(call)
        await exchange.relay(assembler.feed)
        assembler.finish()
        answer = assembler
    else:
        answer = adapter.plain(call, await exchange.read())
    return Whole(msgspec.json.decode(answer.end(b"")), answer.usage)


async def _conforming(attempt: Attempt, inner: ChatRequest, schema: Any, first: Whole) -> Whole:
    """An answer that conforms to the schema: this one, or the one that repairs it."""
    text, wrong = await _look_at(first, schema)
    if wrong is None:
        return _with_text(first, text, first.usage)
    attempt.bill.failed(attempt.upstream.deployment.sheet, REPAIRED, first.usage)
    call = attempt.upstream.adapter.to_vendor(repair_request(inner, text, wrong))
    (second,) = await _wholes(attempt, call, 1)
    text, wrong = await _look_at(second, schema)
    if wrong is not None:
        raise AnswerInvalid(f"The model's answer does not conform to the JSON schema, and a repair did not: {wrong}")
    # The caller's own prompt, and the answer that was delivered.
    both = first.usage is not None and second.usage is not None
    return _with_text(second, text, with_output(first.usage, [second.usage]) if both else None)  # type: ignore[arg-type,list-item]


async def _look_at(one: Whole, schema: Any) -> tuple[str, str | None]:
    text = without_fence(str(one.document["choices"][0]["message"].get("content") or ""))
    try:
        return text, await asyncio.get_running_loop().run_in_executor(None, complaint, text, schema)
    except ValueError as error:
        raise InvalidRequest(f"The JSON schema cannot be used: {str(error)[:200]}.", param="response_format") from None


def _with_text(one: Whole, text: str, usage: Usage | None) -> Whole:
    one.document["choices"][0]["message"]["content"] = text
    return Whole(one.document, usage)
