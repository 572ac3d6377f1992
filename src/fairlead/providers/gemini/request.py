"""A chat request in generateContent's words. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.providers.conversation import Losses
from fairlead.providers.conversation_shapes import Conversation, Media, Part, Text, ToolResult, ToolUse, Turn, Wishes
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.gemini.signatures import UNSIGNED
from fairlead.wire.plain import PlainTurns

_USER: Final = b'{"role":"user","parts":[{"text":'
_MODEL: Final = b'{"role":"model","parts":[{"text":'

# Google's own table for reasoning_effort: https://ai.google.dev/gemini-api/docs/openai
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
LEVELS = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
_VERSION = re.compile(r"gemini-(\d+)")
_raw = msgspec.json.Decoder(Raw)


def version_of(model: str) -> int | None:
    found = _VERSION.search(model)
    return None if found is None else int(found[1])


def to_body(model: str, conversation: Conversation, wishes: Wishes, lost: Losses) -> dict[str, Any]:
    """The request in Gemini's words; what it cannot carry is added to `lost`."""
    signed = (version_of(model) or 0) >= 3
    body: dict[str, Any] = {"contents": [_content(turn, signed) for turn in conversation.turns]}
    if conversation.system:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in conversation.system]}
    if wishes.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in wishes.tools]}]
        if wishes.tool_choice is not None:
            mode = {"none": "NONE", "auto": "AUTO", "required": "ANY"}[wishes.tool_choice]
            config: dict[str, Any] = {"mode": mode}
            if wishes.forced_tool is not None:
                config["allowedFunctionNames"] = [wishes.forced_tool]
            body["toolConfig"] = {"functionCallingConfig": config}
        if not wishes.parallel_tool_calls:
            lost.dropped.append("parallel_tool_calls")
    if generation := _generation(model, wishes, lost):
        body["generationConfig"] = generation
    return body


def _generation(model: str, wishes: Wishes, lost: Losses) -> dict[str, Any]:
    values = {
        "maxOutputTokens": wishes.max_tokens,
        "temperature": wishes.temperature,
        "topP": wishes.top_p,
        "topK": wishes.top_k,
        "frequencyPenalty": wishes.frequency_penalty,
        "presencePenalty": wishes.presence_penalty,
        "stopSequences": wishes.stop or None,
        "candidateCount": wishes.n if wishes.n > 1 else None,
        "seed": wishes.seed,
    }
    if wishes.seed is not None and not -(2**31) <= wishes.seed < 2**31:
        lost.dropped.append("seed")
        del values["seed"]
    found: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if wishes.schema is not None:
        found["responseMimeType"] = "application/json"
        found["responseJsonSchema"] = wishes.schema
    elif wishes.json_object:
        found["responseMimeType"] = "application/json"
    thinking = _thinking(model, wishes.reasoning_effort, lost)
    if thinking is not None:
        found["thinkingConfig"] = thinking
    return found


def _thinking(model: str, effort: str | None, lost: Losses) -> dict[str, Any] | None:
    """A level from Gemini 3 on, a budget of tokens before."""
    if effort is None:
        return None
    if (version_of(model) or 3) >= 3:
        if effort not in LEVELS:  # Gemini 3 cannot be told not to think
            lost.dropped.append("reasoning_effort")
            return None
        if LEVELS[effort] != effort:
            lost.clamped.append("reasoning_effort")
        return {"includeThoughts": True, "thinkingLevel": LEVELS[effort]}
    if effort not in BUDGETS:
        lost.dropped.append("reasoning_effort")
        return None
    return {"includeThoughts": effort != "none", "thinkingBudget": BUDGETS[effort]}


def _content(turn: Turn, signed: bool) -> dict[str, Any]:
    parts = [made for part in turn.parts for made in _parts(part)]
    # The first call of a turn bears the signature, also for those beside it.
    first = next((part for part in parts if "functionCall" in part), None)
    if signed and first is not None and "thoughtSignature" not in first:
        first["thoughtSignature"] = UNSIGNED
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def _parts(part: Part) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return [{"text": part.text}]
    if isinstance(part, Media):
        return [_media(part)]
    if isinstance(part, ToolUse):
        made: dict[str, Any] = {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
        if part.signature is not None:
            made["thoughtSignature"] = part.signature
        return [made]
    if isinstance(part, ToolResult):
        response = {"functionResponse": {"id": part.id, "name": part.name, "response": _response(part.text)}}
        return [response, *(_media(one) for one in part.media)]
    return []  # another vendor's thought


def _media(part: Media) -> dict[str, Any]:
    """Bytes, or an address that Google fetches: https://ai.google.dev/gemini-api/docs/file-input-methods"""
    if not part.url:
        return {"inlineData": {"mimeType": part.mime, "data": part.data}}
    data = {"fileUri": part.url}
    if part.mime:
        data["mimeType"] = part.mime
    return {"fileData": data}


def _response(text: str) -> Raw | dict[str, Any]:
    """A result must be an object: text that is none is put into one."""
    try:
        if text.lstrip()[:1] == "{":
            return _raw.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    return {"result": text}


def _declaration(tool: Any) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        made["description"] = function.description
    if function.parameters != NULL:
        made["parametersJsonSchema"] = function.parameters
    return made


def written_turns(plain: PlainTurns) -> bytes:
    """`contents` and `systemInstruction` of a conversation that is nothing but texts, as ready members."""
    pieces: list[bytes | Raw] = []
    before = b'"contents":['
    for role, text in plain.turns:
        pieces += (before, _USER if role == "user" else _MODEL, text)
        before = b"}]},"
    pieces.append(b"}]}]")
    before = b',"systemInstruction":{"parts":[{"text":'
    for _, text in plain.system:
        pieces += (before, text)
        before = b'},{"text":'
    if plain.system:
        pieces.append(b"}]}")
    return b"".join(pieces)
