"""What a deployment lacks, offered all the same where that is honest: JSON by checking it, `n` by as many calls. Pure.

JSON: the schema is put into words, the answer is checked, and once it may be repaired. `pattern` is not checked: a
regular expression of a caller's could keep this process busy for hours. Nothing that a schema points to is fetched.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from fairlead.routing.needs import CHOICES, JSON_OBJECT, JSON_SCHEMA
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import TokenClasses, Usage

LONGEST_COMPLAINT = 500
DEEPEST_SCHEMA = 64
_encode = msgspec.json.encode


class Emulated(NamedTuple):
    """What is to be made up for: the schema of the answer (None: none), and calls in place of `n`."""

    schema: Any
    calls: int
    names: tuple[str, ...]


def emulated(request: ChatRequest, needs: int, lacks: int, allowed: int) -> Emulated | None:
    """What has to be made up for at a deployment that lacks these; None when it is nothing, or may not be."""
    missing = needs & lacks
    as_json = bool(missing & (JSON_SCHEMA | JSON_OBJECT)) and bool(allowed & JSON_SCHEMA)
    by_calls = bool(missing & CHOICES & allowed)
    if not as_json and not by_calls:
        return None
    names = []
    schema: Any = None
    if as_json:
        wanted = msgspec.json.decode(request.given["response_format"])
        schema = {"type": "object"}
        if wanted["type"] == "json_schema":
            schema = wanted["json_schema"].get("schema") or {}
        names.append(wanted["type"])
    if by_calls:
        names.append("n")
    return Emulated(schema, request.choices if by_calls else 1, tuple(names))


def inner_request(request: ChatRequest, wanted: Emulated) -> ChatRequest:
    """The request that the deployment gets: whole, one choice, the schema in words."""
    given = dict(request.given)
    if wanted.calls > 1:
        given.pop("n", None)
    messages = request.messages
    if wanted.schema is not None:
        given.pop("response_format", None)
        words = (
            "Answer with one JSON document and nothing else, no code fence and no words around it. "
            "It must conform to this JSON schema: " + _encode(wanted.schema).decode()
        )
        messages = _with(messages, {"role": "system", "content": words}, first=True)
    choices = 1 if wanted.calls > 1 else request.choices
    inner = request.copy()
    inner.messages, inner.given, inner.choices = messages, given, choices
    inner.stream = inner.include_usage = False
    return inner


def repair_request(inner: ChatRequest, text: str, complaint: str) -> ChatRequest:
    """Asks once more, with what was wrong."""
    messages = _with(inner.messages, {"role": "assistant", "content": text}, first=False)
    words = f"That does not conform: {complaint} Answer again, with the corrected JSON document alone."
    messages = _with(messages, {"role": "user", "content": words}, first=False)
    again = inner.copy()
    again.messages, again.prefill = messages, None
    return again


def _with(messages: Raw, message: dict[str, str], *, first: bool) -> Raw:
    listed = msgspec.json.decode(messages, type=list[Raw])
    one = Raw(_encode(message))
    return Raw(_encode([one, *listed] if first else [*listed, one]))


def without_fence(text: str) -> str:
    """Models like to put JSON into a code fence: what stands in it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3].strip()
    return text


def complaint(text: str, schema: Any) -> str | None:
    """What is wrong with an answer, in a sentence; None when it conforms. Raises ValueError for a schema that is none.
    Slow: not for the event loop."""
    import jsonschema
    import referencing

    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"it is no JSON document ({error})."
    try:
        checked = _checked(schema, 0)
        kind = jsonschema.validators.validator_for(checked, default=jsonschema.Draft202012Validator)
        kind.check_schema(checked)
        # An empty registry: what is not in the schema itself is not looked for anywhere.
        found = jsonschema.exceptions.best_match(kind(checked, registry=referencing.Registry()).iter_errors(value))
    except jsonschema.SchemaError as error:
        raise ValueError(error.message) from None
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise ValueError(str(error)) from None
    if found is None:
        return None
    return f"at {found.json_path}: {found.message}"[:LONGEST_COMPLAINT] + "."


