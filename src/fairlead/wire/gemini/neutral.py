"""A generateContent request in OpenAI's shape, which every translator reads. Pure.

What OpenAI's shape has no words for is left out and named (`Chat.lost`). What would make another request of it - tools
that only Google runs, files that only Google has, prompts that it caches - is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import MOST_MEMBERS
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.counting import TooMany, decode_members
from fairlead.wire.gemini.contents import Turns, only_gemini, plain_name, system_text
from fairlead.wire.gemini.schemas import camel, json_schema
from fairlead.wire.gemini.shapes import NULL, CallingConfig, Content, Declaration, Echo, ThinkingConfig, ToolConfig
from fairlead.wire.messages.decoding import OBJECT, STRING, decoded, first_byte

# Members for the gateway itself, never sent on.
OURS: Final = frozenset({"fairlead", "provider", "models", "session_id"})
CAP: Final = "maxOutputTokens"
# Parameters of `generationConfig` that have another name in a chat.
RENAMED: Final = {
    "topP": "top_p", "topK": "top_k", "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
    "temperature": "temperature", "seed": "seed", "candidateCount": "n",
}  # fmt: skip
_WHOLE_NUMBERS: Final = frozenset({"topK", "seed", "candidateCount"})
_KNOWN: Final = frozenset({
    *OURS, "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent", "model",
})  # fmt: skip
_CONFIG_KNOWN: Final = frozenset({
    *RENAMED, CAP, "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "responseLogprobs",
    "logprobs", "thinkingConfig", "responseModalities",
})  # fmt: skip
# Thinking budgets in tokens, up to which an effort is meant: https://ai.google.dev/gemini-api/docs/openai
_BUDGETS: Final = ((0, "none"), (1_024, "low"), (8_192, "medium"))
_LEVELS: Final = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
_FUNCTIONS: Final = frozenset({"functionDeclarations"})
_MODES: Final = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none", "MODE_UNSPECIFIED": "auto"}

_content: Final = msgspec.json.Decoder(Content)
_contents: Final = msgspec.json.Decoder(list[Content])
_items: Final = msgspec.json.Decoder(list[Raw])
_declaration: Final = msgspec.json.Decoder(Declaration)
_tool_config: Final = msgspec.json.Decoder(ToolConfig)
_thinking: Final = msgspec.json.Decoder(ThinkingConfig)
_number: Final = msgspec.json.Decoder(int | float | Annotated[str, Meta(pattern=r"^-?[0-9]{1,18}$")])
_strings: Final = msgspec.json.Decoder(list[str])
_string: Final = msgspec.json.Decoder(str)
_bool: Final = msgspec.json.Decoder(bool)
_encode: Final = msgspec.json.encode


class Chat(NamedTuple):
    """`lost`: what could not be said; `names`: of functions, by what they had to be called instead; `system`: the first
    message, where the operator of the caller says something."""

    request: ChatRequest
    lost: tuple[str, ...]
    names: dict[str, str]
    system: dict[str, Any] | None


def to_chat(model: str, members: Mapping[str, Raw], config: Mapping[str, Raw], *, cap: int, stream: bool) -> Chat:
    """`members`, `config`: those of the body and of its `generationConfig`, spelled `likeThis`. `cap`: of the answer,
    0: none. Raises InvalidRequest, and UnsupportedContent for what only a provider of the same API could serve."""
    if given(members, "cachedContent"):
        raise only_gemini("cachedContent", "cached content")
    names: dict[str, str] = {}
    lost = [name[:64] for name, raw in members.items() if name not in _KNOWN and raw != NULL]
    lost += [f"generationConfig.{name[:64]}" for name in config if name not in _CONFIG_KNOWN and given(config, name)]
    body: dict[str, Any] = {"model": model}
    turns = Turns(names)
    if given(members, "systemInstruction"):
        turns.add_system(_system(members["systemInstruction"]))
    for at, content in enumerate(contents_in(members["contents"])):
        turns.add(content, f"contents.{at}.parts")
    body["messages"] = turns.written()
    body.update((name, members[name]) for name in OURS if given(members, name))
    if stream:
        body["stream"] = True
    if cap:
        body["max_tokens"] = cap
    if given(members, "tools"):
        _write_tools(members, body, names, lost)
    _write_config(config, body, lost)
    if not body["messages"]:
        raise InvalidRequest("contents: must have at least one part with content.", param="contents")
    request = parse_chat(_encode(body))
    first = body["messages"][0]
    return Chat(
        request, tuple(dict.fromkeys([*lost, *turns.lost])), {short: name for name, short in names.items()},
        first if first["role"] == "system" else None,
    )  # fmt: skip


def given(members: Mapping[str, Raw], name: str) -> bool:
    return members.get(name, NULL) != NULL


def echo_of(config: Mapping[str, Raw], names: dict[str, str], *, is_array: bool) -> Echo:
    thoughts = False
    if given(config, "thinkingConfig"):
        wanted: ThinkingConfig = decoded(_thinking, config["thinkingConfig"], "generationConfig.thinkingConfig")
        thoughts = bool(wanted.shows or wanted.shows_too)
    return Echo(names, thoughts, is_array)


def members_in(raw: Raw, where: str) -> dict[str, Raw]:
    """The members of an object, spelled `likeThis`. Raises InvalidRequest, also for one that stands there twice."""
    twice: str | None = None
    try:
        found, twice = decode_members(raw, MOST_MEMBERS)
    except TooMany:
        raise InvalidRequest(f"{where} has more than {MOST_MEMBERS} members.", param=where) from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{where} must be an object.", param=where) from None
    if twice is not None:
        raise InvalidRequest(f"{where} has {twice[:64]!r} twice.", param=where)
    return spelled(found, where)


def spelled(members: Mapping[str, Raw], where: str) -> dict[str, Raw]:
    """The same members with the names that SDKs give them. Raises InvalidRequest for one that is there in both
    spellings."""
    made: dict[str, Raw] = {}
    for name, raw in members.items():
        same = camel(name)
        if same in made:
            raise InvalidRequest(f"{where} has {name[:64]!r} twice.", param=where)
        made[same] = raw
    return made


def contents_in(raw: Raw) -> list[Content]:
    """A list, or one content by itself."""
    if first_byte(raw) == OBJECT:
        return [decoded(_content, raw, "contents")]
    found: list[Content] = decoded(_contents, raw, "contents")
    return found


def items_in(raw: Raw, where: str) -> list[Raw]:
    """A list, or one object by itself, as Google's servers take it."""
    if first_byte(raw) == OBJECT:
        return [raw]
    found: list[Raw] = decoded(_items, raw, where)
    return found


