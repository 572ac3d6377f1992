"""GET /openapi.json: the public API as an OpenAPI 3.1 document, made from the tables of routes and of parameters.

Every route is in it; OPERATIONS has a row for each, which a test checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from fairlead import __version__
from fairlead.http.request import Request, Response
from fairlead.wire.chat import PARAMETERS
from fairlead.wire.models import ModelEntry, ModelList

JSON_HEAD = b"content-type: application/json\r\ncache-control: no-cache\r\n"
REFERENCE = "#/components/schemas/{name}"
# The member of a path that a prefix is followed by.
PATH_MEMBERS = {"/v1/models/": "id", "/v1/receipts/": "id"}
Table = Mapping[str, Mapping[str, Any]]
_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path. `body` and `answer`: the name of a schema, or ""; `query`: names with what they mean,
    `optional` when none of them is needed."""

    summary: str
    key: bool
    tag: str
    answer: str = "Object"
    body: str = ""
    media_type: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    statuses: tuple[int, ...] = ()


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        "Answers a chat, at once or as a stream of server-sent events.",
        True,
        "Chat",
        "ChatCompletion",
        "ChatRequest",
        statuses=(400, 402, 403, 404, 429, 502, 503, 504),
    ),
    ("POST", "/v1/plan"): Operation(
        "Says which deployments would serve a chat, in order, and why the others would not.",
        True,
        "Chat",
        body="ChatRequest",
        statuses=(400, 403, 404),
    ),
    ("GET", "/v1/models"): Operation("Lists the models.", False, "Models", "ModelList"),
    ("GET", "/v1/models/{id}"): Operation("Shows one model.", False, "Models", "ModelEntry", statuses=(404,)),
    ("GET", "/v1/models/{id}/performance"): Operation(
        "Shows what was measured of a model and its deployments.",
        False,
        "Models",
        query={"window": "1h, 24h, 7d or 30d."},
        optional=True,
        statuses=(400, 404, 503),
    ),
    ("GET", "/v1/models/{id}/endpoints"): Operation(
        "Lists the deployments of a model in OpenRouter's shape.", False, "Models", statuses=(404,)
    ),
    ("GET", "/v1/generation"): Operation(
        "Shows what a call of your account used and cost.",
        True,
        "Money",
        query={"id": "The value of x-fairlead-generation-id."},
        statuses=(400, 404),
    ),
    ("GET", "/v1/receipts/{id}"): Operation("Shows how a charge was made up.", True, "Money", statuses=(404,)),
    ("GET", "/v1/key"): Operation("Shows what this key has used and what is left.", True, "Money"),
    ("GET", "/v1/credits"): Operation("Shows what the account was granted and has used.", True, "Money"),
    ("POST", "/v1/credits/redeem"): Operation(
        "Adds what a code is worth to the account.", True, "Money", body="Redeem", statuses=(400,)
    ),
    ("GET", "/healthz"): Operation("Says that the process answers.", False, "Health"),
    ("GET", "/readyz"): Operation("Says whether a call can be served.", False, "Health", statuses=(503,)),
    ("GET", "/metrics"): Operation("Figures for Prometheus.", False, "Health", "Text", media_type="text/plain"),
    ("GET", "/openapi.json"): Operation("This document.", False, "Health"),
}
# A test fails while a route is served with this.
UNDESCRIBED = Operation("Not described.", True, "Other")

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
                    "code": {"type": "string", "description": "Every code is in the documentation."},
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
}


class OpenApi:
    """`tables()`: what calls are served from, path -> method -> endpoint, and the same for prefixes of paths."""

    __slots__ = ("_body", "_etag", "_tables")

    def __init__(self, tables: Callable[[], tuple[Table, Table]]) -> None:
        self._tables = tables
        self._body = b""
        self._etag = b""

    def __call__(self, request: Request, response: Response) -> None:
        if not self._body:
            self._body = msgspec.json.encode(document(*self._tables()))
            self._etag = b'"%b"' % sha256(self._body).hexdigest()[:20].encode()
        head = b"%betag: %b\r\n" % (JSON_HEAD, self._etag)
        same = self._etag in (request.header(b"if-none-match") or b"")
        response.send(304 if same else 200, head, b"" if same else self._body)


def document(routes: Table, prefixes: Table) -> dict[str, Any]:
    """The document: every route of the tables, with what OPERATIONS says of it."""
    paths: dict[str, Any] = {}
    for path, methods in routes.items():
        paths[path] = {method.lower(): _operation(method, path) for method in methods}
    for prefix, methods in prefixes.items():
        path = f"{prefix}{{{PATH_MEMBERS.get(prefix, 'id')}}}"
        paths[path] = {method.lower(): _operation(method, path) for method in methods}
        # What a prefix answers further down, such as /v1/models/{id}/endpoints.
        for method, further in OPERATIONS:
            if further.startswith(f"{path}/") and method in methods:
                paths[further] = {method.lower(): _operation(method, further)}
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
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of this server."}},
        },
    }


def _operation(method: str, path: str) -> dict[str, Any]:
    row = OPERATIONS.get((method, path), UNDESCRIBED)
    members = re.findall(r"\{(\w+)\}", path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": "May have slashes."}
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
    content: dict[str, Any] = {row.media_type: {"schema": _reference(row.answer)}}
    if row.answer == "ChatCompletion":
        content["text/event-stream"] = {"schema": {"type": "string"}}
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for status in (*((401,) if row.key else ()), *row.statuses):
        responses[str(status)] = {
            "description": "Why not, and the next step.",
            "content": {"application/json": {"schema": _reference("Error")}},
        }
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()} {path}").strip("_"),
        "summary": row.summary,
        "tags": [row.tag],
        "responses": responses,
        "security": [{"key": []}] if row.key else [],
    }
    if parameters:
        found["parameters"] = parameters
    if row.body:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(row.body)}},
        }
    return found


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}


def _schemas() -> dict[str, Any]:
    names = list(PARAMETERS)
    types = [PARAMETERS[name].decoder.type for name in names]
    found, parts = msgspec.json.schema_components([*types, ModelList, ModelEntry], ref_template=REFERENCE)
    properties: dict[str, Any] = {
        "model": {"type": "string", "minLength": 1, "maxLength": 256, "description": "The id of a model."},
        "messages": {"type": "array", "minItems": 1, "items": _reference("Message")},
    }
    for name, schema in zip(names, found, strict=False):
        properties[name] = {"description": PARAMETERS[name].wanted, **schema}
    properties["fairlead"] = {
        "type": "object",
        "properties": {"strict": {"type": "boolean", "description": "Refuse what would be dropped."}},
        "additionalProperties": False,
    }
    chat = {"type": "object", "required": ["model", "messages"], "properties": properties}
    return {"ChatRequest": chat, **SCHEMAS, **parts}
