"""Requests as vendors get them: each is read by the vendor's own package, `anthropic`, `google-genai` or `botocore`.

They are the judges: nothing was sent to a live service.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
from anthropic import types as anthropic
from google.genai import types as google
from pydantic import TypeAdapter

from fairlead.wire.chat import parse_chat

from .recorded import adapter

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nnot much").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": SCHEMA}}
    for name in ("get_weather", "get_time")
]
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is the weather here?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ],
    },
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "a1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}},
            {"id": "b2", "type": "function", "function": {"name": "get_time", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "a1", "content": '{"sky": "grey"}'},
    {"role": "tool", "tool_call_id": "b2", "content": "noon"},
    {"role": "developer", "content": "In one word."},
    {"role": "user", "content": "Well?"},
]
EVERYTHING: dict[str, Any] = {
    "messages": CONVERSATION, "tools": TOOLS, "max_tokens": 300, "temperature": 0.5, "stop": ["END", "STOP"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
}  # fmt: skip
MODELS = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-pro", "bedrock": "anthropic.claude-sonnet-4-5-v1:0"}


def judge_anthropic(body: dict[str, Any]) -> None:
    kind: Any = anthropic.MessageCreateParams
    TypeAdapter(kind).validate_python(body)


def judge_gemini(body: dict[str, Any]) -> None:
    """Every part by its own type, which takes no member that it does not know."""
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        google.Content.model_validate(content)
    for tool in body.get("tools", []):
        google.Tool.model_validate(tool)
    google.ToolConfig.model_validate(body.get("toolConfig", {}))
    google.GenerationConfig.model_validate(body.get("generationConfig", {}))
    assert set(body) <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}


def converse() -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(
        botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime"
    )


def judge_bedrock(body: dict[str, Any]) -> None:
    given = json.loads(json.dumps(body))
    for message in given["messages"]:
        for block in message["content"]:
            if "image" in block:
                block["image"]["source"]["bytes"] = base64.b64decode(block["image"]["source"]["bytes"])
    shape = converse().operation_model("Converse").input_shape
    report = botocore.validate.ParamValidator().validate({"modelId": "m", **given}, shape)
    assert not report.has_errors(), report.generate_report()


JUDGES = {"anthropic": judge_anthropic, "gemini": judge_gemini, "bedrock": judge_bedrock}


def sent(dialect: str, model: str | None = None, **given: Any) -> tuple[dict[str, Any], Any]:
    members = {"model": "public", "messages": [{"role": "user", "content": "Hello"}], **given}
    call = adapter(dialect, model or MODELS[dialect]).to_vendor(parse_chat(json.dumps(members).encode()))
    body: dict[str, Any] = json.loads(b"".join(call.body))
    JUDGES[dialect](body)
    return body, call