def whole_number(raw: Raw, where: str) -> int:
    """Integers of protocol buffers may be written as strings, and as 64.0. Raises InvalidRequest."""
    value = decoded(_number, raw, where)
    number = int(value) if isinstance(value, str) or abs(value) < 2**63 else None
    if number is None or (isinstance(value, float) and value != number):
        raise InvalidRequest(f"{where}: must be a whole number.", param=where)
    return number


def _system(raw: Raw) -> str:
    if first_byte(raw) == STRING:
        text: str = decoded(_string, raw, "systemInstruction")
        return text
    return system_text(decoded(_content, raw, "systemInstruction"), "systemInstruction")


def _write_tools(members: Mapping[str, Raw], body: dict[str, Any], names: dict[str, str], lost: list[str]) -> None:
    written = []
    for at, raw in enumerate(items_in(members["tools"], "tools")):
        tool = members_in(raw, f"tools.{at}")
        for name, value in tool.items():
            if name not in _FUNCTIONS and value != NULL:
                raise only_gemini(f"tools.{at}", f"the tool {name[:64]!r}")
        if given(tool, "functionDeclarations"):
            for one in items_in(tool["functionDeclarations"], f"tools.{at}.functionDeclarations"):
                written.append(_function(one, f"tools.{at}.functionDeclarations", names, lost))
    if not written:
        return
    body["tools"] = written
    if given(members, "toolConfig"):
        config: ToolConfig = decoded(_tool_config, members["toolConfig"], "toolConfig")
        calling = config.calling or config.calling_too
        if calling is not None:
            body["tool_choice"] = _choice(calling, names)


