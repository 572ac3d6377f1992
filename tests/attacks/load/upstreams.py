"""The two providers: one that behaves, and one that breaks its protocol in every way that we could think of."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from tests.attacks.load.scene import FREE, LACKING, PROMPT_TOKENS, SECRET, SINK, SLOW, STUBBORN

from fairlead.testing import Fault, Received, Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import Wire, chunk, head

# Words of six letters: no tokenizer and no estimate makes less than a token of each.
WORDS: Final = "harbor lantern meadow copper timber saddle walnut ribbon marble velvet"
MEGABYTE: Final = 1024 * 1024
# Of a longer request only its ends are looked at: the provider must not be what everybody waits for.
PARSED_BYTES: Final = MEGABYTE


def asked(request: Received) -> dict[str, Any]:
    if len(request.body) > PARSED_BYTES:
        ends = request.body[:2000] + request.body[-2000:]
        return {"model": "x", "stream": re.search(rb'"stream": ?true', ends) is not None}
    try:
        body = request.json
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def last_word(body: dict[str, Any]) -> str:
    """The mark of an honest call: the last word of the first user's text."""
    for message in body.get("messages") or ():
        if message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, list):
            content = next((part.get("text") for part in content if part.get("type") == "text"), "")
        return content.split(" ")[-1] if isinstance(content, str) else ""
    return ""


