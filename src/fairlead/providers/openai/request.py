"""Members of a request in the format of an engine: constraints and tool choice. Pure."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.providers.dialect import Dialect
from fairlead.providers.openai.shapes import NULL, Kind, ToolEntry
from fairlead.wire.chat import named_tools, tool_choice

# In a variable of this module's own, which compiled code reads without a look-up.
_NULL: Final[Raw] = NULL

JSON_OBJECT: Final = Raw(b'{"type":"json_object"}')
# llama.cpp answers a cut `json_object` with a 500; as a schema it does not.
ANY_OBJECT: Final = Raw(b'{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}')
# How Mistral's models, Qwen's and Hermes begin tool calls.
TOOL_MARKUP: Final = ("[TOOL_CALLS]", "<tool_call>")
_encode: Final = msgspec.json.encode


def rewrite_structured(row: Dialect, members: dict[str, Raw]) -> list[str]:
    """vLLM's `structured_outputs` in the format of another engine; gives the name when there are none."""
    (kind, value), *_ = [
        (name, raw)
        for name, raw in msgspec.json.decode(members.pop("structured_outputs"), type=dict[str, Raw]).items()
        if raw != _NULL
    ]
    if kind == "json":
        schema = value if memoryview(value)[0] != 0x22 else Raw(msgspec.json.decode(value, type=str).encode())
        members["response_format"] = Raw(
            b'{"type":"json_schema","json_schema":{"name":"answer","schema":%b}}' % bytes(schema)
        )
    elif kind == "json_object":
        members["response_format"] = JSON_OBJECT
    elif kind == "choice" and row.structured in ("sglang", "llamacpp"):
        _choice_as_grammar(row, members, value)
    elif kind == "regex" and row.structured == "sglang":
        members["regex"] = value
    elif kind == "grammar" and row.structured in ("sglang", "llamacpp"):
        members["ebnf" if row.structured == "sglang" else "grammar"] = value
    else:
        return [f"structured_outputs.{kind}"]
    return []


def rewrite_json_object(members: dict[str, Raw]) -> None:
    if msgspec.json.decode(members["response_format"], type=Kind).type == "json_object":
        members["response_format"] = ANY_OBJECT


def _choice_as_grammar(row: Dialect, members: dict[str, Raw], value: Raw) -> None:
    """One of some texts, as they are and not as JSON strings."""
    choices = msgspec.json.decode(value, type=list[str])
    if row.structured == "sglang":
        pattern = "|".join(_escaped(choice) for choice in choices)
        members["regex"] = Raw(_encode(f"({pattern})"))
    else:
        members["grammar"] = Raw(_encode("root ::= " + " | ".join(_encode(choice).decode() for choice in choices)))


def _escaped(text: str) -> str:
    for letter in _SPECIAL:  # the backslash first
        text = text.replace(letter, "\\" + letter)
    return text


_SPECIAL: Final = "\\.^$*+?{}[]|()"


def rewrite_tool_choice(row: Dialect, members: dict[str, Raw]) -> None:
    choice = tool_choice(members["tool_choice"])
    if row.tool_choice == "any":
        if choice == "required":
            members["tool_choice"] = Raw(b'"any"')
        elif not isinstance(choice, str) and choice.type == "allowed_tools":
            _keep_tools(members, named_tools(choice))
            members["tool_choice"] = Raw(b'"any"' if choice.allowed_tools.mode == "required" else b'"auto"')
        return
    # llama.cpp takes the object for "auto", and leaks raw markup for "none".
    if choice == "none":
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            members.pop(name, None)
        # A model that has called tools before may continue to do so: then its answer ends there.
        given = members.get("stop", _NULL)
        own = [] if given == _NULL else msgspec.json.decode(given, type=str | list[str])
        members["stop"] = Raw(_encode([*([own] if isinstance(own, str) else own), *TOOL_MARKUP]))
    elif not isinstance(choice, str):
        _keep_tools(members, named_tools(choice))
        required = choice.type == "function" or choice.allowed_tools.mode == "required"
        members["tool_choice"] = Raw(b'"required"' if required else b'"auto"')


def _keep_tools(members: dict[str, Raw], names: list[str]) -> None:
    tools = msgspec.json.decode(members["tools"], type=list[Raw])
    kept = [tool for tool in tools if msgspec.json.decode(tool, type=ToolEntry).function.name in names]
    members["tools"] = Raw(_encode(kept))
