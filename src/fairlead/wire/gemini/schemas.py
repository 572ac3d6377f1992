"""Gemini's schemas, a subset of OpenAPI's, as JSON schemas. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import LONGEST_CONSTRAINT

DEEPEST: Final = 32
_object: Final = msgspec.json.Decoder(dict[str, Any])
# Members of protocol buffers that are 64-bit integers, which may be written as strings.
_WHOLE: Final = frozenset({"maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties"})
# Without a meaning in JSON schema.
_LEFT_OUT: Final = frozenset({"nullable", "propertyOrdering", "example"})


def camel(name: str) -> str:
    """`inline_data` as `inlineData`; any other spelling as it is."""
    if "_" not in name:
        return name
    first, *rest = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def json_schema(raw: Raw, where: str) -> dict[str, Any]:
    """Raises InvalidRequest for what is no schema."""
    if len(raw) > LONGEST_CONSTRAINT:
        raise InvalidRequest(f"{where} is longer than {LONGEST_CONSTRAINT:,} bytes.", param=where)
    try:
        return _schema(_object.decode(raw), where, 0)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{where} must be a schema.", param=where) from None


def _schema(given: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise InvalidRequest(f"{where} is nested too deeply.", param=where)
    made: dict[str, Any] = {}
    members = {camel(name): value for name, value in given.items()}
    for name, value in members.items():
        if name in _LEFT_OUT:
            continue
        change = _CHANGES.get(name)
        made[name] = value if change is None else change(value, where, depth + 1)
        if name in _WHOLE and isinstance(value, str) and value.isdecimal() and len(value) <= 18:
            made[name] = int(value)
    if members.get("nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
    return made


def _type(value: Any, _where: str, _depth: int) -> Any:
    return value.lower() if isinstance(value, str) else value


def _one(value: Any, where: str, depth: int) -> Any:
    return _schema(value, where, depth) if isinstance(value, dict) else value


def _list(value: Any, where: str, depth: int) -> Any:
    return [_one(item, where, depth) for item in value] if isinstance(value, list) else value


def _map(value: Any, where: str, depth: int) -> Any:
    return {name: _one(item, where, depth) for name, item in value.items()} if isinstance(value, dict) else value


_CHANGES: Final[Mapping[str, Callable[[Any, str, int], Any]]] = {
    "type": _type, "items": _one, "additionalProperties": _one, "prefixItems": _list, "anyOf": _list, "oneOf": _list,
    "allOf": _list, "properties": _map, "defs": _map, "$defs": _map,
}  # fmt: skip
