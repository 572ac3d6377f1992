"""What the requests of all operations but chat have in common: a body whose members are checked one by one, some of
which say where it goes (`model`, `models`, `provider`, `fairlead`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.body import checked, members_of
from fairlead.wire.bounds import LONGEST_PARAMETER, MOST_NAMED
from fairlead.wire.chat_shapes import NULL, Options
from fairlead.wire.duplicates import refuse_duplicates_inside
from fairlead.wire.preferences import Preferences
from fairlead.wire.traceparent import TraceContext


class Rule(NamedTuple):
    """What a member must be: its decoder, the same in words, and how many bytes it may have."""

    decoder: msgspec.json.Decoder[Any]
    wanted: str
    most_bytes: int = LONGEST_PARAMETER


def rule(type_: Any, wanted: str, most_bytes: int = LONGEST_PARAMETER) -> Rule:
    return Rule(msgspec.json.Decoder(type_), wanted, most_bytes)


Rules = Mapping[str, Rule]
TEXT: Final = rule(str, "a string")
FLAG: Final = rule(bool, "true or false")
ANY_LENGTH: Final = 2**63 - 1

_MODEL: Final = rule(Annotated[str, Meta(min_length=1, max_length=256)], "the id of a model")
_MODELS: Final = rule(
    Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=16)],
    "a list of up to 16 ids of models",
)
_PROVIDER: Final = rule(Preferences, 'an object of preferences such as {"order": ["a"]}')
_FAIRLEAD: Final = rule(Options, 'an object such as {"strict": true}')
_OURS: Final = frozenset({"model", "models", "provider", "fairlead"})
_NO_OPTIONS: Final = Options()


class OperationRequest:
    """A `Payload`. `given`: its parameters in the caller's own bytes, without what the operation reads itself;
    `unknown`: those of them that are none of the API. `cap`, `include_usage`: for operations whose answers are words.
    """

    api = ""
    cap_name = "input"
    include_usage = False
    cap = 0

    def __init__(
        self, fields: Mapping[str, Raw], rules: Rules, body: bytes, beside: Collection[str], *, only_here: str = "model"
    ) -> None:
        """`fields`: of the body; `beside`: the members that the operation reads itself. Raises InvalidRequest."""
        listed: list[str] = given_value(fields, "models", _MODELS) or []
        model: str | None = given_value(fields, "model", _MODEL)
        if model is None:
            if not listed:
                raise InvalidRequest(f"{only_here} is missing.", param=only_here)
            model = listed[0]
        options: Options = given_value(fields, "fairlead", _FAIRLEAD) or _NO_OPTIONS
        self.model = model
        self.fallbacks = tuple(dict.fromkeys(name for name in listed if name != model))
        self.preferences: Preferences | None = given_value(fields, "provider", _PROVIDER)
        self.strict = options.strict
        self.reports = options.parameters
        self.emulate = options.emulate
        self.trace: TraceContext | None = None
        self.given: dict[str, Raw] = {}
        self.values: dict[str, Any] = {}
        unknown: list[str] = []
        for name, raw in fields.items():
            if raw == NULL or name in _OURS or name in beside:
                continue
            wanted = rules.get(name)
            if wanted is None:
                unknown.append(name)
            else:
                self.values[name] = checked(name, wanted.decoder, raw, wanted.wanted, wanted.most_bytes)
            self.given[name] = raw
        self.unknown = frozenset(unknown)
        if self.strict:
            if unknown:
                names = ", ".join(repr(name[:64]) for name in unknown[:MOST_NAMED])
                raise InvalidRequest(f"There is no parameter {names} (strict mode).", param=unknown[0][:64])
            refuse_duplicates_inside(body)

    @property
    def names(self) -> Iterable[str]:
        return self.given

    def with_cap(self, _tokens: int) -> OperationRequest:
        return self

    def release(self) -> None:
        """Nothing is streamed: what it holds is needed until it is answered."""


def given_value(fields: Mapping[str, Raw], name: str, wanted: Rule) -> Any:
    """The value of a member; None when it is not given. Raises InvalidRequest."""
    raw = fields.get(name, NULL)
    return None if raw == NULL else checked(name, wanted.decoder, raw, wanted.wanted, wanted.most_bytes)


def required(fields: Mapping[str, Raw], name: str) -> Raw:
    raw = fields.get(name, NULL)
    if raw == NULL:
        raise InvalidRequest(f"{name} is missing.", param=name)
    return raw


__all__ = [
    "ANY_LENGTH", "FLAG", "TEXT", "OperationRequest", "Rule", "Rules", "given_value", "members_of", "required", "rule",
]  # fmt: skip