class HonestUpstream(ScriptedUpstream):
    """Answers with the mark of the call, so that a mixed-up answer is seen. It knows no `n`."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.requests.clear()
        if request.method == "POST":
            body = asked(request)
            if "n" in body:
                del body["n"]
                request = replace(request, body=json.dumps(body).encode())
            self.default = honest_reply(body)
        return await super().answer(request, wire)


def honest_reply(body: dict[str, Any]) -> Reply:
    """What the honest provider answers: the honest callers know this function, too."""
    mark = last_word(body)
    pause = 0.01 if body.get("stream") is True else 0.0
    if body.get("tools"):
        call = ToolCall("look_up", json.dumps({"mark": mark}), id="call00001")
        return Reply(tool_calls=(call,), prompt_tokens=PROMPT_TOKENS, delay_seconds=0.03, chunk_delay_seconds=pause)
    text = f"{mark} {WORDS}"
    if body.get("response_format") or body.get("model") == "formless":
        text = json.dumps({"mark": mark})
    reply = Reply(text=text, prompt_tokens=PROMPT_TOKENS, delay_seconds=0.03, chunk_delay_seconds=pause)
    stops = body.get("stop") or []
    if any(stop in text for stop in ([stops] if isinstance(stops, str) else stops)):
        return replace(reply, text="", completion_tokens=3)
    return reply


class HostileUpstream(ScriptedUpstream):
    """The first part of the path says how to answer."""

    def __init__(self) -> None:
        super().__init__()
        self._random = random.Random(17)

    async def answer(self, request: Received, wire: Wire) -> bool:
        self.requests.clear()
        kind = request.path.split("/")[1]
        if request.method != "POST" or request.path.endswith("/models"):
            return await super().answer(request, wire)
        body = asked(request)
        if kind in (SINK, SLOW, LACKING, FREE, STUBBORN):
            self.default = _behaved(kind, body, len(request.body))
            if kind == STUBBORN:
                body.pop("n", None)
            request = replace(request, body=json.dumps(body).encode())
            return await super().answer(request, wire)
        # Two of three are good: a breaker that is always open would hide the third.
        if kind not in ALWAYS and self._random.random() < 0.6:
            self.default = Reply(text=WORDS, prompt_tokens=PROMPT_TOKENS)
            return await super().answer(request, wire)
        if kind == "failing":
            kind = self._random.choice(BEFORE_A_WORD)
        if kind in FAULTS:
            self.default = Reply(text=WORDS, fault=Fault(kind), after_chunks=self._random.randint(1, 4))
            return await super().answer(request, wire)
        await KINDS[kind](self._random, body, wire)
        return False


def _behaved(kind: str, body: dict[str, Any], size: int) -> Reply:
    text = '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"' if kind == LACKING and "n" not in body else WORDS
    if kind == LACKING and random.random() < 0.5:
        text = WORDS
    # Prompts are billed by their size, so that what is sent and not paid shows.
    reply = Reply(text=text, prompt_tokens=max(1, size // 4))
    return replace(reply, chunk_delay_seconds=0.03) if kind == SLOW else reply


# --- what a broken provider sends ---------------------------------------------------------------------------------


def _event(body: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"id": "evil-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model"), **members}


def _delta(body: dict[str, Any], delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return _event(body, choices=[{"index": 0, "delta": delta, "finish_reason": finish}], **more)


def _sse(*documents: Any) -> bytes:
    return b"".join(
        b"data: %b\n\n" % (one if isinstance(one, bytes) else json.dumps(one).encode()) for one in documents
    )


STREAM_HEAD: Final = head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
DONE: Final = b"data: [DONE]\n\n"


async def _send_stream(wire: Wire, *blocks: bytes) -> None:
    await wire.send(STREAM_HEAD)
    for block in blocks:
        await wire.send(chunk(block))
    await wire.send(b"0\r\n\r\n")


async def _send_json(wire: Wire, body: bytes, status: int = 200, **headers: str) -> None:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    await wire.send(
        head(status, {"content-type": "application/json", "content-length": str(len(body)), **lines}) + body
    )


async def _answer(wire: Wire, body: dict[str, Any], usage: bytes, **more: Any) -> None:
    """A proper answer but for its usage, raw JSON, and what `more` adds."""
    if body.get("stream") is True:
        last = json.dumps(_event(body, choices=[], **more)).encode()[:-1] + b', "usage": ' + usage + b"}"
        words = [_delta(body, {"content": f"{word} "}) for word in WORDS.split()]
        await _send_stream(
            wire, _sse(_delta(body, {"role": "assistant"}), *words, _delta(body, {}, "stop"), last) + DONE
        )
        return
    message = {"role": "assistant", "content": WORDS}
    whole = _event(body, choices=[{"index": 0, "message": message, "finish_reason": "stop"}], **more)
    await _send_json(wire, json.dumps(whole).encode()[:-1] + b', "usage": ' + usage + b"}")


USAGES: Final = [
    b"{}", b"[]", b'"x"', b"null", b"true", b"5", b"1e400", b"NaN",
    b'{"prompt_tokens": 1000000000, "completion_tokens": 1000000000, "total_tokens": 2000000000}',
    b'{"prompt_tokens": 9223372036854775807, "completion_tokens": 9223372036854775807}',
    b'{"prompt_tokens": 1180591620717411303424, "completion_tokens": 1180591620717411303424}',
    b'{"prompt_tokens": -5, "completion_tokens": -100000}',
    b'{"prompt_tokens": 12.5, "completion_tokens": 1e30}',
    b'{"prompt_tokens": "12", "completion_tokens": [3]}',
    b'{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}',
    b'{"prompt_tokens": 12, "completion_tokens": 10, "cost": 99999, "cost_usd": "1e9", "is_byok": true}',
    b'{"prompt_tokens": 12, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 1e18}}',
    b'{"prompt_tokens": 12, "completion_tokens": 10, "completion_tokens_details": "many"}',
    b'{"prompt_tokens": 12, "completion_tokens": 10, "a": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"prompt_tokens": 12, "prompt_tokens": 13, "completion_tokens": ' + b"9" * 5000 + b"}",
]  # fmt: skip


async def _usage(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    await _answer(wire, body, chance.choice(USAGES))


async def _members(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    wrong = chance.choice([5, None, [], "x" * 100_000, {"a": 1}, -1e300, "<script>alert(1)</script>"])
    await _answer(wire, body, b'{"prompt_tokens": 12, "completion_tokens": 10}', **dict.fromkeys(("id", "created", "model", "object", "system_fingerprint", "provider", "cost"), wrong))  # fmt: skip


async def _retry_after(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    times = ["Fri, 31 Dec 99999 23:59:59 GMT", "Thu, 99 Foo 2026 25:61:61 GMT", "1e400", "-5", "9" * 400, "nan", "",
             "Mon, 01 Jan 0000 00:00:00 GMT", "inf", "\xb2", "Tue, 30 Feb 2027 00:00:00 +9999"]  # fmt: skip
    await _send_json(
        wire, b'{"error": {"message": "later"}}', chance.choice([429, 503]), retry_after=chance.choice(times)
    )


CHOICES: Final = [
    [5], {}, "x", None, [None], [[]], [{"index": 10**30, "delta": {"content": "a"}}], [{"index": -1}], [{"delta": 5}],
    [{"index": "0", "delta": {"content": "a"}}], [{"index": 0, "delta": {"content": {"a": 1}}}], [{"message": 7}],
    [{"index": 0, "delta": {"tool_calls": 5}}], [{"index": 0, "delta": {"tool_calls": [{"index": 10**9}]}}],
    [{"index": 0, "delta": {"tool_calls": [{"function": "x"}]}}], [{"index": 0, "delta": {"content": "a"}}] * 500,
    [{"index": 0, "finish_reason": 5}], [{"index": 0, "finish_reason": "x" * 10_000, "delta": {}}], 10**400, True,
]  # fmt: skip


async def _choices(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    wrong = _event(body, choices=chance.choice(CHOICES))
    if body.get("stream") is True:
        await _send_stream(
            wire, _sse(_delta(body, {"role": "assistant"}), _delta(body, {"content": "lantern "}), wrong) + DONE
        )
    else:
        await _send_json(wire, json.dumps(wrong).encode())


async def _bytes(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """Events that are no JSON, or no text."""
    wrong = chance.choice([
        b"\xff\xfe\x00", b'{"choices": [{"delta": {"content": "\xc3\x28"}}]}', b"[" * 100_000, b"NaN", b"5", b"null",
        b'{"choices": [{"index": 0, "delta": {"content": "\\ud800"}}]}', b'{"choices": [{"delta": {"content": NaN}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"a"}}],"choices":5}', b"\x00" * 1000, b"{" + b'"a":{' * 5000,
    ])  # fmt: skip
    if body.get("stream") is True:
        await _send_stream(
            wire, _sse(_delta(body, {"role": "assistant"}), _delta(body, {"content": "lantern "}), wrong) + DONE
        )
    else:
        await _send_json(wire, wrong)


async def _role_only(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """Cut behind the chunk with the role, before the first word."""
    await wire.send(STREAM_HEAD + chunk(_sse(_delta(body, {"role": "assistant", "content": ""}))))
    if chance.random() < 0.5:
        await wire.reset()
    else:
        wire.close()


async def _endless_head(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    fast = chance.random() < 0.5
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        await wire.send(f"x-header-{number}: {'a' * (2000 if fast else 20)}\r\n".encode())
        await asyncio.sleep(0 if fast else 0.1)


async def _endless_continue(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    for _ in range(100_000):
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)
        await asyncio.sleep(0.05)


async def _giant_event(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """An event without an end: 20 MB of it; or a whole answer of 20 MB."""
    block = b"a" * MEGABYTE
    if body.get("stream") is not True:
        inside = json.dumps(_event(body, choices=[{"index": 0, "message": {"role": "assistant", "content": "@"}}]))
        before, _, after = inside.partition("@")
        await _send_json(wire, before.encode() + block * 20 + after.encode())
        return
    await wire.send(STREAM_HEAD + chunk(b"data: "))
    for _ in range(20):
        await wire.send(chunk(block))
        await asyncio.sleep(0.01)
    await wire.send(b"0\r\n\r\n")


async def _endless_stream(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """Never finishes: comments, empty deltas or words, for ten seconds."""
    event = chance.choice([b": ping\n\n", _sse(_delta(body, {})), _sse(_delta(body, {"content": "lantern "})), b"\n"])
    await wire.send(STREAM_HEAD)
    for _ in range(1000):
        await wire.send(chunk(event * 10))
        await asyncio.sleep(0.01)
    wire.close()


async def _more_choices(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """More answers than were asked for."""
    count = chance.choice([2, 64])
    if body.get("stream") is True:
        events = [
            _event(body, choices=[{"index": index, "delta": {"content": "lantern "}, "finish_reason": finish}])
            for finish in (None, "stop") for index in range(count)
        ]  # fmt: skip
        await _send_stream(wire, _sse(*events) + DONE)
        return
    message = {"role": "assistant", "content": WORDS}
    choices = [{"index": index, "message": message, "finish_reason": "stop"} for index in range(count)]
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 10 * count}
    await _send_json(wire, json.dumps(_event(body, choices=choices, usage=usage)).encode())


async def _status(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    status = chance.choice([204, 206, 301, 302, 304, 400, 401, 402, 403, 404, 418, 422, 451, 500, 502, 529, 599, 999])
    wrong = chance.choice([
        b"", b"null", b'{"error": 5}', b'{"error": {"message": null}}', b"<html>", b"x" * 2_000_000, b"\xff\xfe",
        json.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}, see http://10.0.0.7:9000/admin"}}).encode(),
        json.dumps({"error": {"message": f"Bearer {SECRET}" * 1000, "code": [], "type": {}, "param": 5}}).encode(),
        json.dumps({"detail": [{"loc": ["x"], "msg": "<script>alert(1)</script>"}]}).encode(),
    ])  # fmt: skip
    if status in (204, 304):
        await wire.send(head(status, {"location": "http://169.254.169.254/"}))
    else:
        await _send_json(wire, wrong, status, location="http://169.254.169.254/latest/")


async def _framing(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """HTTP that is none."""
    await wire.send(chance.choice([
        b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x50", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        STREAM_HEAD + b"ffffffffffffffffff\r\n", STREAM_HEAD + b"-5\r\nabc\r\n", STREAM_HEAD + b"5;" + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\nsmuggled",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ]))  # fmt: skip
    await asyncio.sleep(0.05)
    wire.close()


async def _other(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    """For the translated dialects: JSON that means nothing, or half of what they expect."""
    wrong = chance.choice([
        {}, [], 5, "x", None, {"content": 5, "usage": []}, {"content": [5, None, {"type": 7}], "usage": {"input_tokens": "x"}},
        {"type": "message", "content": [{"type": "text", "text": 5}], "usage": {"input_tokens": 10**30, "output_tokens": -1}},
        {"candidates": [5]}, {"candidates": [{"content": {"parts": [{"text": {}}]}}], "usageMetadata": "x"},
        {"candidates": {}, "usageMetadata": {"promptTokenCount": 1e300}}, {"output": {"message": {"content": "x"}}},
        {"type": "content_block_delta", "index": 10**30, "delta": 5}, {"type": "message_start", "message": []},
        {"type": "message_delta", "usage": {"output_tokens": 10**30}}, {"error": []}, {"type": "error", "error": 5},
    ])  # fmt: skip
    data = json.dumps(wrong).encode()
    if chance.random() < 0.5:
        await _send_json(wire, data)
    else:
        await _send_stream(wire, b"event: x\ndata: " + data + b"\n\n" + _sse(wrong, wrong))


Misbehave = Callable[[random.Random, dict[str, Any], Wire], Awaitable[None]]
KINDS: Final[dict[str, Misbehave]] = {
    "usage": _usage,
    "members": _members,
    "retry_after": _retry_after,
    "choices": _choices,
    "bytes": _bytes,
    "role_only": _role_only,
    "endless_head": _endless_head,
    "endless_continue": _endless_continue,
    "giant_event": _giant_event,
    "endless_stream": _endless_stream,
    "more_choices": _more_choices,
    "status": _status,
    "framing": _framing,
    "anthropic": _other,
    "gemini": _other,
    "bedrock": _other,
}
FAULTS: Final = [fault.value for fault in Fault]
# Served by their second provider, each with the caller none the wiser.
BEFORE_A_WORD: Final = ["retry_after", "role_only", "status_500", "framing", "html", "close_at_once", "empty_choices"]
# These are answers as such: they open no breaker.
ALWAYS: Final = ("usage", "members", "more_choices", "failing")
DIALECTS: Final = {"anthropic": "anthropic", "gemini": "gemini", "bedrock": "bedrock"}


async def _failed(chance: random.Random, body: dict[str, Any], wire: Wire) -> None:
    await _send_json(wire, b'{"error": {"message": "no"}}', chance.choice([500, 502, 503, 529]))


KINDS["status_500"] = _failed


def kinds() -> dict[str, str]:
    """Every way in which the hostile provider misbehaves, and the dialect that the gateway speaks with it."""
    names = [*KINDS, *FAULTS, "failing"]
    return {name: DIALECTS.get(name, "vllm") for name in names}
