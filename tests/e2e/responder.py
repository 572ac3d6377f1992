"""A scripted model that does as it is asked: it calls the tools that it has, and writes what a schema wants."""

from __future__ import annotations

import json
import re
from typing import Any

from fairlead.testing import Reply, ScriptedUpstream, ToolCall
from fairlead.testing.connection import Received, Wire

QUOTED = re.compile(r"'([^']+)'")


class Responder(ScriptedUpstream):
    """Answers chat completions by these rules: what a tool gave back is repeated; a tool is called where there is one;
    JSON is written where it is wanted; else it says hello."""

    async def answer(self, request: Received, wire: Wire) -> bool:
        if request.path.endswith("/chat/completions"):
            self.enqueue(reply_to(request.json))
        return await super().answer(request, wire)


def reply_to(body: Any) -> Reply:
    last = body["messages"][-1]
    asked = text_of(last)
    choice = body.get("tool_choice", "auto")
    if last["role"] != "tool" and body.get("tools") and choice != "none":
        functions = [tool["function"] for tool in body["tools"]]
        allowed = named(choice) if isinstance(choice, dict) else [one["name"] for one in functions]
        function = next(one for one in functions if one["name"] in allowed)
        return Reply(
            tool_calls=(ToolCall(function["name"], dumps(value_for(function.get("parameters") or {}, asked))),)
        )
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return Reply(text=dumps(value_for(wanted["json_schema"]["schema"], asked)))
    if wanted.get("type") == "json_object":
        return Reply(text=dumps(dict.fromkeys(QUOTED.findall(asked), "words")))
    return Reply(text=f"The tool says: {asked}" if last["role"] == "tool" else "Hello, how are you?")


def named(choice: Any) -> list[str]:
    """The functions that a choice allows: the one that it forces, or several."""
    if choice["type"] == "allowed_tools":
        return [tool["function"]["name"] for tool in choice["allowed_tools"]["tools"]]
    return [choice["function"]["name"]]


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def text_of(message: Any) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def value_for(schema: Any, asked: str, root: Any = None) -> Any:
    """A value that conforms to `schema`: numbers and quoted words are those of the question."""
    root = root or schema
    if "$ref" in schema:
        return value_for(root["$defs"][schema["$ref"].rpartition("/")[2]], asked, root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if found := schema.get("anyOf") or schema.get("oneOf"):
        return value_for(next(one for one in found if one.get("type") != "null"), asked, root)
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: value_for(one, asked, root) for name, one in (schema.get("properties") or {}).items()}
        case "array":
            return [value_for(schema.get("items") or {"type": "string"}, asked, root)]
        case "integer":
            return int((re.findall(r"\d+", asked) or ["3"])[0])
        case "number":
            return float((re.findall(r"\d+", asked) or ["3"])[0])
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return (QUOTED.findall(asked) or [asked])[0]