def _checked(schema: Any, depth: int) -> Any:
    """The schema without what is not checked."""
    if depth > DEEPEST_SCHEMA:
        raise ValueError("the schema is nested too deeply")
    if isinstance(schema, dict):
        # A property may well be called so: only a keyword's value is a string or a table of expressions.
        return {
            name: value if name in ("const", "enum", "default", "examples") else _checked(value, depth + 1)
            for name, value in schema.items()
            if not (name == "pattern" and isinstance(value, str)) and name != "patternProperties"
        }
    if isinstance(schema, list):
        return [_checked(value, depth + 1) for value in schema]
    return schema


class MadeUp:
    """An answer that was put together here, as any other one. `usage`: what the caller pays for."""

    __slots__ = ("document", "usage")

    def __init__(self, document: dict[str, Any], usage: Usage | None) -> None:
        self.document = document
        self.usage = usage

    @property
    def choices(self) -> int:
        return len(self.document["choices"])

    def delivered(self) -> str:
        return "".join(str(choice["message"].get("content") or "") for choice in self.document["choices"])

    def end(self, members: bytes, counted: Usage | None = None) -> bytes:
        document = dict(self.document)
        document["usage"] = self._shown(members, counted)
        return _encode(document)

    def _shown(self, members: bytes, counted: Usage | None) -> Raw:
        used = self.usage if counted is None else counted
        assert used is not None
        return Raw(
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d%b}'
            % (used.prompt, used.completion, used.prompt + used.completion, members)
        )

    def stream(self, members: bytes, counted: Usage | None = None, *, include_usage: bool) -> bytes:
        """The whole answer as the events of a stream."""
        document = self.document
        frame = {
            "id": document.get("id"),
            "object": "chat.completion.chunk",
            "created": document.get("created") or int(time.time()),
            "model": document.get("model"),
        }
        events: list[Any] = []
        for choice in document["choices"]:
            message, index = choice["message"], choice["index"]
            delta = {"role": "assistant", "content": message.get("content")}
            if message.get("tool_calls"):
                delta["tool_calls"] = [{**call, "index": at} for at, call in enumerate(message["tool_calls"])]
            events.append({**frame, "choices": [{"index": index, "delta": delta, "finish_reason": None}]})
            last = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
            events.append({**frame, "choices": [last]})
        if include_usage:
            events.append({**frame, "choices": [], "usage": self._shown(members, counted)})
        return b"".join(b"data: %b\n\n" % _encode(event) for event in events) + b"data: [DONE]\n\n"


def joined(documents: Sequence[dict[str, Any]], usages: Sequence[Usage | None]) -> MadeUp:
    """The answers of several calls as the choices of one. The prompt is paid once."""
    choices = [choice for document in documents for choice in document["choices"]]
    for index, choice in enumerate(choices):
        choice["index"] = index
    used = [usage for usage in usages if usage is not None]
    usage = None
    if len(used) == len(documents):
        usage = with_output(used[0], used)
    return MadeUp({**documents[0], "choices": choices}, usage)


def with_output(first: Usage, outputs: Sequence[Usage]) -> Usage:
    """The prompt of the first, the output of all of `outputs`."""
    tokens = first.tokens._replace(
        output=sum(one.tokens.output for one in outputs),
        reasoning=sum(one.tokens.reasoning for one in outputs),
        audio_output=sum(one.tokens.audio_output for one in outputs),
    )
    return Usage(tokens, first.prompt, sum(one.completion for one in outputs), first.balanced)


def prompts_again(usages: Sequence[Usage]) -> Usage:
    """What calls after the first one cost besides what they wrote: their prompts, which the caller does not pay."""
    sums = [sum(values) for values in zip(*(usage.classes for usage in usages), strict=True)]
    tokens = TokenClasses._make(sums)._replace(output=0, reasoning=0, audio_output=0)
    return Usage(tokens, sum(usage.prompt for usage in usages), 0)
