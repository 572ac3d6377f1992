"""Tools of the Responses API as functions of chat, and back.

A `custom` tool, whose input is free text, becomes a function with one string; tools in a namespace get its name before
theirs. Tools that a provider runs itself have no counterpart: they are refused by name, but for two that Codex offers
whatever the model is, and that a model can do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.responses.shapes import Choice, Tool, ToolName
from fairlead.errors import InvalidRequest, NotTranslated
from fairlead.wire.bounds import MOST_NAMESPACED
from fairlead.wire.chat_shapes import NULL

LONGEST_NAME: Final = 64
INPUT: Final = "input"
_ESCAPED: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_custom_input: Final = msgspec.json.Decoder(dict[str, Raw])
_string: Final = msgspec.json.Decoder(str)


def chat_name(name: str, namespace: str = "") -> str:
    """The name of a function of chat: at most 64 letters, digits and `_.-`."""
    joined = f"{namespace.rstrip('_')}__{name}" if namespace else name
    safe = "".join([letter if letter in _ESCAPED else "_" for letter in joined])
    if safe == joined and len(safe) <= LONGEST_NAME:
        return safe
    return f"{safe[: LONGEST_NAME - 9]}_{sha256(joined.encode('utf-8', 'replace')).hexdigest()[:8]}"


class ToolSet:
    """All tools of a request. `names`: by the name in chat; `left_out`: what has no counterpart there."""

    __slots__ = ("functions", "left_out", "names")

    def __init__(self) -> None:
        self.functions: list[dict[str, Any]] = []
        self.names: dict[str, ToolName] = {}
        self.left_out: list[str] = []

    def add(self, tools: Iterable[Tool], namespace: str = "") -> None:
        """Raises NotTranslated for a tool that only a provider of this API has."""
        for tool in tools:
            if tool.type in ("function", "custom"):
                self._add_one(tool, namespace)
            elif tool.type == "namespace" and not namespace:
                self.add(tool.tools or (), tool.name or "")
            elif may_be_left_out(tool):
                self.left_out.append(f"tools.{tool.type[:64]}")
            else:
                raise NotTranslated(
                    [f"tools.{tool.type[:64]}"],
                    f"This model's provider has no tool of type {tool.type[:64]!r}. Tools that a provider runs itself "
                    "need a provider that speaks the Responses API.",
                )

    def _add_one(self, tool: Tool, namespace: str) -> None:
        if not tool.name:
            raise InvalidRequest("A tool has no name.", param="tools")
        name = chat_name(tool.name, namespace)
        if name in self.names:  # the same tool may come with the request and with a search for tools
            return
        if len(self.functions) >= MOST_NAMESPACED:
            raise InvalidRequest(f"There are more than {MOST_NAMESPACED:,} tools.", param="tools")
        self.names[name] = ToolName(tool.type, tool.name, namespace)
        self.functions.append({"type": "function", "function": _function(tool, name)})

    def choice(self, given: Any) -> Any:
        """`tool_choice` in the format of chat. Raises NotTranslated."""
        if isinstance(given, str):
            return given
        if given.type in ("function", "custom"):
            return {"type": "function", "function": {"name": self._known(given)}}
        if given.type == "allowed_tools":
            references = [
                {"type": "function", "function": {"name": self._known(one)}}
                for one in given.tools or ()
                if one.type in ("function", "custom")
            ]
            if references:
                return {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": given.mode or "auto", "tools": references},
                }
        raise NotTranslated(
            [f"tool_choice.{given.type[:64]}"],
            f"tool_choice: this model's provider cannot be required to use a tool of type {given.type[:64]!r}.",
        )

    def _known(self, choice: Choice) -> str:
        name = chat_name(choice.name or "", choice.namespace or "")
        if name in self.names:
            return name
        for known, tool in self.names.items():
            if tool.name == choice.name:
                return known
        raise InvalidRequest(
            f"tool_choice names {(choice.name or '')[:64]!r}, which is not in tools.", param="tool_choice"
        )


def may_be_left_out(tool: Tool) -> bool:
    """Codex offers both to every model: a search that may not go to the web, and one that its own side would run."""
    if tool.type == "web_search":
        return tool.external_web_access is False
    return tool.type == "tool_search" and tool.execution == "client"


def _function(tool: Tool, name: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if tool.type == "custom":
        return {**function, "description": _custom_description(tool), "parameters": _custom_parameters()}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters != NULL:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _custom_parameters() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The whole input of the tool, as plain text."}},
        "required": [INPUT],
        "additionalProperties": False,
    }


def _custom_description(tool: Tool) -> str:
    """The tool's own, and the grammar that its input must follow: nothing enforces it here."""
    text = tool.description or ""
    grammar = tool.format
    if grammar is not None and grammar.definition:
        text += f"\n\nThe input must match this {grammar.syntax or 'lark'} grammar:\n{grammar.definition}"
    return text.strip()


def arguments_of(input_text: str) -> str:
    """The arguments of the function that stands for a custom tool."""
    return msgspec.json.encode({INPUT: input_text}).decode()


def input_of(arguments: str) -> str:
    """The input of a custom tool, from the arguments that a model gave: what is not the one string is taken as it
    is."""
    try:
        members: Mapping[str, Raw] = _custom_input.decode(arguments)
        return _string.decode(members[INPUT])
    except (msgspec.DecodeError, KeyError, RecursionError):
        return arguments
