"""GET /openapi.json: the public API as an OpenAPI 3.1 document, made from the tables of routes and of parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import msgspec

from fairlead import __version__
from fairlead.api.management.table import ACTIONS
from fairlead.api.routes import Route
from fairlead.doors.table import DOORS
from fairlead.http.request import Request, Response
from fairlead.wire.chat import PARAMETERS
from fairlead.wire.models import ModelEntry, ModelList

FORMS = frozenset({"AudioForm", "ImageForm"})
JSON_HEAD = b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-cache\r\n"
REFERENCE = "#/components/schemas/{name}"
_OBJECT: dict[str, Any] = {"type": "object"}


SCHEMAS: Mapping[str, Any] = {
    "Object": {"type": "object", "additionalProperties": True},
    "Text": {"type": "string"},
    "Redeem": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string", "description": "What went wrong, and the next step."},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string", "description": "See the error reference."},
                },
                "additionalProperties": True,
            }
        },
    },
    "Message": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {
                "description": "Text, or parts: text, and images as image_url.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": _OBJECT}, {"type": "null"}],
            },
            "tool_calls": {"type": "array", "items": _OBJECT},
            "tool_call_id": {"type": "string"},
            "name": {"type": "string"},
        },
        "additionalProperties": True,
    },
    "Usage": {
        "type": "object",
        "properties": {
            "prompt_tokens": {"type": "integer"},
            "completion_tokens": {"type": "integer"},
            "total_tokens": {"type": "integer"},
            "cost": {"type": "number", "description": "Dollars, as SDKs expect it."},
            "cost_usd": {"type": "string", "description": "Dollars, with every digit."},
        },
        "additionalProperties": True,
    },
    "MessagesRequest": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string", "description": "The id of a model."},
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["role", "content"],
                    "properties": {
                        "role": {"enum": ["user", "assistant", "system"]},
                        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": _OBJECT}]},
                    },
                },
            },
            "max_tokens": {"type": "integer", "description": "The most tokens of the answer."},
            "system": {"anyOf": [{"type": "string"}, {"type": "array", "items": _OBJECT}]},
            "tools": {"type": "array", "items": _OBJECT},
            "tool_choice": _OBJECT,
            "thinking": _OBJECT,
            "output_config": _OBJECT,
            "stop_sequences": {"type": "array", "items": {"type": "string"}},
            "stream": {"type": "boolean"},
            "temperature": {"type": "number"},
            "top_p": {"type": "number"},
            "top_k": {"type": "integer"},
            "metadata": _OBJECT,
        },
        "additionalProperties": True,
    },
    "AnthropicMessage": {
        "type": "object",
        "required": ["id", "type", "role", "model", "content", "stop_reason", "usage"],
        "properties": {
            "id": {"type": "string"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"type": "string"},
            "content": {"type": "array", "items": _OBJECT},
            "stop_reason": {"type": ["string", "null"]},
            "stop_sequence": {"type": ["string", "null"]},
            "usage": {
                "type": "object",
                "properties": {
                    "input_tokens": {"type": "integer"},
                    "output_tokens": {"type": "integer"},
                    "cost": {"type": "number", "description": "Dollars, as SDKs expect it."},
                    "cost_usd": {"type": "string", "description": "Dollars, with every digit."},
                },
                "additionalProperties": True,
            },
        },
        "additionalProperties": True,
    },
    "ChatCompletion": {
        "type": "object",
        "required": ["id", "object", "created", "model", "choices"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "chat.completion"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {"type": "array", "items": {"$ref": "#/components/schemas/Object"}},
            "usage": {"$ref": "#/components/schemas/Usage"},
        },
        "additionalProperties": True,
    },
    "ResponsesRequest": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "minLength": 1, "maxLength": 256, "description": "The id of a model."},
            "input": {
                "description": "Text, or items: messages, calls of tools and their outputs, reasoning.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": _OBJECT, "minItems": 1}],
            },
            "instructions": {"type": ["string", "null"]},
            "stream": {"type": ["boolean", "null"]},
            "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
            "tools": {"type": "array", "items": _OBJECT},
        },
        "additionalProperties": True,
    },
    "ImageRequest": {
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": {"type": "string"},
            "prompt": {"type": "string"},
            "n": {"type": "integer", "minimum": 1},
            "size": {"type": "string", "description": "Such as 1024x1024, or auto."},
            "quality": {"type": "string"},
        },
        "additionalProperties": True,
    },
    "Images": {
        "type": "object",
        "properties": {"created": {"type": "integer"}, "data": {"type": "array", "items": _OBJECT}},
        "additionalProperties": True,
    },
    "SpeechRequest": {
        "type": "object",
        "required": ["model", "input", "voice"],
        "properties": {
            "model": {"type": "string"},
            "input": {"type": "string", "description": "The text."},
            "voice": {"anyOf": [{"type": "string"}, _OBJECT]},
            "response_format": {"enum": ["mp3", "opus", "aac", "flac", "wav", "pcm"]},
            "speed": {"type": "number"},
        },
        "additionalProperties": True,
    },
    "AudioForm": {
        "type": "object",
        "required": ["model", "file"],
        "properties": {"model": {"type": "string"}, "file": {"type": "string", "format": "binary"}},
        "additionalProperties": True,
    },
    "ImageForm": {
        "type": "object",
        "required": ["model", "prompt", "image"],
        "properties": {
            "model": {"type": "string"},
            "prompt": {"type": "string"},
            "image": {"type": "string", "format": "binary", "description": "A file; for several, `image[]`."},
        },
        "additionalProperties": True,
    },
    "Transcript": {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": True},
    "Sound": {"type": "string", "format": "binary"},
    "CataloguePage": {
        "type": "object",
        "required": ["object", "total", "page", "pages", "next", "models"],
        "properties": {
            "object": {"const": "catalogue"},
            "total": {"type": "integer"},
            "page": {"type": "integer"},
            "pages": {"type": "integer"},
            "next": {"type": ["string", "null"]},
            "models": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "name", "vendor", "url", "state", "deployments", "list_prices"],
                    "properties": {
                        "id": {"type": "string"},
                        "name": {"type": "string"},
                        "url": {"type": "string"},
                        "state": {"type": "string"},
                        "context_length": {"type": ["integer", "null"]},
                        "max_output_tokens": {"type": ["integer", "null"]},
                        "capabilities": {"type": "array", "items": {"type": "string"}},
                        "deployments": {"type": "array", "items": _OBJECT},
                    },
                    "additionalProperties": True,
                },
            },
        },
        "additionalProperties": True,
    },
    "GenerateContentRequest": {
        "type": "object",
        "required": ["contents"],
        "properties": {
            "contents": {"type": "array", "items": _OBJECT, "minItems": 1},
            "systemInstruction": _OBJECT,
            "tools": {"type": "array", "items": _OBJECT},
            "toolConfig": _OBJECT,
            "generationConfig": _OBJECT,
        },
        "additionalProperties": True,
    },
    "GenerateContentResponse": {
        "type": "object",
        "properties": {
            "candidates": {"type": "array", "items": _OBJECT},
            "modelVersion": {"type": "string"},
            "responseId": {"type": "string"},
            "usageMetadata": {
                "type": "object",
                "properties": {
                    "promptTokenCount": {"type": "integer"},
                    "candidatesTokenCount": {"type": "integer"},
                    "totalTokenCount": {"type": "integer"},
                    "cost": {"type": "number", "description": "Dollars."},
                    "cost_usd": {"type": "string", "description": "Dollars, with every digit."},
                },
                "additionalProperties": True,
            },
        },
        "additionalProperties": True,
    },
    "Response": {
        "type": "object",
        "required": ["id", "object", "created_at", "status", "model", "output"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "response"},
            "created_at": {"type": "integer"},
            "status": {"enum": ["completed", "incomplete", "queued", "in_progress", "failed", "cancelled"]},
            "model": {"type": "string"},
            "output": {"type": "array", "items": _OBJECT},
            "usage": {
                "type": ["object", "null"],
                "properties": {
                    "input_tokens": {"type": "integer"},
                    "output_tokens": {"type": "integer"},
                    "total_tokens": {"type": "integer"},
                    "cost": {"type": "number", "description": "Dollars, as SDKs expect it."},
                    "cost_usd": {"type": "string", "description": "Dollars, with every digit."},
                },
                "additionalProperties": True,
            },
        },
        "additionalProperties": True,
    },
}


class OpenApi:
    """`routes`: those that are served; `pages`: what the public pages answer."""

    __slots__ = ("_body", "_etag", "_pages", "_routes")

    def __init__(self, routes: Sequence[Route], pages: Sequence[Route] = ()) -> None:
        self._routes = routes
        self._pages = pages
        self._body = b""
        self._etag = b""

    def __call__(self, request: Request, response: Response) -> None:
        if not self._body:
            self._body = msgspec.json.encode(document([*self._routes, *self._pages]))
            self._etag = b'"%b"' % sha256(self._body).hexdigest()[:20].encode()
        head = b"%betag: %b\r\n" % (JSON_HEAD, self._etag)
        same = self._etag in (request.header(b"if-none-match") or b"")
        response.send(304 if same else 200, head, b"" if same else self._body)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document: every route, in the order of the table."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fairlead",
            "version": __version__,
            "description": "One OpenAI-compatible API for many models. Prices are exact decimal strings.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key of this gateway."},
                "managementKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A management key of this gateway: `fairlead management-keys create`.",
                },
            },
        },
    }


def _operation(row: Route) -> dict[str, Any]:
    members = re.findall(r"\{(\w+)\}", row.path)
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "description": "The SHA-256 of a key, in hexadecimal digits."
            if name == "hash"
            else "The id of a model (it may contain slashes), of a call, a response, a key or an account.",
        }
        for name in members
    ] + [
        {
            "name": name,
            "in": "query",
            "required": not row.optional,
            "schema": {"type": "string"},
            "description": meaning,
        }
        for name, meaning in row.query.items()
    ]
    example = examples().get(f"{row.method} {row.path}", {})
    content: dict[str, Any] = {row.media_type: {"schema": _reference(row.answer)}}
    content[row.media_type] |= _example(example, "response")
    if row.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    responses: dict[str, Any] = {str(row.status): {"description": "Success.", "content": content}}
    for status in sorted(
        {*(() if row.who == "anyone" else (401,)), *((401, 403) if row.takes_key else ()), *row.statuses}
    ):
        responses[str(status)] = {
            "description": "An error: what went wrong, and the next step.",
            "content": {"application/json": {"schema": _reference("Error")}},
        }
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{row.method.lower()} {row.path}").strip("_"),
        "summary": row.summary,
        "tags": [row.tag],
        "responses": responses,
        "security": _security(row),
    }
    details = row.details
    if row.scope and row.who != "anyone":
        details = f"{details} A management key needs the scope `{row.scope}`.".strip()
    if details:
        found["description"] = details
    if parameters:
        found["parameters"] = parameters
    if row.body:
        found["requestBody"] = {
            "required": True,
            "content": {
                "multipart/form-data" if row.body in FORMS else "application/json": {
                    "schema": _reference(row.body),
                    **_example(example, "request"),
                }
            },
        }
    return found


@cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """By method and path: `request` and `response`, as a gateway answered. A test compares their members with those of
    real answers."""
    text = (files("fairlead.api") / "examples.json").read_text("utf-8")
    found: dict[str, Mapping[str, Any]] = msgspec.json.decode(text)
    for row in DOORS.values():
        for paths in (row.paths, row.count_paths):
            for path in paths[1:]:  # the same at another address
                found.setdefault(f"POST {path}", found[f"POST {paths[0]}"])
    return found


def _security(row: Route) -> list[dict[str, list[str]]]:
    keys: list[dict[str, list[str]]] = [{"key": []}]
    if row.who in ("management", "either"):
        own: list[dict[str, list[str]]] = [{"managementKey": []}]
        return own if row.who == "management" else [*keys, *own]
    return keys if row.who == "key" else [{}, *keys] if row.takes_key else []


def _example(example: Mapping[str, Any], side: str) -> dict[str, Any]:
    return {"example": example[side]} if side in example else {}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}


def _schemas() -> dict[str, Any]:
    names = list(PARAMETERS)
    types = [PARAMETERS[name].decoder.type for name in names]
    bodies = [action.body for action in ACTIONS if action.body is not None]
    found, parts = msgspec.json.schema_components([*types, ModelList, ModelEntry, *bodies], ref_template=REFERENCE)
    properties: dict[str, Any] = {
        "model": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "The id of a model (GET /v1/models).",
        },
        "messages": {"type": "array", "minItems": 1, "items": _reference("Message")},
    }
    for name, schema in zip(names, found, strict=False):
        properties[name] = {"description": PARAMETERS[name].wanted, **schema}
    properties["fairlead"] = {
        "type": "object",
        "properties": {
            "strict": {"type": "boolean", "description": "Reject the request instead of dropping a parameter."}
        },
        "additionalProperties": False,
    }
    chat = {"type": "object", "required": ["model", "messages"], "properties": properties}
    own = {name: schema for row in DOORS.values() for name, schema in row.schemas.items()}
    return {"ChatRequest": chat, **SCHEMAS, **own, **parts}