def _function(raw: Raw, where: str, names: dict[str, str], lost: list[str]) -> dict[str, Any]:
    declared: Declaration = decoded(_declaration, raw, where)
    function: dict[str, Any] = {"name": plain_name(declared.name, names)}
    if declared.description:
        function["description"] = declared.description
    schema = declared.json_schema if declared.json_schema != NULL else declared.json_schema_too
    if schema != NULL:
        function["parameters"] = schema
    elif declared.parameters != NULL:
        function["parameters"] = json_schema(declared.parameters, f"{where}.parameters")
    if declared.behavior is not None:
        lost.append("tools.behavior")
    return {"type": "function", "function": function}


def _choice(calling: CallingConfig, names: dict[str, str]) -> Any:
    mode = (calling.mode or "AUTO").upper()
    if mode not in _MODES:
        raise InvalidRequest("toolConfig.functionCallingConfig.mode: must be AUTO, ANY or NONE.", param="toolConfig")
    allowed = [plain_name(name, names) for name in calling.names or calling.names_too or ()]
    if mode == "NONE" or not allowed:
        return _MODES[mode]
    if mode == "ANY" and len(allowed) == 1:
        return {"type": "function", "function": {"name": allowed[0]}}
    tools = [{"type": "function", "function": {"name": name}} for name in allowed]
    return {"type": "allowed_tools", "allowed_tools": {"mode": _MODES[mode], "tools": tools}}


def _write_config(config: Mapping[str, Raw], body: dict[str, Any], lost: list[str]) -> None:
    for name, other in RENAMED.items():
        if given(config, name):
            where = f"generationConfig.{name}"
            body[other] = whole_number(config[name], where) if name in _WHOLE_NUMBERS else config[name]
    if given(config, "stopSequences"):
        stops = [stop for stop in decoded(_strings, config["stopSequences"], "generationConfig.stopSequences") if stop]
        if stops:
            body["stop"] = stops
    if given(config, "responseLogprobs") and decoded(_bool, config["responseLogprobs"], "generationConfig"):
        body["logprobs"] = True
        if given(config, "logprobs"):
            body["top_logprobs"] = whole_number(config["logprobs"], "generationConfig.logprobs")
    if given(config, "responseModalities"):
        for modality in decoded(_strings, config["responseModalities"], "generationConfig.responseModalities"):
            if modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
                raise only_gemini("generationConfig.responseModalities", f"the modality {modality[:32]!r}")
    _write_shape(config, body, lost)
    _write_thinking(config, body)


def _write_shape(config: Mapping[str, Raw], body: dict[str, Any], lost: list[str]) -> None:
    if not given(config, "responseMimeType"):
        return
    mime: str = decoded(_string, config["responseMimeType"], "generationConfig.responseMimeType")
    schema: Any = None
    if given(config, "responseJsonSchema"):
        schema = config["responseJsonSchema"]
    elif given(config, "responseSchema"):
        schema = json_schema(config["responseSchema"], "generationConfig.responseSchema")
    if mime == "application/json":
        if schema is None:
            body["response_format"] = {"type": "json_object"}
        else:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    elif mime == "text/x.enum" and isinstance(schema, dict) and isinstance(schema.get("enum"), list):
        body["structured_outputs"] = {"choice": schema["enum"]}
    elif mime != "text/plain":
        lost.append("generationConfig.responseMimeType")


def _write_thinking(config: Mapping[str, Raw], body: dict[str, Any]) -> None:
    if not given(config, "thinkingConfig"):
        return
    wanted: ThinkingConfig = decoded(_thinking, config["thinkingConfig"], "generationConfig.thinkingConfig")
    level = wanted.level or wanted.level_too
    budget = wanted.budget if wanted.budget is not None else wanted.budget_too
    if level is not None and level.upper() in _LEVELS:
        body["reasoning_effort"] = _LEVELS[level.upper()]
    elif budget is not None and budget >= 0:  # -1: as much as the model sees fit
        body["reasoning_effort"] = next((word for most, word in _BUDGETS if budget <= most), "high")
