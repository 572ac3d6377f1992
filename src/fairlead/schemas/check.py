"""Checks JSON schemas and answers. Slow, and a hostile schema makes it slower: it runs in `worker` only.

Regular expressions are run by RE2, whose time is linear in the text. What RE2 does not support (look-around,
back-references) is not evaluated. Nothing that a schema refers to is fetched.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import msgspec
import re2
import referencing
import referencing.jsonschema

from fairlead.schemas.verdict import Verdict

DEEPEST_SCHEMA: Final = 64
MOST_ERRORS: Final = 100
LONGEST_COMPLAINT: Final = 500
LONGEST_PATH: Final = 200
EXPRESSION_BYTES: Final = 8 * 1024 * 1024
# Evaluated against every part of a schema before it is used: references that lead nowhere or in a circle show.
PROBES: Final[tuple[Any, ...]] = (None, "", 0, [], {})
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA: Final = ("const", "enum")  # values, not schemas
_NOT_JSON: Final = "it is not a JSON document."


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = EXPRESSION_BYTES
    return options


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _options())
    except (re2.error, UnicodeError):
        return None


class LinearTime:
    """What jsonschema calls of `re`, run by RE2. An expression that RE2 does not support matches nothing."""

    error = re2.error

    @staticmethod
    def search(pattern: str, string: str) -> Any:
        expression = _compiled(pattern)
        try:
            return None if expression is None else expression.search(string)
        except UnicodeError:
            return None


LINEAR_TIME: Final = LinearTime()


def replace_backtracking_engine() -> None:
    """Makes jsonschema run expressions by RE2 in this process, for every keyword and draft: also those that a schema
    reaches by `$ref` and `$schema`, where a validator class with other keywords would not be used."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("jsonschema", "referencing") and getattr(module, "re", None) is re:
            vars(module)["re"] = LINEAR_TIME


def check(schema: bytes) -> Verdict:
    """Whether a schema can be used."""
    try:
        wanted = _decoded(schema)
        validator = _validator(wanted)
        for part, resolver in _parts(wanted, validator):
            if isinstance(part, dict):
                for name in _REFERENCES:
                    if isinstance(part.get(name), str):
                        resolver.lookup(part[name])
            one = validator.evolve(schema=part, _resolver=resolver)
            for probe in PROBES:
                for _ in one.iter_errors(probe):
                    pass
    except MemoryError:
        return Verdict(too_much=True)
    except Exception as error:
        return Verdict(broken=_reason(error))
    return Verdict()


def conforms(schema: bytes, text: bytes) -> Verdict:
    """Whether an answer conforms to a schema that `check` has passed."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return Verdict(where="#", told=_NOT_JSON)
    try:
        found = _validator(_decoded(schema)).iter_errors(value)
        worst = jsonschema.exceptions.best_match(itertools.islice(found, MOST_ERRORS))
        if worst is None:
            return Verdict()
        where = "/".join(("#", *map(str, worst.absolute_schema_path)))[:LONGEST_PATH]
        return Verdict(where=where, told=f"at {worst.json_path}: {worst.message}"[:LONGEST_COMPLAINT] + ".")
    except MemoryError:
        return Verdict(too_much=True)
    except Exception as error:
        return Verdict(broken=_reason(error))


def _decoded(schema: bytes) -> Any:
    wanted = msgspec.json.decode(schema)
    if not isinstance(wanted, dict | bool):
        raise TypeError("it is not an object")
    if _never_valid(wanted):
        raise ValueError("no document conforms to it")
    return _evaluable(wanted, 0)


def _validator(schema: Any) -> Any:
    if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
        raise TypeError("`$schema` is not a string")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    kind.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
    # Only what is in the schema itself is found.
    return kind(schema, registry=referencing.Registry())


def _parts(schema: Any, validator: Any) -> Iterator[tuple[Any, Any]]:
    """The schema and every schema in it, each with the resolver of its references."""
    dialect = validator.META_SCHEMA.get("$schema", "")
    root = referencing.jsonschema.specification_with(dialect).create_resource(schema)
    address = root.id() or ""
    registry = referencing.Registry().with_resource(address, root).crawl()
    waiting = [(root, registry.resolver(base_uri=address))]
    while waiting:
        resource, resolver = waiting.pop()
        yield resource.contents, resolver
        for part in resource.subresources():
            waiting.append((part, resolver.in_subresource(part)))


def _never_valid(schema: Any) -> bool:
    """Whether it is plain that nothing conforms. There are other ways to write such a schema: those cost two calls."""
    if not isinstance(schema, dict):
        return schema is False
    given = schema.get("allOf")
    return (
        (("not" in schema) and schema["not"] in ({}, True))
        or ("enum" in schema and schema["enum"] == [])
        or (isinstance(given, list) and any(_never_valid(one) for one in given[:DEEPEST_SCHEMA]))
    )


def _evaluable(schema: Any, depth: int) -> Any:
    """The schema without the expressions that RE2 does not support."""
    if depth > DEEPEST_SCHEMA:
        raise ValueError(f"it is nested deeper than {DEEPEST_SCHEMA} levels")
    if isinstance(schema, list):
        return [_evaluable(value, depth + 1) for value in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for name, value in schema.items():
        if name in _DATA:
            found[name] = value
        elif name == "pattern" and isinstance(value, str):
            if _compiled(value) is not None:
                found[name] = value
        elif name == "patternProperties" and isinstance(value, dict):
            found[name] = {
                # What cannot be evaluated may match every name, and accepts every value.
                pattern if _compiled(pattern) is not None else "^": (
                    _evaluable(one, depth + 1) if _compiled(pattern) is not None else True
                )
                for pattern, one in value.items()
            }
        else:
            found[name] = _evaluable(value, depth + 1)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, jsonschema.SchemaError):
        where = "/".join(("#", *map(str, error.absolute_path)))[:LONGEST_PATH]
        return f"{error.message[:LONGEST_PATH]} (at {where})"
    if isinstance(error, RecursionError):
        return "its references lead in a circle, or it is nested too deeply"
    if isinstance(error, referencing.exceptions.Unresolvable):
        return f"it refers to {str(error.ref)[:LONGEST_PATH]!r}, which is not in it"
    if isinstance(error, msgspec.DecodeError):
        return f"it is not usable JSON ({str(error)[:LONGEST_PATH]})"
    if isinstance(error, TypeError | ValueError) and error.args and type(error) in (TypeError, ValueError):
        return str(error)[:LONGEST_PATH]
    return f"evaluating it fails ({type(error).__name__})"
